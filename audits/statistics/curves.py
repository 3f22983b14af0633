"""What else training curves tell: still falling, unstable, at odds with the metric that is reported."""

from dataclasses import dataclass

import numpy as np

from audits.artefacts import Array
from audits.statistics.trend import rise_p_value, smooth

# Of the epochs, at the end: where a loss that is still falling is looked for.
END_SHARE = 0.2
MIN_END = 5
MIN_EPOCHS = 10
FALL_P = 0.001
# A loss that falls by less over the last fifth of the epochs has little left to give.
MIN_FALL = 0.05
# The training loss ends so much above its minimum, of the way that it had come down: it diverges.
MIN_CLIMB = 0.5
CLIMB_P = 0.001
# A spike: above the median of its neighbours by so many of their deviations, and by this share of the way down.
SPIKE_DEVIATIONS = 8.0
SPIKE_SHARE = 0.25
SPIKE_NEIGHBOURS = 3
MIN_SPIKES = 2
# Correlation below which loss and metric have nothing to do with each other.
MIN_AGREEMENT = 0.2
MIN_LOSS_MOVEMENT = 0.2


@dataclass(frozen=True)
class Fall:
    """A loss that was still falling when training ended.

    Attributes:
        epochs: over which the fall was measured, the last ones.
        fall: over them, as a share of the loss at their beginning.
        p_value: one-sided, of no fall.
    """

    epochs: int
    fall: float
    p_value: float


@dataclass(frozen=True)
class Instability:
    """A training loss that does not come down in peace.

    Attributes:
        kind: "not_finite", "climbs" or "spikes".
        epoch: counted from 0: the first without a number, the minimum before the climb, or the highest spike.
        spikes: how many.
        size: the climb or the highest spike as a share of the way that the loss had come down; 0 without a number.
    """

    kind: str
    epoch: int
    spikes: int
    size: float


@dataclass(frozen=True)
class Disagreement:
    """A loss that falls while the metric does not follow.

    Attributes:
        correlation: of loss and metric over the epochs, signed so that 1 is agreement.
        loss_fall: of the smoothed loss from its first to its last epoch, as a share.
        metric_range: of the metric over all epochs.
        epochs: with both.
    """

    correlation: float
    loss_fall: float
    metric_range: float
    epochs: int


def still_falling(losses: Array, *, min_fall: float = MIN_FALL) -> Fall | None:
    """Whether (epochs,) losses were still falling, materially and beyond doubt, over the last fifth of them."""
    known = _finite(losses)
    if len(known) < MIN_EPOCHS:
        return None
    end = known[-max(MIN_END, round(END_SHARE * len(known))) :]
    line = np.polyfit(np.arange(len(end)), end, 1)
    begin, fall = float(line[1]), float(-line[0]) * (len(end) - 1)
    p_value = rise_p_value(-end)
    share = fall / max(abs(begin), 1e-12)
    return Fall(len(end), share, p_value) if share >= min_fall and p_value < FALL_P else None


def instability(losses: Array) -> Instability | None:
    """Whether a (epochs,) training loss stops being a number, climbs away from its minimum for good, or spikes."""
    losses = np.asarray(losses, dtype=float)
    finite = np.flatnonzero(np.isfinite(losses))
    if not len(finite):
        return None
    if finite[-1] < len(losses) - 1:
        return Instability("not_finite", int(finite[-1]) + 1, 0, 0.0)
    known = losses[finite]
    if len(known) < MIN_EPOCHS:
        return None
    return _climb(known, finite) or _spikes(known, finite)


def _climb(known: Array, epochs: Array) -> Instability | None:
    smoothed = smooth(known)
    best = int(np.argmin(smoothed))
    tail = known[best:]
    way = float(known[0] - smoothed[best])
    if len(tail) < MIN_END + 1 or way <= 0:
        return None
    climb = float(np.median(tail[-3:]) - smoothed[best]) / way
    # a loss near 0 that trembles has climbed nothing; a quarter of the level is no trembling
    level = float(np.median(tail[-3:])) > 1.25 * float(smoothed[best])
    if climb > MIN_CLIMB and level and rise_p_value(tail) < CLIMB_P:
        return Instability("climbs", int(epochs[best]), 0, climb)
    return None


def _spikes(known: Array, epochs: Array) -> Instability | None:
    way = float(np.max(known[:3]) - np.min(known))
    if way <= 0:
        return None
    heights = np.zeros(len(known))
    # the first epochs fall so steeply that any of them would stand out
    for place in range(SPIKE_NEIGHBOURS, len(known)):
        near = np.r_[known[place - SPIKE_NEIGHBOURS : place], known[place + 1 : place + 1 + SPIKE_NEIGHBOURS]]
        middle = float(np.median(near))
        spread = 1.4826 * float(np.median(np.abs(near - middle)))
        height = float(known[place]) - middle
        if height > SPIKE_DEVIATIONS * spread and height > SPIKE_SHARE * way and known[place] > np.max(near):
            heights[place] = height / way
    count = int(np.count_nonzero(heights))
    if count < MIN_SPIKES:
        return None
    highest = int(np.argmax(heights))
    return Instability("spikes", int(epochs[highest]), count, float(heights[highest]))


def disagreement(losses: Array, metric: Array, *, higher_is_better: bool, perfect: float) -> Disagreement | None:
    """Whether the loss falls while a metric on the same rows does not follow.

    Args:
        losses: (epochs,).
        metric: (epochs,).
        higher_is_better: of the metric.
        perfect: its best value; a metric that is as good as perfect from the beginning cannot follow.
    """
    losses, metric = np.asarray(losses, dtype=float), np.asarray(metric, dtype=float)
    both = np.isfinite(losses) & np.isfinite(metric)
    x, y = losses[both], metric[both] if higher_is_better else -metric[both]
    if len(x) < MIN_EPOCHS:
        return None
    smoothed = smooth(x)
    fall = float(smoothed[0] - smoothed[-1]) / max(abs(float(smoothed[0])), 1e-12)
    if fall < MIN_LOSS_MOVEMENT or abs(float(np.median(metric[both])) - perfect) < 0.02 * max(1.0, abs(perfect)):
        return None
    spread = float(np.ptp(y))
    # a metric that moves by rounding alone stands still
    still = spread <= 1e-6 * max(1.0, float(np.abs(y).max()))
    correlation = 0.0 if still else -float(np.corrcoef(x, y)[0, 1])
    if correlation >= MIN_AGREEMENT:
        return None
    return Disagreement(correlation, fall, spread, len(x))


def _finite(values: Array) -> Array:
    values = np.asarray(values, dtype=float)
    return values[np.isfinite(values)]
