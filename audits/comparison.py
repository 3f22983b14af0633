"""Two reports of one model side by side.

A check that could not tell is no proof that a fault is gone: `mended` is only what the later check looked for and did
not find. Metrics differ where their intervals do not overlap, which is stricter than a test at 5 %: a difference that
is reported is there, one that is not reported may be.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from audits.evidence.reported.table import METRICS
from schemas.base import Split
from schemas.comparison import ComparedFinding, ComparedMetric, Comparison, FindingChange
from schemas.report import CheckRecord, Estimate, Finding, Outcome, Report, Severity

# The order in which they are read.
CHANGES: Mapping[FindingChange, str] = {
    "new": "new",
    "not_tested_before": "not tested before",
    "remaining": "remain",
    "unanswered": "cannot be told any more",
    "mended": "mended",
}
BAD_CHANGES: tuple[FindingChange, ...] = ("new", "not_tested_before")
SEVERITIES = (Severity.CRITICAL, Severity.WARNING, Severity.INFO)
LOWER_IS_BETTER = frozenset(
    {*(name for name, metric in METRICS.items() if not metric.higher), "expected_calibration_error"}
)
# Counts and descriptions of the answers are neither good nor bad; a bias is bad on both sides of 0.
NEITHER = frozenset({"answered", "positive_rate", "bias"})


def compare(before: Report, after: Report) -> Comparison:
    """What was mended, what is new, and what the metrics did between two audits of one model."""
    findings = sorted(_findings(before, after), key=_urgency)
    metrics = [*_metrics(before, after)]
    return Comparison(
        before=before.audit_id,
        after=after.audit_id,
        verdict_before=before.verdict,
        verdict_after=after.verdict,
        summary=" ".join([*_moved(metrics), _counted(findings)]),
        findings=findings,
        metrics=metrics,
        notes=[*_notes(before, after)],
    )


def is_worse(comparison: Comparison, severity: Severity) -> bool:
    """Whether a finding of at least this severity is there that was not told before, or has risen to it."""
    reached = SEVERITIES[: SEVERITIES.index(severity) + 1]
    return any(
        one.severity in reached
        and (one.change in BAD_CHANGES or (one.change == "remaining" and one.severity_before not in reached))
        for one in comparison.findings
    )


def _findings(before: Report, after: Report) -> Iterator[ComparedFinding]:
    found = _worst(before), _worst(after)
    checks = _records(before), _records(after)
    for code in dict.fromkeys([*found[1], *found[0]]):
        yield _finding(code, (found[0].get(code), found[1].get(code)), (checks[0].get(code), checks[1].get(code)))


def _worst(report: Report) -> dict[str, Finding]:
    """Code -> its most severe finding."""
    ranked = sorted(report.findings, key=lambda one: SEVERITIES.index(one.severity), reverse=True)
    return {one.code: one for one in ranked}


def _records(report: Report) -> dict[str, CheckRecord]:
    return {one.code: one for one in report.checks}


def _finding(
    code: str, found: tuple[Finding | None, Finding | None], checks: tuple[CheckRecord | None, CheckRecord | None]
) -> ComparedFinding:
    before, after = found
    shown = cast("Finding", after or before)
    outcomes = [None if check is None else check.outcome for check in checks]
    change = _change(found, outcomes)
    return ComparedFinding(
        code=code,
        change=change,
        title=shown.title,
        severity=shown.severity,
        severity_before=before.severity if before else None,
        outcome_before=outcomes[0],
        outcome_after=outcomes[1],
        effect_before=before.effect if before else None,
        effect_after=after.effect if after else None,
        smallest_visible_effect=checks[1].smallest_visible_effect if change == "mended" and checks[1] else None,
    )


def _change(found: tuple[Finding | None, Finding | None], outcomes: Sequence[Outcome | None]) -> FindingChange:
    before, after = found
    if before and after:
        return "remaining"
    if before:
        return "mended" if outcomes[1] is Outcome.PASS else "unanswered"
    return "new" if outcomes[0] is Outcome.PASS else "not_tested_before"


def _urgency(finding: ComparedFinding) -> tuple[int, int, str]:
    return [*CHANGES].index(finding.change), SEVERITIES.index(finding.severity), finding.code


def _moved(metrics: Sequence[ComparedMetric]) -> Iterator[str]:
    """What the metric that the model is judged by did on the validation rows, where it really did something."""
    for one in metrics:
        if one.split != "validation" or not one.is_primary or one.change == "not_told_apart":
            continue
        before, after = (None if side is None else side.estimate for side in (one.before, one.after))
        if before is not None and after is not None:
            name = METRICS[one.name].title if one.name in METRICS else one.name
            word = "rose" if after > before else "fell"
            yield f"Validation {name} {word} from {_digits(before)} to {_digits(after)}."


def _digits(number: float) -> str:
    return f"{number:.3f}" if abs(number) < 1000 else f"{number:,.0f}"


def _counted(findings: Sequence[ComparedFinding]) -> str:
    """``2 mended, 1 new.``"""
    counts = {change: sum(one.change == change for one in findings) for change in CHANGES}
    if not any(counts.values()):
        return "Neither audit found anything."
    order: tuple[FindingChange, ...] = ("mended", "new", "not_tested_before", "remaining", "unanswered")
    always = {"mended", "new"}
    parts = [f"{counts[change] or 'none'} {CHANGES[change]}" for change in order if counts[change] or change in always]
    text = ", ".join(parts)
    return f"{text[:1].upper()}{text[1:]}."


def _metrics(before: Report, after: Report) -> Iterator[ComparedMetric]:
    for split, sides in (
        ("validation", (before.metrics.validation, after.metrics.validation)),
        ("train", (before.metrics.train, after.metrics.train)),
    ):
        names = dict.fromkeys([after.metrics.primary, *sides[1].values, *sides[0].values])
        for name in names:
            pair = sides[0].values.get(name), sides[1].values.get(name)
            if any(pair):
                yield _metric(name, cast("Split", split), pair, is_primary=name == after.metrics.primary)


def _metric(
    name: str, split: Split, pair: tuple[Estimate | None, Estimate | None], *, is_primary: bool
) -> ComparedMetric:
    before, after = (None if one is None else one.estimate for one in pair)
    difference = None if before is None or after is None else after - before
    change = "not_told_apart"
    if difference is not None and _are_apart(*pair):
        change = "different" if name in NEITHER else _better_or_worse(name, difference)
    return ComparedMetric.model_validate(
        {
            "name": name,
            "split": split,
            "is_primary": is_primary,
            "before": pair[0],
            "after": pair[1],
            "difference": difference,
            "change": change,
        }
    )


def _better_or_worse(name: str, difference: float) -> str:
    return "better" if (difference > 0) != (name in LOWER_IS_BETTER) else "worse"


def _are_apart(before: Estimate | None, after: Estimate | None) -> bool:
    """Whether the intervals share no point."""
    if before is None or after is None or before.interval is None or after.interval is None:
        return False
    return before.interval[1] < after.interval[0] or after.interval[1] < before.interval[0]


def _notes(before: Report, after: Report) -> Iterator[str]:
    if before.audit_id == after.audit_id:
        yield "Both are the same audit."
    for part in ("inputs", "outputs"):
        if before.model.get(part) != after.model.get(part):
            yield f"The {part} of the two models differ: these may be different models."
    for name, sides in (
        ("training", (before.metrics.train.n, after.metrics.train.n)),
        ("validation", (before.metrics.validation.n, after.metrics.validation.n)),
    ):
        if sides[0] != sides[1]:
            yield f"The {name} data have {sides[0]:,} rows before and {sides[1]:,} after: metrics may differ for that."
    if before.metrics.primary != after.metrics.primary:
        yield f"Gaps are measured in {before.metrics.primary} before and in {after.metrics.primary} after."
