"""One input of the model and the values that it is fed with: cast, shaped, or refused where a cast would invent one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd

from audits.artefacts import Array, Column, Rows, TensorSpec
from audits.sources.tables.columns import text_in_numeric_column
from schemas.problem import DataError

# What the numbers are sent as; half-precision inputs are narrowed by TensorFlow itself.
_SENT_AS = {"float16": "float32", "bfloat16": "float32"}
_SHORT = (np.dtype(np.uint8), np.dtype(np.int8))


class InputFeed(Protocol):
    """Feeds one input of the signature."""

    @property
    def spec(self) -> TensorSpec: ...

    @property
    def columns(self) -> tuple[str, ...]:
        """That reach the input, in order; empty where the rows are an array."""
        ...

    def array(self, rows: Rows) -> Array:
        """(rows, ...) for the input.

        Raises:
            DataError: the rows hold what the input cannot take.
        """
        ...

    def describe(self) -> dict[str, Any]:
        """For the report."""
        ...


@dataclass(frozen=True)
class Feed:
    """One input of the model and what it is fed with.

    Attributes:
        spec: the input.
        columns: in order; empty where the rows are an array.
        row_shape: of one row as it is sent; None sends rows of an array as they are.
        note: what was done besides casting, for the report.
    """

    spec: TensorSpec
    columns: tuple[str, ...]
    row_shape: tuple[int, ...] | None
    note: str | None = None

    @property
    def dtype(self) -> str:
        """As numpy names what is sent, or "string"."""
        return _SENT_AS.get(self.spec.dtype, self.spec.dtype)

    def describe(self) -> dict[str, Any]:
        """For the report."""
        return {
            "input": self.spec.name,
            "columns": list(self.columns),
            "sent_as": self.dtype,
            "layout": self.spec.layout,
            "note": self.note,
        }

    def array(self, rows: Rows) -> Array:
        """(rows, ...) for this input.

        Raises:
            DataError: text for an input of numbers, or a hole for an input of whole numbers.
        """
        if isinstance(rows, np.ndarray) and rows.dtype in _SHORT and self.dtype == "float32":
            values = rows  # pixels: the model's process makes floats of them, exactly and four times the size
        else:
            values = self._values(rows)
        return values if self.row_shape is None else values.reshape(len(rows), *self.row_shape)

    def changed_by_cast(self, rows: Rows) -> dict[str, float]:
        """Column -> share of its values that an input of whole numbers takes as others: cut, or beyond its range.

        Without columns, the array's name is x.
        """
        if not self.dtype.startswith(("int", "uint")):
            return {}
        parts = {"x": rows} if isinstance(rows, np.ndarray) else {name: numbers_of(rows[name]) for name in self.columns}
        shares = {name: _share_changed(values, self.dtype) for name, values in parts.items()}
        return {name: share for name, share in shares.items() if share > 0}

    def _values(self, rows: Rows) -> Array:
        if isinstance(rows, np.ndarray):
            return as_text(rows) if self.dtype == "string" else as_numbers(rows, self.dtype, self.spec.name)
        if self.dtype == "string":
            return np.stack([as_text(rows[name].to_numpy()) for name in self.columns], axis=1)
        if self.dtype.startswith("float"):
            numbers = rows[list(self.columns)].to_numpy(dtype=np.float64, na_value=np.nan)
            return as_numbers(numbers, self.dtype, self.spec.name)
        parts = [numbers_of(rows[name]) for name in self.columns]
        if self.spec.layout != "dense" and any(part.dtype.kind == "f" for part in parts):
            return np.stack(parts, axis=1).astype(np.float64)  # what is missing is left out of a row
        # one by one: whole numbers beyond 2^53 would not survive the way through float64
        named = zip(parts, self.columns, strict=True)
        return np.stack([as_numbers(part, self.dtype, self.spec.name, name) for part, name in named], axis=1)


def require_kind(column: Column, input_name: str, dtype: str) -> None:
    if dtype == "string" or column.kind in {"number", "boolean"}:
        return
    because = f"the model's input {input_name!r} takes numbers"
    if column.text is not None:
        raise text_in_numeric_column(column.name, column.text, because, field="data.features")
    held = "time stamps" if column.kind == "time" else "text"
    raise DataError(
        "text_in_numeric_column",
        f"Column {column.name!r} holds {held}, but {because}. Convert it as for training, or choose the columns in "
        "data.features.",
        field="data.features",
        column=column.name,
    )


def numbers_of(column: "pd.Series[Any]") -> Array:
    """Whole numbers as they are, else float64 with NaN for holes."""
    if column.dtype.kind in "iub":
        return column.to_numpy()
    return column.to_numpy(dtype=np.float64, na_value=np.nan)


def as_numbers(values: Array, dtype: str, input_name: str, column: str | None = None) -> Array:
    if values.dtype == object:
        raise DataError(
            "text_in_numeric_column",
            f"x holds text, but the model's input {input_name!r} takes numbers.",
            field="data.train.uri",
        )
    if values.dtype.kind == "f" and not dtype.startswith("float"):
        _require_no_holes(values, dtype, input_name, column)
    with np.errstate(over="ignore", invalid="ignore"):  # what the cast changed stands in the report
        return values.astype(dtype, copy=False)


def _share_changed(values: Array, dtype: str) -> float:
    if np.can_cast(values.dtype, dtype):
        return 0.0
    with np.errstate(invalid="ignore"):
        return float(np.mean(values.astype(dtype) != values))


def _require_no_holes(values: Array, dtype: str, input_name: str, column: str | None) -> None:
    """NaN has no whole number; casting it would invent one."""
    holes = ~np.isfinite(values)
    if holes.any():
        where = f"column {column!r}" if column else "x"
        raise DataError(
            "missing_value_in_integer_input",
            f"The model's input {input_name!r} takes {dtype}, but {where} has a missing or infinite value. Fill it as "
            "for training.",
            field="data.features",
            column=column,
        )


def as_text(values: Array) -> Array:
    """Objects that are all text: whole numbers without a decimal point, nothing for what is missing."""
    flat = values.ravel()
    text: Callable[[Any], str] = text_of if values.dtype.kind in "Ofb" else str
    result = np.empty(len(flat), dtype=object)
    result[:] = [text(value) for value in flat]
    return result.reshape(values.shape)


def text_of(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None or value is pd.NaT or value != value:  # noqa: PLR0124 - NaN alone differs from itself
        return ""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)
