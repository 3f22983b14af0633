"""Columns that stand in the names of folders: year=2024/part-0.parquet has a column `year`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, cast

import numpy as np

from audits.artefacts import ColumnKind, FoundText
from audits.sources.locations import DataFile
from audits.sources.tables.columns import Chunk, DivisibleFile, Observed, TableFile, is_number
from audits.sources.tables.lists import HoldsLists, Lengths
from schemas.problem import DataError


class PartitionedFile:
    """A file with its partitions as columns after its own; a column of the file itself counts more."""

    def __init__(self, file: TableFile, values: Mapping[str, str | None], kinds: Mapping[str, ColumnKind]) -> None:
        self.path = file.path
        self._file = file
        self._values = {name: value for name, value in values.items() if name not in file.observed}
        self.is_empty = file.is_empty
        self._own = {name: _observed(value, kinds[name], str(file.path)) for name, value in self._values.items()}
        self.observed: Mapping[str, Observed] = {**file.observed, **self._own}

    @property
    def lengths(self) -> Mapping[str, Lengths]:
        return self._file.lengths if isinstance(self._file, HoldsLists) else {}

    def widen(self, widths: Mapping[str, int]) -> None:
        if isinstance(self._file, HoldsLists):
            self._file.widen(widths)
            self.observed = {**self._file.observed, **self._own}

    def describe(self) -> dict[str, Any]:
        return {**self._file.describe(), "partitions": list(self._values)}

    @property
    def borders(self) -> tuple[int, ...]:
        return self._file.borders if isinstance(self._file, DivisibleFile) else ()

    def chunks(self, kinds: Mapping[str, ColumnKind]) -> Iterator[Chunk]:
        return self._filled(kinds, self._file.chunks)

    def chunks_from(self, first_row: int, kinds: Mapping[str, ColumnKind]) -> Iterator[Chunk]:
        file = cast(DivisibleFile, self._file)  # others have no borders
        return self._filled(kinds, lambda asked: file.chunks_from(first_row, asked))

    def _filled(
        self, kinds: Mapping[str, ColumnKind], read: Callable[[Mapping[str, ColumnKind]], Iterator[Chunk]]
    ) -> Iterator[Chunk]:
        """What is read of the file, and its partitions beside it."""
        own = {name: kind for name, kind in kinds.items() if name not in self._values}
        constant = {name: _constant(self._values[name], kind) for name, kind in kinds.items() if name not in own}
        # a file that nothing is read of still says how many rows there are
        readable = (name for name, seen in self._file.observed.items() if seen.unread is None)
        asked = own or dict.fromkeys(islice(readable, 1), "string")
        for chunk in read(asked):
            filled = {name: np.full(chunk.n, value[0], dtype=value.dtype) for name, value in constant.items()}
            yield Chunk(chunk.first_row, {**{name: chunk.columns[name] for name in own}, **filled}, chunk.n)


def kinds_of(files: Sequence[DataFile]) -> dict[str, ColumnKind]:
    """The kind of each partition column over all files: numbers where all values are."""
    values: dict[str, list[str]] = {}
    for file in files:
        for name, value in file.partitions.items():
            values.setdefault(name, []).extend([] if value is None else [value])
    return {name: "number" if all(map(is_number, found)) else "string" for name, found in values.items()}


def require_same_partitions(files: Sequence[DataFile], field: str) -> None:
    """Raises `partitions_differ`."""
    for file in files[1:]:
        if set(file.partitions) != set(files[0].partitions):
            raise DataError(
                "partitions_differ",
                f"{file.path} lies in partitions {sorted(file.partitions) or 'none'}, {files[0].path} in "
                f"{sorted(files[0].partitions) or 'none'}. Name folders or globs of one layout.",
                field=field,
                file=str(file.path),
            )


def _observed(value: str | None, kind: ColumnKind, file: str) -> Observed:
    if kind == "number":
        return Observed(None if value is None else "number", whole=value is None or "." not in value)
    return Observed("string", text=FoundText(value, 0, file) if value is not None and not is_number(value) else None)


def _constant(value: str | None, kind: ColumnKind) -> Any:
    """(1,) of the column's type."""
    if kind == "string":
        return np.array([value], dtype=object)
    number = float("nan") if value is None else float(value)
    return np.array([int(number)] if number.is_integer() else [number])
