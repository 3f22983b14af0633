"""CSV files, streamed: delimiter, decimal sign, encoding and column kinds are found from the head."""

import codecs
import csv
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from audits.artefacts import ColumnKind, FoundText
from audits.sources.tables.columns import (
    HOLES,
    MAX_COLUMNS,
    Chunk,
    Observed,
    first_text,
    is_hole,
    is_number,
    text_in_numeric_column,
    to_numpy,
)
from schemas.problem import DataError

HEAD_BYTES = 2**20
BLOCK_BYTES = 4 * 2**20  # also the longest row
DELIMITERS = (",", ";", "\t", "|")
SNIFFED_ROWS = 20

_DECIMAL_COMMA = re.compile(r"\s*[+-]?\d+,\d+([eE][+-]?\d+)?\s*")
_RAGGED = re.compile(r"Expected (?P<expected>\d+) columns, got (?P<got>\d+)")
_TRUE, _FALSE = ["true", "True", "TRUE"], ["false", "False", "FALSE"]
_BLANK = " "
# Arrow compares whole cells, and files written by hand put a blank after the comma.
_NULL_VALUES = sorted(HOLES) + [_BLANK + hole for hole in sorted(HOLES)]


@dataclass(frozen=True)
class _Dialect:
    delimiter: str
    decimal: str = "."


class CsvFile:
    """A CSV file with a header line.

    Raises:
        DataError: when it is opened: `data_encoding`, `data_malformed`, `column_duplicated`, `data_too_many_columns`.
    """

    def __init__(self, path: Path, *, field: str) -> None:
        self.path = path
        self._field = field
        head = self._head()
        try:
            self._dialect = _Dialect(_sniff(head))
            self._require_sound_header(head)
        except csv.Error:  # a cell beyond the csv module's limit of 128 KiB
            raise self._malformed(
                "data_cell_too_large", "one of its first cells is longer than 131,072 characters"
            ) from None
        self.observed: Mapping[str, Observed] = {}
        self.is_empty = True
        self._types: dict[str, pa.DataType] = {}
        if head.strip():
            self._observe()

    def describe(self) -> dict[str, Any]:
        return {"delimiter": self._dialect.delimiter, "decimal": self._dialect.decimal}

    def chunks(self, kinds: Mapping[str, ColumnKind]) -> Iterator[Chunk]:
        if self.is_empty:
            return
        types = {name: self._read_type(name, kind) for name, kind in kinds.items()}
        row = 0
        try:
            for batch in self._stream(types, BLOCK_BYTES, list(kinds)):
                columns = {
                    name: to_numpy(_without_empty(batch.column(name)), kind, whole=self.observed[name].whole)
                    for name, kind in kinds.items()
                }
                yield Chunk(row, columns, batch.num_rows)
                row += batch.num_rows
        except pa.ArrowInvalid as error:
            raise self._explain(error, types) from None

    def _head(self) -> str:
        """The first bytes as text.

        Raises:
            DataError: `data_encoding`.
        """
        with self.path.open("rb") as file:
            raw = file.read(HEAD_BYTES)
        for mark, name in ((codecs.BOM_UTF16_LE, "UTF-16"), (codecs.BOM_UTF16_BE, "UTF-16")):
            if raw.startswith(mark):
                raise self._wrong_encoding(0, name)
        try:
            # a character may be cut in two at the end of the head
            head = codecs.getincrementaldecoder("utf-8")().decode(raw, final=len(raw) < HEAD_BYTES)
            return head.removeprefix("\ufeff")
        except UnicodeDecodeError as error:
            raise self._wrong_encoding(error.start) from None

    def _wrong_encoding(self, offset: int, name: str | None = None) -> DataError:
        held = f"is {name}" if name else f"is not UTF-8 at byte {offset}"
        return DataError(
            "data_encoding",
            f"{self.path.name} {held}. Save it as UTF-8, for instance with iconv -f {name or 'LATIN1'} -t UTF-8.",
            field=self._field,
            file=str(self.path),
        )

    def _require_sound_header(self, head: str) -> None:
        names = next(csv.reader(StringIO(head), delimiter=self._dialect.delimiter), [])
        if len(names) > MAX_COLUMNS:
            raise DataError(
                "data_too_many_columns",
                f"{self.path.name} has {len(names):,} columns; at most {MAX_COLUMNS:,} are read.",
                field=self._field,
                file=str(self.path),
            )
        seen: set[str] = set()
        for name in names:
            if name in seen and name:
                raise DataError(
                    "column_duplicated",
                    f"{self.path.name} has two columns named {name!r}. Give every column a name of its own.",
                    field=self._field,
                    file=str(self.path),
                    column=name,
                )
            seen.add(name)

    def _observe(self) -> None:
        """Look at the first block: column kinds, whole numbers, spellings of holes, the decimal sign."""
        typed = self._first_block(None)
        texts = self._first_block(dict.fromkeys(typed.schema.names, pa.string()))
        if self._dialect.delimiter != "," and _has_decimal_commas(typed, texts):
            self._dialect = _Dialect(self._dialect.delimiter, ",")
            typed = self._first_block(None)
        self.is_empty = texts.num_rows == 0
        self._types = dict(zip(typed.schema.names, typed.schema.types, strict=True))
        self.observed = {
            name: self._observe_column(typed.column(place), texts.column(place))
            for place, name in enumerate(typed.schema.names)
        }

    def _observe_column(self, typed: "pa.ChunkedArray[Any]", texts: "pa.ChunkedArray[Any]") -> Observed:
        kind = _kind_of(typed.type)
        if kind == "string":
            return Observed("string", text=first_text(texts.to_pylist(), self.path, fits=self._is_number))
        spelled = texts.filter(typed.is_null()).unique().to_pylist() if typed.null_count else []
        holes = {value.strip() for value in spelled if value and value.strip()}
        return Observed(kind, pa.types.is_integer(typed.type), tuple(sorted(holes)))

    def _first_block(self, types: Mapping[str, pa.DataType] | None) -> pa.Table:
        """The first rows, with the types given or else inferred."""
        with self._open(types or {}, HEAD_BYTES, None) as reader:
            try:
                return pa.Table.from_batches([reader.read_next_batch()])
            except StopIteration:
                return reader.schema.empty_table()

    def _stream(self, types: Mapping[str, pa.DataType], block_bytes: int, names: list[str]) -> Iterator[pa.RecordBatch]:
        with self._open(types, block_bytes, names) as reader:
            yield from reader

    def _open(
        self, types: Mapping[str, pa.DataType], block_bytes: int, names: list[str] | None, *, threads: bool = False
    ) -> arrow_csv.CSVStreamingReader:
        """Raises `data_malformed` for what is wrong in the first block."""
        try:
            return arrow_csv.open_csv(
                self.path,
                read_options=arrow_csv.ReadOptions(block_size=block_bytes, use_threads=threads),
                parse_options=arrow_csv.ParseOptions(delimiter=self._dialect.delimiter, newlines_in_values=True),
                convert_options=arrow_csv.ConvertOptions(
                    column_types=dict(types),
                    include_columns=names,
                    null_values=_NULL_VALUES,
                    true_values=_TRUE,
                    false_values=_FALSE,
                    decimal_point=self._dialect.decimal,
                ),
            )
        except pa.ArrowInvalid as error:
            raise self._explain(error, types) from None

    def _read_type(self, name: str, kind: ColumnKind) -> pa.DataType:
        """The Arrow type to parse a column as, so that `to_numpy` can make the kind of it."""
        inferred = self._types[name]
        if kind == "string":
            return pa.string()
        if kind == "time":
            return inferred if pa.types.is_timestamp(inferred) else pa.timestamp("ns")
        return pa.bool_() if pa.types.is_boolean(inferred) else pa.float64()

    def _explain(self, error: pa.ArrowInvalid, types: Mapping[str, pa.DataType]) -> DataError:
        """Turn what the parser says into a problem that names the row and the column."""
        message = str(error).split("\n")[0]
        if "straddling" in message:
            return self._malformed("data_cell_too_large", f"a row is longer than {BLOCK_BYTES:,} bytes")
        if ragged := _RAGGED.search(message):
            expected, got = ragged["expected"], ragged["got"]
            return self._ragged(int(expected), int(got))
        if "UTF8" in message or "UTF-8" in message:
            return self._wrong_encoding(self._invalid_byte())
        return self._culprit(types) or self._malformed("data_malformed", f"the parser says: {message[:200]}")

    def _malformed(self, code: str, why: str, row: int | None = None) -> DataError:
        return DataError(
            code,
            f"{self.path.name} cannot be read as CSV: {why}. Correct the file.",
            field=self._field,
            file=str(self.path),
            row=row,
        )

    def _ragged(self, expected: int, got: int) -> DataError:
        """The first row that has another number of cells than the header."""
        row = None
        with self.path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file, delimiter=self._dialect.delimiter)
            for number, cells in enumerate(row for row in rows if row):
                if len(cells) != expected:
                    row, got = number - 1, len(cells)
                    break
        return self._malformed("data_malformed", f"row {row} has {got} cells, the header {expected}", row)

    def _invalid_byte(self) -> int:
        """The offset of the first byte that is not UTF-8."""
        decoder, offset = codecs.getincrementaldecoder("utf-8")(), 0
        with self.path.open("rb") as file:
            while block := file.read(HEAD_BYTES):
                pending = len(decoder.getstate()[0])
                try:
                    decoder.decode(block)
                except UnicodeDecodeError as error:
                    return offset - pending + error.start
                offset += len(block)
        return offset

    def _culprit(self, types: Mapping[str, pa.DataType]) -> DataError | None:
        """The first value that is not of its column's type, looked for in the whole file as text."""
        tests = {name: self._test_of(type_) for name, type_ in types.items() if type_ != pa.string()}
        row = 0
        for batch in self._stream(dict.fromkeys(tests, pa.string()), BLOCK_BYTES, list(tests)) if tests else ():
            found = {
                name: first_text(batch.column(name).to_pylist(), self.path, row, fits=fits)
                for name, fits in tests.items()
            }
            located = [(text.row, name, text) for name, text in found.items() if text is not None]
            if located:
                _, name, text = min(located, key=lambda item: item[:2])
                return self._wrong_type(name, text, types[name])
            row += batch.num_rows
        return None

    def _test_of(self, type_: pa.DataType) -> Callable[[str], bool]:
        """Whether a cell is of the type."""
        if pa.types.is_floating(type_):
            return self._is_number
        if pa.types.is_boolean(type_):
            return lambda cell: cell in _TRUE or cell in _FALSE
        return lambda cell: _is_time(cell, type_)

    def _is_number(self, cell: str) -> bool:
        return is_number(cell.replace(",", ".", 1) if self._dialect.decimal == "," else cell)

    def _wrong_type(self, name: str, found: FoundText, type_: pa.DataType) -> DataError:
        if pa.types.is_floating(type_):
            return text_in_numeric_column(name, found, "the rows before it hold numbers", field=self._field)
        held = "truth values" if pa.types.is_boolean(type_) else "time stamps"
        return DataError(
            "column_types_differ",
            f"Column {name!r} holds {found.value!r} in row {found.row} of {self.path.name}, but {held} before. "
            "Write it in the same way in every row.",
            field=self._field,
            file=found.file,
            row=found.row,
            column=name,
        )


def _is_time(cell: str, type_: pa.DataType) -> bool:
    try:
        pa.array([cell]).cast(type_)
    except pa.ArrowInvalid:
        return False
    return True


def _without_empty(values: "pa.Array[Any]") -> "pa.Array[Any]":
    """An empty cell of text is a hole."""
    if not pa.types.is_string(values.type):
        return values
    is_empty = pc.equal(values, pa.scalar(""))
    return cast("pa.Array[Any]", pc.if_else(is_empty, pa.scalar(None, pa.string()), values))


def _sniff(head: str) -> str:
    """The delimiter that cuts the first rows into the same number of cells, and into most of them."""
    start = "".join(head.splitlines(keepends=True)[: 4 * SNIFFED_ROWS])

    def cells(delimiter: str) -> tuple[bool, int]:
        rows = [row for row in csv.reader(StringIO(start), delimiter=delimiter) if row][:SNIFFED_ROWS]
        widths = {len(row) for row in rows}
        return (len(widths) == 1 and max(widths) > 1, len(rows[0]) if rows else 0)

    return max(DELIMITERS, key=cells)


def _has_decimal_commas(typed: pa.Table, texts: pa.Table) -> bool:
    """Whether a column of text is one of numbers written with a decimal comma."""
    for place, type_ in enumerate(typed.schema.types):
        cells = texts.column(place).to_pylist() if type_ == pa.string() else []
        values = [cell for cell in cells if cell is not None and not is_hole(cell)]
        if any(_DECIMAL_COMMA.fullmatch(v) for v in values) and all(
            _DECIMAL_COMMA.fullmatch(v) or v.strip().lstrip("+-").isdigit() for v in values
        ):
            return True
    return False


def _kind_of(type_: pa.DataType) -> ColumnKind | None:
    if pa.types.is_null(type_):
        return None
    if pa.types.is_boolean(type_):
        return "boolean"
    if pa.types.is_timestamp(type_) or pa.types.is_date(type_):
        return "time"
    return "number" if pa.types.is_integer(type_) or pa.types.is_floating(type_) else "string"
