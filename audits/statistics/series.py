"""Rows that follow each other in time: how much they depend, blocks that may be resampled, naive forecasts."""

from math import ceil, nan, sqrt

import numpy as np

from audits.artefacts import Array

# A lag-1 autocorrelation beyond so many standard errors is no chance.
DEPENDENCE_Z = 2.6
MIN_BLOCKS = 10
MIN_ROWS = 50
MAX_AUTOCORRELATION = 0.99


def autocorrelation(values: Array, lag: int = 1) -> float:
    """Of (steps,) values in order; NaN for a constant or too short a stretch."""
    values = np.asarray(values, dtype=float)
    if len(values) <= lag + 1:
        return nan
    rest = values - values.mean()
    squares = float(rest @ rest)
    # what is left of a constant after rounding
    if squares <= 1e-20 * len(values) * float(np.square(values).max(initial=0.0)):
        return nan
    return float(rest[lag:] @ rest[:-lag]) / squares


def block_length(values: Array) -> int:
    """How many consecutive (steps,) values must be drawn together; 1 where they do not depend on each other.

    After Carlstein (1986, https://doi.org/10.1214/aos/1176350057) for the mean of a series whose autocorrelations
    fall geometrically; at most a tenth of the series.
    """
    n = len(values)
    lag = autocorrelation(values)
    if n < MIN_ROWS or not lag > DEPENDENCE_Z / sqrt(n):
        return 1
    lag = min(lag, MAX_AUTOCORRELATION)
    wanted = (sqrt(6) * lag / (1 - lag**2)) ** (2 / 3) * n ** (1 / 3)
    return int(max(1, min(ceil(wanted), n // MIN_BLOCKS)))


def block_codes(order: Array, length: int) -> Array:
    """(rows,) code of each row's block of `length` rows that are neighbours in (rows,) `order`."""
    codes = np.empty(len(order), dtype=np.int64)
    codes[order] = np.arange(len(order)) // max(1, length)
    return codes


def effective_rows(rows: int, independent_error: float, error: float) -> float:
    """How many independent rows would give this standard error (2.8 as many rows where it is 1.7 times as large)."""
    return float(rows) if error <= independent_error or error <= 0 else rows * (independent_error / error) ** 2


def forecast_sums(labels: Array, answers: Array, naive: Array) -> Array:
    """(rows, 11) of which `skill_over` and `leaning` need no more than sums over the rows drawn."""
    # moved to zero, so that squares of a high level do not swallow the differences
    y, a, b = (np.asarray(values - np.mean(values), dtype=float) for values in (labels, answers, naive))
    errors = [np.square(answers - labels), np.square(naive - labels)]
    return np.stack([*errors, np.ones(len(y)), y, a, b, y * y, a * a, b * b, a * y, a * b], axis=-1)


def skill_over(sums: Array) -> Array:
    """1 - squared error of the answers / squared error of the naive forecast, of (..., 11) sums.

    1 is perfect, 0 as good as the naive forecast, below 0 worse.
    """
    return np.asarray(1 - sums[..., 0] / np.maximum(sums[..., 1], 1e-300))


def leaning(sums: Array) -> Array:
    """Correlation of the answers with the naive forecast minus that with the truth, of (..., 11) sums; above 0 for
    copies of it.
    """
    n, y, a, b, yy, aa, bb, ay, ab = np.moveaxis(sums[..., 2:], -1, 0)
    spread = aa - a**2 / n
    with_naive = _correlation(ab - a * b / n, spread * (bb - b**2 / n))
    return np.asarray(with_naive - _correlation(ay - a * y / n, spread * (yy - y**2 / n)))


def _correlation(both: Array, spread: Array) -> Array:
    return np.where(spread > 0, both / np.sqrt(np.maximum(spread, 1e-300)), 0.0)


def mase(labels: Array, answers: Array, naive_error: float) -> float:
    """Mean absolute error in units of that of the naive forecast on the training rows (Hyndman & Koehler, 2006,
    https://doi.org/10.1016/j.ijforecast.2006.03.001); NaN where that is 0.
    """
    return float(np.mean(np.abs(answers - labels))) / naive_error if naive_error > 0 else nan
