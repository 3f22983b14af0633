"""Confidence intervals that keep their level at small n and at the ends of the scale."""

from math import inf, sqrt

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit
from scipy.stats import norm, t

from audits.artefacts import Array
from audits.statistics.metrics import tied_weights

Interval = tuple[float, float]


def wilson(successes: float, n: float, confidence: float = 0.95) -> Interval:
    """Score interval of a proportion; (0, 1) when n is 0.

    Reference: Wilson, 1927, https://doi.org/10.1080/01621459.1927.10502953
    """
    if n <= 0:
        return 0.0, 1.0
    z2 = _normal_quantile(confidence) ** 2
    p = successes / n
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = sqrt(z2 * (p * (1 - p) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    # the bounds at 0 and n successes are exact; rounding must not pull them inside
    low = 0.0 if successes <= 0 else max(centre - half, 0.0)
    high = 1.0 if successes >= n else min(centre + half, 1.0)
    return low, high


def rule_of_three(n: int, confidence: float = 0.95) -> float:
    """Upper bound of a proportion of which n trials have shown no success: about 3 / n; 1 when n is 0.

    Reference: Hanley & Lippman-Hand, 1983, https://doi.org/10.1001/jama.1983.03330370053031
    """
    return float(1 - (1 - confidence) ** (1 / n)) if n > 0 else 1.0


def difference(estimate1: float, interval1: Interval, estimate2: float, interval2: Interval) -> Interval:
    """Interval of estimate1 - estimate2 from those of two independent estimates.

    Of two proportions with Wilson's intervals it is Newcombe's hybrid score interval.

    References: Zou & Donner, 2008 (MOVER), https://doi.org/10.1002/sim.3095; Newcombe, 1998, method 10,
        https://doi.org/10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I
    """
    (low1, high1), (low2, high2) = interval1, interval2
    below = sqrt((estimate1 - low1) ** 2 + (high2 - estimate2) ** 2)
    above = sqrt((high1 - estimate1) ** 2 + (estimate2 - low2) ** 2)
    return estimate1 - estimate2 - below, estimate1 - estimate2 + above


def mean_of_proportions(successes: Array, n: Array, confidence: float = 0.95) -> Interval:
    """Interval of the unweighted mean of independent proportions, such as balanced accuracy of recalls.

    Unlike the bootstrap it has a width where a class is all right or all wrong, and for classes of a few rows.

    Args:
        successes: (proportions,).
        n: (proportions,) trials; proportions without any are left out. (0, 1) when all are.
        confidence: level.

    Reference: Zou & Donner, 2008 (MOVER of Wilson's intervals), https://doi.org/10.1002/sim.3095
    """
    used = np.flatnonzero(np.asarray(n) > 0)
    if not len(used):
        return 0.0, 1.0
    p = np.asarray(successes, dtype=float)[used] / np.asarray(n, dtype=float)[used]
    bounds = np.array([wilson(float(successes[k]), float(n[k]), confidence) for k in used])
    below = sqrt(np.square(p - bounds[:, 0]).sum()) / len(used)
    above = sqrt(np.square(bounds[:, 1] - p).sum()) / len(used)
    return max(float(p.mean()) - below, 0.0), min(float(p.mean()) + above, 1.0)


def mean_of_paired_differences(gained: Array, lost: Array, n: Array, confidence: float = 0.95) -> Interval:
    """Interval of the unweighted mean of paired differences of proportions, such as a gain in balanced accuracy.

    Half a row is added to each of the four cells of every pair, so that two rows that are both gained are no
    certainty, although every resample of them says so.

    Args:
        gained: (proportions,) rows that succeed in the second only.
        lost: (proportions,) rows that succeed in the first only.
        n: (proportions,) rows; proportions without any are left out. (-1, 1) when all are.
        confidence: level.

    Reference: Agresti & Min, 2005, https://doi.org/10.1002/sim.1781
    """
    used = np.asarray(n) > 0
    if not used.any():
        return -1.0, 1.0
    g, l, m = (np.asarray(part, dtype=float)[used] for part in (gained, lost, n))  # noqa: E741 - as in the paper
    differences = (g - l) / (m + 2)
    variances = (g + l + 1 - np.square(g - l) / (m + 2)) / np.square(m + 2)
    half = _normal_quantile(confidence) * sqrt(variances.sum()) / len(m)
    return float(differences.mean()) - half, float(differences.mean()) + half


def mean_interval(values: Array, confidence: float = 0.95) -> Interval:
    """Student's t interval of the mean of (n,) values, NaN ignored; (-inf, inf) below two values."""
    values = np.asarray(values, dtype=float)
    values = values[~np.isnan(values)]
    n = len(values)
    if n < 2:
        return -inf, inf
    half = float(t.ppf((1 + confidence) / 2, n - 1) * values.std(ddof=1) / sqrt(n))
    mean = float(values.mean())
    return mean - half, mean + half


def auc_interval(scores: Array, positives: Array, confidence: float = 0.95) -> Interval:
    """Interval of the area under the ROC curve: DeLong's variance on the logit scale, within [0, 1].

    Args:
        scores: (n,), higher speaks for positive; ties count half.
        positives: (n,) booleans.
        confidence: level.

    The quantile is Student's, with Satterthwaite's degrees of freedom: with ten positives the normal one
    covers 91 %. Where the variance says nothing (perfect separation, a class of one row) the bounds are those
    of `auc_interval_from_counts`; (0, 1) when a class is empty.

    References: DeLong et al., 1988, https://doi.org/10.2307/2531595; Sun & Xu, 2014 (its fast version),
        https://doi.org/10.1109/LSP.2014.2337313; Qin & Hotilovac, 2008 (logit scale),
        https://doi.org/10.1177/0962280207087173
    """
    return auc_interval_of(*tied_weights(scores, positives), confidence)


def auc_interval_of(positive: Array, negative: Array, confidence: float = 0.95) -> Interval:
    """The same from how many positives and negatives have each distinct score, ascending."""
    m, n = int(positive.sum()), int(negative.sum())
    if not m or not n:
        return 0.0, 1.0
    # per distinct score: the share of the negatives below a positive there, and of the positives above a negative
    below = (np.cumsum(negative) - negative / 2) / n
    above = 1 - (np.cumsum(positive) - positive / 2) / m
    auc = float(positive @ below) / m
    if m < 2 or n < 2 or auc in (0.0, 1.0):
        return auc_interval_from_counts(auc, m, n, confidence)
    errors = _squared_error(below, positive), _squared_error(above, negative)
    variance = sum(errors)
    if not variance > 0:
        return auc_interval_from_counts(auc, m, n, confidence)
    freedom = variance**2 / (errors[0] ** 2 / (m - 1) + errors[1] ** 2 / (n - 1))
    half = float(t.ppf((1 + confidence) / 2, freedom)) * sqrt(variance) / (auc * (1 - auc))
    return float(expit(logit(auc) - half)), float(expit(logit(auc) + half))


def auc_interval_from_counts(auc: float, positives: int, negatives: int, confidence: float = 0.95) -> Interval:
    """Interval of an area of which only the value and the class sizes are known; (0, 1) when one is 0.

    The variance is that of exponential scores, taken at the bound and not at the estimate, so that the
    interval has a width at 0 and 1 too.

    Reference: Newcombe, 2006, method 5, https://doi.org/10.1002/sim.2324
    """
    if positives <= 0 or negatives <= 0:
        return 0.0, 1.0
    z2 = _normal_quantile(confidence) ** 2

    def excess(theta: float) -> float:
        return (theta - auc) ** 2 - z2 * _exponential_auc_variance(theta, positives, negatives)

    # at 0 and 1 the estimate itself solves the equation; the bound is the other solution
    inside = min(max(auc, 1e-9), 1 - 1e-9)
    low = 0.0 if auc <= 0 else float(brentq(excess, 0.0, inside, xtol=1e-10))
    high = 1.0 if auc >= 1 else float(brentq(excess, inside, 1.0, xtol=1e-10))
    return low, high


def _squared_error(values: Array, counts: Array) -> float:
    """Squared standard error of the mean of values that occur so often."""
    n = float(counts.sum())
    deviations = values - counts @ values / n
    return float(counts @ np.square(deviations) / (n - 1) / n)


def _exponential_auc_variance(auc: float, positives: int, negatives: int) -> float:
    half = (positives + negatives) / 2 - 1
    spread = 1 + half * ((1 - auc) / (2 - auc) + auc / (1 + auc))
    return auc * (1 - auc) * spread / (positives * negatives)


def _normal_quantile(confidence: float) -> float:
    return float(norm.ppf((1 + confidence) / 2))
