"""Two reports of one model, before and after: what a change of the model or of its data did."""

from typing import Literal

from pydantic import Field

from schemas.base import FiniteFloat, Sent, Split
from schemas.report import Effect, Estimate, Outcome, Severity, Verdict

FindingChange = Literal["new", "not_tested_before", "remaining", "unanswered", "mended"]


class ComparedFinding(Sent):
    """One finding of either report."""

    code: str
    change: FindingChange = Field(
        description="`mended`: found before, and the check passed after. `unanswered`: found before, and the check "
        "could not tell after. `remaining`: found in both. `new`: the check passed before, and finds it after. "
        "`not_tested_before`: found after, and the check could not tell before."
    )
    title: str
    severity: Severity = Field(description="After; before, where it is not found any more.")
    severity_before: Severity | None = Field(None, description="Null where it was not found.")
    outcome_before: Outcome | None = Field(None, description="Of the check; null where it was not run.")
    outcome_after: Outcome | None = None
    effect_before: Effect | None = None
    effect_after: Effect | None = None
    smallest_visible_effect: FiniteFloat | None = Field(
        None, description="Where it is mended: the smallest effect that the check would have seen after."
    )


class ComparedMetric(Sent):
    """One metric of one split."""

    name: str
    split: Split
    is_primary: bool
    before: Estimate | None
    after: Estimate | None
    difference: FiniteFloat | None = Field(None, description="After less before.")
    change: Literal["better", "worse", "different", "not_told_apart"] = Field(
        description="`not_told_apart` where the 95 % intervals overlap or one is missing; `different` where it is not "
        "known which way is better."
    )


class Comparison(Sent):
    before: str = Field(description="Id of the earlier audit.")
    after: str
    verdict_before: Verdict
    verdict_after: Verdict
    summary: str
    findings: list[ComparedFinding] = Field(description="What needs attention first.")
    metrics: list[ComparedMetric]
    notes: list[str] = Field([], description="Why the two may not be comparable.")
