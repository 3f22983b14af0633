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
from typing import cast

import numpy as np
from pydantic import JsonValue

from audits.artefacts import Array
from audits.evidence.case import Case
from audits.repairs.imputation import METHODS, impute
from audits.repairs.imputation_remedy import compare_imputations, imputation_remedy
from audits.repairs.reliance import imitate
from audits.repairs.snippets import first_of
from audits.results import CheckResult
from audits.statistics.distributions import ks_2samp_statistic, ks_pvalue
from schemas.limits.preprocessing import ImputationSpike
from schemas.report import Affected, Effect, Finding, Outcome, Severity

CODE = "preprocessing.imputation_spike"
MIN_DISTINCT = 20
# In standard deviations.
EQUAL = 1e-3
# Below, what is left of the two columns without the value is not the same.
CHANCE = 0.01


def imputation_spike(case: Case) -> CheckResult:
    """Continuous columns that repeat one central value: somebody filled their holes before us."""
    limits = cast(ImputationSpike, case.limits[CODE])
    if case.space.layout == "image":
        return CheckResult.not_applicable("pixels repeat their values without having been imputed")
    if min(case.train.n, case.validation.n) < limits.min_rows:
        return CheckResult.inconclusive(f"{min(case.train.n, case.validation.n)} of {limits.min_rows} rows")
    units = range(len(case.space.units))
    spikes = [s for unit in units if (s := _spike(case, unit, limits)) is not None]
    told = {s["column"] for s in spikes}
    added = [s for u in units if case.space.units[u] not in told and (s := _added(case, u, limits)) is not None]
    # a column that is one value altogether, or that knew the answer, is told as that
    uneven = [
        s
        for s in spikes + added
        if _excess(s) > limits.min_excess and cast(float, s["validation_share"]) < 1 and s["column"] not in case.leaked
    ]
    if uneven:
        alone = _in_validation_alone(case, uneven, limits)
        if alone is not None:
            return alone
    if not spikes:
        return CheckResult.passed(smallest=limits.min_spike)
    # medians of a split and of both agree too often to tell them apart
    pooled = [s for s in spikes if s["equals"] == "mean of both splits"]
    names = [str(s["column"]) for s in spikes]
    share = max(float(cast(float, s["validation_share"])) for s in spikes)
    kinds = ", ".join(sorted({str(s["equals"]) for s in spikes}))
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
        evidence={"spikes": cast(JsonValue, spikes), "reimputed": _reimputed(case, spikes)},
        remedy=imputation_remedy(case, names),
    )
    return CheckResult(
        Outcome.FAIL if pooled else Outcome.PASS,
        finding=finding,
        ranks=bool(pooled),
        smallest_visible_effect=limits.min_spike,
    )


def _excess(spike: dict[str, JsonValue]) -> float:
    """How much more often the value stands in the validation rows."""
    return cast(float, spike["validation_share"]) - cast(float, spike["train_share"])


def _in_validation_alone(case: Case, spikes: list[dict[str, JsonValue]], limits: ImputationSpike) -> CheckResult | None:
    """The validation holes were filled with one value: what the metric loses when training rows are filled likewise.

    What was there before cannot be known, so that the fault is made in the training rows instead of mended.
    """
    sample, rng = case.train.sample, case.rng("filled likewise")
    changes: dict[str, Callable[[Array], Array]] = {}
    for spike in spikes:
        filled = rng.random(len(sample)) < _excess(spike) / (1 - cast(float, spike["train_share"]))
        changes[str(spike["column"])] = _filled_at(filled, cast(float, spike["value"]))
    made = imitate(case, changes, "filled likewise")
    if not made.is_material(limits.min_cost):
        return None
    names = [str(s["column"]) for s in spikes]
    share = max(cast(float, s["validation_share"]) for s in spikes)
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
        evidence={"spikes": cast(JsonValue, spikes), "reimputed": _reimputed(case, spikes)},
        remedy=imputation_remedy(case, names, "k nearest neighbours"),
    )
    confirmation = made.confirmation(
        f"fill as many values of {first_of(names)} in the training rows with the same value"
    )
    recovered = made.explained()
    return CheckResult(Outcome.FAIL, finding=finding, confirmation=confirmation, recovered=recovered)


def _filled_at(rows: Array, value: float) -> Callable[[Array], Array]:
    return lambda values: np.where(rows, value, values)


def _spike(case: Case, unit: int, limits: ImputationSpike) -> dict[str, JsonValue] | None:
    """The most repeated value of a continuous column, when it stands in the middle and towers over the rest."""
    train, validation = (_finite(case.space.values(s.rows, unit)) for s in (case.train.sample, case.validation.sample))
    both = np.concatenate([train, validation])
    if len(both) < MIN_DISTINCT:
        return None
    values, counts = np.unique(np.round(both, 9), return_counts=True)
    top = int(counts.argmax())
    others = np.delete(counts, top)
    if len(values) < MIN_DISTINCT or counts[top] < limits.min_spike * len(both) or (others > 0.2 * counts[top]).any():
        return None
    value = float(values[top])
    rest = both[np.round(both, 9) != values[top]]
    if abs(value - np.median(rest)) > 0.5 * rest.std():
        return None
    shares = [float(np.mean(np.round(part, 9) == values[top])) for part in (train, validation)]
    return {
        "column": case.space.units[unit],
        "value": value,
        "train_share": shares[0],
        "validation_share": shares[1],
        "equals": _which_statistic(value, train, validation, values[top]),
    }


def _added(case: Case, unit: int, limits: ImputationSpike) -> dict[str, JsonValue] | None:
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
        return {
            "column": case.space.units[unit],
            "value": float(value),
            "train_share": shares[0],
            "validation_share": shares[1],
            "equals": f"{name} of the training data",
        }
    return None


def _which_statistic(value: float, train: Array, validation: Array, spike: float) -> str:
    """Which statistic of the observed values the repeated one is; the closest within a thousandth of a deviation."""
    observed = [part[np.round(part, 9) != spike] for part in (train, validation)]
    pooled = np.concatenate(observed)
    distances = {
        "mean of the training data": abs(observed[0].mean() - value),
        "mean of both splits": abs(pooled.mean() - value),
        "median of the training data": _distance_to_median(observed[0], value),
        "median of both splits": _distance_to_median(pooled, value),
    }
    name = min(distances, key=lambda key: distances[key])
    return name if distances[name] < EQUAL * max(pooled.std(), 1e-12) else "another value"


def _distance_to_median(values: Array, value: float) -> float:
    """Next to nothing where as many values lie below as above, but for one: a median may be one of the values."""
    balanced = abs(int((values < value).sum()) - int((values > value).sum())) <= 1
    # a mean that equals the value to the last digits is the better explanation
    return 1e-9 * float(values.std()) if balanced else abs(float(np.median(values)) - value)


def _reimputed(case: Case, spikes: list[dict[str, JsonValue]]) -> JsonValue:
    """What the metric would be with the repeated values taken out and imputed from the training data."""
    units = {str(s["column"]): float(cast(float, s["value"])) for s in spikes}
    changes = {case.space.units.index(name): _holes_at(value) for name, value in units.items()}
    reference = case.space.map_units(case.train.sample.rows, changes)
    subject = case.validation.sample
    holed = case.space.map_units(subject.rows, changes)
    compared = {method: case.rerun(subject, impute(case.space, reference, holed, method)) for method in METHODS}
    return compare_imputations(case, subject, compared)


def _holes_at(value: float) -> Callable[[Array], Array]:
    return lambda x: np.where(np.round(x, 9) == round(value, 9), np.nan, x)


def _finite(values: Array) -> Array:
    return values[np.isfinite(values)]
