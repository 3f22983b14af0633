"""Which category of one sample is which of another, when the codes cannot be trusted.

Categories keep what they are when their codes change: how frequent they are, and which rows they stand in.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from audits.artefacts import Array

# No level that one sample lacks can be what another level means.
IMPOSSIBLE = 1e12
# Rows without a pooled covariance of full rank need some.
RIDGE = 0.05


@dataclass(frozen=True)
class Levels:
    """A categorical column in one sample.

    Attributes:
        counts: (levels,) rows of each.
        means: (levels, features) of the features of these rows; 0 where there are none.
    """

    counts: Array
    means: Array

    @classmethod
    def of(cls, codes: Array, features: Array, levels: int) -> "Levels":
        """From (rows,) level numbers, -1 for missing, and (rows, features)."""
        known = codes >= 0
        member = np.zeros((levels, int(known.sum())))
        member[codes[known], np.arange(member.shape[1])] = 1.0
        counts = member.sum(axis=1)
        return cls(counts, member @ features[known] / np.maximum(counts, 1)[:, None])


def whitener(codes: Array, features: Array, levels: int) -> Array:
    """(features, features) matrix after which the features are uncorrelated within the levels, with variance 1."""
    at = Levels.of(codes, features, levels)
    known = codes >= 0
    within = features[known] - at.means[codes[known]]
    covariance = within.T @ within / max(1, len(within) - levels)
    diagonal = np.maximum(np.diag(covariance), 1e-9)
    shrunk = (1 - RIDGE) * covariance + RIDGE * np.diag(diagonal)
    return np.asarray(np.linalg.inv(np.linalg.cholesky(shrunk)).T)


def matching_costs(subject: Levels, reference: Levels) -> Array:
    """(levels, levels) minus the log-likelihood that level v of the subject is level t of the reference.

    Means of whitened features are normal around the reference's, with the uncertainty of both; shares are compared
    on the arcsine scale, where their variance is constant (Anscombe, 1948, https://doi.org/10.1093/biomet/35.3-4.246).
    A level that the reference lacks can only be itself.
    """
    n, m = subject.counts, reference.counts
    variance = 1 / np.maximum(n, 1)[:, None] + 1 / np.maximum(m, 1)[None, :]
    squares = np.square(subject.means[:, None, :] - reference.means[None, :, :]).sum(axis=2)
    of_means = squares / variance + subject.means.shape[1] * np.log(variance)
    of_means[n == 0] = 0.0
    total_n, total_m = max(1.0, n.sum()), max(1.0, m.sum())
    angles = 2 * (np.arcsin(np.sqrt(n / total_n))[:, None] - np.arcsin(np.sqrt(m / total_m))[None, :])
    costs = (of_means + np.square(angles) / (1 / total_n + 1 / total_m)) / 2
    forbidden = (m == 0)[None, :] & (n > 0)[:, None] & ~np.eye(len(n), dtype=bool)
    return np.where(forbidden, IMPOSSIBLE, costs)


def best_matching(costs: Array) -> Array:
    """(levels,) what each level of the subject is in the reference; the identity where nothing is better."""
    order = linear_sum_assignment(costs)[1]
    unchanged = np.arange(len(costs))
    return unchanged if cost_of(costs, unchanged) <= cost_of(costs, order) + 1e-9 else np.asarray(order)


def cost_of(costs: Array, order: Array) -> float:
    return float(costs[np.arange(len(order)), order].sum())
