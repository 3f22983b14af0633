"""Which figures a report gets: general ones of the whole, and those that show what a finding means.

A figure never costs a report: one that cannot be drawn is left out, and the log says why.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from audits.evidence.case import Case, Subject
from audits.evidence.training.history import history_of
from audits.figures.confusion import confusion
from audits.figures.copies import copies
from audits.figures.loss_curves import loss_curves
from audits.figures.missing import missing_map, missing_shares
from audits.figures.proof import proof
from audits.figures.quantiles import quantiles
from audits.figures.ranking import precision_recall, roc
from audits.figures.reliability import reliability
from audits.figures.residuals import residuals
from audits.figures.scores import scores
from audits.figures.segments import segments
from audits.figures.shares import class_shares
from audits.figures.thumbnails import thumbnails
from audits.figures.waterfall import waterfall
from audits.results import CheckResult
from schemas.problem import EvaluatorError
from schemas.report import Figure, Finding, Gap, Outcome, Severity

log = logging.getLogger(__name__)

# Where a figure of the whole shows what a finding means, it stands there and not among the general ones.
SHOWN_BY: Mapping[str, tuple[str, ...]] = {
    "loss_curves": ("overfitting.overtraining", "overfitting.underfitting", "overfitting.memorization"),
    "reliability": ("metrics.miscalibration",),
    "scores": ("metrics.decision_threshold", "metrics.majority_class"),
    "confusion": ("preprocessing.label_encoding", "metrics.imbalanced_accuracy"),
    "class_shares": ("preprocessing.prior_shift", "preprocessing.unshuffled"),
    "residuals": ("metrics.dominated_by_few", "metrics.output_mismatch"),
}
OF_COLUMNS = (
    "preprocessing.scaling_mismatch",
    "preprocessing.distribution_shift",
    "preprocessing.outliers",
    "preprocessing.sentinel_values",
    "preprocessing.imputation_spike",
    "preprocessing.feature_order",
    "preprocessing.unscaled_inputs",
)
OF_IMAGES = (
    "preprocessing.image_geometry",
    "preprocessing.scaling_mismatch",
    "preprocessing.label_noise",
    "preprocessing.feature_order",
    "preprocessing.duplicate_leakage",
)


@dataclass
class Figures:
    """What was drawn.

    Attributes:
        general: of the whole report.
        of: code -> figures of the finding.
    """

    general: list[Figure] = field(default_factory=list)
    of: dict[str, list[Figure]] = field(default_factory=dict)

    def place(self, findings: Iterable[Finding]) -> list[Finding]:
        """The findings with their figures."""
        return [one.model_copy(update={"figures": self.of.get(one.code, [])}) for one in findings]


def draw(case: Case, submitted: Case, results: Mapping[str, CheckResult], gap: Gap) -> Figures:
    """Everything that can be shown.

    Args:
        case: after the confirmed repairs.
        submitted: as collected.
        results: of the checks.
        gap: what was to be explained.
    """
    drawn = Figures()
    for code, result in results.items():
        if result.finding is not None:
            drawn.of[code] = [*_of_finding(case, submitted, result, result.finding)]
    for kind, made in _of_the_whole(submitted, gap):
        owner = _owner(kind, results)
        (drawn.general if owner is None else drawn.of[owner]).append(made)
    return drawn


def _of_the_whole(submitted: Case, gap: Gap) -> Iterator[tuple[str, Figure]]:
    history = history_of(submitted)
    kinds: dict[str, Callable[[], Figure | None]] = {
        "waterfall": lambda: waterfall(gap),
        "loss_curves": lambda: None if history is None else loss_curves(history),
        "confusion": lambda: confusion(submitted),
        "roc": lambda: roc(submitted),
        "precision_recall": lambda: precision_recall(submitted),
        "scores": lambda: scores(submitted),
        "reliability": lambda: reliability(submitted),
        "residuals": lambda: residuals(submitted),
        "class_shares": lambda: class_shares(submitted),
    }
    for kind, maker in kinds.items():
        for made in _tried(kind, lambda maker=maker: [maker()]):  # type: ignore[misc]
            yield kind, made


def _owner(kind: str, results: Mapping[str, CheckResult]) -> str | None:
    """The first loud finding that the figure explains."""
    for code in SHOWN_BY.get(kind, ()):
        result = results.get(code)
        if result is None or result.finding is None or result.outcome is not Outcome.FAIL:
            continue
        if result.finding.severity is not Severity.INFO:
            return code
    return None


def _of_finding(case: Case, submitted: Case, result: CheckResult, finding: Finding) -> Iterator[Figure]:
    code = finding.code
    if result.confirmation is not None:
        yield from _tried("proof", lambda: [proof(result.confirmation)] if result.confirmation else [])
    repaired = _repaired(case, submitted, code)
    columns = _columns(finding, case)
    if code in OF_COLUMNS and case.space.layout != "image":
        yield from _tried("quantiles", lambda: quantiles(submitted, columns, repaired))
    if code in OF_IMAGES:
        yield from _tried("thumbnails", lambda: [thumbnails(submitted, _validation_rows(finding), repaired)])
    if code == "preprocessing.missing_values":
        yield from _tried("missing", lambda: [missing_shares(submitted), missing_map(submitted)])
    if code == "preprocessing.duplicate_leakage":
        yield from _tried("copies", lambda: [copies(submitted)])
    if code == "metrics.weak_segment":
        yield from _tried("segments", lambda: [segments(finding)])


def _validation_rows(finding: Finding) -> Sequence[int]:
    return finding.affected.rows if finding.affected.split == "validation" else ()


def _columns(finding: Finding, case: Case) -> Sequence[str]:
    """What the finding names, or what its repair changes."""
    return finding.affected.columns or [
        name for trial in case.trials if trial.suspicion.code == finding.code for name in trial.suspicion.columns
    ]


def _repaired(case: Case, submitted: Case, code: str) -> Subject | None:
    """The validation rows after the confirmed repair, where they are the same rows in the same order."""
    for trial in case.proven:
        after = trial.after
        same = (
            len(after) == len(submitted.validation.sample) and (after.index == submitted.validation.sample.index).all()
        )
        if trial.suspicion.code == code and same:
            return after  # type: ignore[no-any-return]
    return None


def _tried(kind: str, make: Callable[[], Iterable[Figure | None]]) -> list[Figure]:
    try:
        return [made for made in make() if made is not None]
    except EvaluatorError:
        raise
    except Exception:
        log.exception("figure %s could not be drawn", kind)
        return []
