"""Folders that `tf.data.Dataset.save` wrote, read without TensorFlow and without running their graph.

`dataset_spec.pb` holds the structure of an element (tensorflow/core/protobuf/struct.proto), `snapshot.metadata` names
the run that counts (snapshot.proto), and its shards are records (see `framing`), one serialized TensorProto for each
component of each element, in the order of `tf.nest`: tuples as they are, dictionaries by their sorted keys.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from google.protobuf.message import DecodeError

from audits.artefacts import Array, ColumnKind
from audits.sources.arrays.numpy_files import ArrayHeader
from audits.sources.compression import compression_of, unpacked
from audits.sources.damage import malformed
from audits.sources.graph.protobuf import shape_of, type_of
from audits.sources.protos import Messages, message_class
from audits.sources.records.framing import CutOffError, DamagedRecordError, records
from audits.sources.tables.columns import (
    Chunk,
    Observed,
    TableSource,
    first_text,
    require_read,
    require_sound_names,
    text_in_numeric_column,
    to_numpy,
)
from schemas.problem import DataError

SPEC, METADATA, SHARDS = "dataset_spec.pb", "snapshot.metadata", "*.shard/*.snapshot"
SUFFIX = ".snapshot"
MAX_RECORD_BYTES = 256 * 2**20
MAX_HEADER_BYTES = 2**20
BATCH_ROWS = 4096
# What the parts of an element are called: Keras takes (x, y) and (x, y, sample_weight).
_PARTS = ("x", "y", "weight")
_NUMBERS = frozenset(
    {"bool", "float16", "float32", "float64"} | {f"{u}int{n}" for u in ("", "u") for n in (8, 16, 32, 64)}
)
_MESSAGES: Messages = {
    "Metadata": {"run": (2, "string"), "elements": (6, "int64"), "finalized": (1000, "bool")},
    "Value": {
        "tensor": (33, "Spec"),
        "bounded": (35, "Spec"),
        "list": (51, "Values"),
        "tuple": (52, "Values"),
        "dict": (53, "Fields"),
        "named": (54, "Named"),
    },
    "Values": {"values": (1, "*Value")},
    "Fields": {"fields": (1, "map Value")},
    "Named": {"values": (2, "*Pair")},
    "Pair": {"key": (1, "string"), "value": (2, "Value")},
    "Spec": {"shape": (2, "Shape"), "dtype": (3, "int32")},
    "Shape": {"dimensions": (2, "*Dimension"), "unknown_rank": (3, "bool")},
    "Dimension": {"size": (1, "int64")},
    "Tensor": {"dtype": (1, "int32"), "shape": (2, "Shape"), "content": (4, "bytes")},
}
_FORMAT = "a saved dataset"
_CONVERT = "Write the elements as TFRecord of tf.train.Example, or as numpy.savez(path, x=..., y=...)."


@cache
def _message(name: str) -> type[Any]:
    return message_class(_MESSAGES, name, package=f"fitcheck.saved_dataset_{name.lower()}")


@dataclass(frozen=True)
class Component:
    """One tensor of each element: its name, type, and shape with the rows first where the elements are batches."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True)
class Structure:
    """What an element is.

    Attributes:
        components: in the order in which they are stored.
        is_array: whether they are x and y as arrays; else each is a column.
        is_batch: whether an element holds several rows.
    """

    components: tuple[Component, ...]
    is_array: bool
    is_batch: bool


def shards_of(folder: Path, *, field: str) -> list[Path]:
    """The files of the run that counts, in order; runs that were overwritten are left out.

    Raises:
        DataError: `data_malformed`, also for a dataset that was never saved to the end.
    """
    path = folder / METADATA
    metadata = _parsed("Metadata", path, field)
    if not metadata.finalized:
        raise malformed(path, _FORMAT, "it was never saved to the end", field=field)
    found = sorted((folder / metadata.run).glob(SHARDS)) if metadata.run.isdecimal() else []
    if not found:
        raise malformed(path, _FORMAT, "there are no files of the run that it names", field=field)
    return found


def structure_of(shard: Path, *, field: str) -> Structure:
    """The structure of the dataset that a shard belongs to.

    Raises:
        DataError: `data_malformed`, `data_format_unsupported` for what is no dense tensor.
    """
    path = shard.parents[2] / SPEC
    value = _parsed("Value", path, field)
    is_tuple = value.HasField("tuple") or value.HasField("list")
    parts = _inside(value) if is_tuple else {"x": value} if value.HasField("tensor") else _inside(value)
    if is_tuple and len(parts) > len(_PARTS):
        raise _unsupported(path, f"its elements have {len(parts)} parts", field)
    named = dict(zip(_PARTS, parts.values(), strict=False)) if is_tuple else parts
    components = tuple(one for name, part in named.items() for one in _components(name, part, path, field))
    if not components:
        raise malformed(path, _FORMAT, "its elements have no parts", field=field)
    firsts = {one.shape[:1] for one in components}
    is_batch = len(firsts) == 1 and firsts != {()}
    is_array = value.HasField("tensor") or (is_tuple and all(part.HasField("tensor") for part in named.values()))
    return Structure(components, is_array, is_batch)


def _inside(value: Any) -> dict[str, Any]:
    """Name -> part, in the order of `tf.nest`."""
    if value.HasField("dict"):
        return {name: value.dict.fields[name] for name in sorted(value.dict.fields)}
    if value.HasField("named"):
        return {pair.key: pair.value for pair in value.named.values}
    values = value.tuple.values if value.HasField("tuple") else value.list.values
    return {str(place): part for place, part in enumerate(values)}


def _components(name: str, value: Any, path: Path, field: str) -> Iterator[Component]:
    if value.HasField("tensor") or value.HasField("bounded"):
        spec = value.tensor if value.HasField("tensor") else value.bounded
        dtype, shape = type_of(spec.dtype), shape_of(spec.shape)
        if shape is None or dtype not in _NUMBERS | {"string"}:
            raise _unsupported(
                path, f"component {name!r} is {dtype} of {'unknown' if shape is None else 'a'} shape", field
            )
        yield Component(name, dtype, shape)
        return
    parts = _inside(value)
    if not parts:
        raise _unsupported(path, f"component {name!r} is no dense tensor", field)
    for inner, part in parts.items():
        yield from _components(inner if value.HasField("dict") else f"{name}[{inner}]", part, path, field)


def _parsed(kind: str, path: Path, field: str) -> Any:
    try:
        with path.open("rb") as file:
            return _message(kind).FromString(file.read(MAX_HEADER_BYTES))
    except (OSError, DecodeError):
        raise malformed(path, _FORMAT, f"{path.name} is missing or damaged", field=field) from None


def _unsupported(path: Path, why: str, field: str) -> DataError:
    return DataError(
        "data_format_unsupported",
        f"The dataset in {path.parent.name} is not read: {why}. {_CONVERT}",
        field=field,
        file=str(path),
    )


class _Shard:
    """One file of a saved dataset: blocks of rows by component."""

    def __init__(self, path: Path, *, field: str, max_rows: int | None) -> None:
        self.path = path
        self._field = field
        self.structure = structure_of(path, field=field)
        with path.open("rb") as file:
            self.compression = compression_of(file.read(8))
        self.row_shapes: dict[str, tuple[int, ...]] = {}
        self.rows = 0
        elements = 0
        for block in self.blocks(range(len(self.structure.components))):
            self._look(block, elements)
            elements += 1
            if max_rows is not None and self.rows >= max_rows:
                return
        promised = int(_parsed("Metadata", path.parents[2] / METADATA, field).elements)
        is_alone = len(list(path.parents[1].glob(SHARDS))) == 1
        if is_alone and elements != promised:
            raise self._malformed(f"{promised:,} elements were saved, there are {elements:,}", elements)

    def _look(self, block: Mapping[int, Array], element: int) -> None:
        shapes = {self.structure.components[place].name: values.shape for place, values in block.items()}
        if len({shape[0] for shape in shapes.values()}) != 1:
            raise self._malformed(f"the parts of element {element} have different numbers of rows", element)
        for name, shape in shapes.items():
            if self.row_shapes.setdefault(name, shape[1:]) != shape[1:]:
                raise DataError(
                    "feature_shape_mismatch",
                    f"Component {name!r} has the shape {list(shape[1:])} in element {element} of {self.path}, but "
                    f"{list(self.row_shapes[name])} before. Pad it to one shape, as for training.",
                    field=self._field,
                    file=str(self.path),
                    row=self.rows,
                    column=name,
                )
        self.rows += next(iter(shapes.values()))[0]

    def blocks(self, places: Sequence[int]) -> Iterator[dict[int, Array]]:
        """Of each element, the components at these places, (rows, ...) each."""
        wanted, width = set(places), len(self.structure.components)
        with self._records() as found:
            block: dict[int, Array] = {}
            number = -1
            for number, record in enumerate(found):
                place = number % width
                if place in wanted:
                    block[place] = self._decoded(record, place)
                if place == width - 1:
                    yield block
                    block = {}
        if number % width != width - 1 and number >= 0:
            raise self._malformed("the file ends within an element", number // width)

    @contextmanager
    def _records(self) -> Iterator[Iterator[Any]]:
        with unpacked(self.path, self.compression, field=self._field) as stream:
            yield self._guarded(records(stream, max_bytes=MAX_RECORD_BYTES))

    def _guarded(self, found: Iterator[Any]) -> Iterator[Any]:
        width = len(self.structure.components)
        try:
            for record in found:
                if not record.is_sound:
                    raise self._malformed(f"record {record.number} is damaged or too long", record.number // width)
                yield record
        except CutOffError as error:
            raise self._malformed(f"the file ends inside record {error.record}", error.record // width) from None
        except DamagedRecordError as error:
            raise self._malformed(f"record {error.record} is damaged: {error.why}", error.record // width) from None

    def _decoded(self, record: Any, place: int) -> Array:
        component = self.structure.components[place]
        try:
            tensor = _message("Tensor").FromString(record.body)
            values = _values(tensor, component.dtype)
        except (DecodeError, ValueError):
            element = record.number // len(self.structure.components)
            raise self._malformed(f"record {record.number} is no tensor of {component.dtype}", element) from None
        return values if self.structure.is_batch else values[None]

    def _malformed(self, why: str, row: int) -> DataError:
        return malformed(self.path, _FORMAT, why, field=self._field, row=row)


def _values(tensor: Any, dtype: str) -> Array:
    """A tensor out of its bytes.

    Raises:
        ValueError: it is of another type, or its bytes are more or fewer than its shape says.
    """
    if type_of(tensor.dtype) != dtype:
        raise ValueError("another type")
    content, shape = tensor.content, tuple(int(d.size) for d in tensor.shape.dimensions)
    count = math.prod(shape)
    if dtype != "string":
        if any(size < 0 for size in shape) or count * np.dtype(dtype).itemsize != len(content):
            raise ValueError("another size")
        return np.frombuffer(content, np.dtype(dtype).newbyteorder("<")).astype(dtype).reshape(shape)
    if count > len(content):  # each text takes a byte for its length, and more
        raise ValueError("another size")
    lengths, at = [], 0
    for _ in range(count):
        length, at = _varint(content, at)
        lengths.append(length)
    if at + sum(lengths) != len(content):
        raise ValueError("another size")
    texts = np.empty(count, dtype=object)
    for place, length in enumerate(lengths):
        texts[place], at = content[at : at + length], at + length
    return texts.reshape(shape)


def _varint(content: bytes, at: int) -> tuple[int, int]:
    """A number as protobuf writes it, and where the next begins."""
    value = 0
    for shift in range(0, 35, 7):
        if at >= len(content):
            break
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("no number")


class SavedArrays:
    """A shard of (x, y) tensors as arrays.

    Raises:
        DataError: when it is opened: `data_malformed`, `feature_shape_mismatch`, `data_format_unsupported`.
    """

    def __init__(self, path: Path, *, field: str, max_rows: int | None = None) -> None:
        self.path = path
        self._shard = _Shard(path, field=field, max_rows=max_rows)
        self._places = {one.name: place for place, one in enumerate(self._shard.structure.components)}
        shapes, rows = self._shard.row_shapes, self._shard.rows
        self.unread: Mapping[str, DataError] = {}
        self.headers: Mapping[str, ArrayHeader] = {
            one.name: ArrayHeader(
                (rows, *shapes.get(one.name, ())), np.dtype("U1" if one.dtype == "string" else one.dtype), False
            )
            for one in self._shard.structure.components
        }

    def is_divisible(self, names: Sequence[str]) -> bool:  # noqa: ARG002 - whichever they are
        return False  # an element begins where the one before it ends

    def rows_of(self, name: str, rows: int, first: int = 0) -> Iterator[Array]:
        place = self._places[name]
        waiting: list[Array] = []
        n = 0
        for block in self._shard.blocks([place]):
            values = _plain(block[place])
            if first >= len(values):
                first -= len(values)
                continue
            waiting.append(values[first:])
            first = 0
            n += len(waiting[-1])
            if n >= rows:
                joined = np.concatenate(waiting)
                while len(joined) >= rows:
                    yield joined[:rows]
                    joined = joined[rows:]
                waiting, n = [joined], len(joined)
        if n:
            yield np.concatenate(waiting)


class SavedTable:
    """A shard whose elements are dictionaries: a column for each single value, several for each vector.

    Raises:
        DataError: when it is opened: `data_malformed`, `feature_shape_mismatch`, `data_format_unsupported`,
            `column_duplicated`, `data_too_many_columns`.
    """

    def __init__(self, source: TableSource) -> None:
        self.path = source.path
        self._source = source
        self._shard = _Shard(source.path, field=source.field, max_rows=source.max_rows)
        self.is_empty = self._shard.rows == 0
        self._columns: dict[str, tuple[int, int | None]] = {}
        self.observed: Mapping[str, Observed] = {}
        observed: dict[str, Observed] = {}
        names: list[str] = []
        for place, one in enumerate(self._shard.structure.components):
            shape = self._shard.row_shapes.get(one.name, ())
            wide = len(shape) == 1
            for name, inner in [(f"{one.name}[{k}]", k) for k in range(shape[0])] if wide else [(one.name, None)]:
                names.append(name)
                self._columns[name] = (place, inner)
                observed[name] = self._observed(one, shape)
        require_sound_names(names, source)
        self.observed = observed

    def describe(self) -> dict[str, Any]:
        packed = self._shard.compression
        held = "batches" if self._shard.structure.is_batch else "single rows"
        return {"elements": held, **({"compression": packed} if packed else {})}

    def chunks(self, kinds: Mapping[str, ColumnKind]) -> Iterator[Chunk]:
        for name in kinds:
            require_read(name, self.observed[name], self, self._source.field)
        places = sorted({self._columns[name][0] for name in kinds})
        size = min(BATCH_ROWS, self._source.max_rows or BATCH_ROWS)
        row = 0
        waiting: list[dict[int, Array]] = []
        for block in self._shard.blocks(places):
            waiting.append(block)
            if sum(len(one[places[0]]) for one in waiting) >= size:
                yield self._chunk(waiting, places, kinds, row)
                row += sum(len(one[places[0]]) for one in waiting)
                waiting = []
        if waiting:
            yield self._chunk(waiting, places, kinds, row)

    def _chunk(
        self, blocks: Sequence[Mapping[int, Array]], places: Sequence[int], kinds: Mapping[str, ColumnKind], row: int
    ) -> Chunk:
        whole = {place: _plain(np.concatenate([block[place] for block in blocks])) for place in places}
        columns = {name: self._convert(whole, name, kind, row) for name, kind in kinds.items()}
        return Chunk(row, columns, len(next(iter(whole.values()))))

    def _convert(self, whole: Mapping[int, Array], name: str, kind: ColumnKind, row: int) -> Array:
        place, inner = self._columns[name]
        values = pa.array(whole[place] if inner is None else np.ascontiguousarray(whole[place][:, inner]))
        try:
            return to_numpy(values, kind, whole=self.observed[name].whole)
        except pa.ArrowInvalid:
            found = first_text(values.cast(pa.string()).to_pylist(), self.path, row)
            if found is None:
                raise
            raise text_in_numeric_column(
                name, found, "the files before it hold numbers", field=self._source.field
            ) from None

    def _observed(self, one: Component, shape: tuple[int, ...]) -> Observed:
        if len(shape) > 1:
            return Observed(None, unread=f"{one.dtype} of the shape {list(shape)}")
        if one.dtype == "string":
            return Observed("string")
        return Observed("boolean" if one.dtype == "bool" else "number", "int" in one.dtype)


def _plain(values: Array) -> Array:
    """Bytes as text."""
    if values.dtype != object:
        return values
    flat = np.empty(values.size, dtype=object)
    flat[:] = [value.decode("utf-8", "replace") for value in values.ravel()]
    return flat.reshape(values.shape)
