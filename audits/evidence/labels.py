"""What the labels mean: the task, the classes in the order of the model's outputs, and labels as numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from audits.artefacts import Array, SplitName
from schemas.problem import DataError, RequestError
from schemas.request import Task

UNKNOWN = -1
# Larger labels overflow when their errors are squared and summed.
LARGEST_LABEL = 1e120
# More distinct whole numbers than this, on a single output, are a quantity and not classes.
MAX_GUESSED_CLASSES = 20


@dataclass(frozen=True)
class LabelSpace:
    """The task and, for classification, the classes in output order.

    Attributes:
        task: binary, multiclass or regression.
        classes: label values as read; empty for regression.
        reason: how task and order were found, for the report.
    """

    task: Task
    classes: tuple[Any, ...]
    reason: str

    @property
    def n_classes(self) -> int:
        return len(self.classes)

    @property
    def names(self) -> list[str]:
        return [str(value) for value in self.classes]

    def encode(self, labels: Array, split: SplitName) -> Array:
        """Class indices (rows,) int64 with -1 for a value that is no class; float64 for regression.

        Raises:
            DataError: text where a quantity is needed, naming the first row.
        """
        if self.task == "regression":
            return _quantities(labels, split)
        if labels.ndim == 2:
            return np.asarray(labels.argmax(axis=1), dtype=np.int64)
        codes = {value: code for code, value in enumerate(self.classes)}
        uniques, inverse = _unique(labels)
        of_unique = np.array([codes.get(value, UNKNOWN) for value in uniques], dtype=np.int64)
        return of_unique[inverse]


def label_space(
    train: Array, task: str, outputs: int, classes: Sequence[str | int] | None, *, names_classes: bool
) -> LabelSpace:
    """Infer the task and the classes from the training labels and the width of the model's output.

    Args:
        train: training labels as read, (rows,) or one-hot (rows, classes).
        task: as requested; "auto" infers it.
        outputs: width of the model's output.
        classes: as requested, in output order.
        names_classes: whether the output is a class id instead of one score per class.

    Raises:
        DataError: one class only, or more classes than the model can answer.
        RequestError: the requested classes do not fit the model.
    """
    if train.ndim == 2:
        return _one_hot(train.shape[1], task, outputs)
    uniques, _ = _unique(train)
    task, reason = _task(task, uniques, train, outputs, names_classes=names_classes)
    if task == "regression":
        _require_spread(train)
        return LabelSpace("regression", (), reason)
    if len(uniques) < 2:
        raise DataError(
            "one_class_only",
            f"Every training label is {uniques[0]!r}: with one class there is nothing to classify. "
            "Check the label column and how the file was filtered.",
            field="data.label",
        )
    needed = None if names_classes else max(outputs, 2)
    if classes is not None:
        return _requested(classes, uniques, needed)
    ordered, how = _ordered(uniques, needed)
    return LabelSpace("binary" if len(ordered) == 2 else "multiclass", ordered, f"{reason}; {how}")


def _one_hot(width: int, task: str, outputs: int) -> LabelSpace:
    if task == "regression" or (outputs != width and not (outputs == 1 and width == 2)):
        raise DataError(
            "classes_mismatch",
            f"The labels are one-hot over {width} classes, the model has {outputs} outputs"
            + (" and the task is a regression" if task == "regression" else "")
            + ". Give one label a row, or a model that answers these classes.",
            field="task" if task == "regression" else "data.label",
        )
    return LabelSpace("binary" if width == 2 else "multiclass", tuple(range(width)), "one-hot labels")


def _require_spread(train: Array) -> None:
    """Refuse the training labels of a regression that are all the same, or too large to square."""
    if train.dtype == object:
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


def _unique(labels: Array) -> tuple[list[Any], Array]:
    inverse, uniques = pd.factorize(labels, sort=labels.dtype != object)
    return [value.item() if isinstance(value, np.generic) else value for value in uniques], np.asarray(inverse)


def _task(task: str, uniques: list[Any], train: Array, outputs: int, *, names_classes: bool) -> tuple[Task, str]:
    if task in {"binary", "multiclass", "regression"}:
        return task, f"the request says {task}"  # type: ignore[return-value]
    if train.dtype.kind in "OUSb":
        return ("binary" if len(uniques) <= 2 else "multiclass"), "the labels are names"
    whole = bool(np.all(np.equal(np.mod(train.astype(np.float64), 1), 0)))
    if outputs > 1:
        return ("binary" if outputs == 2 else "multiclass"), f"the model has {outputs} outputs"
    if names_classes and whole and len(uniques) <= MAX_GUESSED_CLASSES:
        return ("binary" if len(uniques) <= 2 else "multiclass"), "the output is the number of a class"
    if whole and len(uniques) <= 2:
        return "binary", f"{len(uniques)} distinct labels and one output"
    return "regression", f"{len(uniques)} distinct numeric labels and one output"


def _requested(classes: Sequence[str | int], uniques: list[Any], needed: int | None) -> LabelSpace:
    if needed is not None and len(classes) != needed:
        raise RequestError(
            "classes_mismatch",
            f"output.classes names {len(classes)} classes, the model answers {needed}.",
            field="output.classes",
        )
    by_text = {str(value): value for value in uniques}
    ordered = tuple(by_text.get(str(c), c) for c in classes)
    absent = [str(value) for value in uniques if value not in ordered]
    if absent:
        raise RequestError(
            "classes_mismatch",
            f"The training labels hold {', '.join(absent[:5])}, which output.classes does not name.",
            field="output.classes",
        )
    return LabelSpace("binary" if len(ordered) == 2 else "multiclass", ordered, "output.classes")


def _ordered(uniques: list[Any], needed: int | None) -> tuple[tuple[Any, ...], str]:
    """Classes in output order: numbers count from 0 or from 1; names are sorted, as the usual encoders do."""
    numeric = all(isinstance(v, int | float | bool) for v in uniques)
    width = needed if needed is not None else len(uniques)
    if numeric:
        numbers = sorted(int(v) if float(v).is_integer() else v for v in uniques)
        if all(isinstance(v, int) for v in numbers):
            for start in (0, 1):
                if numbers[0] >= start and numbers[-1] < start + width:
                    return tuple(range(start, start + width)), f"labels count from {start}"
        if len(numbers) == width:
            return tuple(numbers), "labels in ascending order"
    elif len(uniques) == width:
        return tuple(sorted(uniques, key=str)), "label names in alphabetical order"
    raise DataError(
        "classes_ambiguous",
        f"The training labels hold {len(uniques)} distinct values ({_shown(uniques)}), the model answers {width} "
        "classes: name the classes in the order of the model's outputs in output.classes.",
        field="output.classes",
    )


def _quantities(labels: Array, split: SplitName) -> Array:
    if labels.dtype != object:
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


def _shown(values: list[Any], limit: int = 6) -> str:
    shown = ", ".join(str(v)[:20] for v in values[:limit])
    return shown + (", ..." if len(values) > limit else "")
