"""JSON lines: one object a line, streamed through Arrow; the first block says what the columns are."""

import io
import json
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from typing import Any, BinaryIO, cast

import numpy as np
import pyarrow as pa
from pyarrow import json as arrow_json

from audits.sources.compression import unpacked
from audits.sources.damage import malformed
from audits.sources.tables.arrow_files import TypedFile, first_line
from audits.sources.tables.columns import MAX_COLUMNS, SHOWN_CHARACTERS, beyond_exact, require_sound_names
from schemas.problem import DataError

HEAD_BYTES = 2**20
BLOCK_BYTES = 4 * 2**20  # also the longest line
# Arrow's reader calls itself for each level, until its stack is full and the process ends.
MAX_DEPTH = 100


class JsonFile(TypedFile):
    """A file of JSON lines.

    Numbers are read as float64, so that a fraction may come after whole numbers; whole ones beyond 2^53 as they are.
    """

    format = "JSON lines"

    def describe(self) -> dict[str, Any]:
        packed = self._source.compression
        return super().describe() | ({"compression": packed} if packed else {})

    def _read_schema(self) -> pa.Schema:
        self._require_few_names()
        try:
            with self._reader(None, HEAD_BYTES) as reader:
                first = reader.read_next_batch()
                self._first_rows = int(first.num_rows)
                self._large = {
                    place
                    for place, values in enumerate(first.columns)
                    if pa.types.is_integer(values.type) and beyond_exact(values)
                }
                return cast(pa.Schema, reader.schema)
        except StopIteration:
            self._first_rows = 0
            self._large = set[int]()
            return pa.schema([])
        except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
            raise self._culprit(None, error) from None

    def _has_no_rows(self) -> bool:
        return self._first_rows == 0

    def _batches(self, names: list[str]) -> Iterator[pa.RecordBatch]:
        schema = pa.schema([(name, self._read_type(name)) for name in names])
        try:
            with self._reader(schema, BLOCK_BYTES) as reader:
                yield from reader
        except (pa.ArrowException, UnicodeDecodeError) as error:
            raise self._culprit(schema, error) from None

    def _read_type(self, name: str) -> pa.DataType:
        declared = self._declared(name)
        return declared if self._schema.get_field_index(name) in self._large else _wide(declared)

    @contextmanager
    def _reader(self, schema: pa.Schema | None, block_bytes: int) -> Iterator[Any]:
        with self._unmarked() as stream:
            yield arrow_json.open_json(
                cast(BinaryIO, _Shallow(stream, self._too_deep)),
                read_options=arrow_json.ReadOptions(block_size=block_bytes, use_threads=False),
                parse_options=arrow_json.ParseOptions(
                    explicit_schema=schema, unexpected_field_behavior="infer" if schema is None else "ignore"
                ),
            )

    @contextmanager
    def _unmarked(self) -> Iterator[BinaryIO]:
        """The file's bytes, unpacked, without a byte order mark."""
        with unpacked(self.path, self._source.compression, field=self._source.field) as stream:
            if cast(BufferedReader, stream).peek(3)[:3] == BOM_UTF8:
                stream.read(3)
            yield stream

    def _require_few_names(self) -> None:
        """Of the head: Arrow takes as long as the square of the number of names, where every line has others.

        Raises:
            DataError: `data_too_many_columns`.
        """
        with self._unmarked() as stream:
            lines = stream.read(HEAD_BYTES).splitlines()
        names: set[str] = set()
        for line in lines:
            with suppress(ValueError, RecursionError):  # what is no JSON is named later
                names.update(_names(json.loads(line)))
            if len(names) > MAX_COLUMNS:
                require_sound_names(sorted(names), self._source)

    def _too_deep(self) -> DataError:
        return self._problem("data_malformed", f"its values are nested more than {MAX_DEPTH} deep")

    def _culprit(self, schema: pa.Schema | None, error: BaseException) -> DataError:
        """The first line that is no object, or that holds another type than the lines before."""
        if "straddling" in str(error):
            return self._problem("data_cell_too_large", f"a line is longer than {BLOCK_BYTES:,} bytes")
        seen = {} if schema is None else {field.name: _said(field.type) for field in schema}
        with self._unmarked() as stream:
            row = 0
            for line in iter(lambda: stream.readline(BLOCK_BYTES + 1), b""):
                if not line.strip():
                    continue
                try:
                    entry = json.loads(line)
                except UnicodeDecodeError:
                    return self._problem("data_encoding", f"row {row} is not UTF-8", row)
                except (ValueError, RecursionError):
                    return self._problem("data_malformed", f"row {row} is no JSON object", row)
                if not isinstance(entry, dict):
                    return self._problem("data_malformed", f"row {row} is no JSON object but {_said(entry)}", row)
                for name, value in entry.items():
                    held, before = _said(value), seen.get(name)
                    if before is not None and held is not None and held != before:
                        return self._wrong_type(name, value, before, row)
                    if schema is None and held is not None:
                        seen[name] = held
                row += 1
        return self._malformed(first_line(error))

    def _wrong_type(self, name: str, value: Any, before: str, row: int) -> DataError:
        is_text = isinstance(value, str) and before == "a number"
        shown = json.dumps(value, ensure_ascii=False)[:SHOWN_CHARACTERS]
        return DataError(
            "text_in_numeric_column" if is_text else "column_types_differ",
            f"Column {name!r} holds {shown} in row {row} of {self.path.name}, but {before} in the rows before. Write "
            "it in the same way in every row, and null where it is missing.",
            field=self._source.field,
            file=str(self.path),
            row=row,
            column=name,
        )

    def _problem(self, code: str, why: str, row: int | None = None) -> DataError:
        return malformed(self.path, self.format, why, field=self._source.field, row=row, code=code)


class _Shallow(io.RawIOBase):
    """Passes JSON on for as long as it is nested no deeper than `MAX_DEPTH`.

    Brackets are counted outside of texts; where the file is no JSON, they are counted up to there at least.
    """

    _QUOTE = ord('"')
    _STEPS = np.zeros(256, np.int8)
    _STEPS[list(b"[{")], _STEPS[list(b"]}")] = 1, -1

    def __init__(self, stream: BinaryIO, too_deep: Callable[[], DataError]) -> None:
        self._stream = stream
        self._too_deep = too_deep
        self._is_in_text = False
        self._depth = 0
        self._cut = b""  # a backslash whose next character is not known yet

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        block = self._stream.read(size)
        self._require_shallow(block)
        return block

    def _require_shallow(self, block: bytes) -> None:
        plain = (self._cut + block).replace(b"\\\\", b"__")
        self._cut = b"\\" if plain.endswith(b"\\") else b""
        codes = np.frombuffer(plain.removesuffix(self._cut).replace(b'\\"', b"__"), np.uint8)
        if not len(codes):
            return
        in_text = np.logical_xor.accumulate(codes == self._QUOTE) ^ self._is_in_text
        depth = self._depth + np.cumsum(np.where(in_text, 0, self._STEPS[codes]), dtype=np.int32)
        self._is_in_text, self._depth = bool(in_text[-1]), max(0, int(depth[-1]))
        if depth.max() > MAX_DEPTH:
            raise self._too_deep()


def _names(value: Any) -> Iterator[str]:
    """Of all fields, also of objects in objects and lists."""
    waiting: list[tuple[str, Any]] = [("", value)]
    while waiting:
        place, one = waiting.pop()
        if isinstance(one, dict):
            for name, inner in one.items():
                yield f"{place}.{name}"
                waiting.append((f"{place}.{name}", inner))
        elif isinstance(one, list):
            waiting.extend((place, inner) for inner in one)


def _wide(type_: pa.DataType) -> pa.DataType:
    if pa.types.is_integer(type_):
        return pa.float64()
    return pa.list_(_wide(type_.value_type)) if pa.types.is_list(type_) else type_


def _said(value: Any) -> str | None:
    """What a JSON value, or a column's type, is; None for a hole."""
    if isinstance(value, pa.DataType):
        tests = (
            (pa.types.is_boolean, "a truth value"),
            (pa.types.is_string, "a text"),
            (pa.types.is_timestamp, "a text"),
            (pa.types.is_list, "a list"),
            (pa.types.is_struct, "an object"),
            (pa.types.is_null, None),
        )
        return next((said for test, said in tests if test(value)), "a number")
    if value is None:
        return None
    if isinstance(value, bool):
        return "a truth value"
    names: dict[type, str] = {str: "a text", list: "a list", dict: "an object"}
    return names.get(type(value), "a number")
