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
    usable = np.isfinite(scores) & (labels != UNKNOWN)
    order = np.argsort(-scores[usable], kind="stable")
    ranked, positive = scores[usable][order], labels[usable][order] == 1
    hits, alarms = np.cumsum(positive), np.cumsum(~positive)
    youden = hits / max(1, hits[-1] if len(hits) else 1) - alarms / max(1, alarms[-1] if len(alarms) else 1)
    # a cut lies between different scores only
    last_of_score = np.append(ranked[:-1] != ranked[1:], True) if len(ranked) else np.zeros(0, dtype=bool)
    if not len(ranked):
        return 0.5
    best = int(np.where(last_of_score, youden, -np.inf).argmax())
    below = ranked[best + 1] if best + 1 < len(ranked) else 0.0
    return float((ranked[best] + below) / 2)
