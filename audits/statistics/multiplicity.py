"""Many tests at once: adjusted p-values, to be compared with the level directly.

Everywhere, p_values is (tests,) and a NaN is a test that was not made: it stays NaN and does not count.
"""

from collections.abc import Callable

import numpy as np

from audits.artefacts import Array


def benjamini_hochberg(p_values: Array) -> Array:
    """(tests,) q-values: those below q have a false discovery rate of q, under positive dependence too.

    Reference: Benjamini & Hochberg, 1995, https://doi.org/10.1111/j.2517-6161.1995.tb02031.x
    """
    return _step_up(p_values, lambda tests: tests / np.arange(1, tests + 1))


def benjamini_yekutieli(p_values: Array) -> Array:
    """(tests,) q-values that hold under any dependence, such as between the columns of one one-hot group.

    Reference: Benjamini & Yekutieli, 2001, https://doi.org/10.1214/aos/1013699998
    """
    return _step_up(p_values, lambda tests: tests * (1 / np.arange(1, tests + 1)).sum() / np.arange(1, tests + 1))


def holm(p_values: Array) -> Array:
    """(tests,) adjusted p-values that control the chance of any false alarm; never weaker than Bonferroni.

    Reference: Holm, 1979, https://www.jstor.org/stable/4615733
    """
    p_values = np.asarray(p_values, dtype=float)
    made = np.flatnonzero(~np.isnan(p_values))
    order = made[np.argsort(p_values[made], kind="stable")]
    adjusted = np.full(p_values.shape, np.nan)
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(p_values[order] * factors), 1.0)
    return adjusted


def bonferroni(p_values: Array) -> Array:
    """(tests,) p-values times the number of tests, at most 1."""
    p_values = np.asarray(p_values, dtype=float)
    return np.minimum(p_values * np.count_nonzero(~np.isnan(p_values)), 1.0)


def _step_up(p_values: Array, factors: Callable[[int], Array]) -> Array:
    """Adjust from the largest p-value down; `factors` gives one factor per rank."""
    p_values = np.asarray(p_values, dtype=float)
    made = np.flatnonzero(~np.isnan(p_values))
    order = made[np.argsort(p_values[made], kind="stable")]
    scaled = p_values[order] * factors(len(order))
    adjusted = np.full(p_values.shape, np.nan)
    adjusted[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return adjusted
