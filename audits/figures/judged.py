"""The rows that figures of answers are drawn from."""

from dataclasses import dataclass

import numpy as np

from audits.artefacts import Array
from audits.evidence.case import Case, SplitEvidence
from audits.evidence.labels import UNKNOWN
from audits.evidence.outputs import SUM_TOLERANCE, WITHOUT_CONFIDENCE

# A million scores draw the same curve as their even sample.
MAX_ROWS = 50_000
MIN_ROWS = 20


@dataclass(frozen=True)
class Scored:
    """Rows of a split with a label and an answer.

    Attributes:
        labels: (rows,) class indices.
        probabilities: (rows, classes).
    """

    labels: Array
    probabilities: Array


def scored(case: Case, split: SplitEvidence) -> Scored | None:
    """None where nothing states a confidence, or there are too few rows."""
    probabilities = split.predictions.probabilities
    if probabilities is None or case.meaning.kind == "class":
        return None
    known = np.flatnonzero(split.predictions.answered & (split.labels != UNKNOWN))
    if len(known) < MIN_ROWS:
        return None
    known = known[:: max(1, len(known) // MAX_ROWS)]
    return Scored(split.labels[known], np.asarray(probabilities[known], dtype=np.float64))


def is_confidence(case: Case, rows: Scored) -> bool:
    """Whether the numbers are probabilities of exclusive classes."""
    sums = np.abs(rows.probabilities.sum(axis=1) - 1).max()
    decided = ((rows.probabilities == 0) | (rows.probabilities == 1)).all()
    return bool(case.meaning.form not in WITHOUT_CONFIDENCE and sums <= SUM_TOLERANCE and not decided)


def promises(rows: Scored) -> tuple[Array, Array]:
    """(rows,) confidence and whether it came true: of class 1, or with more classes of the favourite one."""
    if rows.probabilities.shape[1] == 2:
        return rows.probabilities[:, 1], rows.labels == 1
    favourite = rows.probabilities.argmax(axis=1)
    return rows.probabilities[np.arange(len(favourite)), favourite], rows.labels == favourite
