"""From findings and proofs to ranked causes, the unexplained rest, the verdict and one sentence."""

from collections.abc import Mapping

from audits.evidence.case import Case
from audits.evidence.gap import honest_gap
from audits.results import CheckResult
from schemas.report import Cause, Estimate, Finding, Gap, Outcome, Severity, TestedRepair, Verdict

# Findings without a measured share, in the order in which they answer "why does it perform poorly": first what
# the training did, then what the number hides, then what can only be said of the data, last what cannot be told.
ORDER = (
    "preprocessing.label_encoding",
    "preprocessing.non_finite_output",
    "preprocessing.duplicate_leakage",
    "preprocessing.target_leakage",
    "overfitting.overtraining",
    "overfitting.memorization",
    "overfitting.underfitting",
    "metrics.imbalanced_accuracy",
    "metrics.majority_class",
    "overfitting.no_signal",
    "preprocessing.distribution_shift",
    "overfitting.generalization_gap",
    "metrics.weak_model",
    "preprocessing.missing_values",
    "preprocessing.imputation_spike",
    "metrics.small_validation",
)
NO_SIGNAL = "overfitting.no_signal"
OVERTRAINING = "overfitting.overtraining"
# A finding that others tell with more knowledge of it is found, but not ranked beside them.
TOLD_BY = {
    "overfitting.generalization_gap": (OVERTRAINING, "overfitting.memorization"),
    "metrics.weak_model": (NO_SIGNAL, "overfitting.underfitting", "metrics.majority_class"),
}
MIN_GAP = 0.01


def rank(case: Case, results: Mapping[str, CheckResult]) -> list[Cause]:
    """The causes, most likely first: proven by repair, by what it brought back; then by exclusion; then the rest."""
    ranked = {code: r for code, r in results.items() if _is_cause(r) and not _told_elsewhere(code, results)}
    order = sorted(ranked, key=lambda code: _place(code, ranked))
    total = case.train_score[0] - case.validation_score[0]
    return [_cause(ranked[code], total) for code in order]


def _is_cause(result: CheckResult) -> bool:
    loud = result.finding is not None and result.finding.severity is not Severity.INFO
    return result.outcome is Outcome.FAIL and result.ranks and loud


def _told_elsewhere(code: str, results: Mapping[str, CheckResult]) -> bool:
    return any(other in results and _is_cause(results[other]) for other in TOLD_BY.get(code, ()))


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


def measure_gap(case: Case, causes: list[Cause]) -> Gap:
    """What was to be explained, and what is left after all causes."""
    train, validation = case.train_score[0], case.validation_score[0]
    gap = train - validation
    honest = honest_gap(case)
    overfit = any(cause.code.startswith("overfitting.") and cause.share_of_gap for cause in causes)
    told = overfit or any(cause.code in TOLD_BY["overfitting.generalization_gap"] for cause in causes)
    left = 0.0 if told else max(0.0, honest.estimate)
    if gap <= MIN_GAP and not case.leaked:
        left = 0.0
    return Gap(
        metric=case.scorer.metric,
        reference=train,
        validation=validation,
        gap=gap,
        unexplained=left,
        unexplained_share=left / gap if gap > MIN_GAP else None,
    )


def tested_not_a_cause(case: Case) -> list[TestedRepair]:
    """Repairs that were tried and refuted: what users may stop suspecting."""
    confirmed = {trial.suspicion.code for trial in case.trials if trial.confirmed}
    return [
        TestedRepair(code=trial.suspicion.code, confirmation=trial.confirmation, reason=trial.reason)
        for trial in case.trials
        if not trial.confirmed and trial.suspicion.code not in confirmed
    ]


def verdict(results: Mapping[str, CheckResult]) -> Verdict:
    """`fail` with a critical finding, `warn` with a warning; `inconclusive` where the main checks could not see."""
    severities = {r.finding.severity for r in results.values() if r.finding is not None}
    if Severity.CRITICAL in severities:
        return "fail"
    if Severity.WARNING in severities:
        return "warn"
    blind = [code for code, r in results.items() if r.outcome in (Outcome.INCONCLUSIVE, Outcome.ERROR)]
    return "inconclusive" if any(code in MAIN for code in blind) else "pass"


# Without these, silence is no acquittal.
MAIN = frozenset(
    {
        "overfitting.generalization_gap",
        "preprocessing.scaling_mismatch",
        "preprocessing.label_encoding",
        "preprocessing.distribution_shift",
    }
)


def summarise(case: Case, causes: list[Cause], decided: Verdict) -> str:
    """One sentence for someone who reads nothing else."""
    if causes:
        first = causes[0].explanation
        others = len(causes) - 1
        return first + (f" {others} further cause{'s' if others > 1 else ''} below." if others else "")
    score, interval = case.validation_score
    told = f"validation {case.scorer.title} {score:.2f} [{interval[0]:.2f}, {interval[1]:.2f}], n = {case.validation.n}"
    if decided == "inconclusive":
        return f"Nothing was found, but a material fault could not have been seen: {told}."
    return f"No fault was found: {told}."
