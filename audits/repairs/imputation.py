"""Filling holes with what the training data say: mean, median, mode (the most frequent value) or nearest neighbours."""

from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.stats import mode
from sklearn.impute import KNNImputer

from audits.artefacts import Array, Rows
from audits.evidence.features import FeatureSpace

Method = Literal["mean", "median", "mode", "k nearest neighbours"]
METHODS: tuple[Method, ...] = ("median", "mean", "mode", "k nearest neighbours")
MAX_DONORS = 1000
MAX_NEIGHBOUR_COLUMNS = 128


def holes(space: FeatureSpace, rows: Rows) -> Array:
    """(rows, columns) True where a value is missing; numeric columns first, then texts."""
    if isinstance(rows, np.ndarray):
        flat = rows.reshape(len(rows), -1)
        # whole numbers have no way to be missing
        return np.isnan(flat) if flat.dtype.kind == "f" else np.broadcast_to(np.False_, flat.shape)
    numbers = np.isnan(space.matrix(rows))
    if not space.texts:
        return numbers
    return np.column_stack([numbers, rows[list(space.texts)].isna().to_numpy()])


def column_names(space: FeatureSpace, width: int) -> list[str]:
    """Names of the columns of `holes`: for images, the number of the value within the flattened row."""
    if space.layout == "image":
        return [f"x[{i}]" for i in range(width)]
    return [*space.units, *space.texts]


def impute(space: FeatureSpace, reference: Rows, rows: Rows, method: Method, neighbours: int = 5) -> Rows:
    """The rows with every hole filled, the fill fitted on the reference rows alone.

    Texts get the reference's most frequent value whatever the method.
    """
    numbers = _numbers(space, rows)
    filled = _fill(_numbers(space, reference), numbers, method, neighbours)
    if isinstance(rows, np.ndarray):
        return filled.reshape(rows.shape).astype(np.result_type(rows.dtype, np.float32))
    assert isinstance(reference, pd.DataFrame)  # noqa: S101 - both splits have the same layout
    columns: dict[str, Any] = {name: filled[:, i] for i, name in enumerate(space.units)}
    for name in space.texts:
        columns[name] = rows[name].where(rows[name].notna(), _mode(reference[name]))
    return rows.assign(**columns)


def _numbers(space: FeatureSpace, rows: Rows) -> Array:
    if space.layout == "table":
        return space.matrix(rows)
    return np.asarray(rows, dtype=np.float64).reshape(len(rows), -1)


def _fill(reference: Array, values: Array, method: Method, neighbours: int) -> Array:
    missing = np.isnan(values)
    if not missing.any():
        return values
    observed = np.where(np.isfinite(reference), reference, np.nan)
    empty = np.isnan(observed).all(axis=0)
    observed[:, empty] = 0.0
    centre = _centre(observed, method)
    filled = np.where(missing, centre, values)
    if method == "k nearest neighbours" and values.shape[1] <= MAX_NEIGHBOUR_COLUMNS:
        incomplete = missing.any(axis=1)
        filled[incomplete] = _nearest(observed, values[incomplete], neighbours)
    return filled


def _centre(observed: Array, method: Method) -> Array:
    """(columns,) what a hole is filled with."""
    if method == "mean":
        return np.asarray(np.nanmean(observed, axis=0))
    if method == "mode":
        return np.asarray(mode(observed, axis=0, nan_policy="omit").mode)
    return np.asarray(np.nanmedian(observed, axis=0))


def _nearest(reference: Array, values: Array, neighbours: int) -> Array:
    """Mean of the nearest reference rows, distances in reference deviations over the columns both have."""
    donors = reference[:: max(1, len(reference) // MAX_DONORS)]
    centre, spread = np.nanmean(donors, axis=0), np.nanstd(donors, axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    imputer = KNNImputer(n_neighbors=neighbours, keep_empty_features=True).fit((donors - centre) / spread)
    finite = np.where(np.isfinite(values), values, np.nan)
    return np.asarray(imputer.transform((finite - centre) / spread) * spread + centre)


def _mode(column: "pd.Series[str]") -> str:
    counts = column.value_counts()
    return str(counts.index[0]) if len(counts) else ""
