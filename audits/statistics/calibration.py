"""Do probabilities come true? Errors of calibration, their tests, and the corrections that mend them.

Everywhere:
    confidence: (n,) the probability that the model gives to an event: that the label is class 1, or that its
        favourite class is right.
    events: (n,) booleans or 0 and 1, whether it happened.

Rows of equal confidence always stand in the same bin, so that the order of the rows is irrelevant.
"""

from dataclasses import dataclass
from math import inf, nan, sqrt
from typing import NamedTuple

import numpy as np
from pydantic import JsonValue
from scipy.special import expit, logsumexp
from scipy.stats import norm

from audits.artefacts import Array
from audits.statistics.distributions import HypothesisTest
from audits.statistics.intervals import Interval

BINS = 15
DRAWS = 1000
# Uniform numbers held at once.
CHUNK = 4_000_000
# Keras clips at the same value; beyond it the logarithm is about rounding.
SMALLEST_PROBABILITY = 1e-7
# The least float32 but one: the small probabilities of a softmax are exact that far.
SMALLEST_OF_MANY = 1e-30
# Strengths are looked for within this factor of 1, with a weak prior that keeps separable rows from the ends.
MAX_STRENGTH = 30.0
PRIOR_ROWS = 1.0
MAX_STEPS = 50


def equal_width_bins(confidence: Array, bins: int = BINS) -> Array:
    """(n,) the bin of each row, of `bins` equally wide ones over (0, 1]."""
    return np.asarray(np.clip(np.ceil(np.asarray(confidence) * bins).astype(np.intp) - 1, 0, bins - 1))


def equal_mass_bins(confidence: Array, bins: int = BINS) -> Array:
    """(n,) the bin of each row, of at most `bins` with about equally many rows."""
    confidence = np.asarray(confidence, dtype=float)
    if not len(confidence):
        return np.zeros(0, dtype=np.intp)
    ordered = np.sort(confidence)
    edges = ordered[(np.arange(1, bins) * len(ordered)) // bins]
    return np.unique(np.searchsorted(np.unique(edges), confidence, side="right"), return_inverse=True)[1]


def calibration_error(confidence: Array, events: Array, bin_of: Array) -> float:
    """Expected calibration error: the mean distance between confidence and frequency over bins, in [0, 1].

    Biased upwards: of a perfectly calibrated model it is about 0.12 at 100 rows and 0.04 at 1000. NaN without rows.

    Args:
        confidence: see above.
        events: see above.
        bin_of: (n,) from `equal_width_bins` or `equal_mass_bins`.

    Reference: Guo et al., 2017, https://doi.org/10.48550/arXiv.1706.04599
    """
    if not len(confidence):
        return nan
    # |mean confidence - frequency| weighted by the size of the bin is |sum of their differences| / n
    return float(np.abs(np.bincount(bin_of, weights=confidence - events)).sum() / len(confidence))


class DebiasedError(NamedTuple):
    """A root mean square calibration error without the bias of sampling, and its 95 % interval."""

    estimate: float
    interval: Interval


def debiased_error(confidence: Array, events: Array, bins: int = BINS, level: float = 0.95) -> DebiasedError:
    """Root mean square distance between confidence and frequency over equal-mass bins.

    The squared error of each bin is diminished by the variance of its frequency; 0 where less than that was seen.
    The interval is normal for the square, with that variance. Bins of one row tell nothing. (NaN, (0, 1)) where no
    bin has two rows.

    References: Broecker, 2012, https://doi.org/10.1007/s00382-011-1191-1; Kumar et al., 2019,
        https://doi.org/10.48550/arXiv.1909.10155; Sun et al., 2024, https://doi.org/10.48550/arXiv.2408.08998
    """
    bin_of = equal_mass_bins(confidence, bins)
    size = np.bincount(bin_of).astype(float)
    usable = size > 1
    if not usable.any():
        return DebiasedError(nan, (0.0, 1.0))
    size_used = size[usable]
    frequency = np.bincount(bin_of, weights=np.asarray(events, dtype=float))[usable] / size_used
    stated = np.bincount(bin_of, weights=confidence)[usable] / size_used
    weight = size_used / size_used.sum()
    squared = np.square(stated - frequency)
    unbiased = float((weight * (squared - frequency * (1 - frequency) / (size_used - 1))).sum())
    # a bin that is all right or all wrong has a variance all the same (Agresti & Coull, 1998)
    smoothed = (frequency * size_used + 2) / (size_used + 4)
    noise = smoothed * (1 - smoothed) / size_used
    error = sqrt(float((np.square(weight) * (4 * squared * noise + 2 * np.square(noise))).sum()))
    half = float(norm.ppf((1 + level) / 2)) * error
    return DebiasedError(_root(unbiased), (_root(unbiased - half), min(_root(unbiased + half), 1.0)))


def consistency_test(
    confidence: Array, events: Array, bin_of: Array, rng: np.random.Generator, draws: int = DRAWS
) -> tuple[HypothesisTest, Array]:
    """Whether the calibration error is larger than that of a model whose every probability is true.

    Events are drawn from the probabilities themselves, so that the bias of the error is in the null too: the test
    is exact at any number of rows.

    Args:
        confidence: see above.
        events: see above.
        bin_of: (n,) from `equal_width_bins` or `equal_mass_bins`.
        rng: source of the draws.
        draws: of the null; the smallest p-value is 1 / (draws + 1).

    Returns:
        The error with its p-value, and (draws,) errors of the null.

    Reference: Broecker & Smith, 2007, https://doi.org/10.1175/WAF993.1; Vaicenavicius et al., 2019,
        https://doi.org/10.48550/arXiv.1902.06977
    """
    n = len(confidence)
    if not n:
        return HypothesisTest(nan, 1.0), np.zeros(0)
    order = np.argsort(bin_of, kind="stable")
    stated = np.asarray(confidence, dtype=float)[order]
    starts = np.flatnonzero(np.diff(bin_of[order], prepend=-1))
    promised = np.add.reduceat(stated, starts)
    chunk = max(1, CHUNK // n)
    null = np.empty(draws)
    for first in range(0, draws, chunk):
        size = min(chunk, draws - first)
        happened = rng.random((size, n), dtype=np.float32) < stated
        counts = np.add.reduceat(happened, starts, axis=1, dtype=np.int32)
        null[first : first + size] = np.abs(promised - counts).sum(axis=1) / n
    observed = calibration_error(confidence, events, bin_of)
    # what rounding makes of two equal sums must not count as larger
    p_value = (1 + int((null >= observed - 1e-9).sum())) / (draws + 1)
    return HypothesisTest(observed, p_value), null


def spiegelhalter(confidence: Array, events: Array) -> HypothesisTest:
    """Whether the Brier score is what the probabilities promise: z, and its two-sided p-value.

    z is positive where the model is surer than it should be. (NaN, 1) where all probabilities are 0, 0.5 or 1.

    Reference: Spiegelhalter, 1986, https://doi.org/10.1002/sim.4780050506
    """
    p, happened = np.asarray(confidence, dtype=float), np.asarray(events, dtype=float)
    variance = float((np.square(1 - 2 * p) * p * (1 - p)).sum())
    if variance <= 0:
        return HypothesisTest(nan, 1.0)
    z = float(((happened - p) * (1 - 2 * p)).sum() / sqrt(variance))
    return HypothesisTest(z, float(2 * norm.sf(abs(z))))


def reliability_curve(confidence: Array, events: Array, bins: int = BINS) -> list[JsonValue]:
    """Per equal-mass bin: mean confidence, frequency and number of rows."""
    bin_of = equal_mass_bins(confidence, bins)
    size = np.bincount(bin_of)
    sums = (np.bincount(bin_of, weights=np.asarray(part, dtype=float)) for part in (confidence, events))
    stated, happened = (total / np.maximum(size, 1) for total in sums)
    return [[float(p), float(f), int(n)] for p, f, n in zip(stated, happened, size, strict=True)]


@dataclass(frozen=True)
class BrierParts:
    """The Brier score as reliability - resolution + uncertainty, over bins.

    Attributes:
        reliability: mean squared distance between confidence and frequency of the bins; 0 is perfect.
        resolution: how far the frequencies of the bins lie from the overall one; the more the better.
        uncertainty: of the event itself.
        within: what the bins hide, the spread of the confidence inside them; the score is the sum of all four.
    """

    reliability: float
    resolution: float
    uncertainty: float
    within: float

    @property
    def score(self) -> float:
        return self.reliability - self.resolution + self.uncertainty + self.within


def brier_parts(confidence: Array, events: Array, bin_of: Array) -> BrierParts:
    """Murphy's decomposition; NaN without rows.

    References: Murphy, 1973, https://doi.org/10.1175/1520-0450(1973)012<0595:ANVPOT>2.0.CO;2; Stephenson et al.,
        2008 (the part within bins), https://doi.org/10.1175/2007WAF2006116.1
    """
    if not len(confidence):
        return BrierParts(nan, nan, nan, nan)
    happened, p = np.asarray(events, dtype=float), np.asarray(confidence, dtype=float)
    size = np.maximum(np.bincount(bin_of).astype(float), 1)
    frequency = np.bincount(bin_of, weights=happened) / size
    stated = np.bincount(bin_of, weights=p) / size
    rate = float(happened.mean())
    weight = np.bincount(bin_of) / len(p)
    reliability = float((weight * np.square(stated - frequency)).sum())
    resolution = float((weight * np.square(frequency - rate)).sum())
    score = float(np.square(p - happened).mean())
    uncertainty = rate * (1 - rate)
    return BrierParts(reliability, resolution, uncertainty, score - reliability + resolution - uncertainty)


@dataclass(frozen=True)
class Recalibration:
    """Log-odds, or logits, to be multiplied by `strength` and moved by `bias`.

    Attributes:
        strength: below 1 where the model is too sure; 1 / strength is its temperature.
        bias: added to the log-odds of two classes; 0 for a temperature alone.
        strength_interval, bias_interval: 95 %, from the curvature of the likelihood.
    """

    strength: float
    bias: float = 0.0
    strength_interval: Interval = (-inf, inf)
    bias_interval: Interval = (-inf, inf)

    @property
    def temperature(self) -> float:
        return 1 / self.strength

    def apply(self, probabilities: Array) -> Array:
        """(n, classes) recalibrated, rows sum to 1."""
        scores = self.strength * log_probabilities(probabilities)
        scores[:, -1] += self.bias
        return np.asarray(np.exp(scores - logsumexp(scores, axis=1, keepdims=True)))


def log_probabilities(probabilities: Array) -> Array:
    """(n, classes) logits up to a constant of each row, finite where a probability is 0."""
    smallest = SMALLEST_PROBABILITY if probabilities.shape[1] == 2 else SMALLEST_OF_MANY
    return np.asarray(np.log(np.clip(probabilities, smallest, 1.0)))


def fit_temperature(probabilities: Array, labels: Array) -> Recalibration:
    """The strength under which the labels are most likely, by Newton's method; the loss is convex in it.

    Args:
        probabilities: (n, classes).
        labels: (n,) class indices, all known.

    Reference: Guo et al., 2017, https://doi.org/10.48550/arXiv.1706.04599
    """
    logits = log_probabilities(probabilities)
    of_truth = logits[np.arange(len(labels)), labels]
    strength, curvature = 1.0, 0.0
    for _ in range(MAX_STEPS):
        scores = strength * logits
        p = np.exp(scores - logsumexp(scores, axis=1, keepdims=True))
        mean = (p * logits).sum(axis=1)
        log_strength = np.log(strength)
        # in log strength, where the prior is symmetric; the second derivative is kept positive
        slope = strength * float((mean - of_truth).sum()) + PRIOR_ROWS * log_strength
        curvature = strength**2 * float((p * np.square(logits - mean[:, None])).sum()) + PRIOR_ROWS
        step = float(np.clip(slope / curvature, -1.0, 1.0))
        before, strength = strength, float(np.clip(np.exp(log_strength - step), 1 / MAX_STRENGTH, MAX_STRENGTH))
        if abs(strength / before - 1) < 1e-7:
            break
    half = float(norm.ppf(0.975)) / sqrt(curvature)
    return Recalibration(strength, 0.0, (strength * np.exp(-half), strength * np.exp(half)), (0.0, 0.0))


def fit_logistic(probabilities: Array, labels: Array) -> Recalibration:
    """Slope and intercept of a logistic regression of the labels on the model's log-odds (Platt scaling).

    1 and 0 for a calibrated model. A weak prior at these values keeps both finite where the log-odds tell the
    classes apart.

    Args:
        probabilities: (n, 2).
        labels: (n,) 0 or 1.

    References: Cox, 1958, https://doi.org/10.1093/biomet/45.3-4.562; Platt, 1999.
    """
    logits = log_probabilities(probabilities)
    x = np.stack([logits[:, 1] - logits[:, 0], np.ones(len(labels))], axis=1)
    prior = PRIOR_ROWS * np.array([1.0, 0.1])
    at = np.array([1.0, 0.0])
    hessian = np.eye(2)
    for _ in range(MAX_STEPS):
        p = expit(x @ at)
        slope = x.T @ (p - labels) + prior * (at - np.array([1.0, 0.0]))
        hessian = (x * (p * (1 - p))[:, None]).T @ x + np.diag(prior)
        step = np.linalg.solve(hessian, slope)
        step *= min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-300))
        at = at - step
        if float(np.abs(step).max()) < 1e-7:
            break
    half = norm.ppf(0.975) * np.sqrt(np.diag(np.linalg.inv(hessian)))
    intervals = [(float(at[i] - half[i]), float(at[i] + half[i])) for i in (0, 1)]
    return Recalibration(float(at[0]), float(at[1]), intervals[0], intervals[1])


def _root(square: float) -> float:
    return sqrt(max(square, 0.0))
