"""Is a sum carried by a few of its terms?"""

import numpy as np

from audits.artefacts import Array

# Student's t with so many degrees of freedom: tails as healthy residuals have them, heavier than normal ones.
USUAL_TAIL = 5


def largest(values: Array, few: int) -> Array:
    """(few,) positions of the largest values, the largest first; of equal ones the first."""
    return np.argsort(-np.asarray(values), kind="stable")[:few]


def top_counts(counts: Array, few: int) -> Array:
    """(resamples, n) how often each row stands among the `few` largest of its resample.

    Args:
        counts: (resamples, n) how often each row was drawn, the rows by falling value.
        few: drawn rows to take.
    """
    before = np.cumsum(counts, axis=1) - counts
    return np.asarray(np.clip(few - before, 0, counts))


def share_of_largest(values: Array, few: int) -> float:
    """Share of the sum of (n,) values >= 0 that the largest `few` have; 0 where the sum is 0."""
    total = float(values.sum())
    return float(values[largest(values, few)].sum()) / total if total > 0 else 0.0


def usual_shares(n: int, few: int, rng: np.random.Generator, draws: int, degrees: float = USUAL_TAIL) -> Array:
    """(draws,) shares of the squared error that the largest `few` of n have when errors are Student's t.

    Args:
        n: rows.
        few: rows that count.
        rng: source of the draws.
        draws: samples.
        degrees: of freedom; infinity for normal errors.
    """
    normal = rng.standard_normal((draws, n))
    scale = np.ones((draws, n)) if np.isinf(degrees) else rng.chisquare(degrees, (draws, n)) / degrees
    squares = np.square(normal) / scale
    top = np.partition(squares, n - few, axis=1)[:, n - few :]
    return np.asarray(top.sum(axis=1) / squares.sum(axis=1))
