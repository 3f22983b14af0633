"""How feature columns and arrays become the inputs of the model's signature; stated in the report."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from audits.artefacts import Array, Column, ModelDescription, Rows, Split, TensorSpec
from audits.sources.naming import listed, normalised, suggestion
from audits.sources.tables.columns import text_in_numeric_column
from schemas.problem import DataError, ModelError

# What the numbers are sent as; half-precision inputs are narrowed by TensorFlow itself.
_SENT_AS = {"float16": "float32", "bfloat16": "float32"}
_NUMERIC_PREFIXES = ("float", "int", "uint", "bool", "bfloat")


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

    def array(self, rows: Rows) -> Array:
        """(rows, ...) for this input.

        Raises:
            DataError: text for an input of numbers, or a hole for an input of whole numbers.
        """
        values = self._values(rows)
        return values if self.row_shape is None else values.reshape(len(rows), *self.row_shape)

    def _values(self, rows: Rows) -> Array:
        if isinstance(rows, np.ndarray):
            return _as_text(rows) if self.dtype == "string" else _as_numbers(rows, self.dtype, self.spec.name)
        if self.dtype == "string":
            return np.stack([_as_text(rows[name].to_numpy()) for name in self.columns], axis=1)
        if self.dtype.startswith("float"):
            numbers = rows[list(self.columns)].to_numpy(dtype=np.float64, na_value=np.nan)
            return _as_numbers(numbers, self.dtype, self.spec.name)
        # one by one: whole numbers beyond 2^53 would not survive the way through float64
        parts = [_as_numbers(_numbers(rows[name]), self.dtype, self.spec.name, name) for name in self.columns]
        return np.stack(parts, axis=1)


@dataclass(frozen=True)
class Binding:
    """How the rows of a split become the model's inputs."""

    feeds: tuple[Feed, ...]
    unused_columns: tuple[str, ...] = ()

    @property
    def used_columns(self) -> tuple[str, ...]:
        """Columns that reach the model, in the order of its inputs."""
        return tuple(dict.fromkeys(name for feed in self.feeds for name in feed.columns))

    def inputs(self, rows: Rows) -> dict[str, Array]:
        """Input -> (rows, ...), as `Model.predict` takes them.

        Raises:
            DataError: text for an input of numbers, or a hole for an input of whole numbers.
        """
        return {feed.spec.name: feed.array(rows) for feed in self.feeds}

    def describe(self) -> dict[str, Any]:
        """For the report's `data` section."""
        return {
            "inputs": [
                {"input": feed.spec.name, "columns": list(feed.columns), "sent_as": feed.dtype, "note": feed.note}
                for feed in self.feeds
            ],
            "unused_columns": list(self.unused_columns),
        }


def bind(split: Split, description: ModelDescription) -> Binding:
    """Map the features to the inputs of the signature.

    A table feeds a single two-dimensional input with all its columns in order, or named inputs with the columns of
    these names: written alike, or alike but for case, blanks and punctuation. An array feeds the single input.

    Raises:
        DataError: `feature_missing`, `feature_count_mismatch`, `feature_shape_mismatch`, `text_in_numeric_column`.
        ModelError: the signature takes what no data here can be: `inputs_unsupported`.
    """
    for spec in description.inputs:
        if spec.dtype != "string" and not spec.dtype.startswith(_NUMERIC_PREFIXES):
            raise _unsupported(f"Input {spec.name!r} is of the type {spec.dtype}; numbers and text are fed.")
    if not description.inputs:
        raise _unsupported(f"The signature {description.signature!r} has no inputs.")
    if split.layout == "array":
        return _bind_array(split, description.inputs)
    feeds = _table_feeds(split.columns, description.inputs)
    kinds = {column.name: column for column in split.columns}
    for feed in feeds:
        for name in feed.columns:
            _require_kind(kinds[name], feed.spec)
    used = {name for feed in feeds for name in feed.columns}
    return Binding(tuple(feeds), tuple(c.name for c in split.columns if c.name not in used))


def _table_feeds(columns: Sequence[Column], inputs: Sequence[TensorSpec]) -> list[Feed]:
    if len(inputs) == 1:
        return [_single(columns, inputs[0])]
    wide = [spec for spec in inputs if _width(spec) != 1]
    if len(wide) > 1:
        raise _unsupported(
            f"The inputs {listed([s.name for s in wide])} each take several numbers a row; which columns go where "
            "cannot be told from a table. Export a signature with one input a column, or with one for all."
        )
    named = [_named(columns, spec) for spec in inputs if spec not in wide]
    taken = {feed.columns[0] for feed in named}
    rest = [column for column in columns if column.name not in taken]
    feeds = {feed.spec.name: feed for feed in named} | {spec.name: _matrix(rest, spec) for spec in wide}
    return [feeds[spec.name] for spec in inputs]


def _single(columns: Sequence[Column], spec: TensorSpec) -> Feed:
    """All columns as one matrix, or the one column of an input for one value."""
    if _width(spec) != 1 or len(columns) == 1:
        return _matrix(columns, spec)
    found = _match(spec.name, columns)
    if found is None and spec.dtype == "string":
        texts = [column for column in columns if column.kind == "string"]
        found = texts[0] if len(texts) == 1 else None
    if found is None:
        raise _count_mismatch(columns, spec, 1)
    return Feed(spec, (found.name,), _row_shape(spec, 1))


def _matrix(columns: Sequence[Column], spec: TensorSpec) -> Feed:
    width = _width(spec)
    if width is not None and width != len(columns):
        raise _count_mismatch(columns, spec, width)
    shape = _row_shape(spec, len(columns))
    plain = shape == (len(columns),)
    return Feed(
        spec,
        tuple(column.name for column in columns),
        shape,
        None if plain else f"{len(columns)} columns in file order, as rows of the shape {list(shape)}",
    )


def _named(columns: Sequence[Column], spec: TensorSpec) -> Feed:
    found = _match(spec.name, columns)
    if found is None:
        names = [column.name for column in columns]
        raise DataError(
            "feature_missing",
            f"The model has an input {spec.name!r}, but no column has that name; there is {listed(names)}."
            f"{suggestion(spec.name, names)}",
            field="data.features",
            column=spec.name,
        )
    note = None if found.name == spec.name else f"matched to the column {found.name!r}"
    return Feed(spec, (found.name,), _row_shape(spec, 1), note)


def _match(name: str, columns: Sequence[Column]) -> Column | None:
    """The column of that name; else the only one that is written alike."""
    for column in columns:
        if column.name == name:
            return column
    alike = [column for column in columns if normalised(column.name) == normalised(name)]
    return alike[0] if len(alike) == 1 else None


def _width(spec: TensorSpec) -> int | None:
    """How many values a row of the input has; None where the signature leaves it open."""
    if spec.shape is None or None in spec.shape[1:]:
        return None
    return math.prod(size for size in spec.shape[1:] if size is not None)


def _row_shape(spec: TensorSpec, columns: int) -> tuple[int, ...]:
    """The shape of a row of so many values, as the input takes it."""
    if spec.shape is None:
        return (columns,)
    sizes = spec.shape[1:]
    if sizes.count(None) == 0:
        return tuple(size for size in sizes if size is not None)
    known = math.prod(size for size in sizes if size is not None)
    if sizes.count(None) > 1 or known == 0 or columns % known:
        raise _unsupported(
            f"Input {spec.name!r} takes rows of the shape {_shown(spec)}, which {columns} columns cannot be."
        )
    return tuple(columns // known if size is None else size for size in sizes)


def _require_kind(column: Column, spec: TensorSpec) -> None:
    if spec.dtype == "string" or column.kind in {"number", "boolean"}:
        return
    because = f"the model's input {spec.name!r} takes numbers"
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


def _count_mismatch(columns: Sequence[Column], spec: TensorSpec, width: int) -> DataError:
    names = [column.name for column in columns]
    return DataError(
        "feature_count_mismatch",
        f"The model's input {spec.name!r} takes {width} values a row, the data have {len(names)} feature columns: "
        f"{listed(names)}. Name the model's columns in data.features, and columns that are no features as id, group, "
        "time or weight.",
        field="data.features",
    )


def _bind_array(split: Split, inputs: Sequence[TensorSpec]) -> Binding:
    if len(inputs) > 1:
        raise _unsupported(
            f"The signature takes {len(inputs)} inputs ({listed([s.name for s in inputs])}), an array x feeds one. "
            "Give tables with a column for each input, or name another signature in model.signature."
        )
    spec = inputs[0]
    for shape, note in _ways(split.row_shape, spec):
        if _fits(shape, spec):
            return Binding((Feed(spec, (), None if note is None else shape, note),))
    raise DataError(
        "feature_shape_mismatch",
        f"A row of x has the shape {list(split.row_shape)}, the model's input {spec.name!r} takes {_shown(spec)}. "
        "Reshape x as for training.",
        field="data.train.uri",
        file=split.files[0],
    )


def _ways(row_shape: tuple[int, ...], spec: TensorSpec) -> list[tuple[tuple[int, ...], str | None]]:
    """Row shapes that hold the same values in the same order, the most faithful first."""
    ways: list[tuple[tuple[int, ...], str | None]] = [
        (row_shape, None),
        ((*row_shape, 1), "an axis of size 1 was added"),
    ]
    if row_shape and row_shape[-1] == 1:
        ways.append((row_shape[:-1], "the last axis, of size 1, was removed"))
    size = math.prod(row_shape)
    if _width(spec) == size:
        shape = _row_shape(spec, size)
        ways.append((shape, f"rows of the shape {list(row_shape)} were reshaped to {list(shape)}"))
    return ways


def _fits(shape: tuple[int, ...], spec: TensorSpec) -> bool:
    if spec.shape is None:
        return True
    wanted = spec.shape[1:]
    return len(shape) == len(wanted) and all(w is None or w == s for s, w in zip(shape, wanted, strict=True))


def _shown(spec: TensorSpec) -> str:
    sizes = spec.shape[1:] if spec.shape is not None else ()
    return "[" + ", ".join("any" if size is None else str(size) for size in sizes) + "]"


def _unsupported(why: str) -> ModelError:
    return ModelError("inputs_unsupported", why, field="model.signature")


def _numbers(column: "pd.Series[Any]") -> Array:
    """Whole numbers as they are, else float64 with NaN for holes."""
    if column.dtype.kind in "iub":
        return column.to_numpy()
    return column.to_numpy(dtype=np.float64, na_value=np.nan)


def _as_numbers(values: Array, dtype: str, input_name: str, column: str | None = None) -> Array:
    if values.dtype == object:
        raise DataError(
            "text_in_numeric_column",
            f"x holds text, but the model's input {input_name!r} takes numbers.",
            field="data.train.uri",
        )
    if values.dtype.kind == "f" and not dtype.startswith("float"):
        _require_no_holes(values, dtype, input_name, column)
    with np.errstate(over="ignore"):
        return values.astype(dtype, copy=False)


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


def _as_text(values: Array) -> Array:
    """Objects that are all text: whole numbers without a decimal point, nothing for what is missing."""
    flat = values.ravel()
    text: Callable[[Any], str] = _text if values.dtype.kind in "Ofb" else str
    result = np.empty(len(flat), dtype=object)
    result[:] = [text(value) for value in flat]
    return result.reshape(values.shape)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None or value is pd.NaT or value != value:  # noqa: PLR0124 - NaN alone differs from itself
        return ""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)
