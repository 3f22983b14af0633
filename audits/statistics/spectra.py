"""What the singular values of a weight matrix look like: supporting evidence, never proof.

References: Martin & Mahoney, 2021, https://jmlr.org/papers/v22/20-410.html; Clauset, Shalizi & Newman, 2009,
    https://doi.org/10.1137/070710111
"""

import numpy as np

from audits.artefacts import Array

# Tails of fewer values fit any exponent.
MIN_TAIL = 10
MAX_STARTS = 40


def stable_rank(singular_values: Array) -> float:
    """Squared Frobenius norm over squared spectral norm: 1 for a matrix of rank one, 0 for one of zeros."""
    largest = float(singular_values.max(initial=0.0))
    return float(np.square(singular_values / largest).sum()) if largest > 0 else 0.0


def power_law_exponent(values: Array) -> float | None:
    """The exponent alpha of p(x) ~ x^-alpha through the tail of positive values, (n,).

    By maximum likelihood, the tail beginning where the fit's Kolmogorov-Smirnov distance is smallest; None with
    fewer than ten values to fit.
    """
    ordered = np.sort(values[values > 0])
    best: tuple[float, float] | None = None
    starts = np.arange(max(0, len(ordered) - MIN_TAIL + 1))
    for first in starts[:: max(1, len(starts) // MAX_STARTS)]:
        tail = ordered[first:]
        logs = np.log(tail / tail[0])
        if logs.sum() <= 0:
            continue
        n = len(tail)
        alpha = 1 + n / logs.sum()
        fitted = 1 - np.exp(-(alpha - 1) * logs)
        distance = float(np.abs(fitted - (np.arange(n) + 0.5) / n).max())
        if best is None or distance < best[0]:
            best = distance, float(alpha)
    return None if best is None else best[1]
