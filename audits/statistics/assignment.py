"""One-to-one assignments of least cost.

Reference: Kuhn, 1955, https://doi.org/10.1002/nav.3800020109
"""

import numpy as np
from scipy.optimize import linear_sum_assignment

from audits.artefacts import Array


def hungarian(cost: Array) -> Array:
    """(n,) permutation p that minimises the sum of cost[i, p[i]].

    Where the identity is as cheap as the optimum, it is the answer: no change without a reason.

    Args:
        cost: (n, n), finite.
    """
    cost = np.asarray(cost, dtype=float)
    rows, columns = linear_sum_assignment(cost)
    if np.isclose(np.trace(cost), cost[rows, columns].sum(), rtol=1e-12, atol=0):
        return np.arange(len(cost))
    return np.asarray(columns)


def best_label_permutation(confusion: Array) -> Array:
    """(classes,) permutation p for which most rows have prediction p[label].

    Args:
        confusion: (classes, classes) rows by label and prediction; further columns (no answer) are ignored.
    """
    confusion = np.asarray(confusion, dtype=float)
    return hungarian(-confusion[:, : len(confusion)])
