"""Did the validation loss turn up for good? Training histories are short, noisy, wandering and single."""

from dataclasses import dataclass
from math import nan, sqrt
from typing import Literal

import numpy as np
from scipy.stats import kendalltau, norm, t, theilslopes

from audits.artefacts import Array
from audits.statistics.distributions import HypothesisTest

WINDOW = 3
LAST_EPOCHS = 5
# A training loss that rises by more than this share of the validation loss, at this level, is unstable.
TRAINING_RISE = 0.02
TRAINING_P = 0.01
# Below, the autocorrelation of the noise cannot be told from its estimate's own error.
SMALLEST_WANDERING_TAIL = 8
MAX_AUTOCORRELATION = 0.9
# A p-value within so many times the level makes a rise suspect.
HINT = 10
# A loss that wanders on a plateau stays away from its minimum for some epochs, hardly ever for so many.
SMALLEST_HELD_TAIL = 20
HELD_SHARE = 2 / 3


@dataclass(frozen=True)
class Divergence:
    """How the validation loss went on after its minimum.

    Attributes:
        best_epoch: of the smoothed minimum, counted from 0 over the history as given.
        rise: of the smoothed loss from there to the end, as a fraction of the minimum.
        tau: Kendall's rank correlation of epoch and loss after the minimum; NaN below three epochs.
        tau_p: one-sided p-value of a rise after the minimum, see `rise_p_value`.
        z: mean of the last epochs above what the minimum of a level, noisy curve would be, in standard
            errors.
        held: how far the lowest of the last two thirds of the tail lies above the minimum, in deviations of the losses
            there; 0 below 20 epochs. Large where the loss rose and stayed up, whatever it did since.
        tail: epochs after the minimum.
        train_falls: the training loss does not rise over the tail; a rise is instability, not overfitting.
        verdict: "diverged" when the rise comes with a trend and a high end, or with a level that held; "suspect" when
            the rise comes with one of trend and end, else "none".
    """

    best_epoch: int
    rise: float
    tau: float
    tau_p: float
    z: float
    held: float
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


def rise_p_value(values: Array) -> float:
    """One-sided p-value of a trend upwards in (epochs,) values whose noise may wander; 1 below three values.

    Kendall's test, its variance inflated for autocorrelated noise (after Hamed & Rao, 1998,
    https://doi.org/10.1016/S0022-1694(97)00125-X), or a t-test of the steps, which a random walk passes too
    and which finds smooth curves; the better of both, doubled.
    """
    if len(values) < 3 or np.ptp(values) == 0:
        return 1.0
    kendall = float(norm.isf(kendall_tail(values).p_value))
    by_rank = float(norm.sf(kendall / sqrt(_Noise.of(values).inflation)))
    steps = np.diff(values)
    error = float(steps.std(ddof=1)) / sqrt(len(steps))
    by_step = float(t.sf(steps.mean() / error, len(steps) - 1)) if error > 0 else float(steps.mean() <= 0)
    return min(1.0, 2 * min(by_rank, by_step))


def divergence(
    validation_loss: Array,
    training_loss: Array | None = None,
    *,
    min_rise: float = 0.02,
    max_p: float = 0.001,
    min_z: float = 2.5,
    min_held: float = 5.0,
    min_tail: int = 5,
) -> Divergence:
    """Judge a history of (epochs,) losses; epochs whose validation loss is not finite are left out.

    Args:
        validation_loss: (epochs,).
        training_loss: (epochs,), or None when unknown.
        min_rise: the smoothed loss must have risen by more, as a fraction of its minimum.
        max_p: level of the test that the epochs after the minimum rise.
        min_z: the last five must lie more standard errors above what the minimum of a level curve would be.
        min_held: more deviations by which the later losses stay above the minimum suffice without trend and end.
        min_tail: fewer epochs after the minimum are no verdict.

    At the defaults, simulated healthy histories of 10 to 300 epochs (plateaus, slow and fast decay, falls of the
    learning rate) are called diverged in under 0.1 % with noise of autocorrelation up to 0.3, in 0.3 % at 0.6 and in
    0.6 % at 0.8. Of losses that rise by 30 % and level off, 98 % are found in 30 or more epochs with 1 % noise.
    """
    losses = np.asarray(validation_loss, dtype=float)
    epochs = np.flatnonzero(np.isfinite(losses))
    losses = losses[epochs]
    if not len(losses):
        return Divergence(0, 0.0, nan, 1.0, 0.0, 0.0, 0, True, "none")
    smoothed = smooth(losses)
    best = int(np.argmin(smoothed))
    tail = losses[best + 1 :]
    rise = _relative(float(smoothed[-1] - smoothed[best]), float(smoothed[best]))
    tau_p, z = rise_p_value(tail), _z_of_the_end(losses, smoothed, best)
    held = _held(losses, smoothed, best)
    falls = _falls(training_loss, epochs, best, float(smoothed[best]))
    return Divergence(
        best_epoch=int(epochs[best]),
        rise=rise,
        tau=kendall_tail(tail).statistic,
        tau_p=tau_p,
        z=z,
        held=held,
        tail=len(tail),
        train_falls=falls,
        verdict=_verdict(
            material=rise > min_rise and falls,
            clear=(tau_p < max_p and z > min_z) or held > min_held,
            hinted=tau_p < HINT * max_p or z > min_z,
            long_enough=len(tail) >= min_tail,
        ),
    )


def _verdict(*, material: bool, clear: bool, hinted: bool, long_enough: bool) -> Literal["diverged", "suspect", "none"]:
    if material and clear and long_enough:
        return "diverged"
    return "suspect" if material and (clear or hinted) else "none"


def _held(losses: Array, smoothed: Array, best: int) -> float:
    tail = len(losses) - 1 - best
    if tail < SMALLEST_HELD_TAIL:
        return 0.0
    last = int(HELD_SHARE * tail)
    gap = float(smoothed[-last:].min() - smoothed[best])
    return gap / max(float(losses[-last:].std(ddof=1)), 1e-9 * abs(float(smoothed[best])), 1e-12)


def _relative(difference: float, of: float) -> float:
    # losses may be 0 or negative (a likelihood); the report wants a finite number
    return difference / max(abs(of), 1e-12)


@dataclass(frozen=True)
class _Noise:
    """What is left of a stretch of losses without its trend.

    Attributes:
        deviation: of single epochs.
        inflation: how many times larger the variance of a long mean is than if epochs were independent.
    """

    deviation: float
    inflation: float

    @classmethod
    def of(cls, values: Array) -> "_Noise":
        if len(values) < SMALLEST_WANDERING_TAIL:
            return cls.independent(values)
        epochs = np.arange(len(values))
        rest = values - np.polyval(np.polyfit(epochs, values, 1), epochs)
        squares = float(rest @ rest)
        if squares == 0:
            return cls(0.0, 1.0)
        lag = float(rest[1:] @ rest[:-1]) / squares
        # fitting a line lowers the estimate by about (2 + 4 lag) / n
        lag = min(max(lag + (2 + 4 * lag) / len(values), 0.0), MAX_AUTOCORRELATION)
        return cls(sqrt(squares / (len(values) - 2)), (1 + lag) / (1 - lag))

    @classmethod
    def independent(cls, values: Array) -> "_Noise":
        """From second differences: a smooth curve cancels there, independent noise has six times its variance."""
        if len(values) < 3:
            return cls(0.0, 1.0)
        return cls(1.4826 * float(np.median(np.abs(np.diff(values, 2)))) / sqrt(6), 1.0)

    def of_mean(self, epochs: int) -> float:
        """Standard error of the mean of some neighbouring epochs."""
        return self.deviation * min(1.0, sqrt(self.inflation / epochs))


def _z_of_the_end(losses: Array, smoothed: Array, best: int) -> float:
    """The end is the mean of the last epochs after the minimum, five at most."""
    tail = losses[best + 1 :]
    end = tail[-LAST_EPOCHS:]
    if len(end) < 2 or len(losses) < 4:
        return 0.0
    # a short tail borrows epochs from before the minimum; their fall makes the noise look larger, never smaller
    stretch = tail if len(tail) >= SMALLEST_WANDERING_TAIL else losses[-2 * SMALLEST_WANDERING_TAIL :]
    noise = _Noise.of(stretch)
    # the least of many noisy epochs lies below their level: median of the minimum of as many normal values
    luck = -float(norm.ppf(1 - 0.5 ** (1 / (len(tail) + 1)))) * noise.of_mean(WINDOW)
    error = sqrt(noise.of_mean(len(end)) ** 2 + noise.of_mean(WINDOW) ** 2)
    rise = float(end.mean() - smoothed[best])
    return (rise - luck) / max(error, 1e-9 * abs(float(smoothed[best])), 1e-12)


def _falls(training_loss: Array | None, epochs: Array, best: int, scale: float) -> bool:
    """Whether the training loss does not rise, significantly and by more than 2 % of the validation loss."""
    if training_loss is None or len(training_loss) <= epochs[-1]:
        # of another length, it was logged on other epochs
        return True
    losses = np.asarray(training_loss, dtype=float)[epochs][best:]
    losses = losses[np.isfinite(losses)]
    if len(losses) < 3:
        return True
    rise = float(theilslopes(losses)[0]) * (len(losses) - 1)
    return not (rise_p_value(losses) < TRAINING_P and rise > TRAINING_RISE * abs(scale))


def visible_rise(validation_loss: Array, min_z: float, power_z: float = 0.84) -> float:
    """The smallest rise over the minimum, as its fraction, that the noise of (epochs,) losses lets stand out.

    Args:
        validation_loss: not finite where nothing was logged.
        min_z: standard errors by which the end must exceed the minimum.
        power_z: further ones, for a power of 80 %.
    """
    losses = np.asarray(validation_loss, dtype=float)
    losses = losses[np.isfinite(losses)]
    noise = _Noise.independent(losses)
    error = sqrt(noise.of_mean(LAST_EPOCHS) ** 2 + noise.of_mean(WINDOW) ** 2)
    return (min_z + power_z) * error / max(abs(float(losses.min(initial=np.inf))), 1e-12)
