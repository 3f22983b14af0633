"""Columns of table files: what the head of a file says of them, and Arrow arrays as the engine's NumPy arrays."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from audits.artefacts import Array, ColumnKind, FoundText
from audits.sources.compression import Compression
from schemas.data import CsvOptions
from schemas.problem import DataError

# Spellings of a hole in a column of numbers. In a column of text only the empty string is one: "?" and "None"
# may be categories there, and a model with a vocabulary was trained on them.
HOLES = frozenset(
    {"", "?", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NAN", "-nan", "-NaN", "NaT"}
    | {"null", "NULL", "Null", "None", "none", "NONE"}
    | {"-", "--", "."}
)
# Spellings that are no class name, whatever the classes are.
LABEL_HOLES = frozenset({"", "NaN", "nan", "NAN", "-nan", "null", "NULL", "N/A", "#N/A", "<NA>"})
MAX_COLUMNS = 10_000
SHOWN_CHARACTERS = 40
AS_FOUND = CsvOptions()
FIRST_AND_LAST_TIME = (-9_223_286_400 * 10**9, 9_223_286_400 * 10**9)  # whole days of 1677 and 2262
EXACT_WHOLE = 2.0**53  # beyond it, float64 skips whole numbers

_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*|\s*[+-]?inf(inity)?\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Observed:
    """What the head of a file says of a column.

    Attributes:
        kind: None where all of the head is holes.
        whole: all numbers are whole.
        holes: how holes are spelled, where that is not the empty string.
        text: the first value that is no number, in a column of text.
        unread: the type of a column that cannot be read.
        list_of: the column of lists of differing length that this is a place of.
        is_index: pandas wrote it as the rows' index, and reads it as no column.
        digits: numbers of more digits than the engine's numbers have: what identifies rows is read as text.
    """

    kind: ColumnKind | None
    whole: bool = False
    holes: tuple[str, ...] = ()
    text: FoundText | None = None
    unread: str | None = None
    list_of: str | None = None
    digits: bool = False
    is_index: bool = False


@dataclass(frozen=True)
class TableSource:
    """A file of a table before it is opened.

    Attributes:
        path: of the file.
        field: of the request, to blame.
        compression: what it is packed with.
        csv: how it is written, where that is a question.
        key: which of several tables in it.
        wanted: names that the request gives to columns.
        max_rows: no more will be read.
    """

    path: Path
    field: str
    compression: Compression | None = None
    csv: CsvOptions = AS_FOUND
    key: str | None = None
    wanted: frozenset[str] = frozenset()
    max_rows: int | None = None


@dataclass(frozen=True)
class Chunk:
    """Consecutive rows of one file, by column; `first_row` counts from 0 within the file."""

    first_row: int
    columns: Mapping[str, Array]
    n: int

    def head(self, n: int) -> "Chunk":
        """The first `n` rows."""
        if n >= self.n:
            return self
        return Chunk(self.first_row, {name: values[:n] for name, values in self.columns.items()}, n)

    def without(self, n: int) -> "Chunk":
        """All but the first `n` rows."""
        if n == 0:
            return self
        return Chunk(self.first_row + n, {name: values[n:] for name, values in self.columns.items()}, self.n - n)


class TableFile(Protocol):
    """An opened file of a table."""

    path: Path
    observed: Mapping[str, Observed]  # in file order
    is_empty: bool

    def chunks(self, kinds: Mapping[str, ColumnKind]) -> Iterator[Chunk]:
        """The named columns, as the kinds asked for.

        Raises:
            DataError: naming the row and the column that are of another kind.
        """
        ...

    def describe(self) -> dict[str, Any]:
        """How the file is read, for the report."""
        ...


@runtime_checkable
class DivisibleFile(TableFile, Protocol):
    """A file that need not be read from its first row on."""

    @property
    def borders(self) -> tuple[int, ...]:
        """Rows from which it can be read, ascending from 0, and the number of rows at the end."""
        ...

    def chunks_from(self, first_row: int, kinds: Mapping[str, ColumnKind]) -> Iterator[Chunk]:
        """As `chunks`, from one of the `borders` on."""
        ...


def require_sound_names(names: Sequence[str], source: TableSource) -> None:
    """Raises `data_too_many_columns` or `column_duplicated`."""
    if len(names) > MAX_COLUMNS:
        raise DataError(
            "data_too_many_columns",
            f"{source.path.name} has {len(names):,} columns; at most {MAX_COLUMNS:,} are read.",
            field=source.field,
            file=str(source.path),
        )
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise DataError(
                "column_duplicated",
                f"{source.path.name} has two columns named {name!r}. Give every column a name of its own.",
                field=source.field,
                file=str(source.path),
                column=name,
            )
        seen.add(name)


def require_read(name: str, observed: Observed, file: TableFile, field: str) -> None:
    """Raises `column_type_unsupported` for a column of a type that is not read."""
    if observed.unread is not None:
        raise DataError(
            "column_type_unsupported",
            f"Column {name!r} of {file.path.name} is of the type {observed.unread}. Numbers, truth values, texts, "
            "dates, times and lists of these are read: convert it (an image to its pixels, a struct to a column a "
            "field), or leave the column out in data.exclude.",
            field=field,
            file=str(file.path),
            column=name,
        )


def is_number(text: str) -> bool:
    return _NUMBER.fullmatch(text) is not None


def is_hole(text: str) -> bool:
    return text.strip() in HOLES


def first_text(
    values: list[str | None], file: Path, first_row: int = 0, *, fits: Callable[[str], bool] = is_number
) -> FoundText | None:
    """The first value that is neither a number (or what else `fits`) nor a hole."""
    for row, value in enumerate(values):
        if value is not None and not fits(value) and not is_hole(value):
            return FoundText(value[:SHOWN_CHARACTERS], first_row + row, str(file))
    return None


def kind_of(type_: pa.DataType) -> ColumnKind | None:
    """What a column of an Arrow type holds; None where it is all holes."""
    if pa.types.is_null(type_):
        return None
    if pa.types.is_boolean(type_):
        return "boolean"
    if pa.types.is_timestamp(type_) or pa.types.is_date(type_):
        return "time"
    return "number" if pa.types.is_integer(type_) or pa.types.is_floating(type_) else "string"


def text_in_numeric_column(column: str, found: FoundText, because: str, *, field: str | None = None) -> DataError:
    """The problem of a value that is no number where a number is needed."""
    mended = "Correct the value, or leave the cell empty where it is missing."
    if found.value.strip() == column:
        mended = "The names of the columns stand there a second time: remove that row."
    return DataError(
        "text_in_numeric_column",
        f"Column {column!r} holds {found.value!r} in row {found.row} of {Path(found.file).name} (the first is "
        f"row 0), but {because}. " + mended,
        field=field,
        file=found.file,
        row=found.row,
        column=column,
    )


def to_numpy(values: "pa.Array[Any]", kind: ColumnKind, *, whole: bool) -> Array:
    """An Arrow column as the array that `Batch` promises for its kind.

    Raises:
        pa.ArrowInvalid: a value is not of the kind.
    """
    if kind == "string":
        return _texts(values)
    if kind == "time":
        return np.asarray(_naive(values).to_numpy(zero_copy_only=False), dtype="datetime64[ns]")
    if pa.types.is_integer(values.type) and values.null_count == 0 and whole:
        return _whole(values)
    numbers = _numbers(values)
    return as_whole(numbers) if whole else numbers


def without_holes(texts: "pa.Array[Any]") -> "pa.Array[Any]":
    """Texts without blanks around them; null for the spellings of a hole."""
    trimmed = pc.utf8_trim_whitespace(texts)
    is_hole = pc.is_in(trimmed, value_set=pa.array(sorted(HOLES), type=trimmed.type))
    return cast("pa.Array[Any]", pc.if_else(is_hole, pa.scalar(None, trimmed.type), trimmed))


def as_whole(numbers: Array) -> Array:
    """int64 where all values are whole and exactly representable, else the numbers as they are."""
    if numbers.dtype.kind != "f" or not np.isfinite(numbers).all():
        return numbers
    if (np.abs(numbers) > EXACT_WHOLE).any() or (np.floor(numbers) != numbers).any():
        return numbers
    return numbers.astype(np.int64)


def beyond_exact(whole: "pa.Array[Any] | pa.ChunkedArray[Any]") -> bool:
    """Whether some of the whole numbers are such that float64 may skip them."""
    least, most = pc.min(whole).as_py(), pc.max(whole).as_py()
    return least is not None and (abs(least) > EXACT_WHOLE or abs(most) > EXACT_WHOLE)


def _whole(values: "pa.Array[Any]") -> Array:
    if pa.types.is_uint64(values.type):
        raw = values.to_numpy(zero_copy_only=False)
        return raw.astype(np.int64) if raw.max(initial=0) <= np.iinfo(np.int64).max else raw.astype(np.float64)
    return np.asarray(values.cast(pa.int64()).to_numpy(zero_copy_only=False))


def _numbers(values: "pa.Array[Any]") -> Array:
    """float64, NaN for holes."""
    if pa.types.is_boolean(values.type):
        values = values.cast(pa.int8())
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        values = without_holes(values)
    numbers = values.cast(pa.float64(), safe=False)
    return np.array(numbers.to_numpy(zero_copy_only=False), dtype=np.float64)


def _texts(values: "pa.Array[Any]") -> Array:
    """Objects, None for missing; numbers and truth values as plain text."""
    if values.type == pa.null():
        return np.full(len(values), None, dtype=object)
    if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
        values = values.cast(pa.string())
    return np.asarray(values.to_numpy(zero_copy_only=False), dtype=object)


def _naive(values: "pa.Array[Any]") -> "pa.Array[Any]":
    """Timestamps in UTC, without a zone; "9999-12-31" and its like as the last that nanoseconds can tell."""
    if not pa.types.is_timestamp(values.type):
        values = values.cast(pa.timestamp("us"))
    naive = values.cast(pa.timestamp(values.type.unit))  # of what has a zone, Arrow holds UTC
    first, last = (pa.scalar(end, pa.timestamp("ns")).cast(naive.type) for end in FIRST_AND_LAST_TIME)
    within = pc.max_element_wise(pc.min_element_wise(naive, last, skip_nulls=False), first, skip_nulls=False)
    return cast("pa.Array[Any]", within.cast(pa.timestamp("ns")))
