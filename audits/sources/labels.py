"""Labels that lie in files of their own: row by row, or joined by id."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from audits.artefacts import Array, SplitName
from audits.naming import listed
from audits.sources.arrays.numpy_files import NpyFiles
from audits.sources.formats import identify, is_data
from audits.sources.locations import Roots, resolve_files
from audits.sources.tables.columns import TableFile, TableSource
from audits.sources.tables.readers import READERS
from schemas.data import Data
from schemas.problem import DataError

# As pandas writes whole numbers where others of the column are missing.
_WHOLE = re.compile(r"-?\d+\.0+", re.ASCII)


@dataclass(frozen=True)
class LabelFile:
    """The labels of a split.

    Attributes:
        path: of the first file.
        field: of the request, to blame.
        values: (labels,) or (labels, classes).
        ids: (labels,) texts, where they are joined by id.
        name: of the column.
        is_whole: whether all of them were read.
    """

    path: Path
    field: str
    values: Array
    ids: Array | None
    name: str
    is_whole: bool

    def of_rows(self, first_row: int, n: int, ids: Array | None) -> Array:
        """(n,) or (n, classes): the labels of consecutive rows.

        Raises:
            DataError: `data_rows_differ`, or `label_missing_values` for an id without a label.
        """
        if self.ids is not None and ids is not None:
            wanted = pd.Series(_as_text(ids), dtype=object)
            at = self._index.get_indexer(pd.Index(wanted))
            unknown = np.flatnonzero((at < 0) | wanted.isna().to_numpy())
            if len(unknown):
                id_, row = wanted[unknown[0]], first_row + int(unknown[0])
                of_row = f"row {row}, which has no id" if id_ is None else f"the id {id_!r} of row {row}"
                raise DataError(
                    "label_missing_values",
                    f"{self.path.name} holds no label for {of_row}.",
                    field=self.field,
                    file=str(self.path),
                    row=row,
                )
            return np.asarray(self.values[at])
        labels = self.values[first_row : first_row + n]
        if len(labels) < n:
            raise self._rows_differ(f"there are at least {first_row + n:,} rows")
        return labels

    def require_all_used(self, rows: int) -> None:
        """Row by row, there are as many labels as rows."""
        if self.ids is None and self.is_whole and rows != len(self.values):
            raise self._rows_differ(f"there are {rows:,} rows")

    def describe(self) -> dict[str, object]:
        """For the report."""
        return {"name": self.name, "file": str(self.path), "joined": "by id" if self.ids is not None else "row by row"}

    @cached_property
    def _index(self) -> "pd.Index[Any]":
        index: pd.Index[Any] = pd.Index(pd.Series(self.ids, dtype=object))
        return index

    def _rows_differ(self, said: str) -> DataError:
        return DataError(
            "data_rows_differ",
            f"{self.path.name} holds {len(self.values):,} labels, but {said}. Write one label a row, in the same "
            "order, or name data.id and write it beside each label.",
            field=self.field,
            file=str(self.path),
        )


def read_labels(data: Data, name: SplitName, roots: Roots, *, max_rows: int | None) -> LabelFile | None:
    """The labels that a split's `label_uri` names; None without one.

    Raises:
        RequestError, DataError: naming the file or column to blame.
    """
    reference = data.train if name == "train" else data.validation
    if reference.label_uri is None:
        return None
    field = f"data.{name}.label_uri"
    files = resolve_files(reference.label_uris, roots, field=field, is_data=is_data)
    found = [identify(file.path, field=field) for file in files]
    if found[0].format == "npy":
        return _from_arrays([file.path for file in files], field)
    if any(one.format not in READERS for one in found):
        raise DataError(
            "data_format_unsupported",
            f"{files[0].path.name} is {found[0].format}: give labels as an NPY file or as a table.",
            field=field,
            file=str(files[0].path),
        )
    wanted = frozenset(name for name in (*data.labels, data.id) if isinstance(name, str))
    tables = [
        READERS[one.format](TableSource(file.path, field, one.compression, reference.csv, reference.key, wanted))
        for file, one in zip(files, found, strict=True)
    ]
    return _from_tables(data, tables, field, max_rows)


def _from_arrays(paths: Sequence[Path], field: str) -> LabelFile:
    opened = [NpyFiles([path], field=field) for path in paths]
    for problem in (problem for file in opened for problem in file.unread.values()):
        raise problem
    values = [block for file in opened for name in file.headers for block in file.rows_of(name, 2**20)]
    if not values or values[0].ndim not in {1, 2}:
        raise DataError(
            "label_shape_unsupported",
            f"{paths[0].name} must hold one label a row, or one number a class.",
            field=field,
            file=str(paths[0]),
        )
    labels = np.concatenate(values)
    return LabelFile(paths[0], field, labels[:, 0] if labels.shape[1:] == (1,) else labels, None, paths[0].name, True)


def _from_tables(data: Data, tables: Sequence[TableFile], field: str, max_rows: int | None) -> LabelFile:
    first = tables[0]
    by_id = isinstance(data.id, str) and data.id in first.observed
    column = _column(data, first, field, by_id=by_id)
    kinds = {table.observed[column].kind for table in tables if column in table.observed} - {None}
    kind = "number" if kinds <= {"number", "boolean"} else "string"
    values: list[Array] = []
    ids: list[Array] = []
    asked = {column: kind} | ({str(data.id): "string"} if by_id else {})
    for table in tables:
        if not set(asked) <= set(table.observed):
            raise _no_column(table, column, field)
        for chunk in table.chunks(asked):  # type: ignore[arg-type]  # kinds, spelled as texts
            values.append(chunk.columns[column])
            if by_id:
                ids.append(chunk.columns[str(data.id)])
            if not by_id and max_rows is not None and sum(map(len, values)) >= max_rows:
                return LabelFile(first.path, field, np.concatenate(values), None, column, False)
    if not values:
        raise DataError("data_empty", f"{first.path.name} holds no labels.", field=field, file=str(first.path))
    joined = _as_text(np.concatenate(ids)) if by_id else None
    if joined is not None and len(pd.Index(joined).unique()) < len(joined):
        twice = pd.Series(joined)[pd.Series(joined).duplicated()].iloc[0]
        raise DataError(
            "id_repeated",
            f"{first.path.name} holds several labels for the id {twice!r}.",
            field=field,
            file=str(first.path),
            column=str(data.id),
        )
    return LabelFile(first.path, field, np.concatenate(values), joined, column, True)


def _column(data: Data, table: TableFile, field: str, *, by_id: bool) -> str:
    """The label's column: by its name, or the only one besides the id."""
    names = [name for name in table.observed if name and not (by_id and name == data.id)]
    if isinstance(data.label, str) and data.label in names:
        return data.label
    if len(names) == 1:
        return names[0]
    raise _no_column(table, data.label_name or "label", field)


def _no_column(table: TableFile, column: str, field: str) -> DataError:
    return DataError(
        "label_missing",
        f"{table.path.name} has no column {column!r}; it has {listed(table.observed)}. Name the label's column in "
        "data.label, or write one column alone.",
        field=field,
        file=str(table.path),
        column=column,
    )


def _as_text(ids: Array) -> Array:
    """Whole numbers are written alike, whatever type they and their neighbours are of; None for a missing id."""
    return np.array([_id_text(value) for value in ids.tolist()], dtype=object)


def _id_text(value: Any) -> str | None:
    if pd.isna(value):
        return None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    text = str(value)
    return text.partition(".")[0] if _WHOLE.fullmatch(text) else text
