"""A comparison of two reports in words, for the terminal and for the page."""

from collections.abc import Mapping

from schemas.comparison import ComparedFinding, ComparedMetric, FindingChange
from service.formats.numbers import effect, estimate, number

FINDING_WORDS: Mapping[FindingChange, str] = {
    "mended": "mended",
    "new": "new",
    "not_tested_before": "not tested before",
    "remaining": "remains",
    "unanswered": "cannot tell",
}
METRIC_WORDS = {"better": "better", "worse": "worse", "different": "different", "not_told_apart": ""}


def compared_word(one: ComparedFinding) -> str:
    """What happened to the finding, with its severity where that has changed."""
    word = FINDING_WORDS[one.change]
    if one.change == "remaining" and one.severity_before not in {None, one.severity}:
        word += f", {one.severity_before} → {one.severity}"
    return word


def compared_effects(one: ComparedFinding) -> str:
    """What was measured before and after, or why it is said to be gone."""
    if one.change == "mended":
        if one.smallest_visible_effect is None:
            return "the check passed"
        return f"the check passed; it would have seen {number(one.smallest_visible_effect)}"
    if one.change == "unanswered":
        outcome = "was not run" if one.outcome_after is None else f"is {one.outcome_after.value.replace('_', ' ')}"
        return f"the check {outcome} now"
    told = [effect(value) for value in (one.effect_before, one.effect_after) if value is not None]
    return " → ".join(told)


def compared_pair(one: ComparedMetric) -> tuple[tuple[str, str], tuple[str, str]]:
    """The number and its interval, before and after."""
    return estimate(one.before), estimate(one.after)
