"""A split of arrays: x holds one entry a row, y its labels; named roles are arrays beside them."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from audits.artefacts import Array, Batch, Column, Rows, Span, SplitName
from audits.naming import listed, suggestion
from audits.sources.arrays.numpy_files import ArrayFile, ArrayHeader
from audits.sources.formats import Format
from audits.sources.labels import LabelFile
from audits.sources.tables.columns import as_whole
from audits.sources.tables.split import empty, missing_label, unusable_labels
from schemas.problem import DataError

_OF_MAPS = "Maps of labels, as of a segmentation, are not audited: give one label for each row of x."


class ArraySplit:
    """Files of arrays with the same row shape; x of texts is a table, with a column for each text of a row."""

    def __init__(
        self,
        name: SplitName,
        files: Sequence[ArrayFile],
        names: Mapping[str, str],
        *,
        format_: Format,
        max_rows: int | None,
        external: LabelFile | None = None,
    ) -> None:
        """`names` gives the array of each role, "x" and, unless the labels lie elsewhere, "label" among them."""
        self.name = name
        self.files = tuple(str(file.path) for file in files)
        x = files[0].headers[names["x"]]
        self.columns = _text_columns(x) if x.dtype.kind in "US" else ()
        self.layout: Literal["table", "array"] = "table" if self.columns else "array"
        self.row_shape = (len(self.columns),) if self.columns else x.shape[1:]
        self._opened = files
        self._names = names
        self._format = format_
        self._max_rows = max_rows
        self._external = external

    def batches(self, rows: int = 8192, span: Span | None = None) -> Iterator[Batch]:
        wanted = span or Span(0, self._rows_in_all)
        offset = 0
        for file in self._opened:
            end = offset + file.headers[self._names["x"]].shape[0]
            if end > wanted.first:
                yield from self._of_file(file, offset, Span(max(offset, wanted.first), min(end, wanted.stop)), rows)
            offset = end
            if offset >= wanted.stop:
                break
        is_end = wanted.stop == self._rows_in_all != self._max_rows
        if self._external is not None and is_end:
            self._external.require_all_used(wanted.stop)

    def starts(self, rows: int = 8192) -> tuple[int, ...]:
        found: set[int] = set()
        offset = 0
        for file in self._opened:
            if not file.is_divisible(tuple(self._names.values())):
                return ()
            end = offset + file.headers[self._names["x"]].shape[0]
            found.update(range(offset, end, rows))
            offset = end
        in_all = self._rows_in_all
        return (*sorted(start for start in found if start < in_all), in_all)

    @property
    def _rows_in_all(self) -> int:
        """That are read."""
        in_all = sum(file.headers[self._names["x"]].shape[0] for file in self._opened)
        return in_all if self._max_rows is None else min(in_all, self._max_rows)

    def describe(self) -> dict[str, Any]:
        x = self._opened[0].headers[self._names["x"]]
        return {
            "files": list(self.files),
            "format": self._format,
            "x": {"name": self._names["x"], "row_shape": list(x.shape[1:]), "dtype": str(x.dtype)},
            "label": self._describe_label(),
            "roles": {role: name for role, name in self._names.items() if role not in {"x", "label"}},
            **({"unread_arrays": sorted(self._opened[0].unread)} if self._opened[0].unread else {}),
        }

    def _describe_label(self) -> dict[str, Any]:
        if self._external is not None:
            return self._external.describe()
        header = self._opened[0].headers[self._names["label"]]
        return {"name": self._names["label"], "row_shape": list(header.shape[1:]), "dtype": str(header.dtype)}

    def _of_file(self, file: ArrayFile, offset: int, span: Span, rows: int) -> Iterator[Batch]:
        """The rows of a span that lies in the file, before which stand `offset` others."""
        streams = [file.rows_of(name, rows, span.first - offset) for name in self._names.values()]
        row = span.first
        for blocks in zip(*streams, strict=True):
            values = {name: block[: span.stop - row] for name, block in zip(self._names, blocks, strict=True)}
            n = len(values["x"])
            if self._external is not None:
                found = self._external.of_rows(row, n, values.get("id"))
            else:
                found = values.pop("label")
            labels = self._labels(found, file, row - offset)
            yield Batch(row, self._features(values.pop("x")), labels, values)
            row += n
            if row >= span.stop:
                return

    def _features(self, x: Array) -> Rows:
        if not self.columns:
            return x
        texts = x.reshape(len(x), -1)
        return pd.DataFrame({column.name: texts[:, place] for place, column in enumerate(self.columns)})

    def _labels(self, labels: Array, file: ArrayFile, first_row: int) -> Array:
        """(rows,) or one-hot (rows, classes), whole numbers as int64."""
        if labels.ndim == 2 and labels.shape[1] == 1:
            labels = labels[:, 0]
        bad = np.flatnonzero(unusable_labels(labels) if labels.ndim == 1 else ~np.isfinite(labels).all(axis=1))
        if len(bad):
            row = int(bad[0])
            raise missing_label(
                labels[row] if labels.ndim == 1 else None,
                self._names.get("label", "label"),
                str(file.path if self._external is None else self._external.path),
                first_row + row,
                self.name,
            )
        if labels.dtype.kind in "iu":
            return labels.astype(np.int64)
        return as_whole(labels.astype(np.float64)) if labels.dtype.kind == "f" else labels


def open_array_split(
    name: SplitName,
    files: Sequence[ArrayFile],
    names: Mapping[str, str],
    *,
    format_: Format,
    max_rows: int | None,
    external: LabelFile | None,
) -> ArraySplit:
    """A split of opened files that hold an array for every role.

    Raises:
        DataError: `label_missing`, `feature_missing`, `column_missing`, `data_rows_differ`, `data_empty`,
            `feature_shape_mismatch`, or what is wrong with a file.
    """
    field = f"data.{name}.uri"
    for file in files:
        for role, array in names.items():
            _require_array(file, role, array, name)
        _require_rows(file, names, field)
    if all(file.headers[names["x"]].shape[0] == 0 for file in files):
        raise empty(name, [str(file.path) for file in files])
    _require_same_shapes(files, names, field)
    return ArraySplit(name, files, names, format_=format_, max_rows=max_rows, external=external)


def _text_columns(x: ArrayHeader) -> tuple[Column, ...]:
    if len(x.shape) == 1:
        return (Column("x", "string"),)
    return tuple(Column(f"x[{place}]", "string") for place in range(math.prod(x.shape[1:])))


def _require_array(file: ArrayFile, role: str, array: str, split: SplitName) -> None:
    if array in file.headers:
        return
    if array in file.unread:
        raise file.unread[array]
    code = {"label": "label_missing", "x": "feature_missing"}.get(role, "column_missing")
    raise DataError(
        code,
        f"The {split} data {file.path.name} have no array {array!r}; they have {listed(file.headers) or 'none'}. "
        f"Save x (features) and y (labels).{suggestion(array, file.headers)}",
        field=f"data.{split}.uri" if role == "x" else f"data.{role}",
        file=str(file.path),
        column=array,
    )


def _require_rows(file: ArrayFile, names: Mapping[str, str], field: str) -> None:
    """Every array has the rows of x; labels and roles have one value a row, labels possibly one a class."""
    x = file.headers[names["x"]]
    for role, name in names.items():
        header = file.headers[name]
        if not header.shape or header.shape[0] != x.shape[0]:
            raise DataError(
                "data_rows_differ",
                f"{file.path.name} holds {names['x']} of the shape {list(x.shape)} and {name} of the shape "
                f"{list(header.shape)}: the first size, the number of rows, must be the same.",
                field=field,
                file=str(file.path),
                column=name,
            )
        if role != "x" and not _fits(role, header):
            raise DataError(
                "label_shape_unsupported" if role == "label" else "column_shape_unsupported",
                f"{name} in {file.path.name} has the shape {list(header.shape)} of {header.dtype}; one value a row is "
                "needed" + (f", or one number a class. {_OF_MAPS}" if role == "label" else "."),
                field=f"data.{role}",
                file=str(file.path),
                column=name,
            )


def _fits(role: str, header: ArrayHeader) -> bool:
    if len(header.shape) == 1:
        return True
    return role == "label" and len(header.shape) == 2 and header.shape[1] > 0 and header.dtype.kind not in "US"


def _require_same_shapes(files: Sequence[ArrayFile], names: Mapping[str, str], field: str) -> None:
    for file in files[1:]:
        for name in names.values():
            first, other = files[0].headers[name], file.headers[name]
            if first.shape[1:] != other.shape[1:] or (first.dtype.kind in "US") != (other.dtype.kind in "US"):
                raise DataError(
                    "feature_shape_mismatch",
                    f"A row of {name} is {list(first.shape[1:])} of {first.dtype} in {files[0].path.name}, but "
                    f"{list(other.shape[1:])} of {other.dtype} in {file.path.name}.",
                    field=field,
                    file=str(file.path),
                    column=name,
                )
