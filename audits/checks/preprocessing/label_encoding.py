"""Labels mean different things in the two splits.

What it measures: labels of the validation data that the training data never use, once blanks, case, trailing
    punctuation or an offset are set aside; and the permutation of the classes under which the model's answers
    agree best with the validation labels, found on one half and judged on the other. For a regression, a line
    between answers and labels whose slope is another unit.
Why it matters: a second encoder that numbers the classes otherwise makes a good model look worse than chance.
When it is inconclusive: fewer than `min_rows` validation rows; unseen spellings are found at any size.
How to fix: fit the label encoder once, on the training data, and save it with the model.
Reference: Kuhn, 1955, https://doi.org/10.1002/nav.3800020109
"""

import re
from collections.abc import Callable
from typing import Any, cast

import numpy as np
from scipy.stats import theilslopes

from audits.artefacts import Array
from audits.evidence.case import Case, Subject
from audits.evidence.labels import UNKNOWN
from audits.repairs.judgement import judge
from audits.repairs.protocol import Suspicion
from audits.repairs.snippets import constant, first_of
from audits.results import CheckResult
from audits.statistics.assignment import best_label_permutation
from audits.statistics.intervals import auc_interval
from schemas.limits.preprocessing import LabelEncoding
from schemas.report import Affected, Effect, Finding, Outcome, Remedy, Severity

CODE = "preprocessing.label_encoding"
TITLE = "Labels mean different things in the two splits"
MAX_LINE_ROWS = 500
MIN_CORRELATION = 0.5
MAX_OFFSET = 2
SAME_UNIT = 2.0
# Labels read rightly bring a model back to what it was trained to; a permutation that does not is another fault's
# shadow (a model that is worse than chance improves by turning its answers around, whatever made it worse).
MIN_RECOVERY = 0.5
HALF = 0.5


def label_encoding(case: Case) -> CheckResult:
    """Judge the trial of remapping the labels; unseen labels are a finding even where no map is found."""
    limits = cast(LabelEncoding, case.limits[CODE])
    n = len(case.mended)
    result = judge(
        case,
        CODE,
        title=TITLE,
        summary="When we {intervention}, {metric} goes from {before} to {after}.",
        too_few=f"{n} of {limits.min_rows} validation rows" if n < limits.min_rows else None,
    )
    return _unseen_labels(case) or result if result.outcome is not Outcome.FAIL else result


def _unseen_labels(case: Case) -> CheckResult | None:
    if case.is_regression:
        return None
    unseen = np.asarray(case.mended.labels == UNKNOWN)
    if not unseen.any():
        return None
    values = sorted({str(v) for v in case.mended.raw_labels[unseen]})
    share = float(unseen.mean())
    finding = Finding(
        code=CODE,
        family="preprocessing",
        severity=Severity.CRITICAL if share > 0.05 else Severity.WARNING,
        title=TITLE,
        summary=f"{int(unseen.sum())} validation rows carry a label that is no class of the model: "
        f"{', '.join(values[:5])}. They count as wrong.",
        effect=Effect(name="share_of_unseen_labels", estimate=share, limit=0.0),
        n=len(case.mended),
        affected=Affected(rows=[int(i) for i in case.mended.index[unseen][:100]], share_of_rows=share),
        evidence={"unseen": values[:20], "classes": case.labels.names},
        remedy=Remedy(
            text="Encode the labels of both splits with the one encoder that the training used, or name the "
            "classes in the order of the model's outputs in output.classes."
        ),
    )
    return CheckResult(Outcome.FAIL, finding=finding)


def suspect(case: Case, reference: Subject, subject: Subject) -> Suspicion | None:
    """A respelling, a permutation of the classes, or another unit, under which the labels fit the answers."""
    limits = cast(LabelEncoding, case.limits[CODE])
    if case.is_regression:
        return _other_unit(case, reference, subject, limits) if len(subject) >= limits.min_rows else None
    respelled = respelling(case, subject)
    if respelled is not None:
        return respelled
    return _permuted(case, subject) if len(subject) >= limits.min_rows else None


def respelling(case: Case, subject: Subject) -> Suspicion | None:
    """Unseen labels that are classes in another spelling, or counted from another number."""
    if not (subject.labels == UNKNOWN).any():
        return None
    mapping = _by_spelling(subject, case) or _by_offset(subject, case)
    if not mapping:
        return None

    def apply(faulty: Subject) -> Subject:
        codes = [mapping.get(_plain(value), code) for value, code in zip(faulty.raw_labels, faulty.labels, strict=True)]
        return faulty.with_labels(np.array(codes, dtype=np.int64))

    names = {str(value): case.labels.names[code] for value, code in mapping.items()}
    return _suspicion(
        case,
        subject,
        apply,
        f"read the validation labels {_pairs(names)}",
        names,
        rows=np.asarray(subject.labels == UNKNOWN),
    )


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _by_spelling(subject: Subject, case: Case) -> dict[Any, int]:
    codes = {_normal(name): code for code, name in enumerate(case.labels.names)}
    if len(codes) < case.labels.n_classes:
        return {}
    values = {_plain(v) for v in subject.raw_labels[subject.labels == UNKNOWN]}
    return {v: codes[_normal(v)] for v in values if _normal(v) in codes}


def _normal(value: Any) -> str:
    # a sign or a comparison at the front is part of the name: "-1", "<=50K"
    return re.sub(r"^[\s'\"]+|[\s.,;:!'\"]+$", "", str(value).casefold()).removesuffix(".0")


def _by_offset(subject: Subject, case: Case) -> dict[Any, int]:
    """All labels counted from another number: 1..K for 0..K-1 and the like."""
    values = {_plain(v) for v in subject.raw_labels}
    if not all(isinstance(v, int | float) for v in values):
        return {}
    codes = {value: code for code, value in enumerate(case.labels.classes)}
    for offset in range(1, MAX_OFFSET + 1):
        for shift in (offset, -offset):
            if all(v + shift in codes for v in values):
                return {v: codes[v + shift] for v in values}
    return {}


def _permuted(case: Case, subject: Subject) -> Suspicion | None:
    """The classes in another order."""
    classes = case.labels.n_classes
    order = _best_order(subject, classes)
    if (order == np.arange(classes)).all() or (classes == 2 and not _is_inverted(subject)):
        return None
    half = case.rng("label encoding").permutation(len(subject)) < len(subject) // 2

    def apply(faulty: Subject) -> Subject:
        labels = faulty.labels.copy()
        for fit, held in ((half, ~half), (~half, half)) if len(faulty) == len(half) else ((None, None),):
            mapping = order if fit is None else _best_order(faulty.at(fit), classes)
            where = np.ones(len(labels), dtype=bool) if held is None else held
            known = where & (faulty.labels != UNKNOWN)
            labels[known] = mapping[faulty.labels[known]]
        return faulty.with_labels(labels)

    before, after = case.score(subject), case.score(apply(subject))
    if after - before < MIN_RECOVERY * (case.train_score[0] - before):
        return None

    def replay(faulty: Subject) -> Subject:
        return faulty.with_labels(np.where(faulty.labels == UNKNOWN, UNKNOWN, order[faulty.labels]))

    names = {case.labels.names[k]: case.labels.names[order[k]] for k in range(classes) if order[k] != k}
    return _suspicion(case, subject, apply, f"read the validation labels {_pairs(names)}", names, replay=replay)


def _is_inverted(subject: Subject) -> bool:
    """Whether a binary model ranks the classes the wrong way round for certain: a weak one does so by chance."""
    probabilities = subject.predictions.probabilities
    assert probabilities is not None  # noqa: S101 - called for classification alone
    known = (subject.labels != UNKNOWN) & np.isfinite(probabilities[:, 1])
    return auc_interval(probabilities[known, 1], subject.labels[known] == 1)[1] < HALF


def _best_order(subject: Subject, classes: int) -> Array:
    """(classes,) what each label should be read as, so that the model's answers agree most often.

    Counts are divided by the label's frequency: each class has one voice, as in balanced accuracy.
    """
    decisions = subject.predictions.decisions
    assert decisions is not None  # noqa: S101 - called for classification alone
    known = (subject.labels != UNKNOWN) & (decisions >= 0)
    confusion = np.zeros((classes, classes))
    np.add.at(confusion, (subject.labels[known], decisions[known]), 1.0)
    rates = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    # ties, and classes that do not occur, stay as they are
    return best_label_permutation(rates + 1e-9 * np.eye(classes))


def _other_unit(case: Case, reference: Subject, subject: Subject, limits: LabelEncoding) -> Suspicion | None:
    """Labels of a regression that are a line of the model's answers with a slope far from 1."""
    answers = case.scorer.answers(subject.predictions)
    if np.std(answers) == 0 or np.std(subject.labels) == 0:
        return None
    if abs(np.corrcoef(answers, subject.labels)[0, 1]) < MIN_CORRELATION:
        return None
    slope, offset = _line(answers, subject.labels)
    if 1 / limits.max_unit_factor <= slope <= limits.max_unit_factor:
        return None
    # a model that fits badly has a slope far from 1 too; another unit shows in the labels themselves
    spread = float(np.std(subject.labels) / max(float(np.std(reference.labels)), 1e-12))
    if abs(np.log(abs(slope) / spread)) > np.log(SAME_UNIT):
        return None
    half = case.rng("label encoding").permutation(len(subject)) < len(subject) // 2

    def apply(faulty: Subject) -> Subject:
        given = case.scorer.answers(faulty.predictions)
        mine = half if len(faulty) == len(half) else np.arange(len(faulty)) % 2 == 0
        labels = np.asarray(faulty.labels, dtype=np.float64).copy()
        for fit, held in ((mine, ~mine), (~mine, mine)):
            a, b = _line(given[fit], faulty.labels[fit])
            labels[held] = (labels[held] - b) / a
        return faulty.with_labels(labels)

    def replay(faulty: Subject) -> Subject:
        return faulty.with_labels((np.asarray(faulty.labels, dtype=np.float64) - offset) / slope)

    formula = f"(label {'-' if offset >= 0 else '+'} {abs(offset):.4g}) / {slope:.4g}"
    intervention = f"read the validation labels as {formula}"
    return _suspicion(case, subject, apply, intervention, {"label": formula}, replay=replay)


def _line(x: Array, y: Array) -> tuple[float, float]:
    """Slope and intercept by Theil-Sen."""
    step = max(1, len(x) // MAX_LINE_ROWS)
    slope, intercept, _, _ = theilslopes(y[::step], x[::step])
    return float(slope), float(intercept)


def _suspicion(
    case: Case,
    subject: Subject,
    apply: Callable[[Subject], Subject],
    intervention: str,
    mapping: dict[str, str],
    rows: Array | None = None,
    replay: Callable[[Subject], Subject] | None = None,
) -> Suspicion:
    def placebo(faulty: Subject, rng: np.random.Generator) -> Subject:
        # the same labels dealt out at random: what relabelling gains when it knows nothing
        return faulty.with_labels(rng.permutation(apply(faulty).labels))

    changed = rows if rows is not None else apply(subject).labels != subject.labels
    return Suspicion(
        code=CODE,
        intervention=intervention,
        apply=apply,
        placebo=placebo,
        replay=replay,
        columns=(name,) if (name := case.request.data.label_name) else (),
        rows=np.asarray(changed),
        effect=Effect(name="share_of_labels_reread", estimate=float(np.mean(changed)), limit=0.0),
        evidence={"read_as": dict(mapping)},
        remedy=_remedy(case, mapping),
    )


def _pairs(names: dict[str, str]) -> str:
    return first_of([f"{old!r} as {new!r}" for old, new in names.items()], 4)


def _remedy(case: Case, mapping: dict[str, str]) -> Remedy:
    text = (
        "Encode the labels of every split with the encoder that was fitted on the training labels, and save it "
        "beside the model."
    )
    if case.is_regression:
        return Remedy(text="Bring the validation labels to the unit in which the model was trained.")
    column = case.request.data.label_name or "label"
    code = (
        "import pandas as pd\n\n"
        + constant("READ_AS", mapping, "validation label: the class that it means")
        + "def recode(frame: pd.DataFrame) -> pd.DataFrame:\n"
        f"    labels = frame[{column!r}].astype(str)\n"
        f"    return frame.assign(**{{{column!r}: labels.map(lambda v: READ_AS.get(v, v))}})\n"
    )
    return Remedy(text=text, code=code)
