"""Columns of lists: a list of k values is k columns, ``name[0]`` to ``name[k-1]``; shorter ones leave holes at the end.

Where all lists of a column have one length, they are vectors. Where they differ, the columns are as many as the longest
list of all files has values, and only models that take lists of differing length can be fed with them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from audits.artefacts import Array, ModelDescription, SplitName
from audits.naming import normalised
from audits.sources.graph.inputs import ragged_pairs
from audits.sources.tables.columns import TableFile
from schemas.problem import DataError


@dataclass(frozen=True)
class Lengths:
    """How long the lists of a column are.

    Attributes:
        first: of the first row.
        least, most: of all rows that were looked at; nothing counts as a list of no values.
        odd_row: the first row whose list is not as long as the first.
    """

    first: int
    least: int
    most: int
    odd_row: int | None = None
    odd_length: int | None = None

    @property
    def differ(self) -> bool:
        return self.least < self.most

    @staticmethod
    def of(parts: "Iterable[Array]", max_rows: int | None = None) -> "Lengths | None":
        """Of the lengths in consecutive parts, of the parts with so many rows alone; None where there are no rows."""
        found: Lengths | None = None
        row = 0
        for lengths in parts:
            if len(lengths):
                found = _and(found, lengths, row)
                row += len(lengths)
            if max_rows is not None and row >= max_rows:
                break
        return found


def _and(before: Lengths | None, lengths: Array, row: int) -> Lengths:
    first = int(lengths[0]) if before is None else before.first
    odd, held = (None, None) if before is None else (before.odd_row, before.odd_length)
    others = np.flatnonzero(lengths != first)
    if odd is None and len(others):
        odd, held = row + int(others[0]), int(lengths[others[0]])
    least, most = int(lengths.min()), int(lengths.max())
    if before is not None:
        least, most = min(least, before.least), max(most, before.most)
    return Lengths(first, least, most, odd, held)


@runtime_checkable
class HoldsLists(TableFile, Protocol):
    """A file that may have columns of lists."""

    @property
    def lengths(self) -> Mapping[str, Lengths]:
        """Of each column of lists."""
        ...

    def widen(self, widths: Mapping[str, int]) -> None:
        """Read the columns named as lists of differing length, of at most so many values."""
        ...


def agree_on_lengths(opened: Mapping[SplitName, Sequence[TableFile]]) -> None:
    """Give columns whose lists differ in length the width of the longest, in all files of both splits alike."""
    files = [file for found in opened.values() for file in found if isinstance(file, HoldsLists) and not file.is_empty]
    lengths: dict[str, list[Lengths]] = {}
    for file in files:
        for name, one in file.lengths.items():
            lengths.setdefault(name, []).append(one)
    widths = {name: max(one.most for one in found) for name, found in lengths.items() if _differ(found)}
    for file in files if widths else ():
        file.widen({name: width for name, width in widths.items() if name in file.lengths})


def _differ(found: Sequence[Lengths]) -> bool:
    """Single values that are missing here and there are holes, and no lists."""
    most = max(one.most for one in found)
    return most > 1 and (any(one.differ for one in found) or any(one.most != most for one in found))


def takes_lists(model: ModelDescription | None, column: str) -> bool:
    """Whether the model takes lists of differing length from the column of this name."""
    if model is None:
        return False
    name = normalised(column)
    if model.examples:
        features = (feature for found in model.examples.values() for feature in found)
        return any(feature.shape is None and normalised(feature.name) == name for feature in features)
    specs = {spec.name: spec for spec in model.inputs}
    pairs = ragged_pairs(specs)
    lists = {name for name, spec in specs.items() if spec.layout != "dense"} | set(pairs)
    parts = {component for pair in pairs.values() for component in pair.components[1:]}
    is_only = len(set(specs) - parts) == 1
    return bool(lists) and (is_only or name in {normalised(one) for one in lists})


def lengths_differ(column: str, file: TableFile, lengths: Lengths | None, field: str) -> DataError:
    """The problem of lists of differing length where the model takes vectors, or none."""
    at = "" if lengths is None or lengths.odd_row is None else f" in row {lengths.odd_row}"
    held = "lists of another length" if lengths is None else _values(lengths.odd_length)
    first = "in other files" if lengths is None or lengths.odd_row is None else f"but {lengths.first} in the first row"
    return DataError(
        "feature_shape_mismatch",
        f"Column {column!r} holds {held}{at} of {file.path.name}, {first}, and the model takes no lists of differing "
        "length from it. Write lists of one length, or padded as for training, or leave it out in data.exclude.",
        field=field,
        file=str(file.path),
        row=None if lengths is None else lengths.odd_row,
        column=column,
    )


def _values(length: int | None) -> str:
    return {None: "lists of another length", 0: "nothing", 1: "1 value"}.get(length, f"{length} values")
