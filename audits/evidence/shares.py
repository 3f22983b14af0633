"""The class shares of both splits: as the labels say, and as the model's answers say without them."""

from dataclasses import dataclass
from typing import cast

import numpy as np
from scipy.stats import norm

from audits.artefacts import Array
from audits.evidence.case import Case, Subject
from audits.evidence.labels import UNKNOWN
from audits.statistics import metrics, priors
from audits.statistics.intervals import difference, wilson


@dataclass(frozen=True)
class Change:
    """One class's odds in validation against training, as a factor of at least 1 in either direction.

    Attributes:
        low, width: the factor's lower bound, and the factor by which the bound and the estimate differ.
        difference: lower bound of the absolute difference of the shares.
    """

    k: int
    factor: float
    low: float
    width: float
    difference: float


@dataclass(frozen=True)
class Shares:
    """Rows of each class, (classes,), of all training rows and of the mended validation rows."""

    train: Array
    validation: Array

    @classmethod
    def of(cls, case: Case) -> "Shares":
        parts = [labels[labels != UNKNOWN] for labels in (case.train.labels, case.mended.labels)]
        ours, theirs = (np.bincount(part, minlength=case.labels.n_classes).astype(float) for part in parts)
        return cls(ours, theirs)

    @property
    def source(self) -> Array:
        return np.asarray(self.train / self.train.sum())

    @property
    def target(self) -> Array:
        return np.asarray(self.validation / self.validation.sum())

    def largest(self) -> Change:
        """The class whose odds have certainly moved most; intervals hold for all classes at once (Bonferroni)."""
        classes = int(((self.train + self.validation) > 0).sum())
        confidence = 1 - 0.05 / max(1, classes - 1 if classes == 2 else classes)
        z = float(norm.ppf((1 + confidence) / 2))
        totals = self.train.sum(), self.validation.sum()
        changes = []
        for k, (ours, theirs) in enumerate(zip(self.train, self.validation, strict=True)):
            # half a row in every cell keeps empty classes finite (Haldane, 1956)
            cells = np.array([ours, totals[0] - ours, theirs, totals[1] - theirs]) + 0.5
            moved = abs(float(np.log(cells[2] / cells[3]) - np.log(cells[0] / cells[1])))
            half = z * float(np.sqrt((1 / cells).sum()))
            apart = difference(
                ours / totals[0],
                wilson(ours, totals[0], confidence),
                theirs / totals[1],
                wilson(theirs, totals[1], confidence),
            )
            certain = max(apart[0], -apart[1], 0.0)
            factors = np.exp(np.minimum([moved, max(moved - half, 0.0), half], 50.0))
            changes.append(Change(k, float(factors[0]), float(factors[1]), float(factors[2]), certain))
        return max(changes, key=lambda change: (change.low, change.factor))


@dataclass(frozen=True)
class Told:
    """The validation shares that the model's answers give without labels, (classes,); None where they cannot."""

    likelihood: Array | None
    confusion: Array | None

    @classmethod
    def of(cls, case: Case, shares: Shares, subject: Subject) -> "Told":
        probabilities = cast("Array", subject.predictions.probabilities)
        classes = case.labels.n_classes
        train = case.train.sample
        table = metrics.confusion(train.labels, cast("Array", train.predictions.decisions), classes)[:, :classes]
        answers = np.bincount(cast("Array", subject.predictions.decisions), minlength=classes)
        confusion = priors.shares_by_confusion(table, answers)
        if case.meaning.kind == "class" or (shares.train == 0).any():
            return cls(None, confusion)
        return cls(priors.shares_by_expectation(probabilities, shares.source), confusion)

    @property
    def best(self) -> Array | None:
        return self.likelihood if self.likelihood is not None else self.confusion

    def agrees(self, shares: Shares) -> bool:
        """Whether the answers lie nearer to the validation shares than to those of training."""
        if self.best is None:
            return False
        return distance(self.best, shares.target) < distance(self.best, shares.source)


def distance(p: Array, q: Array) -> float:
    """Total variation."""
    return float(np.abs(p - q).sum() / 2)
