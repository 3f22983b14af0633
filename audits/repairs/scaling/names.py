"""Which known fault stands behind a map between two scales.

Every named fault says, without a free number or with one, how to carry the values back. The names that describe the
flagged units most shortly are chosen: misfit (a likelihood ratio) plus log n for each number that is fitted (BIC,
Schwarz, 1978, https://doi.org/10.1214/aos/1176344136) plus the choice among as many names as there are. A name that
fits is exact where an estimate is noisy, so that its repair is better too.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2

from audits.repairs.scaling.maps import FUNCTIONS, ScaleMap, UnitPair, fills_unit_interval
from audits.statistics.distributions import ks_2samp_statistic, ks_pvalue

UNIT_FACTORS: Mapping[float, str] = {
    1000.0: "a factor of 1000 (milli, kilo)",
    1e6: "a factor of 1,000,000 (mega, micro)",
    100.0: "a factor of 100 (per cent, centi)",
    10.0: "a factor of 10 (deci)",
    2.54: "inch and centimetre",
    25.4: "inch and millimetre",
    0.45359237: "pound and kilogram",
    28.3495: "ounce and gram",
    0.3048: "foot and metre",
    0.9144: "yard and metre",
    1.609344: "mile and kilometre",
    3.78541: "gallon and litre",
    60.0: "a factor of 60 (seconds, minutes, hours)",
    3600.0: "a factor of 3600 (seconds, hours)",
    24.0: "a factor of 24 (hours, days)",
    12.0: "a factor of 12 (months, years; inches, feet; pieces, dozens)",
    365.25: "a factor of 365 (days, years)",
    57.29577951: "degree and radian",
    4.184: "calorie and joule",
    18.016: "mg/dl and mmol/l of glucose",
    255.0: "0-255 and 0-1",
}
# What was done to the values -> the map back, in words; affine maps that are no mere factor.
UNIT_MAPS: Mapping[str, ScaleMap] = {
    "Fahrenheit for Celsius": ScaleMap(1 / 1.8, -32 / 1.8),
    "Celsius for Fahrenheit": ScaleMap(1.8, 32.0),
    "Kelvin for Celsius": ScaleMap(1.0, -273.15),
    "Celsius for Kelvin": ScaleMap(1.0, 273.15),
    "-1..1 for 0-255": ScaleMap(127.5, 127.5),
    "0-255 for -1..1": ScaleMap(1 / 127.5, -1.0),
    "-1..1 for 0-1": ScaleMap(0.5, 0.5),
    "0-1 for -1..1": ScaleMap(2.0, -1.0),
}
TRANSFORMS: Mapping[str, ScaleMap] = {
    "the natural logarithm": ScaleMap(1.0, 0.0, "exp"),
    "log(1 + x)": ScaleMap(1.0, 0.0, "expm1"),
    "the logarithm to base 2": ScaleMap(1.0, 0.0, "exp2"),
    "the exponential": ScaleMap(1.0, 0.0, "log"),
    "exp(x) - 1": ScaleMap(1.0, 0.0, "log1p"),
    "the square root": ScaleMap(1.0, 0.0, "square"),
    "the square": ScaleMap(1.0, 0.0, "sqrt"),
}
# A named map is refused where chance would leave so much misfit so rarely.
REFUSED = 1e-3
# A mere factor says twice that it is right, by its size and by the offset that it does without; behind a scaler, once.
UNIT_NAMES, SCALED_UNIT_NAMES = 8, 2 * len(UNIT_FACTORS)
MAX_UNITS_CHANGED, MOSTLY = 0.5, 0.8
# A likelihood ratio of 20, as a difference of G statistics.
AMBIGUOUS = 6.0
# On so small a range a function is as good as an affine map, and no fault of its own.
STRAIGHT = 0.99
# An estimated factor is no more exact than a free map, so it must fit nearly as well.
ESTIMATED, MAX_WORSE = "factor", 3.0
# What a known factor may fit worse than an estimated one.
KNOWN_IS_BETTER = 6.0
FREE_NUMBERS = 2
FACTOR_LEVEL = 0.01
FACTOR_QUANTILES = np.linspace(0.05, 0.95, 19)
# Rows in another unit than the rest of their column.
MIN_PART, MAX_PART = 0.03, 0.97
MIN_PART_ROWS = 10
MIN_RETURNED = 0.95


@dataclass(frozen=True)
class Name:
    """One fault under one name.

    Attributes:
        fault: the kind; "unit", "standardised", ...
        detail: which unit, which function; "" where the kind says it all.
        family: how many names of its kind there are to choose from.
    """

    fault: str
    detail: str = ""
    family: int = 1


@dataclass(frozen=True)
class NamedMap:
    """The map back for one unit.

    Attributes:
        pair: the unit.
        name: of the fault.
        back: the map.
        fitted: how many of its numbers were estimated.
        misfit: G statistic that it leaves.
    """

    pair: UnitPair
    name: Name
    back: ScaleMap
    fitted: int
    misfit: float

    @property
    def cost(self) -> float:
        return self.misfit + self.fitted * float(np.log(max(self.pair.n, 2.0)))

    @property
    def fits(self) -> bool:
        return self.misfit <= chi2.isf(REFUSED, self.pair.bins - 1)


def named(pairs: Sequence[UnitPair], considered: int) -> list[NamedMap]:
    """One map for each unit; units that one name describes together are named together.

    Args:
        pairs: units whose distributions differ.
        considered: how many units there are, these among them.
    """
    free = {pair.unit: free_map(pair) for pair in pairs}
    candidates: dict[Name, dict[int, NamedMap]] = {}
    factor = _common_factor(pairs)
    # where most columns differ, a scaler explains them better than as many changes of units before it
    few = len(pairs) <= MAX_UNITS_CHANGED * considered
    for pair in pairs:
        for name, back, fitted in (*_hypotheses(pair, factor), *(_units_before_a_scaler(pair) if few else ())):
            if not pair.may_fit(back):
                continue
            one = NamedMap(pair, name, back, fitted, pair.misfit(back))
            if one.fits and (name.fault != ESTIMATED or one.misfit <= free[pair.unit].misfit + MAX_WORSE):
                candidates.setdefault(name, {})[pair.unit] = one
    if not few and _mostly_standard(pairs):
        # columns of which most are off behind a scaler never went through it: no factor is their fault
        candidates = {name: ones for name, ones in candidates.items() if name.fault not in {"unit", ESTIMATED}}
    chosen: dict[int, NamedMap] = {}
    while candidates:
        open_to = {
            name: {unit: one for unit, one in ones.items() if unit not in chosen} for name, ones in candidates.items()
        }
        saved = {name: _saving(name, ones, free) for name, ones in open_to.items()}
        best = max(saved, key=lambda name: saved[name])
        if saved[best] <= 0:
            break
        rivals = _rivals(best, open_to, saved)
        if not rivals:
            chosen |= open_to[best]
        for name in (best, *rivals):
            del candidates[name]
    return [chosen.get(pair.unit, free[pair.unit]) for pair in pairs]


def _rivals(best: Name, open_to: Mapping[Name, Mapping[int, NamedMap]], saved: Mapping[Name, float]) -> list[Name]:
    """Other units that these columns cannot tell from the best one: then none is named."""
    if best.fault != "unit":
        return []
    return [
        name
        for name, ones in open_to.items()
        if name.fault == "unit"
        and name.detail != best.detail
        and saved[name] > saved[best] - AMBIGUOUS
        and not open_to[best].keys().isdisjoint(ones)
    ]


def _mostly_standard(pairs: Sequence[UnitPair]) -> bool:
    return sum(pair.target_is_standard for pair in pairs) >= MOSTLY * len(pairs)


def _saving(name: Name, ones: Mapping[int, NamedMap], free: Mapping[int, NamedMap]) -> float:
    """How much shorter the name describes its units than a free map each."""
    if not ones:
        return 0.0
    return sum(free[unit].cost - one.cost for unit, one in ones.items()) - 2 * float(np.log(name.family))


def free_map(pair: UnitPair) -> NamedMap:
    """The affine map that fits best, or a function before it where no affine map does."""
    fit = pair.fit
    plain = ScaleMap(fit.scale, fit.offset)
    best = NamedMap(pair, Name("affine"), plain, FREE_NUMBERS, pair.misfit(plain))
    if best.fits:
        return best
    for detail, back in TRANSFORMS.items():
        curved = _fitted_after(back.function, pair)
        if curved is None:
            continue
        one = NamedMap(pair, Name("transformed", detail, len(TRANSFORMS)), curved, FREE_NUMBERS, pair.misfit(curved))
        # no affine map does, and this one must
        if one.fits and one.cost < best.cost:
            best = one
    return best


def _fitted_after(function: str, pair: UnitPair) -> ScaleMap | None:
    """The function, then the map onto the target's mean and deviation; None where it is not defined, or straight."""
    with np.errstate(all="ignore"):
        through = FUNCTIONS[function](pair.source)
        mean, sd = float(through.mean()), float(through.std())
    if not np.isfinite(through).all() or not np.isfinite(sd) or sd == 0:
        return None
    if abs(float(np.corrcoef(through, pair.source)[0, 1])) > STRAIGHT:
        return None
    scale = pair.target_moments[1] / sd
    return ScaleMap(scale, pair.target_moments[0] - scale * mean, function)


def _hypotheses(pair: UnitPair, factor: float | None) -> Iterator[tuple[Name, ScaleMap, int]]:
    """Name, map back and number of estimated numbers of every fault that could be."""
    mean, sd = pair.target_moments
    yield from _units()
    if factor is not None:
        # one number for all units: its log n is paid once, as a choice among root n names
        yield Name(ESTIMATED, f"{factor:.4g}", max(1, round(pair.n**0.5))), ScaleMap(factor, 0.0), 0
    if pair.fit.scale < 0:
        for total in (0.0, 1.0, 255.0):
            yield Name("inverted", family=3), ScaleMap(-1.0, total), 0
        yield Name("inverted", family=3), ScaleMap(-1.0, mean + pair.source_moments[0]), 1
    for detail, back in TRANSFORMS.items():
        yield Name("transformed", detail, len(TRANSFORMS)), back, 0
    if not pair.target_is_standard:
        own = pair.source_is_standard_by_itself
        if pair.source_is_standard:
            yield Name("standardised_by_itself" if own else "standardised"), ScaleMap(sd, mean), 0
        yield Name("standardised_twice"), ScaleMap(sd * sd, mean * sd + mean), 0
        low, high = float(pair.target[0]), float(pair.target[-1])
        if not fills_unit_interval(pair.target):
            yield Name("min_max"), ScaleMap(high - low, low), 0
    part = rows_in_another_unit(pair)
    if part is not None:
        yield part


def _units() -> Iterator[tuple[Name, ScaleMap, int]]:
    for factor, detail in UNIT_FACTORS.items():
        for scale in (factor, 1 / factor):
            yield Name("unit", detail, UNIT_NAMES), ScaleMap(scale, 0.0), 0
    for detail, back in UNIT_MAPS.items():
        yield Name("unit", detail, UNIT_NAMES), back, 0


def _units_before_a_scaler(pair: UnitPair) -> Iterator[tuple[Name, ScaleMap, int]]:
    """The unit changed before both splits went through the training scaler, whose mean is not known."""
    if not pair.target_is_standard or pair.source_is_standard or pair.source_is_unit_interval:
        return
    middle, target_middle = float(np.median(pair.source)), float(np.median(pair.target))
    for factor, detail in UNIT_FACTORS.items():
        for scale in (factor, 1 / factor):
            yield Name("unit", detail, SCALED_UNIT_NAMES), ScaleMap(scale, target_middle - scale * middle), 1


def rows_in_another_unit(pair: UnitPair) -> tuple[Name, ScaleMap, int] | None:
    """A part of the rows whose values lie outside the reference's range, and within it after a known factor.

    Only for columns of positive values, where a factor has a meaning; the part must look like the reference then.
    """
    if pair.target[0] <= 0:
        return None
    low, high = float(pair.target[0]), float(pair.target[-1])
    margin = (high / low) ** 0.02
    low, high = low / margin, high * margin
    outside = pair.source[(pair.source < low) | (pair.source > high)]
    share = len(outside) / len(pair.source)
    if not MIN_PART <= share <= MAX_PART or len(outside) < MIN_PART_ROWS:
        return None
    for factor, detail in UNIT_FACTORS.items():
        for scale in (factor, 1 / factor):
            mapped = scale * outside
            if ((mapped >= low) & (mapped <= high)).mean() < MIN_RETURNED:
                continue
            distance = ks_2samp_statistic(mapped, pair.target)
            if ks_pvalue(distance, len(outside), pair.n_target) >= FACTOR_LEVEL:
                name = Name("unit_of_some_rows", detail, 2 * len(UNIT_FACTORS))
                return name, ScaleMap(scale, 0.0, only_outside=(low, high)), 1
    return None


def _common_factor(pairs: Sequence[UnitPair]) -> float | None:
    """The estimated factor that carries units back without any offset; None where a known one does as well."""
    if not pairs:
        return None
    # a column far from zero tells its factor most precisely
    precise = max(pairs, key=lambda pair: abs(pair.target_moments[0]) / pair.target_moments[1])
    x, y = (np.quantile(values, FACTOR_QUANTILES) for values in (precise.source, precise.target))
    factor = float(x @ y / max(x @ x, 1e-300))
    if not factor > 0 or not np.isfinite(factor):
        return None
    limit = precise.misfit(ScaleMap(factor, 0.0)) + KNOWN_IS_BETTER
    known = [back for _, back, _ in _units() if back.offset == 0 and precise.may_fit(back)]
    return None if any(precise.misfit(back) < limit for back in known) else factor
