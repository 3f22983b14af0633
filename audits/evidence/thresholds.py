"""Where to cut a probability."""

import numpy as np

from audits.artefacts import Array
from audits.evidence.labels import UNKNOWN


def best_threshold(labels: Array, scores: Array) -> float:
    """The threshold of the greatest balanced accuracy, midway between neighbouring scores.

    Args:
        labels: (rows,) 0 or 1.
        scores: (rows,) probability of class 1.
    """
    ranked, positive = _ranked(labels, scores)
    hits, alarms = np.cumsum(positive), np.cumsum(~positive)
    youden = hits / max(1, hits[-1] if len(hits) else 1) - alarms / max(1, alarms[-1] if len(alarms) else 1)
    return _cut(ranked, youden)


def best_f1_threshold(labels: Array, scores: Array) -> float:
    """The threshold of the greatest F1 of class 1; see `best_threshold`."""
    ranked, positive = _ranked(labels, scores)
    f1 = 2 * np.cumsum(positive) / np.maximum(np.arange(1, len(ranked) + 1) + positive.sum(), 1)
    return _cut(ranked, f1)


def _ranked(labels: Array, scores: Array) -> tuple[Array, Array]:
    """The scores of the known rows in falling order, and whether each belongs to class 1."""
    usable = np.isfinite(scores) & (labels != UNKNOWN)
    order = np.argsort(-scores[usable], kind="stable")
    return scores[usable][order], labels[usable][order] == 1


def _cut(ranked: Array, quality: Array) -> float:
    """Midway below the last score of the best quality; 0.5 without scores.

    Args:
        ranked: (rows,) scores, falling.
        quality: (rows,) of answering "positive" down to each.
    """
    if not len(ranked):
        return 0.5
    # a cut lies between different scores only
    last_of_score = np.append(ranked[:-1] != ranked[1:], True)
    best = int(np.where(last_of_score, quality, -np.inf).argmax())
    below = ranked[best + 1] if best + 1 < len(ranked) else 0.0
    return float((ranked[best] + below) / 2)
