"""The map a * x + b that carries one sample onto another, when only the distributions are known.

Reference: Theil, 1950; Sen, 1968, https://doi.org/10.1080/01621459.1968.10480934
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from audits.artefacts import Array
from audits.statistics.distributions import ks_2samp_statistic, ks_pvalue

QUANTILES = np.linspace(0.02, 0.98, 49)
# With fewer distinct values quantiles jump; the levels are matched too.
FEWEST_DISTINCT = 10
# Larger samples are thinned to their order statistics; the distance is then exact to 1 / MAX_VALUES.
MAX_VALUES = 20_000
# A decreasing map must be needed: nearly symmetric columns fit both ways round.
DECREASING_LEVEL = 0.01
DECREASING_SHARE = 0.5
# Values that differ by less (in standard deviations) are one: of rounding, and of estimated moments.
ROUNDING = 1e-6
LEVEL_TOLERANCE = 0.1


@dataclass(frozen=True)
class AffineMap:
    """x -> scale * x + offset.

    Attributes:
        scale: negative for a decreasing map.
        offset: in the unit of the target.
        ks_before: Kolmogorov-Smirnov distance of source and target.
        ks_after: that of the mapped source and the target.
    """

    scale: float
    offset: float
    ks_before: float
    ks_after: float

    def apply(self, values: Array) -> Array:
        return np.asarray(self.scale * values + self.offset)


def fit_affine(source: Array, target: Array) -> AffineMap:
    """The map that carries the distribution of `source` onto that of `target`.

    Theil-Sen over 49 quantile pairs, so that a tenth of the values may be outliers; from the moments where the
    quantiles do not vary; with fewer than 10 distinct values level by level, if that fits better. The map
    increases unless only a decreasing one explains the target: a symmetric column cannot tell. A constant is
    shifted to the median; without values the map is the identity.

    Args:
        source: (n,), NaN and infinity ignored.
        target: (m,), likewise.
    """
    source, target = _thinned(source), _thinned(target)
    if not len(source) or not len(target):
        return AffineMap(1.0, 0.0, 0.0, 0.0)
    before = ks_2samp_statistic(source, target)
    increasing, decreasing = (_best(source, target, before, sign) for sign in (1, -1))
    return decreasing if _is_needed(decreasing, increasing, len(source), len(target)) else increasing


def _best(source: Array, target: Array, before: float, sign: int) -> AffineMap:
    """The candidate of this direction that leaves the least distance."""
    discrete = min(_distinct(source), _distinct(target)) < FEWEST_DISTINCT
    tolerance = (LEVEL_TOLERANCE if discrete else ROUNDING) * float(target.std())
    candidates = list(_candidates(source, target, sign, discrete))
    distances = [
        ks_2samp_statistic(_snapped(scale * source + offset, target, tolerance), target) for scale, offset in candidates
    ]
    best = int(np.argmin(distances))
    return AffineMap(*candidates[best], before, distances[best])


def _is_needed(decreasing: AffineMap, increasing: AffineMap, n: int, m: int) -> bool:
    if ks_pvalue(increasing.ks_after, n, m) >= DECREASING_LEVEL:
        return False
    fits = ks_pvalue(decreasing.ks_after, n, m) >= DECREASING_LEVEL
    return fits or decreasing.ks_after < DECREASING_SHARE * increasing.ks_after


def _candidates(source: Array, target: Array, sign: int, discrete: bool) -> Iterator[tuple[float, float]]:
    """(scale, offset) pairs of one direction."""
    if source[0] == source[-1] or target[0] == target[-1]:
        yield float(sign), float(np.median(target) - sign * np.median(source))
        return
    quantiles = np.quantile(source, QUANTILES)[::sign]
    yield _theil_sen(quantiles, np.quantile(target, QUANTILES), sign, source, target)
    levels, target_levels = np.unique(source)[::sign], np.unique(target)
    if discrete and len(levels) == len(target_levels):
        yield _theil_sen(levels, target_levels, sign, source, target)


def _theil_sen(x: Array, y: Array, sign: int, source: Array, target: Array) -> tuple[float, float]:
    """Median slope over all pairs of (points,), weighted by the points between; median residual as offset.

    Not weighted by the distance of the pair: a single far outlier would be all the weight.
    """
    i, j = np.triu_indices(len(x), 1)
    run, rise = x[j] - x[i], y[j] - y[i]
    wide = run != 0
    if not wide.any():
        return _moments(source, target, sign)
    scale = _weighted_median(rise[wide] / run[wide], (j - i)[wide])
    if scale == 0:
        return _moments(source, target, sign)
    return scale, float(np.median(y - scale * x))


def _moments(source: Array, target: Array, sign: int) -> tuple[float, float]:
    scale = sign * float(target.std() / source.std())
    return scale, float(target.mean() - scale * source.mean())


def _weighted_median(values: Array, weights: Array) -> float:
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(reached, reached[-1] / 2)])


def _snapped(values: Array, target: Array, tolerance: float) -> Array:
    """The values, moved to the nearest of the sorted target where that is within the tolerance.

    A spike that the map carries onto a spike must not count as distance because of its last digits.
    """
    after = np.clip(np.searchsorted(target, values), 1, max(len(target) - 1, 1))
    below, above = target[after - 1], target[np.minimum(after, len(target) - 1)]
    nearest = np.where(values - below <= above - values, below, above)
    return np.where(np.abs(nearest - values) <= tolerance, nearest, values)


def _thinned(values: Array) -> Array:
    """The finite values sorted; evenly spaced order statistics where there are more than MAX_VALUES."""
    values = np.asarray(values, dtype=float)
    values = np.sort(values[np.isfinite(values)])
    if len(values) <= MAX_VALUES:
        return values
    return values[((np.arange(MAX_VALUES) + 0.5) * len(values) / MAX_VALUES).astype(np.intp)]


def _distinct(ordered: Array) -> int:
    return int(np.count_nonzero(np.diff(ordered))) + 1
