"""What is asked of the model: two classes, several, or a quantity."""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from audits.artefacts import Array
from audits.evidence.labels import distinct
from audits.evidence.meaning.answers import DECIDING_OPS, PROBABILITY_OPS, Answers
from schemas.request import Task

# More distinct whole numbers than this, on a single output, are a quantity and not classes.
MAX_GUESSED_CLASSES = 20
# Of the spread of the labels: what a value of an output must explain before it is taken for their prediction.
MIN_FIT = 0.2


def infer_task(requested: str, labels: Array, answers: Answers, kind: str = "auto") -> tuple[Task, str]:
    """The task, and why.

    Args:
        requested: `task` of the request; "auto" infers it.
        kind: `output.kind` of the request.
        labels: (rows,) training labels.
        answers: on the same rows.
    """
    if requested != "auto":
        return cast("Task", requested), f"the request says {requested}"
    uniques, _ = distinct(labels)
    of_classes: Task = "binary" if len(uniques) <= 2 else "multiclass"
    if labels.dtype.kind in "OUSb":
        return of_classes, "the labels are " + ("truth values" if labels.dtype.kind == "b" else "names")
    if kind in {"class", "cumulative"} and is_whole(labels):
        return of_classes, f"output.kind is {kind}"
    if answers.width > 1:
        return _of_several(uniques, labels, answers)
    if not is_whole(labels):
        return "regression", f"{len(uniques)} distinct numeric labels, not all whole, and one output"
    if names_classes("auto", labels, answers) and len(uniques) <= MAX_GUESSED_CLASSES:
        return of_classes, "the output is the number of a class"
    if len(uniques) <= 2:
        return "binary", f"{len(uniques)} distinct labels and one output"
    return "regression", f"{len(uniques)} distinct numeric labels and one output"


def _of_several(uniques: Sequence[Any], labels: Array, answers: Answers) -> tuple[Task, str]:
    """The task of an output with several values a row, where the labels are numbers."""
    width, n = answers.width, len(uniques)
    several = f"the model has {width} outputs"
    if not is_whole(labels):
        return "regression", f"{n} distinct numeric labels, not all whole; {several}, of which one is judged"
    if fits_classes(uniques, width):
        if is_one_of_many(labels, answers):
            return "binary", f"{n} distinct labels, and {width} outputs that do not exclude each other"
        return ("binary" if width == 2 else "multiclass"), several
    if answers.op == "Softmax" or answers.sums_to_one or is_cumulative(labels, answers):
        return "multiclass", several
    if n > MAX_GUESSED_CLASSES or float(answers.fits(labels).max()) > MIN_FIT:
        return "regression", f"{n} distinct numeric labels, more than {several}; one of them is judged"
    return "multiclass", several


def is_one_of_many(labels: Array, answers: Answers) -> bool:
    """Whether yes-or-no labels meet outputs that do not exclude each other: a model of several labels.

    Two sigmoids may also be the two classes, each judged by itself; then one falls where the other rises.
    """
    uniques, _ = distinct(labels)
    if answers.width == 2 and (answers.op != "Sigmoid" or answers.opposed):
        return False
    if labels.dtype.kind in "OUS":
        return len(uniques) == 2 and answers.independent and answers.op == "Sigmoid"
    return set(uniques) in ({0, 1}, {-1, 1}) and answers.independent


def is_whole(labels: Array) -> bool:
    """Whether numeric labels are whole numbers."""
    return labels.dtype.kind in "iub" or (
        labels.dtype.kind == "f" and bool(np.all(np.mod(labels.astype(np.float64), 1) == 0))
    )


def fits_classes(uniques: Sequence[Any], width: int) -> bool:
    """Whether whole labels can be the numbers of so many classes."""
    return len(uniques) == width or any(min(uniques) >= start and max(uniques) < start + width for start in (0, 1))


def is_cumulative(labels: Array, answers: Answers) -> bool:
    """Whether value j of a row is the probability (or its logit) of lying beyond class j: ordered classes.

    Reference: Cao, Mirjalili & Raschka, 2020, https://doi.org/10.1016/j.patrec.2020.11.008
    """
    if labels.dtype.kind not in "iuf" or not is_whole(labels) or not answers.falling():
        return False
    low, high = int(labels.min()), int(labels.max())
    return low in {0, 1} and high == low + answers.width and answers.op != "Softmax" and not answers.sums_to_one


def names_classes(requested: str, labels: Array, answers: Answers) -> bool:
    """Whether the output is a decision, the number of a class or a mark at its place, instead of scores.

    Whole numbers of a float type count where the graph says that they are made so, or where no other reading is left.
    """
    if requested != "auto":
        return requested == "class"
    if labels.dtype.kind in "iuf" and not is_whole(labels):
        return False
    typed = np.dtype(answers.dtype).kind in "iub"
    decided = typed or answers.op in DECIDING_OPS
    if answers.width > 1:
        return answers.one_hot and (decided or answers.op not in {None, *PROBABILITY_OPS})
    if decided:
        return answers.whole
    values = len(np.unique(answers.finite))
    return answers.whole and (values > 2 or (values == 2 and answers.op not in {None, *PROBABILITY_OPS}))
