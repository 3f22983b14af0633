"""CSV files, streamed through Arrow: how they are written is found from the head, and said in the report."""

import csv
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import IO, Any, Literal, cast

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from audits.artefacts import ColumnKind, FoundText
from audits.sources.compression import unpacked
from audits.sources.damage import malformed
from audits.sources.tables.columns import (
    HOLES,
    Chunk,
    Observed,
    TableSource,
    beyond_exact,
    first_text,
    kind_of,
    require_sound_names,
    text_in_numeric_column,
    to_numpy,
)
from audits.sources.tables.csv_dialect import DELIMITERS, WHITESPACE, sniff
from audits.sources.tables.csv_numbers import PLAIN, NumberFormat, format_of, has_decimal_commas
from audits.sources.tables.csv_text import BLOCK_BYTES, Rows, TextError, Utf8, row_of_open_quote
from schemas.problem import DataError

HEAD_BYTES = 2**20

_HEXADECIMAL = r"^\s*[+-]?0[xX]"
# More than float64 tells apart.
_MANY_DIGITS = r"^\s*[+-]?[0-9]{16,}\s*$"
_TRUE, _FALSE = ["true", "True", "TRUE"], ["false", "False", "FALSE"]
# Arrow compares whole cells, and files written by hand put a blank after the comma.
_NULL_VALUES = sorted(HOLES) + [" " + hole for hole in sorted(HOLES)]


class CsvFile:
    """A CSV file.

    Raises:
        DataError: when it is opened: `data_encoding`, `data_malformed`, `data_cell_too_large`, `column_duplicated`,
            `data_too_many_columns`.
    """

    def __init__(self, source: TableSource) -> None:
        self.path = source.path
        self._source = source
        self._ragged: tuple[int, int] | None = None
        self._blank_rows = 0
        head, self._encoding = self._head()
        try:
            self._dialect = sniff(head, source.csv, source.wanted)
        except csv.Error:  # a cell beyond the csv module's limit of 128 KiB
            self._require_few_columns(head)
            raise self._malformed(
                "data_cell_too_large", "one of its first cells is longer than 131,072 characters"
            ) from None
        self._delimiter = "\t" if self._dialect.delimiter == WHITESPACE else self._dialect.delimiter
        self._preamble = len(head[: self._dialect.preamble].encode())
        # Arrow wants names that differ; those without a name are never asked for
        self._names = tuple(name or f"\0{place}" for place, name in enumerate(self._dialect.names))
        if self._dialect.has_header:
            require_sound_names([name for name in self._dialect.names if name], source)
        require_sound_names([str(place) for place in range(len(self._names))], source)
        self._decimal = source.csv.decimal or "."
        self._formats: dict[str, NumberFormat] = {}
        self.observed: Mapping[str, Observed] = {}
        self.is_empty = True
        self._types: dict[str, pa.DataType] = {}
        self._comments_before = self._count_comments(head[: self._dialect.preamble])
        self._comments = self._comments_before
        if self._names:
            self.observed = dict.fromkeys(self._dialect.names, Observed(None))
            if not self._has_no_rows(head):
                self._observe()
            elif self._is_cut:
                raise self._malformed(
                    "data_cell_too_large", f"no row of data ends within its first {HEAD_BYTES:,} bytes"
                )

    def describe(self) -> dict[str, Any]:
        dialect = self._dialect
        found = {
            "delimiter": dialect.delimiter,
            "header": dialect.has_header,
            "encoding": self._encoding,
            "decimal": self._decimal,
            "compression": self._source.compression,
            "blanks": "removed around cells" if dialect.trim and dialect.delimiter != WHITESPACE else None,
            "comment_lines": self._comments or None,
            "number_formats": {name: one.describe() for name, one in self._formats.items() if one != PLAIN} or None,
            "notes": list(dialect.notes) or None,
        }
        return {name: value for name, value in found.items() if value is not None}

    def chunks(self, kinds: Mapping[str, ColumnKind]) -> Iterator[Chunk]:
        if self.is_empty:
            return
        types = {name: self._read_type(name, kind) for name, kind in kinds.items()}
        row = 0
        try:
            for batch in self._stream(types, BLOCK_BYTES, list(kinds)):
                columns = {name: self._convert(batch.column(name), name, kind) for name, kind in kinds.items()}
                yield Chunk(row, columns, batch.num_rows)
                row += batch.num_rows
        except pa.ArrowInvalid as error:
            raise self._explain(error, types) from None

    def _convert(self, values: "pa.Array[Any]", name: str, kind: ColumnKind) -> Any:
        whole = self.observed[name].whole
        if kind == "number" and pa.types.is_string(values.type):
            return to_numpy(self._formats[name].read(values), kind, whole=whole)
        return to_numpy(_without_empty(values), kind, whole=whole)

    def _has_no_rows(self, head: str) -> bool:
        """Whether nothing but blank lines and comments comes after the header."""
        after = head[self._dialect.preamble :]
        return sum(bool(line.strip()) for line in after.splitlines()) == self._count_comments(after)

    def _count_comments(self, text: str) -> int:
        comment = self._dialect.comment
        return 0 if comment is None else sum(line.startswith(comment) for line in text.splitlines())

    def _head(self) -> tuple[str, str]:
        """The first whole lines as text, and how they are encoded."""
        with unpacked(self.path, self._source.compression, field=self._source.field) as stream:
            text = Utf8(stream, self._source.csv.encoding)
            parts: list[bytes] = []
            try:
                while sum(map(len, parts)) < HEAD_BYTES and (part := text.read(HEAD_BYTES)):
                    parts.append(part)
                self._is_cut = bool(text.read(1))
            except TextError as error:
                raise self._malformed(error.code, error.why) from None
        head = b"".join(parts).decode()
        if self._is_cut:
            whole = max(head.rfind("\n"), head.rfind("\r")) + 1
            if not whole:
                self._require_few_columns(head)
                raise self._malformed("data_cell_too_large", f"its first row is longer than {HEAD_BYTES:,} bytes")
            head = head[:whole]
        return head, self._said_encoding(text)

    def _require_few_columns(self, head: str) -> None:
        """Of a file that cannot be cut into cells, whose first line may have too many of them.

        Raises:
            DataError: `data_too_many_columns`.
        """
        first = "".join(head.split('"')[0::2]).split("\n", maxsplit=1)[0]  # without what stands in quotes
        delimiters = [self._source.csv.delimiter] if self._source.csv.delimiter in DELIMITERS else DELIMITERS
        cells = 1 + max(first.count(delimiter) for delimiter in delimiters)
        require_sound_names([str(place) for place in range(cells)], self._source)

    @staticmethod
    def _said_encoding(text: Utf8) -> str:
        if text.switched_at is None:
            return text.encoding
        return f"{text.encoding}, since it is not UTF-8 at byte {text.switched_at:,}"

    def _observe(self) -> None:
        """Look at the first block: column kinds, whole numbers, spellings of holes, formats of numbers."""
        typed = self._first_block(None)
        texts = self._first_block(dict.fromkeys(self._names, pa.string()))
        said = self._source.csv.decimal
        if said is None and any(
            has_decimal_commas(texts.column(place))
            for place, type_ in enumerate(typed.schema.types)
            if type_ == pa.string()
        ):
            self._decimal = ","
        if self._decimal == ",":
            typed = self._first_block(None)
        decimal = said or self._likely_decimal(typed, texts)
        self.is_empty = texts.num_rows == 0
        self._types = dict(zip(self._names, typed.schema.types, strict=True))
        observed: dict[str, Observed] = {}
        for place, name in enumerate(self._dialect.names):
            if name or "" not in observed:
                observed[name] = self._observe_column(name, typed.column(place), texts.column(place), decimal)
        self.observed = observed

    def _likely_decimal(self, typed: pa.Table, texts: pa.Table) -> str | None:
        """The decimal sign that decides how "1,234" is read: the file's, or the one that goes with the delimiter."""
        if self._decimal == ",":
            return ","
        for place, type_ in enumerate(typed.schema.types):
            if pa.types.is_floating(type_) and pc.any(pc.match_substring(texts.column(place), ".")).as_py():
                return "."
        # where the comma is the decimal sign, spreadsheets write semicolons between cells
        return {";": ",", ",": "."}.get(self._dialect.delimiter)

    def _observe_column(
        self, name: str, typed: "pa.ChunkedArray[Any]", texts: "pa.ChunkedArray[Any]", decimal: str | None
    ) -> Observed:
        kind = kind_of(typed.type)
        if pa.types.is_integer(typed.type) and pc.any(pc.match_substring_regex(texts, _HEXADECIMAL)).as_py():
            # Arrow's whole numbers, and nobody else's
            return Observed("string", text=first_text(texts.to_pylist(), self.path, fits=self._is_number))
        if kind == "string":
            values = [value for value in texts.to_pylist() if value is not None]
            found = format_of(values, decimal=decimal)
            if found is None and any(value.strip() not in HOLES for value in values):
                return Observed("string", text=first_text(texts.to_pylist(), self.path, fits=self._is_number))
            self._formats[name] = found or PLAIN
            holes = {value.strip() for value in values if value.strip() in HOLES} - {""}
            numbers = self._formats[name].read(texts.combine_chunks())
            is_whole = pc.all(pc.equal(pc.floor(numbers), numbers)).as_py()
            return Observed("number" if found else None, bool(is_whole), tuple(sorted(holes)))
        if pa.types.is_integer(typed.type) and beyond_exact(typed):
            self._formats[name] = PLAIN  # read as text, of which every digit counts
        spelled = texts.filter(typed.is_null()).unique().to_pylist() if typed.null_count else []
        holes = {value.strip() for value in spelled if value and value.strip()}
        return Observed(
            kind, pa.types.is_integer(typed.type), tuple(sorted(holes)), digits=_has_more_digits(typed, texts)
        )

    def _first_block(self, types: Mapping[str, pa.DataType] | None) -> pa.Table:
        """The first rows, with the types given or else inferred."""
        with self._reader(types or {}, HEAD_BYTES, None) as (reader, _):
            try:
                return pa.Table.from_batches([reader.read_next_batch()])
            except StopIteration:
                return reader.schema.empty_table()

    def _stream(self, types: Mapping[str, pa.DataType], block_bytes: int, names: list[str]) -> Iterator[pa.RecordBatch]:
        with self._reader(types, block_bytes, names) as (reader, rows):
            yield from reader
            self._comments = self._comments_before + rows.comments
            if rows.quotes % 2:
                self._require_closed_quotes()

    @contextmanager
    def _reader(
        self, types: Mapping[str, pa.DataType], block_bytes: int, names: list[str] | None
    ) -> Iterator[tuple[arrow_csv.CSVStreamingReader, Rows]]:
        """Raises problems for what is wrong in the first block, or with the text anywhere."""
        self._ragged, self._blank_rows = None, 0
        with unpacked(self.path, self._source.compression, field=self._source.field) as stream:
            text = Utf8(stream, self._source.csv.encoding)
            rows = Rows(text, self._dialect, self._preamble)
            try:
                # without threads, Arrow counts the rows
                reader = arrow_csv.open_csv(
                    cast("IO[Any]", rows),
                    read_options=arrow_csv.ReadOptions(
                        block_size=block_bytes, use_threads=False, column_names=list(self._names)
                    ),
                    parse_options=arrow_csv.ParseOptions(
                        delimiter=self._delimiter, newlines_in_values=True, invalid_row_handler=self._on_ragged_row
                    ),
                    convert_options=arrow_csv.ConvertOptions(
                        column_types=dict(types),
                        include_columns=names,
                        null_values=_NULL_VALUES,
                        true_values=_TRUE,
                        false_values=_FALSE,
                        decimal_point=self._decimal,
                    ),
                )
                yield reader, rows
            except TextError as error:
                raise self._malformed(error.code, error.why) from None
            except pa.ArrowInvalid as error:
                raise self._explain(error, types) from None
            finally:
                self._encoding = self._said_encoding(text)

    def _on_ragged_row(self, row: arrow_csv.InvalidRow) -> Literal["skip", "error"]:
        if not row.text.strip(" \t\x1a"):  # a blank line, or the end mark of DOS
            self._blank_rows += 1
            return "skip"
        number = (row.number or 1) - 1 - self._blank_rows
        self._ragged = self._ragged or (number, row.actual_columns)
        return "error"

    def _read_type(self, name: str, kind: ColumnKind) -> pa.DataType:
        """The Arrow type to parse a column as, so that `_convert` can make the kind of it."""
        inferred = self._types[name]
        if kind == "string" or (kind == "number" and name in self._formats):
            return pa.string()
        if kind == "time":
            return inferred if pa.types.is_timestamp(inferred) else pa.timestamp("us")
        return pa.bool_() if pa.types.is_boolean(inferred) else pa.float64()

    def _explain(self, error: pa.ArrowInvalid, types: Mapping[str, pa.DataType]) -> DataError:
        """Turn what the parser says into a problem that names the row and the column."""
        message = str(error).split("\n")[0]
        if "straddling" in message:
            return self._malformed("data_cell_too_large", f"a row is longer than {BLOCK_BYTES:,} bytes")
        if self._ragged is not None:
            row, got = self._ragged
            self._require_closed_quotes()
            above = "the header" if self._dialect.has_header else "the first row"
            return self._malformed("data_malformed", f"row {row} has {got} cells, {above} {len(self._names)}", row)
        return self._culprit(types) or self._malformed("data_malformed", f"the parser says: {message[:200]}")

    def _malformed(self, code: str, why: str, row: int | None = None) -> DataError:
        return malformed(self.path, "CSV", why, field=self._source.field, row=row, code=code)

    def _require_closed_quotes(self) -> None:
        """A quote that is never closed makes one cell of all that follows."""
        with unpacked(self.path, self._source.compression, field=self._source.field) as stream:
            rows = Rows(Utf8(stream, self._source.csv.encoding), self._dialect, self._preamble)
            row = row_of_open_quote(rows, self._delimiter)
        if row is not None:
            raise self._malformed("data_malformed", f"a quote in row {row} is never closed", row)

    def _culprit(self, types: Mapping[str, pa.DataType]) -> DataError | None:
        """The first value that is not of its column's type, looked for in the whole file as text."""
        tests = {name: test for name, type_ in types.items() if (test := self._test_of(name, type_)) is not None}
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

    def _test_of(self, name: str, type_: pa.DataType) -> Callable[[str], bool] | None:
        """Whether a cell is of the type; None where every cell is."""
        if pa.types.is_string(type_):
            written = self._formats.get(name)
            return None if written is None else lambda cell: written.fits(cell.strip())
        if pa.types.is_floating(type_):
            return self._is_number
        if pa.types.is_boolean(type_):
            return lambda cell: cell in _TRUE or cell in _FALSE
        return lambda cell: _is_time(cell, type_)

    def _is_number(self, cell: str) -> bool:
        return replace(PLAIN, decimal=self._decimal).fits(cell.strip())

    def _wrong_type(self, name: str, found: FoundText, type_: pa.DataType) -> DataError:
        if pa.types.is_floating(type_) or pa.types.is_string(type_):
            return text_in_numeric_column(name, found, "the rows before it hold numbers", field=self._source.field)
        held = "truth values" if pa.types.is_boolean(type_) else "time stamps"
        return DataError(
            "column_types_differ",
            f"Column {name!r} holds {found.value!r} in row {found.row} of {self.path.name}, but {held} before. "
            "Write it in the same way in every row.",
            field=self._source.field,
            file=found.file,
            row=found.row,
            column=name,
        )


def _has_more_digits(typed: "pa.ChunkedArray[Any]", texts: "pa.ChunkedArray[Any]") -> bool:
    """Whether whole numbers have more digits than the numbers that they are read as."""
    if pa.types.is_integer(typed.type):
        return bool(typed.null_count) and beyond_exact(typed)
    return pa.types.is_floating(typed.type) and bool(pc.any(pc.match_substring_regex(texts, _MANY_DIGITS)).as_py())


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
