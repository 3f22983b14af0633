"""A uniform sample of bounded size that does not depend on how the rows were divided.

Every row has a key, which is a function of the seed and of the row's number alone: the output of a counter-based
generator (Philox; Salmon et al., 2011, https://doi.org/10.1145/2063384.2063405) at that counter. The rows with the
smallest keys are the sample, so that samples of parts merge to the sample of the whole in any grouping.
"""

import numpy as np

from audits.artefacts import Array, Batch, Rows
from audits.evidence.features import concatenate, take

LANES = 4  # numbers of 64 bits that Philox draws at each counter


def sample_key(rng: np.random.Generator) -> Array:
    """(2,) uint64, the key of a Philox generator."""
    return rng.integers(0, 2**64, size=2, dtype=np.uint64)


def row_keys(key: Array, first_row: int, n: int) -> Array:
    """(n,) uint64, uniform: the keys of the rows from `first_row` on."""
    generator = np.random.Philox(key=key)
    generator.advance(first_row // LANES)
    before = first_row % LANES
    return np.asarray(generator.random_raw(before + n)[before:])


class Sample:
    """Of the rows that were added, those with the smallest keys.

    Args:
        key: (2,) uint64; see `sample_key`.
        capacity: rows that are kept.
    """

    def __init__(self, key: Array, capacity: int) -> None:
        self._key = key
        self._capacity = capacity
        self.parts: list[Rows] = []
        self.keys = np.empty(0, dtype=np.uint64)
        self.index = np.empty(0, dtype=np.int64)
        self.types: dict[str | None, set[np.dtype[np.generic]]] = {}

    def add(self, batch: Batch) -> None:
        """Consider some rows that were not considered before."""
        self._note_types(batch.features)
        keys = row_keys(self._key, batch.first_row, len(batch))
        rows, index = batch.features, batch.first_row + np.arange(len(batch))
        if len(self.keys) >= self._capacity:
            wanted = keys < self.keys.max()
            rows, keys, index = take(rows, wanted), keys[wanted], index[wanted]
        self._keep([rows], keys, index)

    def merge(self, other: "Sample") -> None:
        """Consider the rows that another sample with the same key and capacity has considered."""
        for column, types in other.types.items():
            self.types.setdefault(column, set()).update(types)
        self._keep(other.parts, other.keys, other.index)

    def finish(self) -> tuple[Array, Rows]:
        """(sampled,) row numbers, ascending, and the rows.

        A column has the type that all of its rows fit, whether they are in the sample or not.
        """
        kept = np.sort(self._smallest())
        kept = kept[np.argsort(self.index[kept])]
        rows = self.parts[0] if len(self.parts) == 1 else concatenate(self.parts)
        if len(kept) < len(rows) or (kept[1:] < kept[:-1]).any():
            rows = take(rows, kept)
        types = {column: np.result_type(*sorted(types, key=str)) for column, types in self.types.items()}
        if isinstance(rows, np.ndarray):
            return self.index[kept], rows.astype(types[None], copy=False)
        changed = {str(column): dtype for column, dtype in types.items() if rows[column].dtype != dtype}
        return self.index[kept], (rows.astype(changed) if changed else rows).reset_index(drop=True)

    def _note_types(self, rows: Rows) -> None:
        types = {None: rows.dtype} if isinstance(rows, np.ndarray) else dict(rows.dtypes)
        for column, dtype in types.items():
            if isinstance(dtype, np.dtype):  # others are of pandas, and of texts
                self.types.setdefault(column, set()).add(dtype)

    def _keep(self, parts: list[Rows], keys: Array, index: Array) -> None:
        if not len(keys):
            return
        self.parts += parts
        self.keys = np.concatenate([self.keys, keys])
        self.index = np.concatenate([self.index, index])
        if len(self.keys) > 2 * self._capacity:
            kept = self._smallest()
            self.parts = [take(concatenate(self.parts), kept)]
            self.keys, self.index = self.keys[kept], self.index[kept]

    def _smallest(self) -> Array:
        """Positions of the rows to keep."""
        if len(self.keys) <= self._capacity:
            return np.arange(len(self.keys))
        return np.argpartition(self.keys, self._capacity - 1)[: self._capacity]
