"""The class shares of a population, from a model's answers alone and without a label of it.

Both assume that the classes look the same in either population and only their shares differ (label shift).
"""

import numpy as np

from audits.artefacts import Array

MAX_STEPS = 1000
TOLERANCE = 1e-9
# A confusion matrix worse conditioned than this cannot be inverted to anything meaningful.
MAX_CONDITION = 1e3


def shares_by_expectation(probabilities: Array, source: Array) -> Array:
    """(classes,) shares that maximise the likelihood of the answers.

    Args:
        probabilities: (rows, classes) of a model that was trained at the shares `source`.
        source: (classes,) shares in training.

    Reference: Saerens, Latinne & Decaestecker, 2002, https://doi.org/10.1162/089976602753284446
    """
    shares = np.asarray(source, dtype=float)
    for _ in range(MAX_STEPS):
        updated = corrected(probabilities, shares, source).mean(axis=0)
        if np.abs(updated - shares).max() < TOLERANCE:
            return np.asarray(updated)
        shares = updated
    return shares


def shares_by_confusion(confusion: Array, answers: Array) -> Array | None:
    """(classes,) shares under which the training confusion gives the observed answers; None where it cannot say.

    Args:
        confusion: (classes, classes) training rows by label and answer.
        answers: (classes,) how often each class is answered in the other population.

    Reference: Lipton, Wang & Smola, 2018, https://arxiv.org/abs/1802.03916
    """
    rows = confusion.sum(axis=1)
    if (rows == 0).any() or answers.sum() == 0:
        return None
    recalls = (confusion / rows[:, None]).T
    if np.linalg.cond(recalls) > MAX_CONDITION:
        return None
    shares = np.clip(np.linalg.solve(recalls, answers / answers.sum()), 0.0, None)
    return np.asarray(shares / shares.sum()) if shares.sum() > 0 else None


def corrected(probabilities: Array, target: Array, source: Array) -> Array:
    """(rows, classes) probabilities at the shares `target` of a model that was trained at the shares `source`.

    A row whose classes all have a probability of 0 keeps its probabilities.

    Reference: Elkan, 2001, theorem 2, https://dl.acm.org/doi/10.5555/1642194.1642224
    """
    ratio = np.divide(target, source, out=np.zeros(len(np.asarray(source))), where=np.asarray(source) > 0)
    weighted = probabilities * ratio
    total = weighted.sum(axis=1, keepdims=True)
    return np.where(total > 0, weighted / np.where(total > 0, total, 1.0), probabilities)
