"""Labels that do not belong to their rows: shuffled, shifted by a row, joined to the wrong key.

Such labels are honest as a column and say nothing as labels. A learner that knows them from the other split finds them
hardly related to its answers, and a learner fitted on them learns nothing, or less than it shows on the other split.
A broken feature does not look so: the other features still teach a learner, at home as well as away.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from scipy.stats import norm, rankdata

from audits.artefacts import Array, SplitName
from audits.evidence import control
from audits.evidence.case import Case, ControlMatrix, Subject, control_encoder

# Below, the other split's labels are themselves hard to predict.
MIN_ASSOCIATION = 0.3
# Lower bound of the share of detached labels; fewer are told, where they can be, as labels that contradict learners.
MIN_SHARE = 0.3
# Of what as many rows of the other split teach: a learner that reaches less has learned nothing to speak of.
NOTHING, TAUGHT = 0.3, 0.6
# The variance of Fisher's transform of a rank correlation, times n - 3 (Fieller, Hartley & Pearson, 1957).
RANK_VARIANCE = 1.06
MIN_REST = 50


@dataclass(frozen=True)
class Association:
    """How far labels go with answers: rank correlation, or balanced accuracy over chance; 0 is none, 1 is all."""

    estimate: float
    error: float

    def above(self, other: "Association", confidence: float = 0.95) -> float:
        """Lower bound of how much larger this one is."""
        return self.estimate - other.estimate - float(norm.ppf(confidence)) * sqrt(self.error**2 + other.error**2)

    @property
    def high(self) -> float:
        return self.estimate + float(norm.ppf(0.95)) * self.error


@dataclass(frozen=True)
class Detachment:
    """What part of a split's labels belongs to other rows.

    Attributes:
        split: whose labels.
        share, low: of the labels, and its lower bound; of a random shuffle of so many rows.
        own: of its labels with the answers of the learner fitted on it, out of sample.
        taught: of the other split's labels with the answers of a learner fitted on as many rows of that split.
    """

    split: SplitName
    share: float
    low: float
    own: Association
    taught: Association


def detachment(case: Case, matrix: ControlMatrix) -> Detachment | None:
    """The split whose labels are detached, or None."""
    if matrix.forward is None or matrix.backward is None or matrix.train is None or matrix.validation is None:
        return None
    train, validation = matrix.train, matrix.validation
    home, away = matrix.forward.home_outputs, matrix.forward.away_outputs
    back_home, back_away = matrix.backward.home_outputs, matrix.backward.away_outputs
    forward = association(train.labels, home), association(validation.labels, away)
    backward = association(validation.labels, back_home), association(train.labels, back_away)
    return _detached(case, "validation", (train, validation), forward, backward) or _detached(
        case, "train", (validation, train), backward, forward
    )


def _detached(
    case: Case,
    split: SplitName,
    rows: tuple[Subject, Subject],
    good: tuple[Association, Association],
    own: tuple[Association, Association],
) -> Detachment | None:
    """Whether the second subject's labels are detached.

    Args:
        case: the case.
        split: the second subject's.
        rows: the subject whose labels are good, and the doubted one.
        good: of the good subject's learner at home and away.
        own: of the doubted subject's learner at home and away.
    """
    at_home, away = good
    if at_home.estimate < MIN_ASSOCIATION:
        return None
    low = at_home.above(away, 0.975) / at_home.estimate
    if low < MIN_SHARE or away.high < 0:
        return None
    # labels of which some are wrong teach a learner more than they show of it; those that are all wrong teach nothing
    # (of classes, some that are wrong are told by `disagreement`, row by row)
    shows_more_away = own[1].above(own[0]) > 0 and case.is_regression
    if not shows_more_away and own[0].high > NOTHING * at_home.estimate:
        return None
    taught = _taught(case, *rows)
    if taught is None or taught.estimate < TAUGHT * at_home.estimate or taught.above(own[0]) <= 0:
        return None
    return Detachment(split, min(1.0, 1 - away.estimate / at_home.estimate), min(low, 1.0), own[0], taught)


def _taught(case: Case, good: Subject, doubted: Subject) -> Association | None:
    """What as many good rows teach a learner, judged on the good rows that are left."""
    count = min(len(doubted), len(good) // 2)
    if count < control.MIN_CONTROL_ROWS or len(good) - count < MIN_REST:
        return None
    drawn = case.rng("taught").permutation(len(good))
    fit, held = good.at(np.sort(drawn[:count])), good.at(np.sort(drawn[count:]))
    classes = case.labels.n_classes
    if control.usable(fit.labels, classes) is not None:
        return None
    encode = control_encoder(case, case.train.sample.rows)
    features = encode(fit.rows), encode(held.rows)
    outputs = [
        control.refitted(name, features[0], fit.labels, features[1], classes=classes)
        for name in (control.FOREST, control.LINEAR)
    ]
    return max((association(held.labels, one) for one in outputs), key=lambda found: found.estimate)


def association(labels: Array, outputs: Array) -> Association:
    """Of labels with answers that have not seen them.

    Args:
        labels: (rows,) class indices, or quantities.
        outputs: (rows, classes) probabilities, or (rows,) quantities.
    """
    if outputs.ndim == 1:
        return _rank_correlation(labels, outputs)
    decided = outputs.argmax(axis=1)
    classes = np.unique(labels)
    counts = np.array([np.count_nonzero(labels == k) for k in classes])
    hits = np.array([np.count_nonzero(decided[labels == k] == k) for k in classes])
    chance = 1 / max(len(classes), 2)
    guarded = (hits + 1) / (counts + 2)
    error = sqrt(float((guarded * (1 - guarded) / counts).sum())) / len(classes)
    scale = 1 - chance
    return Association((float((hits / counts).mean()) - chance) / scale, error / scale)


def _rank_correlation(labels: Array, outputs: Array) -> Association:
    """Spearman's: a few gross errors move it little."""
    if len(labels) < 5 or np.ptp(labels) == 0 or np.ptp(outputs) == 0:
        return Association(0.0, 1.0)
    r = float(np.corrcoef(rankdata(labels), rankdata(outputs))[0, 1])
    return Association(r, (1 - r * r) * sqrt(RANK_VARIANCE / (len(labels) - 3)))
