"""Which label of a row is judged, where y holds several numbers a row."""

from dataclasses import dataclass

import numpy as np

from audits.artefacts import Array
from audits.evidence.labels import column_of
from audits.evidence.outputs import SUM_TOLERANCE
from schemas.problem import DataError, RequestError


@dataclass(frozen=True)
class Target:
    """The training labels that are judged.

    Attributes:
        values: (rows,) as read; class numbers where y is one-hot.
        column: of y, where one of several is judged.
        classes: how many y stands for, where it is one-hot.
        reason: how y is read, for the report.
    """

    values: Array
    column: int | None = None
    classes: int | None = None
    reason: str = ""


def target_of(labels: Array, *, index: int | None, step: int | None, steps: int | None = None) -> Target:
    """Read y as one label a row.

    Args:
        labels: (rows,) or (rows, columns).
        index: `output.index`: chooses the column of y as it chooses the value of the output.
        step: `output.step`: chooses the step of y, where y has one label a step.
        steps: how many steps a row of the output has, where it has some.

    Raises:
        DataError: y has several labels a row, and none was chosen.
        RequestError: there is no such column.
    """
    if labels.ndim == 1:
        return Target(labels)
    width = labels.shape[1]
    chosen, field = (index, "index") if step is None else (step, "step")
    if chosen is None and width == 1:
        chosen = 0
    if chosen is not None:
        if not -width <= chosen < width:
            raise RequestError(
                f"output_{field}_missing",
                f"output.{field} is {chosen}, but y has {width} columns, counted from 0.",
                field=f"output.{field}",
            )
        return Target(column_of(labels, chosen, "train"), chosen, reason=f"output.{field} names column {chosen} of y")
    if steps == width > 1:
        raise DataError(
            "output_step_needed",
            f"y holds {width} labels a row, and the output answers {width} steps: an audit judges one of them. Choose "
            f"it in output.step, from 0 to {width - 1} (-1 is the last), for the output and y alike.",
            field="output.step",
        )
    numbers = np.asarray(labels, dtype=np.float64)
    marks = bool(((numbers == 0) | (numbers == 1)).all())
    shares = bool((numbers >= 0).all()) and bool((np.abs(numbers.sum(axis=1) - 1) <= SUM_TOLERANCE).all())
    if shares:
        reason = "one-hot labels" if marks else "soft labels, each row read as the class with the largest share"
        return Target(numbers.argmax(axis=1), classes=width, reason=reason)
    what = (
        f"y marks any number of {width} labels in a row: a multi-label task"
        if marks
        else f"y holds {width} quantities a row"
    )
    raise DataError(
        "output_index_needed",
        f"{what}. An audit judges one of them: choose it in output.index, from 0 to {width - 1}, which names the "
        "column of y and the value of the output alike, and run one audit for each.",
        field="output.index",
    )
