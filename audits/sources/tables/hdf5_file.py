"""Tables in HDF5 files: a data set of named fields, or what `pandas.DataFrame.to_hdf` writes.

pandas keeps the names of columns in pickles, unless every column is a field of its own (``format="table",
data_columns=True``) or the frame is stored in blocks (``format="fixed"``); pickles are not read.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa

from audits.artefacts import Array, ColumnKind
from audits.sources import hdf5
from audits.sources.tables.columns import (
    Chunk,
    Observed,
    TableSource,
    first_text,
    require_read,
    require_sound_names,
    to_numpy,
)
from schemas.problem import DataError

BATCH_ROWS = 16_384
_NEWER = "Write it with frame.to_parquet(path), or with frame.to_hdf(path, key=..., format='table', data_columns=True)."


@dataclass(frozen=True)
class _Place:
    """Where a column stands: a field of a data set, or a column of a block of values.

    `time_unit` is numpy's, where whole numbers are stamps.
    """

    dataset: str
    field: str | None = None
    column: int | None = None
    time_unit: str | None = None


def holds_table(path: Path, key: str | None, *, field: str) -> bool:
    """Whether there is a table to read, and not arrays."""
    with hdf5.opened(path, field=field) as file:
        return _table_node(file, key, path, field) is not None


class Hdf5Table:
    """See the module.

    Raises:
        DataError: when it is opened: `data_malformed`, `data_pickle_forbidden`, `column_duplicated`, and more.
    """

    def __init__(self, source: TableSource) -> None:
        self.path = source.path
        self._source = source
        with hdf5.opened(self.path, field=source.field) as file:
            node = _table_node(file, source.key, self.path, source.field)
            if node is None:
                raise hdf5.malformed(self.path, source.field, "there is no table in it")
            self._places = _places(node, self.path, source.field)
            require_sound_names(list(self._places), source)
            firsts = {place.dataset for place in self._places.values()}
            self._rows = {len(file[name]) for name in firsts}
            if len(self._rows) > 1:
                raise hdf5.malformed(self.path, source.field, "its columns are of different lengths")
            self._n = next(iter(self._rows), 0)
            self.observed: Mapping[str, Observed] = {
                name: self._observed(file, place) for name, place in self._places.items()
            }
        self.is_empty = self._n == 0

    def describe(self) -> dict[str, Any]:
        return {"key": self._source.key} if self._source.key else {}

    def chunks(self, kinds: Mapping[str, ColumnKind]) -> Iterator[Chunk]:
        for name in kinds:
            require_read(name, self.observed[name], self, self._source.field)
        with hdf5.opened(self.path, field=self._source.field) as file:
            for first in range(0, self._n, BATCH_ROWS):
                n = min(BATCH_ROWS, self._n - first)
                blocks = {name: file[name][first : first + n] for name in self._datasets(kinds)}
                columns = {
                    name: self._convert(blocks, self._places[name], name, kind, first) for name, kind in kinds.items()
                }
                yield Chunk(first, columns, n)

    def _datasets(self, kinds: Mapping[str, ColumnKind]) -> list[str]:
        return list(dict.fromkeys(self._places[name].dataset for name in kinds))

    def _convert(self, blocks: Mapping[str, Array], place: _Place, name: str, kind: ColumnKind, row: int) -> Array:
        values = pa.array(_plain(_cut(blocks[place.dataset], place), time_unit=place.time_unit))
        try:
            return to_numpy(values, kind, whole=self.observed[name].whole)
        except pa.ArrowInvalid:
            found = first_text(values.cast(pa.string()).to_pylist(), self.path, row)
            raise DataError(
                "text_in_numeric_column" if found else "column_types_differ",
                f"Column {name!r} of {self.path.name} is not of the kind {kind} that the files before it hold.",
                field=self._source.field,
                file=str(self.path),
                row=None if found is None else found.row,
                column=name,
            ) from None

    def _observed(self, file: h5py.File, place: _Place) -> Observed:
        dtype = file[place.dataset].dtype
        dtype = dtype[place.field] if place.field is not None else dtype
        if place.time_unit is not None:
            return Observed("time")
        if dtype.kind == "S" or h5py.check_string_dtype(dtype) is not None:
            texts = _plain(_cut(file[place.dataset][:BATCH_ROWS], place), time_unit=None).tolist()
            return Observed("string", text=first_text(texts, self.path))
        if dtype.shape or dtype.kind not in "fiub":
            return Observed(None, unread=str(dtype))
        return Observed("boolean" if dtype.kind == "b" else "number", dtype.kind in "iu")


def _table_node(file: h5py.File, key: str | None, path: Path, field: str) -> h5py.Group | h5py.Dataset | None:
    """The one table; None where there are only arrays.

    Raises:
        DataError: `data_ambiguous` for several tables.
    """
    place = hdf5.group_of(file, key, path, field)
    if _is_table(place):
        return place
    if isinstance(place, h5py.Dataset):
        return None
    tables = {name: node for name, node in hdf5.members(place, path, field).items() if _is_table(node)}
    if len(tables) > 1:
        raise DataError(
            "data_ambiguous",
            f"{path.name} holds the tables {', '.join(list(tables)[:30])}: name one in key.",
            field=field.rsplit(".", 1)[0] + ".key",
            file=str(path),
        )
    return next(iter(tables.values()), None)


def _is_table(node: h5py.Group | h5py.Dataset) -> bool:
    if isinstance(node, h5py.Dataset):
        return node.dtype.names is not None and len(node.shape or ()) == 1
    return hdf5.text_attribute(node, "pandas_type") in {"frame", "frame_table"}


def _places(node: h5py.Group | h5py.Dataset, path: Path, field: str) -> dict[str, _Place]:
    """Column -> place, in order."""
    if isinstance(node, h5py.Dataset):
        return {name: _Place(node.name, field=name) for name in node.dtype.names}
    inside = hdf5.members(node, path, field)
    if hdf5.text_attribute(node, "pandas_type") == "frame":
        return _places_in_blocks(inside, path, field)
    table = inside.get("table")
    names = table.dtype.names if isinstance(table, h5py.Dataset) else None
    if names is None or any(name.startswith("values_block_") for name in names):
        raise _pickled(path, field)
    return {
        name: _Place(f"{node.name}/table", field=name, time_unit=_time_unit(table, f"{name}_dtype"))
        for name in names
        if name != "index"
    }


def _time_unit(node: h5py.Dataset, attribute: str) -> str | None:
    """Of a type as pandas notes it: ``datetime64[us]``, and long ago without a unit, which was nanoseconds."""
    noted = re.fullmatch(r"datetime64(?:\[(s|ms|us|ns)\])?", hdf5.text_attribute(node, attribute))
    return None if noted is None else noted[1] or "ns"


def _places_in_blocks(inside: Mapping[str, h5py.Group | h5py.Dataset], path: Path, field: str) -> dict[str, _Place]:
    order = [_text(name) for name in _values(inside, "axis0", path, field)]
    places: dict[str, _Place] = {}
    blocks = [name.removesuffix("_items") for name in inside if name.startswith("block") and name.endswith("_items")]
    for block in blocks:
        values = inside.get(f"{block}_values")
        if not isinstance(values, h5py.Dataset) or values.ndim != 2:
            raise _pickled(path, field)
        time_unit = _time_unit(values, "value_type")
        for column, name in enumerate(_values(inside, f"{block}_items", path, field)):
            places[_text(name)] = _Place(values.name, column=column, time_unit=time_unit)
    if set(places) != set(order):
        raise hdf5.malformed(path, field, "its blocks do not hold the columns that it names")
    return {name: places[name] for name in order}


def _values(inside: Mapping[str, Any], name: str, path: Path, field: str) -> list[Any]:
    node = inside.get(name)
    if not isinstance(node, h5py.Dataset) or node.dtype.kind == "O":
        raise _pickled(path, field)
    return list(np.asarray(node[:]).tolist())


def _cut(block: Array, place: _Place) -> Array:
    return np.asarray(block[place.field] if place.field is not None else block[:, place.column])


def _plain(values: Array, *, time_unit: str | None) -> Array:
    """As Arrow takes it: native byte order, texts as objects, None for empty ones, stamps from whole numbers."""
    if time_unit is not None:
        return values.astype(np.int64).view(f"datetime64[{time_unit}]")
    if values.dtype.kind in "SO":
        return np.array([_text(value) or None for value in values.tolist()], dtype=object)
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _text(value: Any) -> str:
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return "" if text == "nan" and isinstance(value, bytes) else text


def _pickled(path: Path, field: str) -> DataError:
    return DataError(
        "data_pickle_forbidden",
        f"{path.name} keeps names or texts of its table in pickles, and reading those can run code. {_NEWER}",
        field=field,
        file=str(path),
    )
