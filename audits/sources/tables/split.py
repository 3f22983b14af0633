"""A split that is a table: any number of files with the same columns."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
import pandas as pd

from audits.artefacts import Array, Batch, Column, ColumnKind, Span, SplitName
from audits.sources.labels import LabelFile
from audits.sources.tables.columns import LABEL_HOLES, Chunk, DivisibleFile, Observed, TableFile, as_whole
from schemas.problem import DataError

# Of files that are read otherwise than the first, so many are listed in the report.
SHOWN_FILES = 20


@dataclass(frozen=True)
class Layout:
    """What the columns of a table are for.

    Attributes:
        features: in the model's order.
        labels: one column; several where they are one-hot; none where the labels lie in other files.
        label_kinds: of this split; the other split's may differ, which is a finding and no problem.
        roles: role -> column and its kind.
    """

    features: tuple[Column, ...]
    labels: tuple[str, ...]
    label_kinds: tuple[ColumnKind, ...]
    roles: Mapping[str, Column]

    @property
    def kinds(self) -> dict[str, ColumnKind]:
        """Of every column that is read."""
        read = {column.name: column.kind for column in (*self.features, *self.roles.values())}
        return {**read, **dict(zip(self.labels, self.label_kinds, strict=True))}


class TableSplit:
    """A table whose columns are known and agree over all of its files."""

    layout: Literal["table", "array"] = "table"

    def __init__(
        self,
        name: SplitName,
        files: Sequence[TableFile],
        layout: Layout,
        *,
        max_rows: int | None,
        notes: Mapping[str, Any],
        external: LabelFile | None = None,
    ) -> None:
        self.name = name
        self.columns = layout.features
        self.row_shape: tuple[int, ...] = (len(layout.features),)
        self.files = tuple(str(file.path) for file in files)
        self._opened = files
        self._layout = layout
        self._max_rows = max_rows
        self._notes = notes
        self._external = external

    @property
    def label_names(self) -> tuple[str, ...]:
        """The label columns; none where the labels lie in other files."""
        return self._layout.labels

    @property
    def role_names(self) -> dict[str, str]:
        """Role -> column, besides the label."""
        return {role: column.name for role, column in self._layout.roles.items()}

    def batches(self, rows: int = 8192, span: Span | None = None) -> Iterator[Batch]:
        first_row = 0 if span is None else span.first
        for columns in self._blocks(self._chunks(span), rows):
            batch = self._batch(first_row, columns)
            yield batch
            first_row += len(batch)
        if first_row == 0:
            raise empty(self.name, self.files)
        is_end = span is None or span.stop == self._rows_in_all()
        if self._external is not None and first_row != self._max_rows and is_end:
            self._external.require_all_used(first_row)

    def starts(self, rows: int = 8192) -> tuple[int, ...]:
        in_all = self._rows_in_all()
        if not in_all:
            return ()
        borders = [offset + border for file, offset in self._places() for border in file.borders]
        # batches begin at multiples of `rows`, whatever the borders are: the first at or after each of them
        starts = {-(-border // rows) * rows for border in borders}
        return (*sorted(start for start in starts if start < in_all), in_all)

    def _rows_in_all(self) -> int | None:
        """That are read; None where only reading tells."""
        borders = [file.borders if isinstance(file, DivisibleFile) else () for file in self._opened]
        if not all(borders):
            return None
        in_all = sum(of_file[-1] for of_file in borders)
        return in_all if self._max_rows is None else min(in_all, self._max_rows)

    def _places(self) -> Iterator[tuple[DivisibleFile, int]]:
        """The files of a split that can be divided, and the number of rows before each."""
        offset = 0
        for file in cast("Sequence[DivisibleFile]", self._opened):
            yield file, offset
            offset += file.borders[-1]

    def describe(self) -> dict[str, Any]:
        holes = {c.name: sorted(_holes(self._opened, c.name)) for c in self.columns if _holes(self._opened, c.name)}
        return {
            "files": list(self.files),
            "format": self._notes.get("format"),
            **self._describe_files(),
            "columns": [{"name": column.name, "kind": column.kind} for column in self.columns],
            "label": self._describe_label(),
            "roles": self.role_names,
            "holes_spelled": holes,
            **({"rounded": rounded} if (rounded := self._rounded()) else {}),
            **{key: value for key, value in self._notes.items() if key != "format"},
        }

    def _rounded(self) -> list[str]:
        """Columns of numbers with more digits than float64 has, by the heads of the files."""
        numbers = [one.name for one in (*self.columns, *self._layout.roles.values()) if one.kind == "number"]
        return [name for name in numbers if any(_is_rounded(file, name) for file in self._opened)]

    def _describe_files(self) -> dict[str, Any]:
        """How the first file is read, and those that are read otherwise."""
        first, *others = [file.describe() for file in self._opened]
        differing = {
            str(file.path): {key: value for key, value in other.items() if first.get(key) != value}
            for file, other in zip(self._opened[1:], others, strict=True)
            if other != first
        }
        shown = dict(list(differing.items())[:SHOWN_FILES])
        return {**first, **({"read_otherwise": shown} if shown else {})}

    def _describe_label(self) -> dict[str, Any]:
        if self._external is not None:
            return self._external.describe()
        names, kinds = self._layout.labels, self._layout.label_kinds
        if len(names) == 1:
            return {"name": names[0], "kind": kinds[0]}
        return {"name": list(names), "kind": "one-hot"}

    @staticmethod
    def _blocks(chunks: Iterator[Chunk], rows: int) -> Iterator[dict[str, Array]]:
        """The columns in blocks of `rows` rows over file borders."""
        waiting: list[Mapping[str, Array]] = []
        count = 0
        for chunk in chunks:
            for first in range(0, chunk.n, rows):
                waiting.append({name: values[first : first + rows] for name, values in chunk.columns.items()})
                count += min(rows, chunk.n - first)
                if count >= rows:
                    joined = _joined(waiting)
                    yield {name: values[:rows] for name, values in joined.items()}
                    waiting = [{name: values[rows:] for name, values in joined.items()}]
                    count -= rows
        if count:
            yield _joined(waiting)

    def _chunks(self, span: Span | None) -> Iterator[Chunk]:
        """At most `max_rows` rows, or those of a span, each with a label."""
        left = self._max_rows if span is None else len(span)
        for file, whole in self._read(span):
            chunk = whole if left is None else whole.head(left)
            if self._external is None:
                self._require_labels(file, chunk)
            yield chunk
            if left is not None:
                left -= chunk.n
                if left == 0:
                    return

    def _read(self, span: Span | None) -> Iterator[tuple[TableFile, Chunk]]:
        """All chunks, or those from the first row of a span on."""
        if span is None:
            yield from ((file, chunk) for file in self._opened for chunk in file.chunks(self._layout.kinds))
            return
        for file, offset in self._places():
            wanted = max(0, span.first - offset)  # within the file
            if wanted >= file.borders[-1]:
                continue
            border = max(border for border in file.borders if border <= wanted)
            for chunk in file.chunks_from(border, self._layout.kinds):
                unwanted = min(chunk.n, max(0, wanted - chunk.first_row))
                if unwanted < chunk.n:
                    yield file, chunk.without(unwanted)

    def _require_labels(self, file: TableFile, chunk: Chunk) -> None:
        names = self._layout.labels
        for name in names:
            labels = chunk.columns[name]
            bad = np.flatnonzero(unusable_labels(labels))
            if len(bad):
                raise missing_label(labels[bad[0]], name, str(file.path), chunk.first_row + int(bad[0]), self.name)
        if len(names) > 1:
            self._require_one_hot(file, chunk)

    def _require_one_hot(self, file: TableFile, chunk: Chunk) -> None:
        columns = [chunk.columns[name] for name in self._layout.labels]
        if any(column.dtype == object for column in columns):
            bad = np.array([0])
        else:
            values = np.stack(columns, axis=1)
            bad = np.flatnonzero(
                (((values == 0) | (values == 1)).sum(axis=1) < len(columns)) | (values.sum(axis=1) != 1)
            )
        if len(bad):
            row = chunk.first_row + int(bad[0])
            raise DataError(
                "label_not_one_hot",
                f"The {self.name} label columns hold {[column[bad[0]] for column in columns][:10]} in row {row} of "
                f"{file.path.name}; exactly one of them must be 1, the others 0. Several labels a row are not audited.",
                field="data.label",
                file=str(file.path),
                row=row,
                column=self._layout.labels[0],
            )

    def _batch(self, first_row: int, columns: Mapping[str, Array]) -> Batch:
        features = {c.name: _series(columns[c.name]) for c in self.columns}
        roles = {role: columns[column.name] for role, column in self._layout.roles.items()}
        n = len(next(iter(columns.values())))
        return Batch(
            first_row=first_row,
            features=pd.DataFrame(features, index=pd.RangeIndex(n)),
            labels=self._labels(first_row, n, columns, roles),
            roles=roles,
        )

    def _labels(self, first_row: int, n: int, columns: Mapping[str, Array], roles: Mapping[str, Array]) -> Array:
        """(rows,), or one-hot (rows, classes)."""
        if self._external is not None:
            found = self._external.of_rows(first_row, n, roles.get("id"))
            bad = np.flatnonzero(unusable_labels(found) if found.ndim == 1 else ~np.isfinite(found).all(axis=1))
            if len(bad):
                file, row = str(self._external.path), first_row + int(bad[0])
                raise missing_label(found[bad[0]], self._external.name, file, row, self.name)
            return as_whole(found)
        names = self._layout.labels
        if len(names) == 1:
            return as_whole(columns[names[0]])
        return np.stack([columns[name] for name in names], axis=1).astype(np.int64)


def unusable_labels(labels: Array) -> Array:
    """(rows,) whether a label says nothing: missing, NaN or infinite."""
    if labels.dtype == object:
        return np.array([value is None or value.strip() in LABEL_HOLES for value in labels], dtype=bool)
    if labels.dtype.kind == "M":
        return np.asarray(np.isnat(labels))
    return np.asarray(~np.isfinite(labels))


def missing_label(value: Any, column: str, file: str, row: int, split: SplitName) -> DataError:
    held = "is infinite" if isinstance(value, float) and np.isinf(value) else "is missing"
    return DataError(
        "label_missing_values",
        f"The {split} label {held} in row {row} of {file.rsplit('/', 1)[-1]}. Remove rows without a label: "
        "they can neither be trained on nor be judged.",
        field="data.label",
        file=file,
        row=row,
        column=column,
    )


def empty(split: SplitName, files: Sequence[str]) -> DataError:
    return DataError(
        "data_empty",
        f"The {split} split has no rows. Check how {'the file was' if len(files) == 1 else 'its files were'} written.",
        field=f"data.{split}.uri",
        file=files[0],
    )


def _series(values: Array) -> "pd.Series[Any] | Array":
    # pandas would turn objects that are all text into its own string type
    return pd.Series(values, dtype=object, copy=False) if values.dtype == object else values


def _joined(parts: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    if len(parts) == 1:
        return dict(parts[0])
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _is_rounded(file: TableFile, column: str) -> bool:
    seen = file.observed.get(column, Observed(None))
    return seen.digits and not seen.whole  # whole ones are read with all their digits


def _holes(files: Sequence[TableFile], column: str) -> set[str]:
    return {hole for file in files for hole in file.observed.get(column, Observed(None)).holes}
