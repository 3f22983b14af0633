"""The verdict on the model, and one sentence for someone who reads nothing else."""

from collections.abc import Mapping

from audits.evidence.case import Case
from audits.results import CheckResult
from schemas.report import Cause, Outcome, Severity, Verdict

# Without these, silence is no acquittal.
MAIN = frozenset(
    {
        "overfitting.generalization_gap",
        "preprocessing.scaling_mismatch",
        "preprocessing.label_encoding",
        "preprocessing.distribution_shift",
    }
)


def verdict(results: Mapping[str, CheckResult]) -> Verdict:
    """`fail` with a critical finding, `warn` with a warning; `inconclusive` where the main checks could not see."""
    severities = {r.finding.severity for r in results.values() if r.finding is not None}
    if Severity.CRITICAL in severities:
        return "fail"
    if Severity.WARNING in severities:
        return "warn"
    blind = [code for code, r in results.items() if r.outcome in (Outcome.INCONCLUSIVE, Outcome.ERROR)]
    return "inconclusive" if any(code in MAIN for code in blind) else "pass"


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
