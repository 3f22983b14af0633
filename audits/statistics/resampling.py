"""The bootstrap over rows, as row counts: by classes, by groups, and over rows that are alike.

A resample is written as how often each row was drawn, (rows,). Metrics that accept weights then score many
resamples at once by matrix products; see `audits.statistics.metrics`.

Reference: Efron & Tibshirani, 1993, An Introduction to the Bootstrap.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from audits.artefacts import Array

DEFAULT_RESAMPLES = 2000
# Draws per bootstrap; with more rows fewer resamples are made, down to FEWEST_RESAMPLES.
MAX_DRAWS = 40_000_000
FEWEST_RESAMPLES = 400
# Draws held at once: 8 bytes each, a few arrays of them.
CHUNK_DRAWS = 1_000_000
# Combinations of class indices that are counted in a table.
MAX_CODES = 1_000_000


def resamples_for(n: int, wanted: int = DEFAULT_RESAMPLES) -> int:
    """How many resamples of n rows are affordable: `wanted` up to 20,000 rows, fewer then, 400 at least."""
    return min(wanted, max(FEWEST_RESAMPLES, MAX_DRAWS // max(n, 1)))


def count_chunks(
    n: int,
    rng: np.random.Generator,
    *,
    n_resamples: int | None = None,
    groups: Array | None = None,
    strata: Array | None = None,
) -> Iterator[Array]:
    """Bootstrap resamples as counts, in chunks of bounded memory.

    Args:
        n: rows.
        rng: source of the draws.
        n_resamples: in all chunks together; `resamples_for(n)` by default.
        groups: (n,) rows of one group are drawn together (clustered bootstrap).
        strata: (n,) every stratum keeps its number of rows; with groups, its number of groups, where a group
            belongs to the stratum of its first row.

    Yields:
        (some resamples, n) float64 counts; without groups every row of them sums to n.
    """
    left = resamples_for(n) if n_resamples is None else n_resamples
    draw = _Draw.of(n, groups, strata)
    size = max(1, CHUNK_DRAWS // max(n, 1))
    while left > 0:
        chunk = min(size, left)
        yield draw.counts(rng, chunk)
        left -= chunk


def collapse(*columns: Array) -> tuple[Array, Array]:
    """Rows that a statistic cannot tell apart, as one: the way to resample many rows at the price of few.

    Args:
        columns: each (n,), everything the statistic looks at: labels, answers.

    Returns:
        (distinct,) the first row of each combination, and (distinct,) how many rows have it.
    """
    spans = [_span(column) for column in columns]
    if all(spans) and np.prod(spans, dtype=float) <= MAX_CODES:
        return _collapse_codes(columns, spans)
    codes = np.zeros(len(columns[0]), dtype=np.intp)
    for column in columns:
        values, which = np.unique(column, return_inverse=True)
        # coded anew each time, so that the product of many columns cannot overflow
        codes = np.unique(codes * len(values) + which, return_inverse=True)[1]
    _, first, sizes = np.unique(codes, return_index=True, return_counts=True)
    return first, sizes


def _span(column: Array) -> int:
    """How many whole numbers lie between the least and the greatest; 0 where it does not hold whole numbers."""
    return int(column.max()) - int(column.min()) + 1 if column.dtype.kind in "iu" and len(column) else 0


def _collapse_codes(columns: Sequence[Array], spans: Sequence[int]) -> tuple[Array, Array]:
    """The same for class indices, without sorting."""
    codes = np.zeros(len(columns[0]), dtype=np.intp)
    for column, span in zip(columns, spans, strict=True):
        codes *= span
        codes += column - column.min()
    sizes = np.bincount(codes)
    present = np.flatnonzero(sizes)
    first = np.empty(len(sizes), dtype=np.intp)
    first[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)  # of repeated indices the last assignment stays
    return first[present], sizes[present]


def collapsed_counts(
    sizes: Array,
    rng: np.random.Generator,
    *,
    n_resamples: int = DEFAULT_RESAMPLES,
    strata: Array | None = None,
) -> Array:
    """(n_resamples, distinct) float64 counts of the combinations of `collapse`, as if rows had been drawn.

    Args:
        sizes: (distinct,) rows of each combination.
        rng: source of the draws.
        n_resamples: cheap, whatever the number of rows.
        strata: (distinct,) every stratum keeps its number of rows.
    """
    counts = np.zeros((n_resamples, len(sizes)))
    stratum = np.zeros(len(sizes), dtype=np.intp) if strata is None else np.unique(strata, return_inverse=True)[1]
    for k in range(stratum.max(initial=-1) + 1):
        inside = np.flatnonzero(stratum == k)
        total = int(sizes[inside].sum())
        counts[:, inside] = rng.multinomial(total, sizes[inside] / total, size=n_resamples)
    return counts


@dataclass(frozen=True)
class _Draw:
    """What is drawn: units (rows, or groups of rows), each within its stratum.

    Attributes:
        n_units: rows or groups.
        unit_of_row: (rows,), None when every row is a unit.
        order: (units,) units sorted by stratum, None without strata.
        first, size: (units,) where the stratum of each sorted unit begins, and how many units it has.
    """

    n_units: int
    unit_of_row: Array | None
    order: Array | None = None
    first: Array | int = 0
    size: Array | int = 0

    @classmethod
    def of(cls, n: int, groups: Array | None, strata: Array | None) -> "_Draw":
        unit_of_row, n_units = None, n
        if groups is not None:
            _, first_row, unit_of_row = np.unique(groups, return_index=True, return_inverse=True)
            n_units = len(first_row)
            strata = None if strata is None else np.asarray(strata)[first_row]
        if strata is None:
            return cls(n_units, unit_of_row)
        _, stratum, sizes = np.unique(strata, return_inverse=True, return_counts=True)
        order = np.argsort(stratum, kind="stable")
        firsts = np.cumsum(sizes) - sizes
        return cls(n_units, unit_of_row, order, np.repeat(firsts, sizes), np.repeat(sizes, sizes))

    def counts(self, rng: np.random.Generator, resamples: int) -> Array:
        """(resamples, rows) float64."""
        shape = (resamples, self.n_units)
        if self.order is None:
            drawn = rng.integers(0, self.n_units, shape)
        else:
            drawn = self.order[self.first + (rng.random(shape) * self.size).astype(np.intp)]
        counts = np.empty(shape)
        for resample, units in enumerate(drawn):  # faster than one call: the counts of a row stay in the cache
            counts[resample] = np.bincount(units, minlength=self.n_units)
        return counts if self.unit_of_row is None else np.take(counts, self.unit_of_row, axis=1)
