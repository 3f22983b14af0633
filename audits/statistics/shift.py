"""Weights from a classifier that tells two samples apart.

Reference: Sugiyama et al., 2012, Density Ratio Estimation in Machine Learning.
"""

import numpy as np

from audits.artefacts import Array


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
