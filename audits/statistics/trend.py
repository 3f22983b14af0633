"""Did the validation loss turn up for good? Training histories are short, noisy and single."""

from dataclasses import dataclass
from math import nan, sqrt
from typing import Literal

import numpy as np
from scipy.stats import kendalltau, theilslopes

from audits.artefacts import Array
from audits.statistics.distributions import HypothesisTest

WINDOW = 3
LAST_EPOCHS = 5
SMALLEST_TAIL = 5
MIN_RISE = 0.02
MAX_P = 0.01
MIN_Z = 2.5


@dataclass(frozen=True)
class Divergence:
    """How the validation loss went on after its minimum.

    Attributes:
        best_epoch: of the smoothed minimum, counted from 0 over the history as given.
        rise: of the smoothed loss from there to the end, as a fraction of the minimum.
        tau: Kendall's rank correlation of epoch and loss after the minimum; NaN below two epochs.
        tau_p: its one-sided p-value.
        z: mean of the last epochs above the minimum, in standard errors of the epoch-to-epoch noise.
        tail: epochs after the minimum.
        train_falls: the training loss does not rise over the tail; a rise is instability, not overfitting.
        verdict: "diverged" when all signs agree, "suspect" when two of three do, else "none".
    """

    best_epoch: int
    rise: float
    tau: float
    tau_p: float
    z: float
    tail: int
    train_falls: bool
    verdict: Literal["diverged", "suspect", "none"]


def smooth(values: Array, k: int = WINDOW) -> Array:
    """(epochs,) centred moving mean over k epochs, over as many as there are at the ends; NaN is left out."""
    values = np.asarray(values, dtype=float)
    known = ~np.isnan(values)
    kernel = np.ones(k)
    sums, counts = (
        np.convolve(series, kernel)[(k - 1) // 2 :][: len(values)]
        for series in (np.where(known, values, 0.0), known.astype(float))
    )
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def kendall_tail(values: Array) -> HypothesisTest:
    """Kendall's tau of (epochs,) values with time, and the p-value of a rise; (NaN, 1) below three values."""
    values = np.asarray(values, dtype=float)
    epochs = np.flatnonzero(~np.isnan(values))
    if len(epochs) < 3 or np.ptp(values[epochs]) == 0:
        return HypothesisTest(nan, 1.0)
    result = kendalltau(epochs, values[epochs], alternative="greater")
    return HypothesisTest(float(result.statistic), float(result.pvalue))


def divergence(validation_loss: Array, training_loss: Array | None = None) -> Divergence:
    """Judge a history of (epochs,) losses; epochs whose validation loss is not finite are left out.

    Three signs: the smoothed loss rose by more than 2 %, the epochs after the minimum rise by Kendall's test
    at 1 %, and the last five lie 2.5 standard errors above the minimum. The noise is estimated from
    differences of neighbouring epochs, which a trend hardly touches.
    """
    losses = np.asarray(validation_loss, dtype=float)
    epochs = np.flatnonzero(np.isfinite(losses))
    losses = losses[epochs]
    if not len(losses):
        return Divergence(0, 0.0, nan, 1.0, 0.0, 0, True, "none")
    smoothed = smooth(losses)
    best = int(np.argmin(smoothed))
    tail = losses[best + 1 :]
    rise = _relative(float(smoothed[-1] - smoothed[best]), float(smoothed[best]))
    tau = kendall_tail(tail)
    z = _z_of_the_end(losses, smoothed, best)
    falls = _falls(training_loss, epochs, best, float(smoothed[best]))
    signs = (rise > MIN_RISE) + (tau.p_value < MAX_P) + (z > MIN_Z)
    return Divergence(
        best_epoch=int(epochs[best]),
        rise=rise,
        tau=tau.statistic,
        tau_p=tau.p_value,
        z=z,
        tail=len(tail),
        train_falls=falls,
        verdict=_verdict(signs, len(tail), falls),
    )


def _verdict(signs: int, tail: int, falls: bool) -> Literal["diverged", "suspect", "none"]:
    if not falls or signs < 2:
        return "none"
    return "diverged" if signs == 3 and tail >= SMALLEST_TAIL else "suspect"


def _relative(difference: float, of: float) -> float:
    # losses may be 0 or negative (a likelihood); the report wants a finite number
    return difference / max(abs(of), 1e-12)


def _z_of_the_end(losses: Array, smoothed: Array, best: int) -> float:
    """The end is the mean of the last epochs after the minimum, five at most."""
    after = losses[best + 1 :][-LAST_EPOCHS:]
    if len(after) < 2 or len(losses) < 4:
        return 0.0
    # second differences: a smooth curve cancels, independent noise has variance 6
    noise = 1.4826 * float(np.median(np.abs(np.diff(losses, 2)))) / sqrt(6)
    error = noise * sqrt(1 / len(after) + 1 / WINDOW)
    return float(after.mean() - smoothed[best]) / max(error, 1e-9 * abs(float(smoothed[best])), 1e-12)


def _falls(training_loss: Array | None, epochs: Array, best: int, scale: float) -> bool:
    """Whether the training loss does not rise, significantly and by more than 2 % of the validation loss."""
    if training_loss is None:
        return True
    losses = np.asarray(training_loss, dtype=float)[epochs][best:]
    losses = losses[np.isfinite(losses)]
    if len(losses) < 3:
        return True
    rise = float(theilslopes(losses)[0]) * (len(losses) - 1)
    return not (kendall_tail(losses).p_value < MAX_P and rise > MIN_RISE * abs(scale))
