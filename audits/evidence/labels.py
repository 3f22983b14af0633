"""What the labels mean: the task, the classes in the order of the model's outputs, and labels as numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from audits.artefacts import Array, SplitName
from schemas.problem import DataError
from schemas.request import Task

UNKNOWN = -1
# Larger labels overflow when their errors are squared and summed.
LARGEST_LABEL = 1e120


@dataclass(frozen=True)
class LabelSpace:
    """The task and, for classification, the classes in output order.

    Attributes:
        task: binary, multiclass or regression.
        classes: label values as read; empty for regression.
        reason: how task and order were found, for the report.
        column: which of several labels a row is judged, where y has some; None reads (rows, classes) as one-hot.
        answers: what the model calls the classes in its answers, where that is not what the labels call them.
    """

    task: Task
    classes: tuple[Any, ...]
    reason: str
    column: int | None = None
    answers: tuple[str, ...] = ()

    @property
    def n_classes(self) -> int:
        return len(self.classes)

    @property
    def names(self) -> list[str]:
        return [as_name(value) for value in self.classes]

    def encode(self, labels: Array, split: SplitName) -> Array:
        """Class indices (rows,) int64 with -1 for a value that is no class; float64 for regression.

        Raises:
            DataError: text where a quantity is needed, naming the first row; a y without the judged column.
        """
        if labels.ndim == 2:
            if self.column is None:
                return np.asarray(labels.argmax(axis=1), dtype=np.int64)
            labels = column_of(labels, self.column, split)
        if self.task == "regression":
            return _quantities(labels, split)
        codes = {value: code for code, value in enumerate(self.classes)}
        uniques, inverse = distinct(labels)
        of_unique = np.array([codes.get(value, UNKNOWN) for value in uniques], dtype=np.int64)
        return of_unique[inverse]

    def codes_of_names(self, answers: Array) -> Array:
        """(rows,) float64 class indices of answers that are labels, as text or numbers; -1 for any other."""
        codes = {name: code for code, name in enumerate(self.answers or self.names)}
        uniques, inverse = distinct(answers)
        of_unique = np.array([codes.get(as_name(value), UNKNOWN) for value in uniques], dtype=np.float64)
        # what pandas takes for missing has no place among the uniques
        return np.where(inverse >= 0, of_unique[inverse], UNKNOWN) if len(uniques) else np.full(len(answers), UNKNOWN)


def as_name(value: Any) -> str:
    """A label as text: bytes decoded, whole numbers without a decimal point."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def distinct(labels: Array) -> tuple[list[Any], Array]:
    """The values that occur, numbers ascending and texts as they come, and (rows,) the place of each row's value."""
    if labels.dtype.kind == "S":
        labels = np.char.decode(labels, "utf-8", "replace")
    if labels.dtype.kind == "U":
        labels = labels.astype(object)
    inverse, uniques = pd.factorize(labels, sort=labels.dtype != object)
    return [value.item() if isinstance(value, np.generic) else value for value in uniques], np.asarray(inverse)


def column_of(labels: Array, column: int, split: SplitName) -> Array:
    """One column of y, whole numbers as int64.

    Raises:
        DataError: y has fewer columns.
    """
    if column >= labels.shape[1] or column < -labels.shape[1]:
        raise DataError(
            "label_column_missing",
            f"The {split} labels have {labels.shape[1]} columns, counted from 0; column {column} is judged. Give both "
            "splits the same columns, or choose another in output.index.",
            field="output.index",
        )
    values = labels[:, column]
    whole = values.dtype.kind == "f" and bool((np.mod(values, 1) == 0).all()) and float(np.abs(values).max()) < 2**53
    return values.astype(np.int64) if whole else values


def require_classes(uniques: Sequence[Any]) -> None:
    """Refuse training labels of which there is one alone.

    Raises:
        DataError: naming it.
    """
    if len(uniques) < 2:
        raise DataError(
            "one_class_only",
            f"Every training label is {uniques[0]!r}: with one class there is nothing to classify. "
            "Check the label column and how the file was filtered.",
            field="data.label",
        )


def require_spread(train: Array) -> None:
    """Refuse the training labels of a regression that are all the same, or too large to square.

    Raises:
        DataError: naming the value.
    """
    if train.dtype.kind not in "fiub":
        return
    values = np.asarray(train, dtype=np.float64)
    if not np.ptp(values) > 0:
        raise DataError(
            "label_constant",
            f"Every training label is {values[0]:g}: there is nothing to predict. Check the label column.",
            field="data.label",
        )
    if np.abs(values).max() > LARGEST_LABEL:
        raise DataError(
            "label_out_of_range",
            f"A training label is {values[np.abs(values).argmax()]:g}; squared errors of such numbers cannot be "
            "computed. Bring the labels to another unit.",
            field="data.label",
            row=int(np.abs(values).argmax()),
        )


def _quantities(labels: Array, split: SplitName) -> Array:
    if labels.dtype.kind in "fiub":
        return np.asarray(labels, dtype=np.float64)
    numbers = pd.to_numeric(pd.Series(labels), errors="coerce").to_numpy(dtype=np.float64)
    if np.isnan(numbers).any():
        row = int(np.flatnonzero(np.isnan(numbers))[0])
        raise DataError(
            "label_not_numeric",
            f"The {split} label in row {row} is {str(labels[row])[:40]!r}, but a regression needs numbers. "
            "Correct the label column, or set `task` to a classification.",
            field="data.label",
            row=row,
        )
    return numbers
