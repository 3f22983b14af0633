"""How much more often the labels of one split contradict the control learners than those of the other.

Where classes overlap, honest labels contradict every learner, and in both splits alike. Wrong labels contradict them
in the split that holds them: a learner from either split agrees less with that split's labels than with the other's,
each time out of sample and among rows of which it is equally sure. A broken column makes the two learners disagree
about which split it is, and rows that are harder or noisier in one split do not contradict learners that are sure.

Reference: Northcutt, Jiang & Chuang, 2021 (ranking by the margin of held-out probabilities),
    https://doi.org/10.1613/jair.1.12125
"""

from dataclasses import dataclass
from math import sqrt
from typing import Literal, NamedTuple

import numpy as np
from scipy.stats import norm

from audits.artefacts import Array, SplitName
from audits.evidence.case import Case, ControlMatrix
from audits.evidence.control import Transfer

Interval = tuple[float, float]
# A residual of a regression beyond this many robust deviations contradicts the learner.
GROSS = 4.0
# MAD to standard deviation of a normal distribution.
MAD_TO_DEVIATION = 1.4826
# Rows are compared among those of which a learner is about equally sure.
FEWEST_BINS, MOST_BINS, ROWS_OF_BIN = 3, 10, 40
MOST_BINS_OF_SURE = 3
# The share of the rows of which a learner is surest: there, only a wrong label contradicts it.
SURE = 1 / 3
# Below this a learner cannot tell a wrong label from a hard row.
MIN_SCALE = 0.1


class Contrast(NamedTuple):
    """Share of training labels that are wrong beyond that of the validation labels, and its standard error.

    `agreement` is how often labels agree with the learner in the split where they do so more often.
    """

    estimate: float
    error: float
    agreement: float


@dataclass(frozen=True)
class Excess:
    """Share of the labels of `split` that are wrong beyond those of the other split; classes weigh the same.

    Attributes:
        split: whose labels contradict the learners more often.
        estimate, interval: 95 %.
        by_learner: the estimate of the learner fitted on either split.
        among_sure, sure_low: the estimate among the rows of which the learners are surest, and its lower bound.
        agrees: whether both learners point to the same split.
        sure_agreement: how often labels of the other split agree with a learner that is sure.
    """

    split: SplitName
    estimate: float
    interval: Interval
    by_learner: dict[str, float]
    among_sure: float
    sure_low: float
    agrees: bool
    sure_agreement: float


def excess_disagreement(case: Case, matrix: ControlMatrix) -> Excess | None:
    """The contrast between the splits; None without a learner on either side."""
    if matrix.forward is None or matrix.backward is None:
        return None
    views = {
        "train": _views(case, matrix, matrix.forward.home_outputs, matrix.forward.away_outputs),
        "validation": _views(case, matrix, matrix.backward.away_outputs, matrix.backward.home_outputs),
    }
    classes = case.labels.n_classes
    whole = {name: _contrast(*pair, classes, fewest=FEWEST_BINS) for name, pair in views.items()}
    sure = [_contrast(*_surest(*pair), classes, fewest=1, most=MOST_BINS_OF_SURE) for pair in views.values()]
    estimate = float(np.mean([c.estimate for c in whole.values()]))
    sign = 1 if estimate > 0 else -1
    # the two learners look at the same rows: their errors are taken as wholly dependent
    half = float(norm.ppf(0.975) * np.mean([c.error for c in whole.values()]))
    among = sign * float(np.mean([c.estimate for c in sure]))
    one_sided = float(norm.ppf(0.95))
    return Excess(
        split="train" if sign > 0 else "validation",
        estimate=sign * estimate,
        interval=(sign * estimate - half, sign * estimate + half),
        by_learner={name: float(sign * c.estimate) for name, c in whole.items()},
        among_sure=among,
        sure_low=among - one_sided * float(np.mean([c.error for c in sure])),
        agrees=all(sign * c.estimate > one_sided * c.error for c in whole.values()),
        sure_agreement=min(c.agreement for c in sure),
    )


class _View(NamedTuple):
    """Rows of one split as one learner sees them; weights give every class the same share."""

    agreed: Array
    sureness: Array
    weights: Array

    def at(self, which: Array) -> "_View":
        return _View(self.agreed[which], self.sureness[which], self.weights[which])


def _views(case: Case, matrix: ControlMatrix, of_train: Array, of_validation: Array) -> tuple[_View, _View]:
    assert matrix.train is not None  # noqa: S101 - there is a learner
    assert matrix.validation is not None  # noqa: S101 - likewise
    labels, outputs = (matrix.train.labels, matrix.validation.labels), (of_train, of_validation)
    if case.is_regression:
        errors = [np.abs(y - o) for y, o in zip(labels, outputs, strict=True)]
        limit = GROSS * MAD_TO_DEVIATION * min(float(np.median(e)) for e in errors)
        ours, theirs = (_View((e <= limit).astype(float), np.zeros(len(e)), np.ones(len(e))) for e in errors)
        return ours, theirs
    ours, theirs = (
        _View((o.argmax(axis=1) == y).astype(float), o.max(axis=1), 1 / np.bincount(y)[y])
        for y, o in zip(labels, outputs, strict=True)
    )
    return ours, theirs


def _surest(ours: _View, theirs: _View) -> tuple[_View, _View]:
    cut = np.quantile(np.concatenate([ours.sureness, theirs.sureness]), 1 - SURE)
    return ours.at(ours.sureness >= cut), theirs.at(theirs.sureness >= cut)


def _contrast(ours: _View, theirs: _View, classes: int, *, fewest: int, most: int = MOST_BINS) -> Contrast:
    """Training labels against validation labels, compared in bins of sureness (Mantel & Haenszel, 1959)."""
    bins = int(np.clip(min(len(ours.agreed), len(theirs.agreed)) / ROWS_OF_BIN, fewest, most))
    pooled = np.concatenate([ours.sureness, theirs.sureness])
    edges = np.unique(np.quantile(pooled, np.arange(1, bins) / bins)) if len(pooled) else np.empty(0)
    places = [np.searchsorted(edges, view.sureness, side="right") for view in (ours, theirs)]
    masses = [view.weights.sum() for view in (ours, theirs)]
    difference = scale = variance = agreement = total = 0.0
    for k in range(len(edges) + 1):
        pair = [_share(view.at(place == k)) for view, place in zip((ours, theirs), places, strict=True)]
        (mass, mean, error), (other_mass, other_mean, other_error) = pair
        if not mass or not other_mass:
            continue
        part, other_part = mass / masses[0], other_mass / masses[1]
        weight = part * other_part / (part + other_part)
        better = max(mean, other_mean)
        difference += weight * (other_mean - mean)
        variance += weight**2 * (error**2 + other_error**2)
        # a wrong label agrees with a mistake of the learner once in (classes - 1)
        scale += weight * max(better - (1 - better) / max(1, classes - 1), MIN_SCALE)
        agreement += weight * better
        total += weight
    if not scale:
        return Contrast(0.0, np.inf, 0.0)
    return Contrast(difference / scale, sqrt(variance) / scale, agreement / total)


def _share(view: _View) -> tuple[float, float, float]:
    """Weight of the rows, the weighted share that agrees, and its standard error with a row added on either side."""
    mass = float(view.weights.sum())
    if not mass:
        return 0.0, 0.0, np.inf
    mean = float(view.weights @ view.agreed) / mass
    rows = mass**2 / float(np.square(view.weights).sum())
    guarded = (rows * mean + 1) / (rows + 2)
    return mass, mean, sqrt(guarded * (1 - guarded) / rows)


@dataclass(frozen=True)
class Suspects:
    """Rows of a split by how strongly learners that have not seen their label contradict it, strongest first.

    Attributes:
        order: positions in the control learner's rows of the split, of all rows that are contradicted.
        suggested: (order,) the classes, or quantities, that the learners give.
    """

    order: Array
    suggested: Array


def suspicious(case: Case, matrix: ControlMatrix, split: SplitName, learners: Literal["own", "both"]) -> Suspects:
    """Rank the rows of a split.

    Args:
        case: the case.
        matrix: with both learners.
        split: whose labels are doubted.
        learners: only the cross-fitted one of the split itself, or the mean of both splits' learners.
    """
    subject = matrix.train if split == "train" else matrix.validation
    own, other = (matrix.forward, matrix.backward) if split == "train" else (matrix.backward, matrix.forward)
    assert subject is not None  # noqa: S101 - the caller has looked
    outputs = [t.home_outputs if t is own else t.away_outputs for t in (own, other) if isinstance(t, Transfer)]
    mean = outputs[0] if learners == "own" else np.mean(outputs, axis=0)
    margin = label_margin(subject.labels, mean) if not case.is_regression else -np.abs(subject.labels - mean)
    contradicted = margin < 0
    if case.is_regression:
        contradicted = margin < -GROSS * MAD_TO_DEVIATION * float(np.median(-margin))
    order = np.flatnonzero(contradicted)
    order = order[np.argsort(margin[order], kind="stable")]
    return Suspects(order, mean[order] if case.is_regression else mean[order].argmax(axis=1))


def label_margin(labels: Array, probabilities: Array) -> Array:
    """(rows,) probability of the given label minus the largest of any other class, in [-1, 1].

    Args:
        labels: (rows,) class indices.
        probabilities: (rows, classes) held out.
    """
    at = np.arange(len(labels))
    others = probabilities.copy()
    others[at, labels] = -np.inf
    return np.asarray(probabilities[at, labels] - others.max(axis=1))
