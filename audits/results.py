"""What a check answers."""

from collections.abc import Callable
from dataclasses import dataclass

from audits.evidence.case import Subject
from schemas.report import Confirmation, Estimate, Finding, Outcome


@dataclass(frozen=True)
class CheckResult:
    """The outcome of one check.

    Attributes:
        outcome: pass, fail, inconclusive, not_applicable or error.
        reason: why, for all but a plain pass.
        finding: what was found, when the check failed, or an observation (severity info) beside a pass.
        confirmation: what the intervention showed, where there was one.
        recovered: how much of the primary metric the repair brought back, with its interval; None where the
            finding does not explain a loss of that metric.
        explanation: one sentence for the diagnosis; the finding's summary where None.
        ranks: whether the finding may stand in the diagnosis.
        smallest_visible_effect: the smallest effect that this check could have seen in these data.
        repair: what the check proved to bring the primary metric back without touching the data, such as another
            threshold; None elsewhere.
    """

    outcome: Outcome
    reason: str | None = None
    finding: Finding | None = None
    confirmation: Confirmation | None = None
    recovered: Estimate | None = None
    explanation: str | None = None
    ranks: bool = True
    smallest_visible_effect: float | None = None
    repair: Callable[[Subject], Subject] | None = None

    @classmethod
    def passed(
        cls, *, smallest: float | None = None, margin: float | None = None, reason: str | None = None
    ) -> "CheckResult":
        """Nothing was seen.

        Args:
            smallest: the smallest effect that would have been seen in these data.
            margin: the effect that matters; where a larger one could have stayed unseen, nothing can be said.
            reason: why, where it is more than silence.
        """
        if smallest is not None and margin is not None and smallest > margin:
            return cls.inconclusive(
                f"an effect of up to {smallest:.3g} would not have been seen in these data; {margin:.3g} matters",
                smallest=smallest,
            )
        return cls(Outcome.PASS, reason, smallest_visible_effect=smallest)

    @classmethod
    def inconclusive(cls, reason: str, *, smallest: float | None = None) -> "CheckResult":
        return cls(Outcome.INCONCLUSIVE, reason, smallest_visible_effect=smallest)

    @classmethod
    def not_applicable(cls, reason: str) -> "CheckResult":
        return cls(Outcome.NOT_APPLICABLE, reason)
