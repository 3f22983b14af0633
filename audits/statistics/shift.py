"""What a classifier that tells two samples apart says about them.

References: Lopez-Paz & Oquab, 2017, https://arxiv.org/abs/1610.06545 (two-sample tests);
    Sugiyama et al., 2012, Density Ratio Estimation in Machine Learning (weights).
"""

import numpy as np

from audits.artefacts import Array
from audits.statistics.intervals import Interval, auc_interval_from_counts


def c2st_interval(auc: float, n1: int, n2: int, confidence: float = 0.95) -> Interval:
    """Interval of the area under the curve of held-out scores that tell n1 rows from n2; 0.5 is no shift.

    Wider than DeLong's by little, and needs no scores; use `intervals.auc_interval` where they are at hand.
    """
    return auc_interval_from_counts(auc, n1, n2, confidence)


def density_ratio(probability_of_target: Array, n_source: int, n_target: int, largest: float = 20.0) -> Array:
    """(rows,) weights that make source rows look like target rows, clipped at `largest`, with mean 1.

    Args:
        probability_of_target: (rows,) held-out probabilities that each source row is a target row, of a
            classifier trained on n_source and n_target rows.
        n_source: see there.
        n_target: see there.
        largest: a clipped weight bounds the variance at the price of some bias.
    """
    p = np.clip(np.asarray(probability_of_target, dtype=float), 1e-6, 1 - 1e-6)
    ratio = np.minimum(p / (1 - p) * (n_source / n_target), largest)
    return np.asarray(ratio / ratio.mean()) if len(ratio) else ratio


def effective_sample_size(weights: Array) -> float:
    """Rows of equal weight that carry as much information as (rows,) weights; 0 without weight.

    Reference: Kish, 1965, Survey Sampling.
    """
    weights = np.asarray(weights, dtype=float)
    squares = float(np.square(weights).sum())
    return float(weights.sum() ** 2 / squares) if squares > 0 else 0.0
