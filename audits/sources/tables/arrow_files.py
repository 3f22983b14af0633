"""Files whose columns have types: Parquet, and Arrow IPC (Feather, version 2), streamed batch by batch."""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate, islice
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from audits.artefacts import Array, ColumnKind
from audits.sources.damage import malformed
from audits.sources.tables.arrow_types import (
    as_numbers,
    as_text,
    conversion,
    decoded,
    decoded_bytes,
    element_of,
    is_bytes,
    read_as,
    said,
)
from audits.sources.tables.columns import (
    MAX_COLUMNS,
    SHOWN_CHARACTERS,
    Chunk,
    Observed,
    TableSource,
    first_text,
    kind_of,
    require_read,
    require_sound_names,
    text_in_numeric_column,
    to_numpy,
)
from audits.sources.tables.lists import Lengths, lengths_differ
from schemas.problem import DataError

BATCH_ROWS, HEAD_ROWS = 16_384, 100
# A batch of an Arrow file comes into memory as a whole.
MAX_BATCH_BYTES = 4 * 2**30
# Of a column of a batch, whose rows may share one long text.
MAX_DECODED_BYTES = 2**30
# Rows may be of no bytes at all: so many are believed, and of more as many as a file has bytes for.
BELIEVED_ROWS = 100_000_000
# Of a column, read at once.
READ_BYTES = 2**20
# A small column may not unpack into a huge one.
MAX_RATIO, RATIO_MATTERS_FROM_BYTES = 1_000, 256 * 2**20
MAX_FOOTER_STRING = 100 * 2**20
MAX_FOOTER_ITEMS = 1_000_000


class TypedFile(ABC):
    """A file with an Arrow schema.

    A column of lists is several columns; see `audits.sources.tables.lists`.

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
        self._types = {name: read_as(field.type) for name, field in zip(names, self._schema, strict=True)}
        self._types |= {name: pa.string() for name in self._texts_in_bytes()}
        self._elements = {name: element_of(self._declared(name)) for name, type_ in self._types.items() if not type_}
        self.lengths: Mapping[str, Lengths] = self._list_lengths()
        self._widths = {name: one.most for name, one in self.lengths.items() if one.most}
        self._differing: frozenset[str] = frozenset()
        self.observed: Mapping[str, Observed] = {}
        self._observe()
        self.is_empty = self._has_no_rows()

    def describe(self) -> dict[str, Any]:
        vectors = {name: width for name, width in self._widths.items() if name not in self._differing}
        lists = {name: {"at_most": self._widths[name]} for name in sorted(self._differing)}
        read = {name: done for name in self._types if self._types[name] and (done := conversion(self._declared(name)))}
        found = {"vectors": vectors, "lists": lists, "converted": read}
        return {key: value for key, value in found.items() if value}

    def widen(self, widths: Mapping[str, int]) -> None:
        self._widths |= widths
        self._differing |= set(widths)
        self._observe()

    def chunks(self, kinds: Mapping[str, ColumnKind]) -> Iterator[Chunk]:
        return self._chunks(0, kinds, self._batches)

    def _chunks(
        self, row: int, kinds: Mapping[str, ColumnKind], batches: Callable[[list[str]], Iterator[pa.RecordBatch]]
    ) -> Iterator[Chunk]:
        """The rows of the batches, of which the first is that of the number `row`."""
        stored = dict.fromkeys(self._stored(name) for name in kinds)
        for name in kinds:
            require_read(name, self.observed[name], self, self._source.field)
        for batch in self._guarded(batches(list(stored))):
            try:
                flat = {name: self._flat(batch.column(name), name, row) for name in stored if name in self._widths}
                columns = {name: self._convert(batch, flat, name, kind, row) for name, kind in kinds.items()}
            except MemoryError:
                raise self._beyond_memory() from None
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

    def _head(self, name: str) -> Iterator[pa.RecordBatch]:
        """The column, in batches of which the first one tells enough."""
        return self._batches([name])

    def _require_whole(self, rows: int) -> None:  # noqa: B027  # most formats promise no number
        """Raise unless the file has as many rows as it says."""

    def _guarded(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        try:
            for batch in batches:
                batch.validate(full=True)
                yield batch
        except MemoryError:  # Arrow's own is one, too
            raise self._beyond_memory() from None
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise self._malformed(first_line(error)) from None

    def _observe(self) -> None:
        observed = dict(self._observations())
        require_sound_names(list(observed), self._source)
        of_pandas = _index_columns(self._schema)
        self.observed = {name: replace(one, is_index=name in of_pandas) for name, one in observed.items()}

    def _observations(self) -> Iterator[tuple[str, Observed]]:
        for name, type_ in self._types.items():
            if type_ is not None:
                is_whole = pa.types.is_integer(type_)
                yield name, Observed(kind_of(type_), is_whole, digits=pa.types.is_uint64(type_))
            elif (width := self._widths.get(name, 0)) > MAX_COLUMNS:
                yield (
                    name,
                    Observed(
                        None,
                        unread=f"{said(self._declared(name))} of {width:,} values, and at most "
                        f"{MAX_COLUMNS:,} are read",
                    ),
                )
            elif width:
                element = self._elements[name] or pa.null()
                seen = Observed(
                    kind_of(element), pa.types.is_integer(element), list_of=name if name in self._differing else None
                )
                yield from ((f"{name}[{place}]", seen) for place in range(width))
            else:
                yield name, Observed(None, unread=said(self._declared(name)))

    def _texts_in_bytes(self) -> Iterator[str]:
        """Columns of bytes that are UTF-8 text, by their first rows."""
        for name in [name for name in self._types if is_bytes(self._declared(name))]:
            head = next(self._guarded(self._head(name)), None)
            values = None if head is None else head.column(name)
            if values is not None and values.null_count < len(values) and as_text(values) is not None:
                yield name

    def _list_lengths(self) -> dict[str, Lengths]:
        """Of the columns of lists: by the first batch, and where they differ there by all of them."""
        names = [name for name, element in self._elements.items() if element is not None]
        found: dict[str, Lengths] = {}
        for name in names:
            first = Lengths.of(islice(filter(len, self._lengths(name)), 1))
            whole = (
                first if first is None or not first.differ else Lengths.of(self._lengths(name), self._source.max_rows)
            )
            if whole is not None:
                found[name] = whole
        return found

    def _lengths(self, name: str) -> Iterator[Array]:
        """Of the lists in each batch."""
        return (_list_lengths_of(decoded(batch.column(name))) for batch in self._guarded(self._batches([name])))

    def _flat(self, values: "pa.Array[Any]", name: str, row: int) -> Any:
        """(rows, width) of a column of lists."""
        lists, width, element = decoded(values), self._widths[name], self._elements[name] or pa.null()
        lengths = _list_lengths_of(lists)
        differing = lengths > width if name in self._differing else lengths != width
        if differing.any():
            odd = int(np.flatnonzero(differing)[0])
            found = Lengths(width, 0, width, row + odd, int(lengths[odd]))
            raise lengths_differ(name, self, found, self._source.field)
        parts = as_numbers(decoded(pc.list_flatten(lists)))
        kind = kind_of(element) or "number"
        flat = to_numpy(parts, kind, whole=pa.types.is_integer(element))
        if (lengths == width).all():
            return flat.reshape(len(lists), width)
        padded = np.full(
            (len(lists), width), None if kind == "string" else np.nan, object if kind == "string" else float
        )
        padded[np.arange(width) < lengths[:, None]] = flat
        return padded

    def _convert(self, batch: pa.RecordBatch, flat: Mapping[str, Any], name: str, kind: ColumnKind, row: int) -> Any:
        stored = self._stored(name)
        whole = self.observed[name].whole
        if stored in flat:
            values = pa.array(flat[stored][:, int(name[len(stored) + 1 : -1])], from_pandas=True)
            return to_numpy(values, kind, whole=whole)
        if decoded_bytes(batch.column(name)) > MAX_DECODED_BYTES:
            raise self._beyond_memory(name)
        values = decoded(batch.column(name))
        if is_bytes(values.type):
            values = self._as_text(values, name, row)
        if kind != "string":
            values = as_numbers(values)
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

    def _as_text(self, values: "pa.Array[Any]", name: str, row: int) -> "pa.Array[Any]":
        texts = as_text(values)
        if texts is None:
            odd = next(place for place in range(len(values)) if as_text(values.slice(place, 1)) is None)
            raise malformed(
                self.path,
                self.format,
                f"column {name!r} holds bytes that are no UTF-8 text in row {row + odd}, and text before",
                field=self._source.field,
                row=row + odd,
            )
        return texts

    def _require_believable(self, rows: int) -> None:
        """No more rows than a file of its size may hold: they would be read without end.

        Raises:
            DataError: `data_compression_ratio`.
        """
        if rows > max(BELIEVED_ROWS, MAX_RATIO * self.path.stat().st_size):
            raise DataError(
                "data_compression_ratio",
                f"{self.path.name} promises {rows:,} rows, more than {MAX_RATIO} for each of its bytes. Leave out "
                "columns that hold nothing, and write it again.",
                field=self._source.field,
                file=str(self.path),
            )

    def _beyond_memory(self, column: str | None = None) -> DataError:
        where = "rows" if column is None else f"rows of its column {column!r}"
        return DataError(
            "data_too_large",
            f"{self.path.name} needs more memory than there is for {BATCH_ROWS:,} {where}: rows may share a text or a "
            "list that is stored once. Leave out columns that are no features, or shorten what they hold.",
            field=self._source.field,
            file=str(self.path),
            column=column,
        )

    def _stored(self, name: str) -> str:
        """The column of the file that a column stands in."""
        whole = name.rpartition("[")[0]
        return whole if name not in self._types and whole in self._widths else name

    def _declared(self, name: str) -> Any:
        return self._schema.field(name).type

    def _malformed(self, why: str) -> DataError:
        return malformed(self.path, self.format, why, field=self._source.field)


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
            self._require_readable_groups(file)
            self._require_sound_groups(about)
            self._rows = about.num_rows
            self._require_believable(self._rows)
            # groups without rows begin where the next one does: the first of them is where to read from
            sizes = [about.row_group(place).num_rows for place in range(about.num_row_groups)]
            self._borders: tuple[int, ...] = (0, *accumulate(sizes))
            return file.schema_arrow

    def _require_readable_groups(self, file: parquet.ParquetFile) -> None:
        """Have Arrow look at the footer's columns where it can say what is wrong: asked for one, it ends the process.

        No row is read.
        """
        try:
            for number in range(file.metadata.num_row_groups):
                next(file.reader.iter_batches(0, row_groups=[number], use_threads=False), None)
        except (pa.ArrowException, OSError) as error:
            raise self._malformed(first_line(error)) from None

    def _require_sound_groups(self, about: parquet.FileMetaData) -> None:
        """What the footer says of the row groups neither contradicts itself nor unpacks into far more than is stored.

        Raises:
            DataError: `data_malformed`, `data_compression_ratio`.
        """
        flat = [about.schema.column(place).max_repetition_level == 0 for place in range(about.num_columns)]
        for group in (about.row_group(place) for place in range(about.num_row_groups)):
            for place in range(group.num_columns):
                chunk = group.column(place)
                if flat[place] and chunk.num_values != group.num_rows:
                    raise self._malformed(
                        f"the footer promises {group.num_rows:,} rows of a row group, and {chunk.num_values:,} values "
                        f"of its column {chunk.path_in_schema[:SHOWN_CHARACTERS]!r}"
                    )
                if chunk.total_uncompressed_size > max(
                    RATIO_MATTERS_FROM_BYTES, MAX_RATIO * chunk.total_compressed_size
                ):
                    raise self._unpacks_too_much(chunk)

    def _unpacks_too_much(self, chunk: parquet.ColumnChunkMetaData) -> DataError:
        return DataError(
            "data_compression_ratio",
            f"Column {chunk.path_in_schema[:SHOWN_CHARACTERS]!r} of {self.path.name} would unpack to "
            f"{chunk.total_uncompressed_size:,} bytes in one row group, more than {MAX_RATIO} times what is stored. "
            "Write smaller row groups: frame.to_parquet(path, row_group_size=100_000).",
            field=self._source.field,
            file=str(self.path),
        )

    def _has_no_rows(self) -> bool:
        return self._rows == 0

    def _batches(self, names: list[str], first_group: int = 0) -> Iterator[pa.RecordBatch]:
        with self._open() as file:
            groups = list(range(first_group, file.metadata.num_row_groups))
            yield from file.iter_batches(BATCH_ROWS, row_groups=groups, columns=names)

    def _head(self, name: str) -> Iterator[pa.RecordBatch]:
        with self._open() as file:
            yield from file.iter_batches(HEAD_ROWS, columns=[name])  # bytes may be images

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
            rows = 0
            for batch in batches:
                rows += batch.num_rows
                self._require_believable(rows)
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


def _list_lengths_of(lists: "pa.Array[Any]") -> Array:
    """(rows,) of the lists; nothing is a list of no values."""
    return np.asarray(pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False), dtype=np.int64)


def first_line(error: BaseException) -> str:
    return str(error).split("\n", maxsplit=1)[0][:200].rstrip(".") or type(error).__name__


def _index_columns(schema: pa.Schema) -> frozenset[str]:
    """The columns that pandas' note on the schema calls an index, which is how it reads them."""
    try:
        note = json.loads((schema.metadata or {}).get(b"pandas", b"{}"))
    except (ValueError, RecursionError):
        return frozenset()
    named = note.get("index_columns") if isinstance(note, dict) else None
    # a range of numbers is described, and stands in no column
    return frozenset(name for name in named if isinstance(name, str)) if isinstance(named, list) else frozenset()
