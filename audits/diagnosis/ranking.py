"""From findings and proofs to ranked causes."""

from collections.abc import Mapping
from dataclasses import replace

from audits.diagnosis.attribution import Attribution
from audits.evidence.case import Case
from audits.results import CheckResult
from schemas.report import Cause, Estimate, Finding, Outcome, Severity, TestedRepair

# Findings without a measured share, in the order in which they answer "why does it perform poorly": first what makes
# the number no answer at all, then what the training did, then what the number hides, then what can only be said of
# the data, last what cannot be told.
ORDER = (
    "preprocessing.label_encoding",
    "metrics.output_mismatch",
    "preprocessing.non_finite_output",
    "preprocessing.duplicate_leakage",
    "preprocessing.target_leakage",
    "preprocessing.group_leakage",
    "preprocessing.temporal_leakage",
    "preprocessing.identifier_feature",
    "overfitting.overtraining",
    "overfitting.memorization",
    "preprocessing.unscaled_inputs",
    "overfitting.underfitting",
    "preprocessing.prior_shift",
    "metrics.imbalanced_accuracy",
    "metrics.majority_class",
    "overfitting.no_signal",
    "preprocessing.label_noise",
    "preprocessing.category_mismatch",
    "preprocessing.constant_feature",
    "preprocessing.dtype_mismatch",
    "preprocessing.image_geometry",
    "preprocessing.unshuffled",
    "preprocessing.distribution_shift",
    "metrics.reported_mismatch",
    "overfitting.generalization_gap",
    "metrics.miscalibration",
    "metrics.dominated_by_few",
    "metrics.weak_model",
    "metrics.weak_segment",
    "preprocessing.missing_values",
    "preprocessing.imputation_spike",
    "preprocessing.duplicates",
    "metrics.incomplete_report",
    "metrics.small_validation",
)
NO_SIGNAL = "overfitting.no_signal"
OVERTRAINING = "overfitting.overtraining"
MEMORIZATION = "overfitting.memorization"
OUTPUT = "metrics.output_mismatch"
# A finding that others tell with more knowledge of it is found, but not ranked beside them.
TOLD_BY = {
    "overfitting.generalization_gap": (OVERTRAINING, MEMORIZATION),
    "overfitting.underfitting": (OUTPUT, "preprocessing.unscaled_inputs"),
    "overfitting.no_signal": (OUTPUT,),
    "metrics.decision_threshold": (OUTPUT,),
    "metrics.majority_class": (OUTPUT,),
    "metrics.weak_model": (NO_SIGNAL, "overfitting.underfitting", "metrics.majority_class", OUTPUT),
    "metrics.miscalibration": (
        OUTPUT,
        OVERTRAINING,
        MEMORIZATION,
        NO_SIGNAL,
        "metrics.decision_threshold",
        "metrics.majority_class",
        "preprocessing.distribution_shift",
        "preprocessing.label_noise",
        "preprocessing.prior_shift",
        "preprocessing.target_leakage",
    ),
    "metrics.dominated_by_few": (OUTPUT, MEMORIZATION, "preprocessing.outliers"),
    "preprocessing.distribution_shift": (
        "preprocessing.constant_feature",
        "preprocessing.imputation_spike",
        "preprocessing.unshuffled",
    ),
}
MIN_GAP = 0.01


def rank(case: Case, results: Mapping[str, CheckResult], attribution: Attribution | None = None) -> list[Cause]:
    """The causes, most likely first: proven by repair, by what it brought back; then by exclusion; then the rest."""
    ranked = {
        code: _counted_once(code, r, attribution)
        for code, r in results.items()
        if is_cause(r) and not _told_elsewhere(code, results)
    }
    order = sorted(ranked, key=lambda code: _place(code, ranked))
    total = case.train_score[0] - case.validation_score[0]
    causes = [_cause(ranked[code], total) for code in order]
    if attribution is None or not causes or not attribution.interacts(max(total, MIN_GAP)):
        return causes
    told = f"{causes[0].explanation} {_interaction(attribution)}"
    return [causes[0].model_copy(update={"explanation": told}), *causes[1:]]


def _counted_once(code: str, result: CheckResult, attribution: Attribution | None) -> CheckResult:
    """With the repair's Shapley value in place of what it gained when its turn came.

    A finding about the training file has no such gain, also where a repair of its code served the validation rows.
    """
    value = attribution.values.get(code) if attribution is not None else None
    return result if value is None or result.recovered is None else replace(result, recovered=value)


def _interaction(attribution: Attribution) -> str:
    together, alone = attribution.together.estimate or 0.0, sum(attribution.alone.values())
    return (
        f"The causes interact: all repairs together bring back {together:.2f}, the single repairs add up to "
        f"{alone:.2f}; shares are averaged over all orders of repair."
    )


def is_cause(result: CheckResult) -> bool:
    loud = result.finding is not None and result.finding.severity is not Severity.INFO
    return result.outcome is Outcome.FAIL and result.ranks and loud


def _told_elsewhere(code: str, results: Mapping[str, CheckResult]) -> bool:
    return any(other in results and is_cause(results[other]) for other in TOLD_BY.get(code, ()))


def _place(code: str, ranked: Mapping[str, CheckResult]) -> tuple[int, float]:
    result = ranked[code]
    proven = result.confirmation is not None and result.confirmation.confirmed and not result.confirmation.by_exclusion
    recovered = result.recovered.estimate if result.recovered is not None else None
    if proven and recovered is not None and recovered > 0:
        return 0, -recovered
    if code == OVERTRAINING and NO_SIGNAL in ranked:
        # where there is nothing to learn, stopping earlier would not have helped
        return 1, ORDER.index(NO_SIGNAL) + 0.5
    return 1, float(ORDER.index(code)) if code in ORDER else float(len(ORDER))


def _cause(result: CheckResult, total: float) -> Cause:
    assert result.finding is not None  # noqa: S101 - causes are findings
    finding: Finding = result.finding
    return Cause(
        code=finding.code,
        explanation=result.explanation or finding.summary,
        share_of_gap=_share(result.recovered, total),
        confirmation=result.confirmation,
        remedy=finding.remedy,
    )


def _share(recovered: Estimate | None, total: float) -> Estimate | None:
    """What was recovered as a share of the gap between the training and the validation metric."""
    if recovered is None or recovered.estimate is None or total <= MIN_GAP:
        return None
    interval = None if recovered.interval is None else (recovered.interval[0] / total, recovered.interval[1] / total)
    return Estimate(estimate=recovered.estimate / total, interval=interval, n=recovered.n)


def tested_not_a_cause(case: Case) -> list[TestedRepair]:
    """Repairs that were tried and refuted: what users may stop suspecting."""
    confirmed = {trial.suspicion.code for trial in case.trials if trial.confirmed}
    return [
        TestedRepair(code=trial.suspicion.code, confirmation=trial.confirmation, reason=trial.reason)
        for trial in case.trials
        if not trial.confirmed and trial.suspicion.code not in confirmed
    ]
