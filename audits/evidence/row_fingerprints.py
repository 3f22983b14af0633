"""A 64-bit fingerprint per row, by which exact copies are found across splits of any size.

Two different rows share one with a probability of 2^-64; among ten million rows and ten million others, some
pair of different rows collides with probability 5e-6.
"""

from typing import Any

import numpy as np
import pandas as pd

from audits.artefacts import Array, Rows

SIGNIFICANT_DIGITS = 6
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio, odd: Knuth's multiplicative hash
MIX_1 = np.uint64(0xBF58476D1CE4E5B9)  # splitmix64, Steele, Lea & Flood, 2014
MIX_2 = np.uint64(0x94D049BB133111EB)


def fingerprints(rows: Rows) -> Array:
    """(rows,) uint64; equal for rows whose numbers agree to six significant digits and whose texts agree.

    Texts are compared without surrounding blanks and without case; every kind of missing value is the same.
    """
    if isinstance(rows, np.ndarray):
        return _combine(_number_bits(rows.reshape(len(rows), -1)))
    columns = [_column_bits(rows[name]) for name in rows.columns]
    return _combine(np.stack(columns, axis=1) if columns else np.zeros((len(rows), 0), dtype=np.uint64))


def _column_bits(column: "pd.Series[Any]") -> Array:
    if pd.api.types.is_numeric_dtype(column):
        return _number_bits(column.to_numpy(dtype=np.float64, na_value=np.nan)[:, None])[:, 0]
    if pd.api.types.is_datetime64_any_dtype(column):
        return column.to_numpy().astype("datetime64[ns]").view(np.uint64)
    texts = column.astype("string").str.strip().str.casefold().fillna("").to_numpy(dtype=object)
    return pd.util.hash_array(texts, categorize=True)


def _number_bits(values: Array) -> Array:
    """The bit patterns of the values rounded to six significant digits; -0 is 0, every NaN is the same."""
    values = np.asarray(values, dtype=np.float64)
    finite = np.isfinite(values)
    magnitude = np.abs(np.where(finite & (values != 0), values, 1.0))
    unit = 10.0 ** (np.floor(np.log10(magnitude)) - (SIGNIFICANT_DIGITS - 1))
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        steps = values / unit
        rounded = np.where(finite & np.isfinite(steps) & (unit > 0), np.round(steps) * unit, values) + 0.0
        # as float32: neighbours of one rounded decimal must not differ in their last bits
        return np.where(np.isnan(values), np.nan, rounded).astype(np.float32).view(np.uint32).astype(np.uint64)


def _combine(bits: Array) -> Array:
    """(rows, columns) uint64 -> (rows,): every column is mixed with its position, then all are added."""
    total = np.zeros(len(bits), dtype=np.uint64)
    with np.errstate(over="ignore"):
        for position in range(bits.shape[1]):
            total += _mix(bits[:, position] + MULTIPLIER * np.uint64(position + 1))
        return _mix(total)


def _mix(x: Array) -> Array:
    x = (x ^ (x >> np.uint64(30))) * MIX_1
    x = (x ^ (x >> np.uint64(27))) * MIX_2
    return np.asarray(x ^ (x >> np.uint64(31)))
