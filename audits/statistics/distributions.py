"""Are two samples from one distribution? And does an order or a table carry information?

NaN in a sample is a missing value and is ignored.
"""

from dataclasses import dataclass
from math import nan, sqrt
from typing import NamedTuple

import numpy as np
from scipy.stats import binom, chi2, fisher_exact, kstwo, norm, wasserstein_distance
from scipy.stats.contingency import expected_freq

from audits.artefacts import Array

# The exact p-value takes n + m steps over min(n, m) cells; beyond, the asymptotic one is within a tenth.
MAX_EXACT_PAIRS = 10_000
# Below, the normal approximation of a 2x2 table is off (Cochran's rule).
SMALLEST_EXPECTED = 5
PSI_BINS = 10
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
    return _ks_of_sorted(_sorted(a), _sorted(b))


def ks_matrix(a: Array, b: Array) -> Array:
    """(d, e) Kolmogorov-Smirnov statistics of every column of a, (n, d), with every column of b, (m, e)."""
    columns_a, columns_b = [_sorted(column) for column in a.T], [_sorted(column) for column in b.T]
    # all columns of b are looked up in one call; their own ranks are found once
    lengths = np.array([len(column) for column in columns_b], dtype=np.intp)
    filled = np.flatnonzero(lengths)
    starts = (np.cumsum(lengths) - lengths)[filled]
    points = np.concatenate([*columns_b, np.empty(0)])
    ranks = [np.concatenate([_ecdf(c, c, side) for c in columns_b if len(c)] or [points]) for side in SIDES]
    distances = np.zeros((len(columns_a), len(columns_b)))
    for i, column in enumerate(columns_a):
        if not len(column) or not len(filled):
            continue
        gaps = [np.abs(_ecdf(column, points, side) - rank) for side, rank in zip(SIDES, ranks, strict=True)]
        distances[i, filled] = np.maximum.reduceat(np.maximum(*gaps), starts)
    return distances


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


def wasserstein_sd(reference: Array, sample: Array) -> float:
    """Earth mover's distance in standard deviations of the reference; NaN when that is 0 or one is empty."""
    reference, sample = _sorted(reference), _sorted(sample)
    if not len(sample) or not len(reference) or reference.std() == 0:
        return nan
    return float(wasserstein_distance(reference, sample) / reference.std())


@dataclass(frozen=True)
class Psi:
    """Population stability index.

    Attributes:
        value: sum over the bins of the difference of the shares times the difference of their logarithms.
        critical: what it exceeds by chance at the asked level; fixed limits such as 0.1 are exceeded by
            chance in most columns of small samples.
        p_value: chance of this value or more without any shift.
    """

    value: float
    critical: float
    p_value: float


def psi(reference: Array, sample: Array, bins: int = PSI_BINS, alpha: float = 0.05) -> Psi:
    """Of numbers, over bins of equal mass in the reference; fewer bins where values repeat.

    Args:
        reference: (n,).
        sample: (m,).
        bins: at most.
        alpha: level of the critical value.
    """
    reference, sample = _sorted(reference), _sorted(sample)
    if not len(reference) or not len(sample):
        return Psi(0.0, nan, 1.0)
    edges = np.unique(np.quantile(reference, np.arange(1, bins) / bins))
    counts = [
        np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1)
        for values in (reference, sample)
    ]
    return psi_of_counts(counts[0], counts[1], alpha)


def psi_of_counts(reference: Array, sample: Array, alpha: float = 0.05) -> Psi:
    """Of (categories,) counts; half a row is added to every cell so that an empty one stays finite.

    Reference: Yurdakul, 2018, https://scholarworks.wmich.edu/dissertations/3208 (critical value)
    """
    reference, sample = np.asarray(reference, dtype=float), np.asarray(sample, dtype=float)
    used = reference + sample > 0
    reference, sample = reference[used], sample[used]
    n, m, cells = reference.sum(), sample.sum(), len(reference)
    if not n or not m or cells < 2:
        return Psi(0.0, nan, 1.0)
    p, q = (reference + 0.5) / (n + cells / 2), (sample + 0.5) / (m + cells / 2)
    value = float(((q - p) * np.log(q / p)).sum())
    scale = 1 / n + 1 / m
    return Psi(value, float(scale * chi2.ppf(1 - alpha, cells - 1)), float(chi2.sf(value / scale, cells - 1)))


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


def mcnemar_test(gained: int, lost: int) -> HypothesisTest:
    """Whether more rows turned right than wrong: gained minus lost, and the exact one-sided p-value.

    Two rows gained and none lost are no evidence (p = 0.25), whatever the metric made of them.

    Reference: McNemar, 1947, https://doi.org/10.1007/BF02295996
    """
    return HypothesisTest(float(gained - lost), float(binom.sf(gained - 1, gained + lost, 0.5)))


def chi2_independence(table: Array) -> HypothesisTest:
    """Pearson's chi-square of (rows, columns) counts, and its p-value; (0, 1) for a single row or column.

    Empty rows and columns do not count. Asymptotic: meant for expected counts of about 5 and more.
    """
    table = _without_empty(table)
    if min(table.shape) < 2:
        return HypothesisTest(0.0, 1.0)
    expected = expected_freq(table)
    statistic = float((np.square(table - expected) / expected).sum())
    freedom = (table.shape[0] - 1) * (table.shape[1] - 1)
    return HypothesisTest(statistic, float(chi2.sf(statistic, freedom)))


def cramers_v(table: Array, *, corrected: bool = True) -> float:
    """Association in (rows, columns) counts: 0 none, 1 one determines the other.

    Args:
        table: counts.
        corrected: without it, independent rows give about sqrt(cells / n) instead of 0.

    Reference: Bergsma, 2013, https://doi.org/10.1016/j.jkss.2012.10.002
    """
    table = _without_empty(table)
    rows, columns = table.shape
    n = table.sum()
    if min(rows, columns) < 2 or n < 2:
        return 0.0
    phi2 = chi2_independence(table).statistic / n
    if not corrected:
        return float(sqrt(phi2 / min(rows - 1, columns - 1)))
    phi2 = max(0.0, phi2 - (rows - 1) * (columns - 1) / (n - 1))
    smaller = min(r - (r - 1) ** 2 / (n - 1) for r in (rows, columns)) - 1
    return float(min(1.0, sqrt(phi2 / smaller))) if smaller > 0 else 0.0


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


def _ks_of_sorted(a: Array, b: Array) -> float:
    """Between two points of b only the other function moves, so the points of b and their left limits do."""
    if not len(a) or not len(b):
        return 0.0
    return float(max(np.abs(_ecdf(a, b, side) - _ecdf(b, b, side)).max() for side in SIDES))


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


def _without_empty(table: Array) -> Array:
    table = np.asarray(table, dtype=float)
    return np.asarray(table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0])
