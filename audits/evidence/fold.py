"""The evidence of a split as a fold over its rows, whose parts merge to that of the whole.

`SplitFold(...)` is made, `update`d with batches, `merge`d with folds of other rows, and `finish`ed. Whichever way the
rows are divided among folds, and in whichever order and grouping these are merged, the result is that of one fold
over all rows in file order: what is kept of every row is put in order at the end, and the sample is a function of
the seed and the rows' numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from audits.artefacts import Array, Batch, Rows, SplitName
from audits.evidence.sample import Sample

# Of several outputs, the widest (embeddings, maps) are let go where all together take more.
MAX_OUTPUT_BYTES = 2**28


@dataclass(frozen=True)
class RawSplit:
    """A split after its one pass.

    Attributes:
        name: train or validation.
        labels: (rows,) or (rows, classes), as read.
        outputs: name -> (rows, ...) of the outputs that may be judged; without the widest where they take too much.
        fingerprints: (rows,) uint64 of the features.
        roles: other role columns, each (rows,).
        sample_index: (sampled,) row numbers, ascending.
        sample_rows: the features of the sampled rows.
    """

    name: SplitName
    labels: Array
    outputs: Mapping[str, Array]
    fingerprints: Array
    roles: dict[str, Array]
    sample_index: Array
    sample_rows: Rows

    @property
    def n(self) -> int:
        return len(self.labels)


@dataclass
class _Column:
    """Values of every row that was folded, in pieces, by the number of each piece's first row."""

    pieces: dict[int, Array] = field(default_factory=dict)
    n_bytes: int = 0

    def add(self, first_row: int, values: Array) -> None:
        self.pieces[first_row] = values
        self.n_bytes += values.nbytes

    def merge(self, other: "_Column") -> None:
        self.pieces.update(other.pieces)
        self.n_bytes += other.n_bytes

    def take(self) -> Array:
        """(rows, ...) in the order of the rows; what is held is given away, so that memory holds one column twice."""
        pieces, self.pieces = self.pieces, {}
        return np.concatenate([pieces[first_row] for first_row in sorted(pieces)])


class SplitFold:
    """Evidence of some rows of a split.

    Args:
        name: train or validation.
        key: (2,) uint64, of the sample; see `sample_key`.
        capacity: rows of the sample.
    """

    def __init__(self, name: SplitName, key: Array, capacity: int) -> None:
        self._name = name
        self.sizes: dict[int, int] = {}  # first row of a batch -> rows
        self.labels = _Column()
        self.marks = _Column()
        self.roles: dict[str, _Column] = {}
        self.outputs: dict[str, _Column] = {}
        self.let_go: set[str] = set()
        self.sample = Sample(key, capacity)

    @property
    def n(self) -> int:
        """Rows that were folded."""
        return sum(self.sizes.values())

    def update(self, batch: Batch, marks: Array, outputs: Mapping[str, Array]) -> None:
        """Take in a batch of at least one row.

        Args:
            batch: the rows.
            marks: (rows,) their fingerprints.
            outputs: what the model answers, name -> (rows, ...).
        """
        self.sizes[batch.first_row] = len(batch)
        self.labels.add(batch.first_row, batch.labels)
        self.marks.add(batch.first_row, marks)
        for role, values in batch.roles.items():
            self.roles.setdefault(role, _Column()).add(batch.first_row, values)
        for name, values in outputs.items():
            if name not in self.let_go:
                self.outputs.setdefault(name, _Column()).add(batch.first_row, values)
        self._let_widest_go()
        self.sample.add(batch)

    def merge(self, other: "SplitFold") -> "SplitFold":
        """Take in all that another fold of the same split, key and capacity has taken in; returns itself.

        What the other one held is shared afterwards: it is not to be used any more.
        """
        self.sizes.update(other.sizes)
        self.labels.merge(other.labels)
        self.marks.merge(other.marks)
        for mine, others in ((self.roles, other.roles), (self.outputs, other.outputs)):
            for name, column in others.items():
                mine.setdefault(name, _Column()).merge(column)
        self.let_go |= other.let_go
        self._let_widest_go()
        self.sample.merge(other.sample)
        return self

    def finish(self) -> RawSplit:
        """The evidence; the fold has given it away and is not to be used any more.

        Raises:
            ValueError: the folded rows, at least one, are not those from 0 on, each once.
        """
        self._require_every_row_once()
        index, rows = self.sample.finish()
        return RawSplit(
            self._name,
            self.labels.take(),
            {name: column.take() for name, column in self.outputs.items()},
            self.marks.take(),
            {role: column.take() for role, column in self.roles.items()},
            index,
            rows,
        )

    def _let_widest_go(self) -> None:
        """Drop the widest outputs so that the others, at least one, stay within bounds.

        An output takes the same room in every row: whichever rows are looked at first, those that must go in the end
        are the same.
        """
        widest_first = sorted(self.outputs, key=lambda name: -self.outputs[name].n_bytes)
        total = sum(column.n_bytes for name, column in self.outputs.items() if name not in self.let_go)
        for name in widest_first[:-1]:
            if name not in self.let_go and total > MAX_OUTPUT_BYTES:
                self.let_go.add(name)
                total -= self.outputs[name].n_bytes
        self.outputs = {name: column for name, column in self.outputs.items() if name not in self.let_go}

    def _require_every_row_once(self) -> None:
        expected = 0
        for first_row in sorted(self.sizes):
            if first_row != expected:
                raise ValueError(f"row {min(first_row, expected)} was folded twice, or row {expected} never")
            expected += self.sizes[first_row]
        if expected == 0:
            raise ValueError("no rows were folded")
