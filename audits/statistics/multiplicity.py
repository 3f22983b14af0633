"""Many tests at once: adjusted p-values, to be compared with the level directly."""

import numpy as np

from audits.artefacts import Array


def benjamini_hochberg(p_values: Array) -> Array:
    """(tests,) q-values: those below q have a false discovery rate of q, under positive dependence too.

    A NaN is a test that was not made: it stays NaN and does not count.

    Reference: Benjamini & Hochberg, 1995, https://doi.org/10.1111/j.2517-6161.1995.tb02031.x
    """
    p_values = np.asarray(p_values, dtype=float)
    made = np.flatnonzero(~np.isnan(p_values))
    order = made[np.argsort(p_values[made], kind="stable")]
    scaled = p_values[order] * len(order) / np.arange(1, len(order) + 1)
    adjusted = np.full(p_values.shape, np.nan)
    adjusted[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return adjusted
