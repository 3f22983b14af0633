"""Features as detectors see them: units of numeric values that share one preprocessing.

A unit is what a preprocessing step treats alike: a column of a table, a position of a vector, a channel of an
image. Detectors compare units between splits; repairs replace their values.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
import pandas as pd

from audits.artefacts import Array, Rows, Split

Layout = Literal["table", "vector", "image"]
# Beyond so many values, a unit's distribution is compared on an even subsample: the resolution of a
# two-sample statistic does not improve any more where it matters, its cost does.
MAX_UNIT_VALUES = 20_000
MAX_CHANNELS = 4
BLOCK_IMAGES = 64


def take(rows: Rows, index: Array) -> Rows:
    """The rows at `index` (positions or mask)."""
    return (
        rows[index]
        if isinstance(rows, np.ndarray)
        else rows.iloc[np.flatnonzero(index) if index.dtype == bool else index]
    )


def concatenate(parts: Sequence[Rows]) -> Rows:
    if isinstance(parts[0], np.ndarray):
        return np.concatenate([np.asarray(part) for part in parts])
    return pd.concat(cast("list[pd.DataFrame]", list(parts)), ignore_index=True)


@dataclass(frozen=True)
class FeatureSpace:
    """The numeric units and the text columns of a data set.

    Attributes:
        layout: table, vector (rank-2 array) or image (rank 3 and more).
        units: names of the numeric units, in order.
        texts: names of the columns that hold strings.
    """

    layout: Layout
    units: tuple[str, ...]
    texts: tuple[str, ...] = ()

    @classmethod
    def of(cls, split: Split) -> "FeatureSpace":
        if split.layout == "table":
            numeric = tuple(c.name for c in split.columns if c.kind in {"number", "boolean"})
            return cls("table", numeric, tuple(c.name for c in split.columns if c.kind == "string"))
        if len(split.row_shape) <= 1:
            width = split.row_shape[0] if split.row_shape else 1
            return cls("vector", tuple(f"x[{i}]" for i in range(width)))
        channels = split.row_shape[-1] if len(split.row_shape) >= 3 and split.row_shape[-1] <= MAX_CHANNELS else 1
        return cls("image", tuple(f"channel {i}" for i in range(channels)))

    @staticmethod
    def row_shape(rows: Rows) -> tuple[int, ...]:
        """Of one row."""
        return (rows.shape[1],) if isinstance(rows, pd.DataFrame) else rows.shape[1:]

    def values(self, rows: Rows, unit: int) -> Array:
        """The unit's values as float64: (rows,), or all pixels of the channel."""
        if isinstance(rows, pd.DataFrame):
            return rows[self.units[unit]].to_numpy(dtype=np.float64, na_value=np.nan)
        if self.layout == "vector":
            return np.asarray(rows.reshape(len(rows), -1)[:, unit], dtype=np.float64)
        flat = rows.reshape(-1) if len(self.units) == 1 else rows[..., unit].reshape(-1)
        return np.asarray(flat[:: max(1, len(flat) // MAX_UNIT_VALUES)], dtype=np.float64)

    def matrix(self, rows: Rows) -> Array:
        """(rows, units) float64 for tables and vectors; for images (pixels, channels)."""
        if not self.units:
            return np.empty((len(rows), 0))
        if isinstance(rows, pd.DataFrame):
            return rows[list(self.units)].to_numpy(dtype=np.float64, na_value=np.nan)
        if self.layout == "vector":
            return np.asarray(rows, dtype=np.float64).reshape(len(rows), -1)
        return np.stack([self.values(rows, unit) for unit in range(len(self.units))], axis=1)

    def map_units(self, rows: Rows, changes: Mapping[int, Callable[[Array], Array]]) -> Rows:
        """A copy of the rows in which each named unit's values went through its function.

        A function gets and returns a float64 array of any shape; it acts on each value alone.
        """
        if isinstance(rows, pd.DataFrame):
            changed = {self.units[u]: f(self.values(rows, u)) for u, f in changes.items()}
            return rows.assign(**changed)
        result = np.array(rows, dtype=np.result_type(rows.dtype, np.float32), copy=True)
        for unit, function in changes.items():
            if self.layout == "vector":
                view = result.reshape(len(result), -1)[:, unit]
            else:
                view = result if len(self.units) == 1 else result[..., unit]
            if self.layout == "vector":
                view[...] = function(np.asarray(view, dtype=np.float64))
                continue
            for first in range(0, len(view), BLOCK_IMAGES):  # as float64, all images would fill the memory
                block = view[first : first + BLOCK_IMAGES]
                block[...] = function(np.asarray(block, dtype=np.float64))
        return result

    def permute_units(self, rows: Rows, source_of: Array) -> Rows:
        """A copy in which unit i holds the values that stood in unit `source_of[i]`."""
        if isinstance(rows, pd.DataFrame):
            values = self.matrix(rows)[:, source_of]
            return rows.assign(**{name: values[:, i] for i, name in enumerate(self.units)})
        if self.layout == "vector":
            return np.ascontiguousarray(rows.reshape(len(rows), -1)[:, source_of]).reshape(rows.shape)
        return np.ascontiguousarray(rows[..., source_of])
