"""Are two samples from one distribution? And does an order carry information?

NaN in a sample is a missing value and is ignored.
"""

from dataclasses import dataclass
from math import nan, sqrt
from typing import NamedTuple

import numpy as np
from scipy.stats import fisher_exact, kstwo, norm
from scipy.stats.contingency import expected_freq

from audits.artefacts import Array

# The exact p-value takes n + m steps over min(n, m) cells; beyond, the asymptotic one is within a tenth.
MAX_EXACT_PAIRS = 10_000
# Below, the normal approximation of a 2x2 table is off (Cochran's rule).
SMALLEST_EXPECTED = 5
SIDES = ("left", "right")


class HypothesisTest(NamedTuple):
    """A statistic with its p-value."""

    statistic: float
    p_value: float


def ks_2samp_statistic(a: Array, b: Array) -> float:
    """Largest distance between the distribution functions, in [0, 1]; 0 when a sample is empty.

    Args:
        a: (n,).
        b: (m,).
    """
    a, b = _sorted(a), _sorted(b)
    if not len(a) or not len(b):
        return 0.0
    # between two points of b only the other function moves, so the points of b and their left limits do
    return float(max(np.abs(_ecdf(a, b, side) - _ecdf(b, b, side)).max() for side in SIDES))


def ks_pvalue(statistic: float, n: int, m: int) -> float:
    """Chance of a Kolmogorov-Smirnov distance this large between samples of n and m from one distribution.

    Exact for n * m up to 10,000, else from the one-sample distribution at n * m / (n + m). Ties make it
    conservative. 1 when a sample is empty.

    References: Hodges, 1958, https://doi.org/10.1007/BF02589501; Simard & L'Ecuyer, 2011,
        https://doi.org/10.18637/jss.v039.i11
    """
    if n <= 0 or m <= 0 or not statistic > 0:
        return 1.0
    if n * m <= MAX_EXACT_PAIRS:
        return _exact_ks_pvalue(statistic, n, m)
    return float(np.clip(kstwo.sf(statistic, round(n * m / (n + m))), 0.0, 1.0))


def two_proportion_test(successes1: int, n1: int, successes2: int, n2: int) -> HypothesisTest:
    """Difference of two independent proportions, and its two-sided p-value.

    By the pooled score test, or Fisher's exact test where a cell expects fewer than 5. (NaN, 1) when a sample
    is empty.
    """
    if n1 <= 0 or n2 <= 0:
        return HypothesisTest(nan, 1.0)
    difference = successes1 / n1 - successes2 / n2
    table = np.array([[successes1, n1 - successes1], [successes2, n2 - successes2]])
    if expected_freq(table).min() < SMALLEST_EXPECTED:
        return HypothesisTest(difference, float(fisher_exact(table).pvalue))
    pooled = (successes1 + successes2) / (n1 + n2)
    z = difference / sqrt(pooled * (1 - pooled) * (1 / n1 + 1 / n2))
    return HypothesisTest(difference, float(2 * norm.sf(abs(z))))


def binned_likelihood_ratio(a: Array, b: Array, bins: int, n: float, m: float) -> float:
    """The G statistic of two samples over bins of equal counts: chi-squared with bins - 1 degrees under one law.

    Twice the log-likelihood that one law for both gives away, in a table of two rows; 0 when a sample is empty.

    Args:
        a: (values,), NaN ignored.
        b: (values,), likewise.
        bins: between quantiles of both together; fewer where they coincide.
        n: independent values in a.
        m: independent values in b.
    """
    a, b = _sorted(a), _sorted(b)
    if not len(a) or not len(b):
        return 0.0
    ranks = np.linspace(0, 1, bins + 1)[1:-1]
    # both samples count alike in the edges, however many there are
    edges = np.unique((np.quantile(a, ranks) + np.quantile(b, ranks)) / 2)
    counts = np.array([np.diff([0, *np.searchsorted(x, edges), len(x)]) * k / len(x) for x, k in ((a, n), (b, m))])
    expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / counts.sum()
    seen = counts > 0
    return float(2 * (counts[seen] * np.log(counts[seen] / expected[seen])).sum())


@dataclass(frozen=True)
class RunsTest:
    """Runs (stretches of one label) along an order.

    Attributes:
        runs: seen.
        expected: in a random order.
        z: standardised; far below 0 when the order carries the label.
        p_value: chance of so few runs in a random order.
    """

    runs: int
    expected: float
    z: float
    p_value: float


def runs_test(labels: Array) -> RunsTest:
    """Whether equal labels, (n,) of any number of classes, stand together more than by chance.

    Reference: Barton & David, 1957, https://doi.org/10.1093/biomet/44.1-2.168
    """
    counts = np.unique(labels, return_counts=True)[1].astype(float)
    n = counts.sum()
    runs = int(np.count_nonzero(labels[1:] != labels[:-1])) + 1 if len(labels) else 0
    squares, cubes = (counts**2).sum(), (counts**3).sum()
    if len(counts) < 2:
        return RunsTest(runs, float(runs), 0.0, 1.0)
    expected = 1 + (n * n - squares) / n
    variance = (squares * (squares + n * (n + 1)) - 2 * n * cubes - n**3) / (n * n * (n - 1))
    if variance <= 0:
        return RunsTest(runs, float(expected), 0.0, 1.0)
    # half a run is the distance between a count and the curve that stands for it
    z = float((runs + 0.5 - expected) / sqrt(variance))
    return RunsTest(runs, float(expected), z, float(norm.cdf(z)))


def _sorted(values: Array) -> Array:
    values = np.asarray(values, dtype=float)
    return np.sort(values[~np.isnan(values)])


def _ecdf(ordered: Array, points: Array, side: str) -> Array:
    """Share of the sorted sample below ("left"), or at and below ("right"), each point."""
    ranks = np.searchsorted(ordered, points, side="left" if side == "left" else "right")
    return np.asarray(ranks / len(ordered))


def _exact_ks_pvalue(statistic: float, n: int, m: int) -> float:
    """Share of the lattice paths from (0, 0) to (n, m) that leave the corridor |i/n - j/m| < statistic.

    Walks over the diagonals i + j = s; every step mixes two shares, so that nothing cancels.
    """
    n, m = min(n, m), max(n, m)
    limit = round(statistic * n * m)
    i = np.arange(n + 1)
    left = np.zeros(n + 1)
    for s in range(1, n + m + 1):
        j = s - i
        from_the_side = np.concatenate([[0.0], left[:-1]])
        left = np.where(np.abs(i * m - j * n) >= limit, 1.0, (i * from_the_side + j * left) / s)
        left[j < 0] = 0.0
    return float(min(left[n], 1.0))
