"""Values far outside what the model learned on carry the loss.

What it measures: per numeric column, the share of validation values beyond the training data's extreme
    quantiles by more than a fence, against the share of the training data itself (two-proportion test,
    Benjamini-Hochberg over the columns); what cutting them to those quantiles, or the training median in their
    place, brings back.
Why it matters: outside the training range a network extrapolates, mostly along a straight line, and a few such
    rows can dominate the metric.
When it is inconclusive: fewer than `min_rows` validation rows.
How to fix: find out how the values arose; clip at the training quantiles in the pipeline, or use a robust
    scaler and train again.
Reference: Dixon, 1960, https://doi.org/10.1214/aoms/1177705900; Benjamini & Hochberg, 1995,
    https://doi.org/10.1111/j.2517-6161.1995.tb02031.x
"""

from collections.abc import Callable
from dataclasses import replace
from typing import cast

import numpy as np

from audits.artefacts import Array
from audits.evidence.case import Case, Subject
from audits.evidence.features import concatenate, take
from audits.evidence.outputs import Predictions
from audits.repairs.judgement import judge
from audits.repairs.protocol import Suspicion
from audits.repairs.snippets import constant, first_of
from audits.results import CheckResult
from audits.statistics.distributions import two_proportion_test
from audits.statistics.multiplicity import benjamini_hochberg
from schemas.limits.preprocessing import Outliers
from schemas.report import Effect, Remedy

CODE = "preprocessing.outliers"
EQUAL = 0.01
# Of a column that leaves its range more often than this, another scale is likelier than errors in single values.
MAX_ERRORS = 0.15
# Of which most values lie outside the training quantiles, the column holds no outliers: it holds something else.
MAX_OUTSIDE = 0.5


def outliers(case: Case) -> CheckResult:
    """Judge the trial of winsorising."""
    limits = cast(Outliers, case.limits[CODE])
    n = len(case.mended)
    if case.space.layout == "image":
        return CheckResult.not_applicable("pixels of one image are no independent values; see scaling_mismatch")
    return judge(
        case,
        CODE,
        title="Values far outside the training range carry the loss",
        summary="When we {intervention} and run the same model again, {metric} goes from {before} to {after}.",
        too_few=f"{n} of {limits.min_rows} validation rows" if n < limits.min_rows else None,
    )


def suspect(case: Case, reference: Subject, subject: Subject) -> Suspicion | None:
    """Columns with more values beyond the fence than the training data explain."""
    limits = cast(Outliers, case.limits[CODE])
    if len(subject) < limits.min_rows or not case.space.units or case.space.layout == "image":
        return None
    fences = {unit: _Fence.of(case.space.values(reference.rows, unit), limits) for unit in case.quantities}
    beyond = {unit: fence.beyond(case.space.values(subject.rows, unit)) for unit, fence in fences.items()}
    p_values = np.array([fence.p_value(beyond[unit]) for unit, fence in fences.items()])
    q_values = benjamini_hochberg(p_values)
    flagged = [
        unit
        for (unit, fence), q in zip(fences.items(), q_values, strict=True)
        if q < limits.fdr and fence.outside(case.space.values(subject.rows, unit)).mean() < MAX_OUTSIDE
    ]
    if not flagged:
        return None
    rows = np.asarray(np.any([beyond[u] for u in flagged], axis=0))
    names = tuple(case.space.units[u] for u in flagged)

    def apply(faulty: Subject) -> Subject:
        cut = case.rerun(faulty, case.space.map_units(faulty.rows, {u: fences[u].clip for u in flagged}))
        if max(beyond[u].mean() for u in flagged) > MAX_ERRORS:
            return cut
        changes = {u: fences[u].fill for u in flagged}
        return _better_by_the_other_half(case, cut, case.rerun(faulty, case.space.map_units(faulty.rows, changes)))

    def placebo(faulty: Subject, rng: np.random.Generator) -> Subject:
        changes = {u: fences[u].clip_at_random(rng) for u in flagged}
        return replace(faulty, rows=case.space.map_units(faulty.rows, changes))

    shares = {case.space.units[u]: float(beyond[u].mean()) for u in flagged}
    return Suspicion(
        code=CODE,
        intervention=f"cut {first_of(names)} at the training quantiles "
        f"{limits.tail:g} and {1 - limits.tail:g}, or put the training median in their place (the other half of the "
        "rows says which)",
        apply=apply,
        placebo=placebo,
        columns=names,
        rows=rows,
        guesses=True,
        effect=Effect(name="share_of_rows_with_outliers", estimate=float(rows.mean()), limit=limits.tail),
        p_value=float(p_values.min()),
        q_value=float(q_values.min()),
        evidence={"share_of_values": cast("dict[str, object]", shares)},  # type: ignore[dict-item]
        remedy=_remedy(case, {u: fences[u] for u in flagged}),
    )


def _better_by_the_other_half(case: Case, cut: Subject, filled: Subject) -> Subject:
    """For each half of the rows, the repair after which the metric of the other half is higher; cut where they tie."""
    half = case.rng("outlier halves").permutation(len(cut)) < len(cut) // 2
    if not 0 < half.sum() < len(half):
        return cut
    take_filled = np.zeros(len(cut), dtype=bool)
    for mine, other in ((half, ~half), (~half, half)):
        take_filled[mine] = case.score(filled.at(other)) > case.score(cut.at(other)) + EQUAL
    if not take_filled.any():
        return cut
    order = np.concatenate([np.flatnonzero(~take_filled), np.flatnonzero(take_filled)])
    rows = concatenate([take(cut.rows, ~take_filled), take(filled.rows, take_filled)])
    back = np.argsort(order)
    parts = [cut.predictions.at(~take_filled), filled.predictions.at(take_filled)]
    return replace(cut, rows=take(rows, back), predictions=Predictions.concatenate(parts).at(back))


class _Fence:
    """The range of one unit's training values, and how many of them leave the fence around it.

    Attributes:
        low, high: extreme training quantiles, at which is cut.
        median: of the training values.
        margin: how far beyond them a value must lie to count.
        count: training values beyond the fence.
        rows: training values in all.
    """

    def __init__(self, low: float, high: float, margin: float) -> None:
        self.low, self.high, self.margin = low, high, margin
        self.count, self.rows, self.median = 0, 0, 0.0

    @classmethod
    def of(cls, values: Array, limits: Outliers) -> "_Fence":
        values = values[np.isfinite(values)]
        if not len(values):
            return cls(-np.inf, np.inf, 0.0)
        low, high = np.quantile(values, [limits.tail, 1 - limits.tail])
        five, ninety_five = np.quantile(values, [0.05, 0.95])
        margin = limits.fence * float(max(ninety_five - five, 1e-9 * max(abs(high), abs(low), 1e-9)))
        fence = cls(float(low), float(high), margin)
        fence.count, fence.rows = int(fence.beyond(values).sum()), len(values)
        fence.median = float(np.median(values))
        return fence

    def beyond(self, values: Array) -> Array:
        # infinities are as far outside as can be; a hole is none
        return ~np.isnan(values) & ((values < self.low - self.margin) | (values > self.high + self.margin))

    def outside(self, values: Array) -> Array:
        """What cutting changes."""
        return ~np.isnan(values) & ((values < self.low) | (values > self.high))

    def p_value(self, beyond: Array) -> float:
        """Of more values beyond the fence than among the training values, one-sided."""
        count = int(beyond.sum())
        if not self.rows or count * self.rows <= self.count * len(beyond):
            return 1.0
        return two_proportion_test(count, len(beyond), self.count, self.rows).p_value / 2

    def clip(self, values: Array) -> Array:
        return np.clip(values, self.low, self.high)

    def fill(self, values: Array) -> Array:
        """What lies beyond the fence is taken for an error, and the training median for the truth."""
        return np.where(self.beyond(values), self.median, values)

    def clip_at_random(self, rng: np.random.Generator) -> Callable[[Array], Array]:
        """As many values inside the fence, moved to one of its ends."""

        def change(values: Array) -> Array:
            outside = self.beyond(values)
            inside = np.flatnonzero(~outside.reshape(-1))
            count = min(int(outside.sum()), len(inside))
            result = values.copy()
            flat = result.reshape(-1)
            flat[rng.choice(inside, count, replace=False)] = rng.choice([self.low, self.high], count)
            return result

        return change


def _remedy(case: Case, fences: dict[int, _Fence]) -> Remedy:
    text = (
        "Look at the named rows: are these measurements, or errors of recording or joining? Clip at the training "
        "quantiles in the pipeline, and train with a robust scaler or loss if such values are real."
    )
    limits = {case.space.units[u]: (round(f.low, 6), round(f.high, 6)) for u, f in list(fences.items())[:50]}
    if case.space.layout == "table":
        code = (
            "import pandas as pd\n\n"
            + constant("LIMITS", limits, "column: training quantiles")
            + "def winsorise(frame: pd.DataFrame) -> pd.DataFrame:\n"
            "    return frame.assign(**{c: frame[c].clip(low, high) for c, (low, high) in LIMITS.items()})\n"
        )
        return Remedy(text=text, code=code)
    at = {u: (round(f.low, 6), round(f.high, 6)) for u, f in list(fences.items())[:50]}
    code = (
        "import numpy as np\n\n"
        + constant("LIMITS", at, "unit: training quantiles")
        + "def winsorise(x: np.ndarray) -> np.ndarray:\n"
        "    x = np.array(x, dtype='float32')\n"
        "    for unit, (low, high) in LIMITS.items():\n"
        "        x[:, unit] = np.clip(x[:, unit], low, high)\n"
        "    return x\n"
    )
    return Remedy(text=text, code=code)
