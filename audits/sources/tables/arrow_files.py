"""Files whose columns have types: Parquet, and Arrow IPC (Feather, version 2), streamed batch by batch."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from audits.artefacts import ColumnKind
from audits.sources.tables.columns import (
    Chunk,
    Observed,
    TableSource,
    first_text,
    kind_of,
    require_sound_names,
    text_in_numeric_column,
    to_numpy,
)
from schemas.problem import DataError

BATCH_ROWS = 16_384
# A batch of an Arrow file comes into memory as a whole.
MAX_BATCH_BYTES = 4 * 2**30
# Of a column, read at once.
READ_BYTES = 2**20
MAX_FOOTER_STRING = 100 * 2**20
MAX_FOOTER_ITEMS = 1_000_000


class TypedFile(ABC):
    """A file with an Arrow schema.

    A column of lists of numbers, all of one length k, is k columns: ``name[0]`` to ``name[k-1]``.

    Raises:
        DataError: when it is opened: `data_malformed`, `column_duplicated`, `data_too_many_columns`.
    """

    format: str

    def __init__(self, source: TableSource) -> None:
        self.path = source.path
        self._source = source
        self._schema = self._read_schema()
        try:
            names = self._schema.names
        except UnicodeDecodeError:
            raise self._malformed("the name of a column is not UTF-8") from None
        require_sound_names(names, source)
        self._types = {name: _plain(field.type) for name, field in zip(names, self._schema, strict=True)}
        self._widths = self._list_widths()
        self.observed: Mapping[str, Observed] = dict(self._observe())
        require_sound_names(list(self.observed), source)
        self.is_empty = self._has_no_rows()

    def describe(self) -> dict[str, Any]:
        widths = {name: width for name, width in self._widths.items() if width}
        return {"vectors": widths} if widths else {}

    def chunks(self, kinds: Mapping[str, ColumnKind]) -> Iterator[Chunk]:
        return self._chunks(0, kinds, self._batches)

    def _chunks(
        self, row: int, kinds: Mapping[str, ColumnKind], batches: Callable[[list[str]], Iterator[pa.RecordBatch]]
    ) -> Iterator[Chunk]:
        """The rows of the batches, of which the first is that of the number `row`."""
        stored = dict.fromkeys(self._stored(name) for name in kinds)
        for name in stored:
            self._require_readable(name)
        for batch in self._guarded(batches(list(stored))):
            flat = {name: self._flat(batch.column(name), name, row) for name in stored if name in self._widths}
            columns = {name: self._convert(batch, flat, name, kind, row) for name, kind in kinds.items()}
            yield Chunk(row, columns, batch.num_rows)
            row += batch.num_rows
        self._require_whole(row)

    @abstractmethod
    def _read_schema(self) -> pa.Schema: ...

    @abstractmethod
    def _has_no_rows(self) -> bool: ...

    @abstractmethod
    def _batches(self, names: list[str]) -> Iterator[pa.RecordBatch]:
        """The columns named, in batches."""

    def _require_whole(self, rows: int) -> None:  # noqa: B027  # most formats promise no number
        """Raise unless the file has as many rows as it says."""

    def _guarded(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        try:
            for batch in batches:
                batch.validate(full=True)
                yield batch
        except (pa.ArrowException, OSError, UnicodeDecodeError, MemoryError) as error:
            raise self._malformed(first_line(error)) from None

    def _observe(self) -> Iterator[tuple[str, Observed]]:
        for name, type_ in self._types.items():
            if type_ is not None:
                yield name, Observed(kind_of(type_), pa.types.is_integer(type_))
            elif self._widths.get(name):
                whole = pa.types.is_integer(self._declared(name).value_type)
                yield from ((f"{name}[{place}]", Observed("number", whole)) for place in range(self._widths[name]))
            else:
                yield name, Observed(None)

    def _list_widths(self) -> dict[str, int]:
        """The lengths of the lists of numbers in the first row, by column."""
        names = [name for name, type_ in self._types.items() if type_ is None and _is_vector(self._declared(name))]
        if not names:
            return {}
        first = next((batch for batch in self._guarded(self._batches(names)) if batch.num_rows), None)
        widths = {} if first is None else {name: first.column(name)[0].as_py() for name in names}
        return {name: len(values) for name, values in widths.items() if values}

    def _flat(self, values: "pa.Array[Any]", name: str, row: int) -> Any:
        """(rows, width) float64 of a column of lists."""
        width = self._widths[name]
        lengths = pc.fill_null(pc.list_value_length(values), -1).to_numpy(zero_copy_only=False)
        odd = np.flatnonzero(lengths != width)
        if len(odd):
            at = row + int(odd[0])
            held = f"{lengths[odd[0]]} values" if lengths[odd[0]] >= 0 else "nothing"
            raise DataError(
                "feature_shape_mismatch",
                f"Column {name!r} holds {held} in row {at} of {self.path.name}, but {width} in the first row. Write "
                "lists of one length, or padded.",
                field=self._source.field,
                file=str(self.path),
                row=at,
                column=name,
            )
        flat = pc.list_flatten(values)
        return to_numpy(flat, "number", whole=False).reshape(len(values), width)

    def _convert(self, batch: pa.RecordBatch, flat: Mapping[str, Any], name: str, kind: ColumnKind, row: int) -> Any:
        stored = self._stored(name)
        whole = self.observed[name].whole
        if stored in flat:
            values = pa.array(flat[stored][:, int(name[len(stored) + 1 : -1])])
            return to_numpy(values, kind, whole=whole)
        values = batch.column(name)
        if isinstance(values, pa.DictionaryArray):
            values = values.dictionary_decode()
        try:
            return to_numpy(values, kind, whole=whole)
        except pa.ArrowInvalid:
            texts = values.cast(pa.string()).to_pylist()
            found = first_text(texts, self.path, row)
            if found is None or kind == "time":
                raise self._malformed(f"column {name!r} is not of the kind {kind}") from None
            raise text_in_numeric_column(
                name, found, "the files before it hold numbers", field=self._source.field
            ) from None

    def _stored(self, name: str) -> str:
        """The column of the file that a column stands in."""
        whole = name.rpartition("[")[0]
        return whole if name not in self._types and whole in self._widths else name

    def _declared(self, name: str) -> Any:
        return self._schema.field(name).type

    def _require_readable(self, name: str) -> None:
        if self._types[name] is None and not self._widths.get(name):
            raise DataError(
                "column_type_unsupported",
                f"Column {name!r} of {self.path.name} is of the type {self._declared(name)}; numbers, truth values, "
                "texts, time stamps and lists of numbers are read. Convert it, or leave it out of data.features.",
                field=self._source.field,
                file=str(self.path),
                column=name,
            )

    def _malformed(self, why: str) -> DataError:
        return DataError(
            "data_malformed",
            f"{self.path.name} cannot be read as {self.format}: {why}. Write the file again.",
            field=self._source.field,
            file=str(self.path),
        )


class ParquetFile(TypedFile):
    """A Parquet file; the footer is held against limits before anything is decoded."""

    format = "Parquet"

    @property
    def borders(self) -> tuple[int, ...]:
        """Where the row groups begin, and the number of rows; empty where the footer contradicts itself."""
        return self._borders if self._borders[-1] == self._rows else ()

    def chunks_from(self, first_row: int, kinds: Mapping[str, ColumnKind]) -> Iterator[Chunk]:
        group = self._borders.index(first_row)
        return self._chunks(first_row, kinds, lambda names: self._batches(names, group))

    def _read_schema(self) -> pa.Schema:
        with self._open() as file:
            about = file.metadata
            self._rows = about.num_rows
            # groups without rows begin where the next one does: the first of them is where to read from
            sizes = [about.row_group(place).num_rows for place in range(about.num_row_groups)]
            self._borders: tuple[int, ...] = (0, *accumulate(sizes))
            return file.schema_arrow

    def _has_no_rows(self) -> bool:
        return self._rows == 0

    def _batches(self, names: list[str], first_group: int = 0) -> Iterator[pa.RecordBatch]:
        with self._open() as file:
            groups = list(range(first_group, file.metadata.num_row_groups))
            yield from file.iter_batches(BATCH_ROWS, row_groups=groups, columns=names)

    def _require_whole(self, rows: int) -> None:
        if rows != self._rows:
            raise self._malformed(f"the footer promises {self._rows:,} rows, there are {rows:,}")

    def _open(self) -> parquet.ParquetFile:
        try:
            return parquet.ParquetFile(
                self.path,
                # read ahead, the file would come into memory as a whole
                pre_buffer=False,
                buffer_size=READ_BYTES,
                thrift_string_size_limit=MAX_FOOTER_STRING,
                thrift_container_size_limit=MAX_FOOTER_ITEMS,
            )
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise self._malformed(first_line(error)) from None


class ArrowFile(TypedFile):
    """An Arrow IPC file or stream; of files that begin otherwise, Arrow says what is wrong."""

    format = "Arrow"

    def _read_schema(self) -> pa.Schema:
        try:
            with pa.OSFile(str(self.path), "rb") as file:
                return self._reader(file, None)[0]
        except (pa.ArrowException, OSError, ValueError) as error:
            raise self._malformed(first_line(error)) from None

    def _has_no_rows(self) -> bool:
        names = self._schema.names[:1]
        return not any(batch.num_rows for batch in self._guarded(self._batches(names)))

    def _batches(self, names: list[str]) -> Iterator[pa.RecordBatch]:
        with pa.OSFile(str(self.path), "rb") as file:
            _, batches = self._reader(file, [self._schema.get_field_index(name) for name in names])
            for batch in batches:
                if batch.nbytes > MAX_BATCH_BYTES:
                    raise self._too_large(batch.nbytes)
                wanted = batch.select(names)
                for first in range(0, batch.num_rows, BATCH_ROWS):
                    yield wanted.slice(first, BATCH_ROWS)

    def _reader(self, file: pa.NativeFile, which: Sequence[int] | None) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
        is_file = file.read(6) == b"ARROW1"
        file.seek(0)
        if not is_file:
            stream = pa.ipc.open_stream(file)
            return stream.schema, iter(stream)
        options = pa.ipc.IpcReadOptions(included_fields=sorted(which) if which is not None else None)
        whole = pa.ipc.open_file(file, options=options)
        return whole.schema, (whole.get_batch(place) for place in range(whole.num_record_batches))

    def _too_large(self, size: int) -> DataError:
        return DataError(
            "data_too_large",
            f"{self.path.name} holds a batch of {size:,} bytes, which would come into memory as a whole. Write smaller "
            "ones: pyarrow.feather.write_feather(table, path, chunksize=65536).",
            field=self._source.field,
            file=str(self.path),
        )


def _is_vector(type_: Any) -> bool:
    is_list = pa.types.is_list(type_) or pa.types.is_large_list(type_) or pa.types.is_fixed_size_list(type_)
    return is_list and (pa.types.is_integer(type_.value_type) or pa.types.is_floating(type_.value_type))


def _plain(type_: pa.DataType) -> pa.DataType | None:
    """The type that a column is read as; None where it cannot be."""
    if pa.types.is_dictionary(type_):
        return _plain(type_.value_type)
    if pa.types.is_decimal(type_) or pa.types.is_float16(type_):
        return pa.float64()
    if pa.types.is_date(type_):
        return pa.timestamp("ns")
    if pa.types.is_string_view(type_):
        return pa.string()
    known = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_null)
    texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_timestamp)
    return type_ if any(test(type_) for test in known + texts) else None


def first_line(error: BaseException) -> str:
    return str(error).split("\n", maxsplit=1)[0][:200].rstrip(".") or type(error).__name__
