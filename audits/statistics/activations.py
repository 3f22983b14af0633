"""What a last activation can answer, and whether one was applied twice."""

from math import inf

import numpy as np
from scipy.special import logit

from audits.artefacts import Array
from audits.statistics import metrics
from audits.statistics.intervals import Interval

# op -> the least and the greatest value that it gives.
RANGES: dict[str, Interval] = {
    "Sigmoid": (0.0, 1.0),
    "Softmax": (0.0, 1.0),
    "Tanh": (-1.0, 1.0),
    "Softsign": (-1.0, 1.0),
    "Relu": (0.0, inf),
    "Relu6": (0.0, 6.0),
    "Softplus": (0.0, inf),
    "Exp": (0.0, inf),
    "Elu": (-1.0, inf),
    "Selu": (-1.7581, inf),
    "LogSoftmax": (-inf, 0.0),
}
# Half-precision models round this much.
ROUNDING = 1e-3
MIN_ROWS = 20


def range_of(op: str | None, units: int) -> Interval | None:
    """What the op can answer; None where it is unknown or anything. A softmax over one unit is 1."""
    if op == "Softmax" and units == 1:
        return 1.0, 1.0
    return RANGES.get(op or "")


def ceiling_r2(targets: Array, reach: Interval, weights: Array | None = None) -> Array:
    """The greatest R2 that answers within the range can have: those that are cut to it.

    Args:
        targets: (n,).
        reach: least and greatest answer.
        weights: as in `audits.statistics.metrics`.
    """
    return metrics.r2(targets, np.clip(targets, *reach), weights)


def undo_sigmoid(probability: Array) -> Array | None:
    """(n,) the probabilities that went through a sigmoid again, or None where that cannot be.

    The sigmoid of a number in [0, 1] lies between 0.5 and 0.7311.
    """
    p = np.asarray(probability, dtype=float)
    if len(p) < MIN_ROWS or p.min() < 0.5 - ROUNDING or p.max() > 0.7311 + ROUNDING or np.ptp(p) < ROUNDING:
        return None
    return np.clip(logit(p), 0.0, 1.0)


def undo_softmax(probabilities: Array) -> Array | None:
    """(n, classes) the probabilities that went through a softmax again, or None where that cannot be.

    The logarithm of a softmax is its input up to a constant of the row, which the sum of 1 fixes. It is
    possible where all of it lies in [0, 1]; unsure probabilities do so by chance too, so that a caller has to
    compare how well both fit the labels.
    """
    classes = probabilities.shape[1]
    if len(probabilities) < MIN_ROWS or classes < 2 or probabilities.min() <= 0:
        return None
    logs = np.log(probabilities)
    if np.ptp(logs, axis=1).max() < ROUNDING:
        return None
    inner = logs + (1 - logs.sum(axis=1, keepdims=True)) / classes
    if inner.min() < -ROUNDING or inner.max() > 1 + ROUNDING:
        return None
    inner = np.clip(inner, 0.0, 1.0)
    return np.asarray(inner / inner.sum(axis=1, keepdims=True))
