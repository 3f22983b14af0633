"""Maps that carry the values of a unit back onto another scale, and how well they do it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from audits.artefacts import Array
from audits.evidence.case import Case, Subject
from audits.statistics.affine import AffineMap, fit_affine
from audits.statistics.distributions import binned_likelihood_ratio, ks_2samp_statistic

# What undoes a function that one split went through, as numpy calls it; "" is no function.
FUNCTIONS: Mapping[str, Callable[[Array], Array]] = {
    "": np.asarray,
    "exp": np.exp,
    "expm1": np.expm1,
    "exp2": np.exp2,
    "log": np.log,
    "log1p": np.log1p,
    "square": np.square,
    "sqrt": np.sqrt,
}
# Ten bins tell shapes apart; each needs some ten values.
MAX_BINS, MIN_BINS, BIN_VALUES = 10, 4, 10
STANDARD_MEAN, STANDARD_SPREAD, STANDARD_ERRORS = 0.2, 1.4, 3.0
QUARTERS = np.array([0.25, 0.5, 0.75])
# In standard errors.
FAR_OFF = 6.0
# A scaler that was fitted on these very rows leaves no more than rounding and the choice of n or n - 1.
OWN_TOLERANCE = 1e-3


@dataclass(frozen=True)
class ScaleMap:
    """x -> scale * function(x) + offset, of all values or of those that need it.

    Attributes:
        scale, offset: after the function.
        function: key of `FUNCTIONS`.
        only_outside: (low, high): only values that lie outside and come to lie within are mapped.
    """

    scale: float
    offset: float
    function: str = ""
    only_outside: tuple[float, float] | None = None

    def apply(self, values: Array) -> Array:
        with np.errstate(all="ignore"):
            mapped = self.scale * FUNCTIONS[self.function](values) + self.offset
        if self.only_outside is None:
            return np.asarray(mapped)
        low, high = self.only_outside
        is_off = ((values < low) | (values > high)) & (mapped >= low) & (mapped <= high)
        return np.where(is_off, mapped, values)

    @property
    def is_affine(self) -> bool:
        return self.function == "" and self.only_outside is None


@dataclass(frozen=True)
class UnitPair:
    """The values of one unit in the split that is to be mapped and in the one that is right.

    Attributes:
        unit: index in the feature space.
        name: of the unit.
        source, target: finite values, sorted; of the faulty rows and of the reference.
        n_source, n_target: independent values among them.
    """

    unit: int
    name: str
    source: Array
    target: Array
    n_source: int
    n_target: int

    @cached_property
    def distance(self) -> float:
        """Kolmogorov-Smirnov distance of the two as they are."""
        return ks_2samp_statistic(self.source, self.target)

    @cached_property
    def fit(self) -> AffineMap:
        """The best affine map, and the distances before and after it."""
        return fit_affine(self.source, self.target)

    @cached_property
    def source_moments(self) -> tuple[float, float]:
        return float(self.source.mean()), float(self.source.std())

    @cached_property
    def target_moments(self) -> tuple[float, float]:
        return float(self.target.mean()), float(self.target.std())

    @property
    def n(self) -> float:
        """The size of two equal samples that tell as much, halved."""
        return self.n_source * self.n_target / (self.n_source + self.n_target)

    @property
    def bins(self) -> int:
        return int(np.clip(min(self.n_source, self.n_target) // BIN_VALUES, MIN_BINS, MAX_BINS))

    @property
    def source_is_standard(self) -> bool:
        return is_standard(*self.source_moments, self.n_source)

    @property
    def target_is_standard(self) -> bool:
        return is_standard(*self.target_moments, self.n_target)

    @property
    def source_is_standard_by_itself(self) -> bool:
        mean, sd = self.source_moments
        return abs(mean) < OWN_TOLERANCE and abs(sd - 1) < OWN_TOLERANCE + 1 / len(self.source)

    @property
    def source_is_unit_interval(self) -> bool:
        return fills_unit_interval(self.source)

    @property
    def target_is_unit_interval(self) -> bool:
        return fills_unit_interval(self.target)

    @cached_property
    def quartiles(self) -> tuple[Array, Array]:
        return np.quantile(self.source, QUARTERS), np.quantile(self.target, QUARTERS)

    def may_fit(self, back: ScaleMap) -> bool:
        """A cheap look at the quartiles before the whole distributions are compared."""
        if back.only_outside is not None:
            return True
        source, target = self.quartiles
        off = np.abs(np.sort(back.apply(source)) - target)
        # of the quartiles of a normal sample; the spread of a skewed one is wider than its deviation tells
        error = 1.4 * self.target_moments[1] / np.sqrt(self.n)
        return bool((off < FAR_OFF * error).all())

    def misfit(self, back: ScaleMap) -> float:
        """G statistic of the mapped source and the target: chi-squared with bins - 1 degrees if the map is right."""
        mapped = back.apply(self.source)
        if not np.isfinite(mapped).all():
            return float("inf")
        return binned_likelihood_ratio(mapped, self.target, self.bins, self.n_source, self.n_target)

    def distance_after(self, back: ScaleMap) -> float:
        """Kolmogorov-Smirnov distance that the map leaves."""
        return ks_2samp_statistic(back.apply(self.source), self.target)


def pairs_of(case: Case, reference: Subject, subject: Subject) -> list[UnitPair]:
    """Every quantity that varies in both."""
    pairs = []
    for unit in case.quantities:
        name = case.space.units[unit]
        target, source = (_finite(case.space.values(s.rows, unit)) for s in (reference, subject))
        if len(target) < 2 or len(source) < 2 or target[0] == target[-1] or source[0] == source[-1]:
            continue
        # an image has as many independent values as images, not as pixels
        sizes = min(len(source), len(subject)), min(len(target), len(reference))
        pairs.append(UnitPair(unit, name, source, target, *sizes))
    return pairs


def is_standard(mean: float, sd: float, n: int) -> bool:
    """Whether a column of n values has been standardised, with its own statistics or with those of rows like it."""
    noise = STANDARD_ERRORS / np.sqrt(max(n, 1))
    spread = abs(float(np.log(max(sd, 1e-300))))
    return bool(abs(mean) < max(STANDARD_MEAN, noise) and spread < max(np.log(STANDARD_SPREAD), noise))


def fills_unit_interval(values: Array) -> bool:
    return bool(abs(values.min()) < 0.02 and abs(values.max() - 1) < 0.02)


def _finite(values: Array) -> Array:
    return np.sort(values[np.isfinite(values)])
