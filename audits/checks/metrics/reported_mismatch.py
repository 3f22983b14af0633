"""The reported number is not what the model gives on these data.

What it measures: every reported metric is computed again on all rows of the split that it names, and the reported
    number held against the 95 % interval. What lies outside by more than a margin is searched for: the other split,
    both together, without copies, another average, threshold or metric, the classes turned around, the mean over
    batches. A loss is only told where its origin is found: what a training minimises holds penalties too.
Why it matters: a number of the training rows that is told as one of the validation rows promises what nobody will
    ever see; every other explanation of a disappointing model is moot until the number itself is right.
When it is inconclusive: the rows are too few to tell the number from one that differs materially.
How to fix: compute the metric once more, over all rows of the split, in one call, and report that.
Reference: Reinke et al., 2024, https://doi.org/10.1038/s41592-023-02150-0; Zou & Donner, 2008,
    https://doi.org/10.1002/sim.3095
"""

from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np
from pydantic import JsonValue

from audits.evidence.case import Case, Subject
from audits.evidence.reported.forensics import (
    Claim,
    Search,
    groups_of,
    interval,
    judged,
    read_claim,
    search,
    stretched,
)
from audits.evidence.reported.table import METRICS
from audits.repairs.metric_code import measuring_code
from audits.results import CheckResult
from schemas.limits.metrics import ReportedMismatch
from schemas.report import Affected, Confirmation, Effect, Finding, Outcome, Remedy, Severity

CODE = "metrics.reported_mismatch"
MAX_LISTED = 10


@dataclass(frozen=True)
class Verdict:
    """One claim against what the model gives.

    Attributes:
        metric: the reading of the claim that comes closest.
        recomputed, interval: of all rows of the split.
        wide: the interval as it is for all claims together.
        found: where the number comes from.
        healed: what was repaired or left out where the model does give the number; None otherwise.
    """

    claim: Claim
    metric: str
    recomputed: float
    interval: tuple[float, float]
    wide: tuple[float, float]
    n: int
    found: Search = field(default_factory=lambda: Search((), 0.0))
    healed: str | None = None

    @property
    def fits(self) -> bool:
        return self.interval[0] - self.slack <= self.claim.value <= self.interval[1] + self.slack

    def differs(self, limits: ReportedMismatch) -> bool:
        """Whether it lies outside the interval, or is materially another number of the validation rows."""
        difference = (abs(self.claim.value - self.recomputed) - self.slack) / self.scale_of(self.recomputed)
        exact = self.claim.split == "validation" and not self.claim.loose
        return not self.fits or (exact and difference > self.margin(limits))

    @property
    def slack(self) -> float:
        """Twice the rounding: some cut the digits off."""
        return 2 * self.claim.tolerance

    @property
    def overstates(self) -> bool:
        return (self.claim.value > self.recomputed) == METRICS[self.metric].higher

    def distance(self) -> float:
        """From the nearest bound, in points or relative to the recomputed value; 0 inside."""
        low, high = self.interval if self.found.certain else self.wide
        outside = max(low - self.claim.value, self.claim.value - high) - self.slack
        return max(0.0, outside) / self.scale_of(self.recomputed)

    def scale_of(self, value: float) -> float:
        """One point of a share; of errors and losses, their own size."""
        return 1.0 if METRICS[self.metric].family == "performance" else max(abs(value), 1e-12)

    def margin(self, limits: ReportedMismatch) -> float:
        return limits.min_difference if METRICS[self.metric].family == "performance" else limits.min_relative

    def critical(self, limits: ReportedMismatch) -> float:
        return limits.critical_difference if METRICS[self.metric].family == "performance" else limits.critical_relative


def reported_mismatch(case: Case) -> CheckResult:
    """Compute every reported number again and search for the origin of those that do not fit."""
    limits = cast(ReportedMismatch, case.limits[CODE])
    claims = [claim for one in case.request.reported_metrics if (claim := read_claim(case, one)) is not None]
    if not claims:
        return CheckResult.not_applicable("no number is reported whose metric is known")
    verdicts = [v for claim in claims if (v := _compare(case, claim, len(claims))) is not None]
    if not verdicts:
        return CheckResult.inconclusive("the rows do not define what is reported")
    off = [_explained(case, verdict, limits) for verdict in verdicts if verdict.differs(limits)]
    off = [v for v in off if v.distance() > v.margin(limits) or v.found.certain or v.healed or v.fits]
    if not off:
        return _agree(verdicts, limits)
    worst = max(off, key=lambda v: (_severity(case, v, limits) is not Severity.INFO, v.distance() / v.margin(limits)))
    severity = _severity(case, worst, limits)
    finding = _finding(case, worst, severity, verdicts, off, limits)
    if severity is Severity.INFO:
        return CheckResult(Outcome.PASS, finding.summary, finding=finding, ranks=False)
    return CheckResult(Outcome.FAIL, finding=finding, confirmation=_confirmation(worst))


def _compare(case: Case, claim: Claim, claims: int) -> Verdict | None:
    """Against the reading that comes closest to the reported number; None where these rows define none."""
    split = case.train if claim.split == "train" else case.validation
    rows, groups = judged(case, split), groups_of(case, split)
    values = {name: METRICS[name](rows) for name in claim.metrics} if len(rows) else {}
    values = {name: value for name, value in values.items() if np.isfinite(value)}
    if not values:
        return None
    name = min(values, key=lambda m: abs(values[m] - claim.value))
    bounds = interval(METRICS[name], rows, case.rng(f"reported {name}"), groups)
    return Verdict(claim, name, values[name], bounds, stretched(values[name], bounds, claims), len(rows))


def _explained(case: Case, verdict: Verdict, limits: ReportedMismatch) -> Verdict:
    return replace(verdict, found=search(case, verdict.claim), healed=_healed(case, verdict, limits))


def _healed(case: Case, verdict: Verdict, limits: ReportedMismatch) -> str | None:
    """What must be repaired or left out for the model to give the reported number, or None."""
    if verdict.claim.split == "train":
        return None
    if case.mended is not case.validation.sample:
        # where a repair had to guess what was lost, the other rows show what the model gave before
        for rows in (case.mended, case.mended.at(case.untouched)):
            if _gives(case, verdict, rows, limits):
                return "after the repair of the proven faults of the data"
    if not case.decontaminated.all() and _gives(case, verdict, case.mended.at(case.decontaminated), limits):
        return "without the rows that are copies of training rows"
    return None


def _gives(case: Case, verdict: Verdict, subject: Subject, limits: ReportedMismatch) -> bool:
    rows, metric = judged(case, subject), METRICS[verdict.metric]
    if not len(rows):
        return False
    low, high = interval(metric, rows, case.rng("reported, mended"), groups_of(case, subject))
    allowed = verdict.slack + verdict.margin(limits) * verdict.scale_of(metric(rows))
    return low - allowed <= verdict.claim.value <= high + allowed


def _severity(case: Case, verdict: Verdict, limits: ReportedMismatch) -> Severity:
    """Loud where the number is materially off and nothing harmless explains it."""
    claim, distance = verdict.claim, verdict.distance()
    if verdict.healed or distance <= verdict.margin(limits) or _limited(case, claim):
        return Severity.INFO
    far = verdict.found.certain or distance > verdict.critical(limits)
    if not verdict.overstates and not (far and claim.split == "validation"):
        # nobody is misled by a little; in training, a model is measured with dropout and before its last steps
        return Severity.INFO
    if claim.loose and not verdict.found.proven:
        return Severity.INFO
    return Severity.CRITICAL if verdict.overstates and distance > verdict.critical(limits) else Severity.WARNING


def _limited(case: Case, claim: Claim) -> bool:
    """Whether rows were left unread, so that the number may be right for all of them."""
    split, most = case.train if claim.split == "train" else case.validation, case.request.resources.max_rows
    return most is not None and split.n >= most


def _agree(verdicts: list[Verdict], limits: ReportedMismatch) -> CheckResult:
    """Silence, with the distance at which a number would have been told."""
    performance = [v for v in verdicts if METRICS[v.metric].family == "performance"]
    off = [v for v in performance if abs(v.claim.value - v.recomputed) > v.slack]
    if not off:
        return CheckResult.passed(smallest=limits.min_difference)
    widest = max((v.wide[1] - v.wide[0]) / 2 for v in off)
    return CheckResult.passed(smallest=limits.min_difference + widest, margin=limits.critical_difference)


def _finding(
    case: Case,
    worst: Verdict,
    severity: Severity,
    verdicts: list[Verdict],
    off: list[Verdict],
    limits: ReportedMismatch,
) -> Finding:
    claim = worst.claim
    return Finding(
        code=CODE,
        family="metrics",
        severity=severity,
        title="A reported number is not what the model gives",
        summary=_summary(case, worst),
        effect=Effect(
            name="reported_minus_recomputed",
            estimate=claim.value - worst.recomputed,
            interval=(claim.value - worst.interval[1], claim.value - worst.interval[0]),
            limit=worst.margin(limits),
        ),
        n=worst.n,
        affected=Affected(split=claim.split),
        evidence={"reported": [_told(v, off) for v in verdicts], "rows_left_unread": _limited(case, claim)},
        remedy=_remedy(worst, [v.metric for v in verdicts]),
    )


def _summary(case: Case, verdict: Verdict) -> str:
    claim, metric = verdict.claim, METRICS[verdict.metric]
    low, high = verdict.interval
    text = (
        f"{claim.name} was reported as {claim.value:.4g} on the {claim.split} rows; there the model gives "
        f"{verdict.recomputed:.4g} [{low:.4g}, {high:.4g}] ({metric.title}, n = {verdict.n})."
    )
    matches = verdict.found.matches
    if verdict.healed:
        return f"{text} It is what the model gives {verdict.healed}: the number was measured on healthy data."
    if verdict.found.proven is not None:
        return f"{text} {claim.value:.4g} is the {verdict.found.proven.text}."
    if matches:
        listed = "; ".join(f"the {match.text}" for match in matches[:3])
        return f"{text} The number may be, among {len(matches)} candidates: {listed}."
    if _limited(case, claim):
        return f"{text} Not all rows were read."
    if verdict.fits:
        return f"{text} Another sample of this size could give that number; this one does not."
    return f"{text} None of the usual mistakes that were tried gives this number."


def _told(verdict: Verdict, off: list[Verdict]) -> JsonValue:
    explained = next((v for v in off if v.claim is verdict.claim), verdict)
    matches: list[JsonValue] = [
        {"computation": match.text, "value": match.value} for match in explained.found.matches[:MAX_LISTED]
    ]
    return {
        "name": verdict.claim.name,
        "split": verdict.claim.split,
        "reported": verdict.claim.value,
        "metric": verdict.metric,
        "recomputed": verdict.recomputed,
        "interval": list(verdict.interval),
        "fits": verdict.fits,
        "matches": matches,
        "matches_by_chance": explained.found.by_chance,
        "given": explained.healed,
    }


def _confirmation(verdict: Verdict) -> Confirmation | None:
    """The exact recomputation that gives the number; none where several do."""
    proven = verdict.found.proven
    if proven is None:
        return None
    return Confirmation(
        confirmed=True,
        intervention=f"compute the {proven.text}",
        metric=verdict.claim.name,
        higher_is_better=METRICS[verdict.metric].higher,
        before=verdict.recomputed,
        after=proven.value,
        n=verdict.n,
    )


def _remedy(verdict: Verdict, names: list[str]) -> Remedy:
    proven = verdict.found.proven
    what = f"{METRICS[verdict.metric].title} of the {verdict.claim.split} rows"
    instead = f", not the {proven.text}" if proven else ""
    text = (
        f"Report {verdict.recomputed:.4g} as the {what}{instead}. Compute every metric once, over all rows of the "
        "split in one call, with the exported model, and name the split, the average and the threshold next to it."
    )
    return Remedy(text=text, code=measuring_code([verdict.metric, *names]))
