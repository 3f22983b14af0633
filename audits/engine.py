"""Open, collect, repair and re-run, check, diagnose: from an audit request to its report.

A check that crashes becomes the outcome `error`; the audit goes on and the report is never lost.
"""

import logging
import platform
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from pydantic import JsonValue

from audits import diagnosis
from audits.artefacts import Model, ModelDescription, Split
from audits.checks.preprocessing import label_encoding, target_leakage
from audits.evidence.case import Case, SplitEvidence, Subject
from audits.evidence.control import MIN_CONTROL_ROWS
from audits.evidence.features import FeatureSpace
from audits.evidence.fold import RawSplit
from audits.evidence.internals import describe_internals
from audits.evidence.labels import UNKNOWN
from audits.evidence.meaning.heads import choose_head
from audits.evidence.outputs import OutputMeaning, Predictions, describe, narrowed
from audits.evidence.scoring import Scorer
from audits.evidence.summary import summarise_metrics
from audits.evidence.training.history import history_of
from audits.executors import Executor
from audits.executors.local import local_executor, parts_that_pay
from audits.executors.ray_cluster import RayExecutor, require_ray
from audits.figures.drawing import draw
from audits.opened import Opened
from audits.opening import Safety, open_artefacts, open_described, start
from audits.registry import CHECKS, SUSPECTS, WITNESSED, Check, selected
from audits.repairs.protocol import Suspect, mend
from audits.repairs.witness import as_the_model_saw
from audits.results import CheckResult
from audits.sources import Roots, read_history
from audits.sources.locations import resolve
from audits.sources.looked_at import LookedAt
from audits.sources.staging import staged
from schemas.base import finite
from schemas.isolation import Sandbox
from schemas.job import Progress, Stage
from schemas.limits import limits_for
from schemas.limits.base import Limits
from schemas.problem import DataError, EvaluatorError, ModelError
from schemas.report import CheckRecord, Finding, Outcome, Report
from schemas.request import AuditRequest

SEED = 20_260
# Where each stage begins and ends, as a share of a typical audit's time.
SPANS: dict[Stage, tuple[float, float]] = {
    "opening": (0.0, 0.15),
    "collecting": (0.15, 0.45),
    "repairing": (0.45, 0.75),
    "checking": (0.75, 0.97),
    "diagnosing": (0.97, 1.0),
}

CRASHED = CheckResult(Outcome.ERROR, "the check crashed; the other checks are not affected")

log = logging.getLogger(__name__)


@staged
def audit(
    request: AuditRequest,
    *,
    audit_id: str,
    roots: Roots,
    progress: Callable[[Progress], None] = lambda _: None,
    parts: int | None = None,
    ray_address: str | None = None,
    sandbox: Sandbox = "auto",
    allowed_ops: frozenset[str] = frozenset(),
) -> Report:
    """Audit one model.

    Args:
        request: what to audit.
        audit_id: stands in the report.
        roots: folders below which files may be read.
        progress: told what is being done.
        parts: of a split that are folded at the same time on this machine; None: as many as pay. The report is the
            same whatever this is.
        ray_address: of the Ray cluster, where one may be asked for.
        sandbox: whether the model's process is locked in, and must be.
        allowed_ops: that models may hold beyond those that only compute.

    Raises:
        ProblemError: the request, the model or the data cannot be audited; says what to do.
    """
    tell = _Teller(progress)
    limits = limits_for(request.checks.limits)
    codes = selected(request.checks.include, request.checks.exclude)
    means = _Means(request, roots, Safety(sandbox, allowed_ops), parts, ray_address)
    tell("opening", 0.0, "reading the model and the data")
    with open_described(request, roots, means.safety) as description:
        return _audit(request, description, codes, limits, audit_id=audit_id, means=means, tell=tell)


def _audit(
    request: AuditRequest,
    description: ModelDescription,
    codes: set[str],
    limits: Mapping[str, Limits],
    *,
    audit_id: str,
    means: "_Means",
    tell: "_Teller",
) -> Report:
    """The audit of a described model."""
    where = means.roots
    history = read_history(resolve(request.history.uri, where, field="history.uri")[0]) if request.history else None
    begun = [time.monotonic()]

    def starting() -> None:
        tell("opening", 0.4, "starting the model")
        begun[0] = time.monotonic()

    with ExitStack() as started:
        with means.files.stay_the_same():
            opened = open_artefacts(request, description, where, means.safety, starting)
            started.callback(opened.model.close)
            with closing(means.executor(opened, time.monotonic() - begun[0])) as executor:
                case = _collect(opened, executor, history, limits, tell)
        _require_known_labels(case, opened)
        return _examine(case, opened, codes, audit_id, tell)


class _Means:
    """What there is to run the model with."""

    def __init__(
        self, request: AuditRequest, roots: Roots, safety: Safety, parts: int | None, ray_address: str | None
    ) -> None:
        """Raises `ray_missing` or `ray_not_configured` before anything is opened."""
        self.roots, self.safety = roots, safety
        self.files = LookedAt(request, roots)
        self._request, self._parts = request, parts
        self._address = ray_address or ""
        self._ray = require_ray(ray_address) if request.resources.engine == "ray" else None

    def executor(self, opened: Opened, start_seconds: float) -> Executor:
        """Of the pass over the splits; `start_seconds` is what starting the model took."""
        if self._ray is not None:
            return RayExecutor(self._ray, self._address, opened, self._request, self.roots, self.safety)
        return local_executor(opened, lambda: self._start(opened), self._how_many(opened, start_seconds))

    def _start(self, opened: Opened) -> Model:
        return start(opened.request, opened.model.description, opened.binding, self.safety)

    def _how_many(self, opened: Opened, start_seconds: float) -> int:
        data = opened.request.data
        if data.train.label_uri is not None or data.validation.label_uri is not None:
            return 1  # their labels have been read: a process that is forked from here on would inherit them
        device = str(getattr(opened.model, "device", None))
        return self._parts or parts_that_pay((opened.train, opened.validation), device, start_seconds)


class _Teller:
    """Progress of the whole from the progress of a stage."""

    def __init__(self, progress: Callable[[Progress], None]) -> None:
        self._progress = progress

    def __call__(self, stage: Stage, share: float, detail: str) -> None:
        begin, end = SPANS[stage]
        fraction = begin + (end - begin) * min(max(share, 0.0), 1.0)
        self._progress(Progress(fraction=fraction, stage=stage, detail=detail))


def _collect(
    opened: Opened,
    executor: Executor,
    history: dict[str, list[float]] | None,
    limits: Mapping[str, Limits],
    tell: _Teller,
) -> Case:
    """One pass over each split, then what the labels and the outputs mean."""
    request = opened.request

    def collected(place: int, split: Split, tensor: str | None) -> RawSplit:
        def told(rows: int) -> None:
            tell("collecting", place / 2 + 0.4 * rows / (rows + 50_000), f"{rows:,} {split.name} rows")

        return executor.collect(split, tensor, np.random.default_rng([SEED, place]), told)

    train = collected(0, opened.train, None)
    ops = opened.model.description.output_ops
    meaning = choose_head(opened.heads, train.outputs, ops, train.labels, request, opened.class_lists)
    tensor, space = meaning.tensor, meaning.labels
    validation = collected(1, opened.validation, tensor)
    splits = [_evidence(raw, meaning) for raw in (train, validation)]
    fallback = float(np.mean(splits[0].labels)) if space.task == "regression" else 0.0
    return Case(
        request=request,
        description=opened.model.description,
        meaning=meaning,
        space=FeatureSpace.of(opened.train),
        scorer=Scorer(space, fallback),
        train=splits[0],
        validation=splits[1],
        predict=lambda rows: meaning.read(opened.output(rows, tensor)),
        history=history,
        limits=limits,
        seed=SEED,
        mended=splits[1].sample,
        internals=opened.internals,
    )


def _require_known_labels(case: Case, opened: Opened) -> None:
    """Refuse validation labels that nothing can be measured on: all the same, or none of them a class.

    Raises:
        DataError: naming labels of both splits.
    """
    labels = case.validation.labels
    if case.is_regression and not np.ptp(labels) > 0:
        raise DataError(
            "label_constant",
            f"Every validation label is {labels[0]:g} ({len(labels)} rows): R2, in which a regression is judged, needs "
            "labels that differ. Check the label column and how the file was filtered.",
            field="data.label",
        )
    subject = case.validation.sample
    known = np.unique(labels[labels != UNKNOWN]) if not case.is_regression else labels
    if not case.is_regression and len(known) == 1 and len(labels) > 1 and (labels != UNKNOWN).all():
        raise DataError(
            "one_class_only",
            f"Every validation label is {case.labels.names[int(known[0])]!r}: with one class nothing can be measured. "
            "Check the label column and how the file was filtered or split.",
            field="data.label",
        )
    if case.is_regression or (subject.labels != UNKNOWN).any() or label_encoding.respelling(case, subject):
        return
    seen = ", ".join(sorted({str(value) for value in subject.raw_labels})[:5])
    files = opened.validation.files
    where = Path(files[0]).name if len(files) == 1 else f"each of the {len(files)} validation files"
    raise DataError(
        "label_values_unknown",
        f"No validation label is a class of the model: the labels in {where} are {seen}, the model's classes, as the "
        f"training labels name them, {', '.join(case.labels.names[:5])}. Encode the labels of both splits alike, or "
        "name the classes in output.classes.",
        field="data.label",
        file=files[0],
    )


def _evidence(raw: RawSplit, meaning: OutputMeaning) -> SplitEvidence:
    labels = narrowed(meaning.labels.encode(raw.labels, raw.name))
    predictions: Predictions = meaning.read_many(raw.outputs[meaning.tensor])
    at = raw.sample_index
    raw_labels = raw.labels[at] if raw.labels.ndim == 1 else labels[at]
    sample = Subject(raw.sample_rows, labels[at], raw_labels, predictions.at(at), at)
    return SplitEvidence.of(raw.name, labels, predictions, raw.fingerprints, raw.roles, sample)


def _examine(case: Case, opened: Opened, codes: set[str], audit_id: str, tell: _Teller) -> Report:
    """Repair, check and diagnose."""
    tried: list[str] = []

    def on_trial(code: str) -> None:
        tried.append(code)
        tell("repairing", 1 - 0.8 ** len(tried), f"repairing {code} and running the model again")

    tell("repairing", 0.0, "looking for faults that can be repaired")
    submitted = case
    for code, compare, suspect in WITNESSED:
        if code in codes:
            case = _as_the_model_saw(case, code, compare, suspect)
    if target_leakage.CODE in codes:
        case = _without_leak(case)
    case = mend(case, [(code, suspect) for code, suspect in SUSPECTS if code in codes], on_trial)
    results, records = _run_checks(case, codes, tell)
    tell("diagnosing", 0.0, "ranking the causes")
    attribution = diagnosis.attribute(case, results)
    causes = diagnosis.rank(case, results, attribution)
    decided = diagnosis.verdict(results)
    gap = diagnosis.measure_gap(case, results, attribution)
    figures = draw(case, submitted, results, gap)
    return Report(
        audit_id=audit_id,
        verdict=decided,
        summary=diagnosis.summarise(case, causes, decided),
        diagnosis=causes,
        gap=gap,
        findings=figures.place(_findings(results)),
        figures=figures.general,
        tested_not_a_cause=diagnosis.tested_not_a_cause(case),
        checks=records,
        metrics=summarise_metrics(submitted),
        model=_model_section(case, opened.model),
        data=_data_section(case, submitted, opened),
        history=None if (history := history_of(case)) is None else history.section(),
        environment=environment(opened.model),
    )


def _as_the_model_saw(case: Case, code: str, compare: Suspect, suspect: Suspect) -> Case:
    """Repair what both splits, or the training file alone, got wrong, where the model bears witness to it."""
    try:
        return as_the_model_saw(case, code, compare, suspect)
    except EvaluatorError:
        raise
    except Exception:
        log.exception("holding the data against the model crashed for %s", code)
        return replace(case, failed=case.failed | {code})


def _without_leak(case: Case) -> Case:
    """Look for a column that knows the answer; where only the training data have it, do without it from here on."""
    try:
        return target_leakage.without_leak(case)
    except EvaluatorError:
        raise
    except Exception:
        log.exception("the search for a leaking column crashed")
        return replace(case, failed=case.failed | {target_leakage.CODE})


def _run_checks(case: Case, codes: set[str], tell: _Teller) -> tuple[dict[str, CheckResult], list[CheckRecord]]:
    results: dict[str, CheckResult] = {}
    records: list[CheckRecord] = []
    for place, (code, check) in enumerate(CHECKS):
        if code not in codes:
            continue
        tell("checking", place / len(CHECKS), code)
        begun = time.monotonic()
        result = results[code] = CRASHED if code in case.failed else _run(code, check, case)
        records.append(
            CheckRecord(
                code=code,
                outcome=result.outcome,
                reason=result.reason,
                smallest_visible_effect=finite(result.smallest_visible_effect),
                limits=case.limits[code].model_dump() if code in case.limits else {},
                seconds=round(time.monotonic() - begun, 4),
            )
        )
    return results, records


def _run(code: str, check: Check, case: Case) -> CheckResult:
    try:
        return check(case)
    except ModelError as problem:
        return CheckResult(Outcome.ERROR, problem.detail)
    except EvaluatorError:
        raise  # the model's process is gone, and with it everything that would still be asked
    except Exception:
        log.exception("check %s crashed", code)
        return CRASHED


def _findings(results: Mapping[str, CheckResult]) -> list[Finding]:
    """Findings by severity, in report order within each."""
    found = [result.finding for result in results.values() if result.finding is not None]
    rank = {"critical": 0, "warning": 1, "info": 2}
    return sorted(found, key=lambda finding: rank[finding.severity.value])


def _model_section(case: Case, model: Model) -> dict[str, JsonValue]:
    about = case.description
    return {
        "uri": _told(case.request.model.uri),
        "signature": about.signature,
        "signatures": list(about.signatures),
        "tags": list(about.tags),
        "tensorflow_version": about.tensorflow_version,
        "parameters": about.parameters,
        "inputs": [{"name": s.name, "dtype": s.dtype, "shape": _shape(s.shape)} for s in about.inputs],
        "outputs": [{"name": s.name, "dtype": s.dtype, "shape": _shape(s.shape)} for s in about.outputs],
        "output": describe(case.meaning),
        "internals": describe_internals(case.internals),
        "runs_as": getattr(model, "runs_as", None),
        "notes": {**about.notes, **({"run": reason} if (reason := getattr(model, "reason", None)) else {})},
    }


def _told(uri: str) -> str:
    """The address without what signs it, or who asks."""
    parts = urlsplit(uri)
    if parts.scheme in {"", "file", "upload"}:
        return uri
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _shape(shape: tuple[int | None, ...] | None) -> JsonValue:
    return None if shape is None else list(shape)


def _data_section(case: Case, submitted: Case, opened: Opened) -> dict[str, JsonValue]:
    matrix = case.control
    return {
        "train": {"rows": submitted.train.n, "sampled": len(case.train.sample), **opened.train.describe()},
        "validation": {
            "rows": case.validation.n,
            "sampled": len(case.validation.sample),
            **opened.validation.describe(),
        },
        "mapping": opened.binding.describe(),
        "changed_by_cast": {
            split.name: opened.binding.changed_by_cast(split.sample.rows)
            for split in (submitted.train, submitted.validation)
        },
        "layout": case.space.layout,
        "seed": case.seed,
        "control_learner": {
            "learner": matrix.learner or None,
            "reason": matrix.reason,
            "min_rows": MIN_CONTROL_ROWS,
            "metric": case.scorer.metric,
            "scores": {
                name: {"estimate": score, "interval": list(matrix.intervals.get(name) or ()) or None}
                for name, score in matrix.scores.items()
            },
        },
    }


def environment(model: Model) -> dict[str, JsonValue]:
    """What ran the audit, what it took, and how well it was locked in."""
    isolation = getattr(model, "isolation", None)
    usage: dict[str, JsonValue] = getattr(model, "usage", dict)()
    return {
        "fitcheck": version("fitcheck"),
        "python": platform.python_version(),
        "tensorflow": getattr(model, "tensorflow_version", None),
        "device": getattr(model, "device", None),
        **usage,
        "platform": platform.platform(terse=True),
        "isolation": None if isolation is None else isolation.model_dump(),
    }
