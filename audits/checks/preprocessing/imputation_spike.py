"""The data were imputed before they were split, or in one split alone.

What it measures: continuous columns of which many rows repeat one central value (far more often than any other),
    and which statistic that value is: the mean or median of the training data, or of both splits together. What
    imputing those cells anew, from the training data alone, brings back is measured for every method. Where the
    value stands in the validation data alone, or a mean or median of the training data is all that the validation
    data have more of, what the training metric loses with as many values replaced by it.
Why it matters: a mean over all data lets the validation data into the training, and a column with a spike in its
    middle is not the column that the model will meet.
When it is inconclusive: fewer than `min_rows` rows in a split.
How to fix: split first, keep the holes, fit the imputer on the training data and add an indicator column.
Reference: Kapoor & Narayanan, 2023, https://doi.org/10.1016/j.patter.2023.100804; van Buuren, 2018,
    https://stefvanbuuren.name/fimd/
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import cast

import numpy as np
from pydantic import JsonValue

from audits.artefacts import Array
from audits.evidence.case import Case
from audits.repairs.imputation import METHODS, Method, impute
from audits.repairs.imputation_remedy import best_method, compare_imputations, imputation_remedy
from audits.repairs.reliance import imitate
from audits.repairs.snippets import first_of
from audits.results import CheckResult
from audits.statistics.distributions import ks_2samp_statistic, ks_pvalue
from schemas.limits.preprocessing import ImputationSpike
from schemas.report import Affected, Effect, Finding, Outcome, Severity

CODE = "preprocessing.imputation_spike"
MIN_DISTINCT = 20
EQUAL = 1e-3  # in standard deviations
# Below, what is left of the two columns without the value is not the same.
CHANCE = 0.01
# Digits of the spread in which repeated values agree; digits that a float64 has; decimals that a rounding takes.
AGREEING, DIGITS, MOST_DECIMALS = 9, 15, 290


@dataclass(frozen=True)
class _Spike:
    """The most repeated value of a continuous column.

    Attributes:
        column: where it stands.
        value: rounded to `decimals`.
        decimals: to which values of the column's size agree.
        train_share, validation_share: of the rows that hold it.
        equals: the statistic that it is.
    """

    column: str
    value: float
    decimals: int
    train_share: float
    validation_share: float
    equals: str

    @property
    def excess(self) -> float:
        """How much more often the value stands in the validation rows."""
        return self.validation_share - self.train_share

    def is_at(self, values: Array) -> Array:
        """(rows,) where the value stands."""
        return np.asarray(np.round(values, self.decimals) == self.value)

    def as_json(self) -> dict[str, JsonValue]:
        told = {name: value for name, value in asdict(self).items() if name != "decimals"}
        return cast("dict[str, JsonValue]", told)


def imputation_spike(case: Case) -> CheckResult:
    """Continuous columns that repeat one central value: somebody filled their holes before us."""
    limits = cast(ImputationSpike, case.limits[CODE])
    if case.space.layout == "image":
        return CheckResult.not_applicable("pixels repeat their values without having been imputed")
    if min(case.train.n, case.validation.n) < limits.min_rows:
        return CheckResult.inconclusive(f"{min(case.train.n, case.validation.n)} of {limits.min_rows} rows")
    units = range(len(case.space.units))
    spikes = [s for unit in units if (s := _spike(case, unit, limits)) is not None]
    told = {s.column for s in spikes}
    added = [s for u in units if case.space.units[u] not in told and (s := _added(case, u, limits)) is not None]
    # a column that is one value altogether, or that knew the answer, is told as that
    uneven = [
        s
        for s in [*spikes, *added]
        if s.excess > limits.min_excess and s.validation_share < 1 and s.column not in case.leaked
    ]
    if uneven:
        alone = _in_validation_alone(case, uneven, limits)
        if alone is not None:
            return alone
    if not spikes:
        return CheckResult.passed(smallest=limits.min_spike)
    # medians of a split and of both agree too often to tell them apart
    pooled = [s for s in spikes if s.equals == "mean of both splits"]
    names = [s.column for s in spikes]
    share = max(s.validation_share for s in spikes)
    kinds = ", ".join(sorted({s.equals for s in spikes}))
    reimputed, best = _reimputed(case, spikes)
    summary = (
        f"{', '.join(names[:4])} {'repeats' if len(names) == 1 else 'repeat'} one central value in up to {share:.0%} "
        f"of the validation rows ({kinds}): the holes were filled before we saw them"
        + (", and before the split" if pooled else "")
        + "."
    )
    finding = Finding(
        code=CODE,
        family="preprocessing",
        severity=Severity.WARNING if pooled else Severity.INFO,
        title="The data were imputed before they were split" if pooled else "The data were imputed",
        summary=summary,
        effect=Effect(name="share_of_rows_with_the_repeated_value", estimate=share, limit=limits.min_spike),
        n=case.validation.n,
        affected=Affected(columns=names, share_of_rows=share),
        evidence={"spikes": [s.as_json() for s in spikes], "reimputed": reimputed},
        remedy=imputation_remedy(case, names, best),
    )
    return CheckResult(
        Outcome.FAIL if pooled else Outcome.PASS,
        finding=finding,
        ranks=bool(pooled),
        smallest_visible_effect=limits.min_spike,
    )


def _in_validation_alone(case: Case, spikes: list[_Spike], limits: ImputationSpike) -> CheckResult | None:
    """The validation holes were filled with one value: what the metric loses when training rows are filled likewise.

    What was there before cannot be known, so that the fault is made in the training rows instead of mended.
    """
    sample, rng = case.train.sample, case.rng("filled likewise")
    changes: dict[str, Callable[[Array], Array]] = {}
    for spike in spikes:
        filled = rng.random(len(sample)) < spike.excess / (1 - spike.train_share)
        changes[spike.column] = _filled_at(filled, spike.value)
    made = imitate(case, changes, "filled likewise")
    if not made.is_material(limits.min_cost):
        return None
    names = [s.column for s in spikes]
    share = max(s.validation_share for s in spikes)
    reimputed, best = _reimputed(case, spikes)
    summary = (
        f"{', '.join(names[:4])} {'holds' if len(names) == 1 else 'hold'} one central value in up to {share:.0%} of "
        f"the validation rows, far more often than in training: holes were filled in one split. With as many training "
        f"values replaced by it, {case.scorer.title} falls there from {made.before:.2f} to {made.after:.2f}."
    )
    finding = Finding(
        code=CODE,
        family="preprocessing",
        severity=Severity.CRITICAL if made.interval[0] > limits.critical_cost else Severity.WARNING,
        title="Holes were filled in the validation data alone",
        summary=summary,
        effect=made.effect(limits.min_cost),
        n=case.validation.n,
        affected=Affected(columns=names, share_of_rows=share),
        evidence={"spikes": [s.as_json() for s in spikes], "reimputed": reimputed},
        remedy=imputation_remedy(case, names, best),
    )
    confirmation = made.confirmation(
        f"fill as many values of {first_of(names)} in the training rows with the same value"
    )
    recovered = made.explained()
    return CheckResult(Outcome.FAIL, finding=finding, confirmation=confirmation, recovered=recovered)


def _filled_at(rows: Array, value: float) -> Callable[[Array], Array]:
    return lambda values: np.where(rows, value, values)


def _spike(case: Case, unit: int, limits: ImputationSpike) -> _Spike | None:
    """The most repeated value of a continuous column, when it stands in the middle and towers over the rest."""
    train, validation = (_finite(case.space.values(s.rows, unit)) for s in (case.train.sample, case.validation.sample))
    both = np.concatenate([train, validation])
    if len(both) < MIN_DISTINCT:
        return None
    decimals = _decimals(both)
    values, counts = np.unique(np.round(both, decimals), return_counts=True)
    top = int(counts.argmax())
    others = np.delete(counts, top)
    if len(values) < MIN_DISTINCT or counts[top] < limits.min_spike * len(both) or (others > 0.2 * counts[top]).any():
        return None
    spike = _Spike(case.space.units[unit], float(values[top]), decimals, 0.0, 0.0, "")
    rest = both[~spike.is_at(both)]
    if abs(spike.value - np.median(rest)) > 0.5 * rest.std():
        return None
    at = [spike.is_at(part) for part in (train, validation)]
    return replace(
        spike,
        train_share=float(at[0].mean()),
        validation_share=float(at[1].mean()),
        equals=_which_statistic(spike.value, train[~at[0]], validation[~at[1]]),
    )


def _added(case: Case, unit: int, limits: ImputationSpike) -> _Spike | None:
    """The training mean or median, when it is all that the validation values have more of than the training values.

    In whole numbers, no spike towers over the others: but a filled column is the training column and one value more.
    """
    train, validation = (_finite(case.space.values(s.rows, unit)) for s in (case.train.sample, case.validation.sample))
    if min(len(train), len(validation)) < limits.min_rows or len(np.unique(train)) < MIN_DISTINCT:
        return None
    for name, value in (("median", np.median(train)), ("mean", train.mean())):
        at = [np.abs(part - value) < EQUAL * train.std() for part in (train, validation)]
        shares = [float(hits.mean()) for hits in at]
        rest = [part[~hits] for part, hits in zip((train, validation), at, strict=True)]
        if shares[1] - shares[0] <= limits.min_excess or not len(rest[1]):
            continue
        if ks_pvalue(ks_2samp_statistic(*rest), len(rest[0]), len(rest[1])) < CHANCE:
            continue
        decimals = _decimals(np.concatenate([train, validation]))
        written = float(np.median(np.round(validation[at[1]], decimals)))
        return _Spike(case.space.units[unit], written, decimals, shares[0], shares[1], f"{name} of the training data")
    return None


def _decimals(values: Array) -> int:
    """To which values of this spread agree: a column of 1e-10 has as many digits as one of 1."""
    distinct = np.unique(values)
    middle = float(np.median(distinct))
    spread, size = float(np.median(np.abs(distinct - middle))), float(np.median(np.abs(distinct)))
    finest = DIGITS - _order(size) if size else MOST_DECIMALS
    wanted = AGREEING - _order(spread) if spread else finest
    return int(np.clip(min(wanted, finest), -MOST_DECIMALS, MOST_DECIMALS))


def _order(size: float) -> int:
    return int(np.floor(np.log10(size)))


def _which_statistic(value: float, train: Array, validation: Array) -> str:
    """Which statistic of the observed values the repeated one is; the closest within a thousandth of a deviation."""
    pooled = np.concatenate([train, validation])
    distances = {
        "mean of the training data": abs(train.mean() - value),
        "mean of both splits": abs(pooled.mean() - value),
        "median of the training data": _distance_to_median(train, value),
        "median of both splits": _distance_to_median(pooled, value),
    }
    name = min(distances, key=lambda key: distances[key])
    return name if distances[name] < EQUAL * max(pooled.std(), 1e-300) else "another value"


def _distance_to_median(values: Array, value: float) -> float:
    """Next to nothing where as many values lie below as above, but for one: a median may be one of the values."""
    balanced = abs(int((values < value).sum()) - int((values > value).sum())) <= 1
    # a mean that equals the value to the last digits is the better explanation
    return 1e-9 * float(values.std()) if balanced else abs(float(np.median(values)) - value)


def _reimputed(case: Case, spikes: list[_Spike]) -> tuple[JsonValue, Method]:
    """What the metric would be with the repeated values taken out and imputed from the training data, and how best."""
    changes = {case.space.units.index(spike.column): _holes_at(spike) for spike in spikes}
    reference = case.space.map_units(case.train.sample.rows, changes)
    subject = case.validation.sample
    holed = case.space.map_units(subject.rows, changes)
    compared = {method: case.rerun(subject, impute(case.space, reference, holed, method)) for method in METHODS}
    return compare_imputations(case, subject, compared), best_method(case, compared)


def _holes_at(spike: _Spike) -> Callable[[Array], Array]:
    return lambda values: np.where(spike.is_at(values), np.nan, values)


def _finite(values: Array) -> Array:
    return values[np.isfinite(values)]
