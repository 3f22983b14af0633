"""A 64-bit fingerprint per row, by which exact copies are found across splits of any size.

Two different rows share one with a probability of 2^-64; among ten million rows and ten million others, some
pair of different rows collides with probability 5e-6.
"""

import hashlib
import math
from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
import pandas as pd

from audits.artefacts import Array, Rows

SIGNIFICANT_DIGITS = 6
MANY_VALUES = 512
BLOCK = 8192
# 10^-330 to 10^309, of which the ends are 0 and infinity: one beyond every float64.
LEAST_POWER = -330
with np.errstate(over="ignore", under="ignore"):
    POWERS = np.array([float(f"1e{power}") for power in range(LEAST_POWER, 310)])
# Exponent as float64 stores it (11 bits) -> place in POWERS of the power of ten at or below 2^exponent.
MANTISSA_BITS, EXPONENT_BIAS = np.uint64(52), 1023
POWER_OF_EXPONENT = np.floor((np.arange(2048) - EXPONENT_BIAS) * np.log10(2)).astype(np.intp) - LEAST_POWER
SHORT = (np.dtype(np.uint8), np.dtype(np.int8))
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio, odd: Knuth's multiplicative hash
MIX_1 = np.uint64(0xBF58476D1CE4E5B9)  # splitmix64, Steele, Lea & Flood, 2014
MIX_2 = np.uint64(0x94D049BB133111EB)


def fingerprints(rows: Rows) -> Array:
    """(rows,) uint64; equal for rows whose numbers agree to six significant digits and whose texts agree.

    Texts are compared without surrounding blanks and without case; every kind of missing value is the same.
    """
    if isinstance(rows, np.ndarray) and math.prod(rows.shape[1:]) > MANY_VALUES:
        return np.array([_digest(row) for row in rows], dtype=np.uint64)
    if isinstance(rows, np.ndarray):
        return _combine(len(rows), _number_bits(rows.reshape(len(rows), -1)).T)
    numeric = [place for place, dtype in enumerate(rows.dtypes) if pd.api.types.is_numeric_dtype(dtype)]
    numbers = rows if len(numeric) == rows.shape[1] else rows.iloc[:, numeric]
    bits = dict(zip(numeric, _number_bits(numbers.to_numpy(dtype=np.float64, na_value=np.nan)).T, strict=True))
    columns = (bits[i] if i in bits else _text_bits(rows.iloc[:, i]) for i in range(rows.shape[1]))
    return _combine(len(rows), columns)


def with_labels(marks: Array, labels: Array) -> Array:
    """(rows,) uint64; equal for rows whose fingerprints are and whose labels agree to six significant digits.

    Args:
        marks: (rows,) fingerprints of the features.
        labels: (rows,) class indices, or quantities.
    """
    with np.errstate(over="ignore"):
        return _mix(marks + _mix(_number_bits(labels).astype(np.uint64) + MULTIPLIER))


def _digest(row: Array) -> int:
    """Of an image, where a loop over its values would be slow."""
    rounded = _number_bits(row).astype(np.uint32)
    return int.from_bytes(hashlib.blake2b(rounded.tobytes(), digest_size=8).digest(), "little")


def _text_bits(column: "pd.Series[Any]") -> Array:
    if pd.api.types.is_datetime64_any_dtype(column):
        return column.to_numpy().astype("datetime64[ns]").view(np.uint64)
    texts = column.astype("string").str.strip().str.casefold().fillna("").to_numpy(dtype=object)
    return pd.util.hash_array(texts, categorize=True)


def _number_bits(values: Array) -> Array:
    """The bit patterns of the values rounded to six significant digits; -0 is 0, every NaN is the same."""
    if values.dtype in SHORT:  # few values, of which each is rounded once
        whole = np.arange(np.iinfo(values.dtype).min, np.iinfo(values.dtype).max + 1)
        return np.asarray(_number_bits(whole.astype(np.float64))[values.astype(np.intp) - whole[0]])
    values = np.asarray(values, dtype=np.float64)
    order: Literal["F", "C"] = "F" if values.flags.f_contiguous else "C"
    flat = values.ravel(order)
    bits = np.empty(len(flat), dtype=np.uint64)
    for first in range(0, len(flat), BLOCK):  # in pieces that stay in the cache
        bits[first : first + BLOCK] = _rounded(flat[first : first + BLOCK]).view(np.uint32)
    return bits.reshape(values.shape, order=order)


def _rounded(values: Array) -> Array:
    """float32: neighbours of one rounded decimal must not differ in their last bits."""
    magnitude = np.abs(values)
    plain = (magnitude > 0) & (magnitude < np.inf)
    magnitude[~plain] = 1.0
    unit = _unit_of_last_digit(magnitude)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        steps = values / unit
        rounded = np.rint(steps) * unit
        usable = plain & np.isfinite(steps)
        rounded = (rounded if usable.all() else np.where(usable, rounded, values)) + 0.0
        rounded[np.isnan(values)] = np.nan  # of one bit pattern
        return rounded.astype(np.float32)


def _unit_of_last_digit(magnitude: Array) -> Array:
    """10^(digits before the point - SIGNIFICANT_DIGITS), from the binary exponent: logarithms are slow.

    Subnormal numbers are 0 as float32, whatever their unit is.
    """
    power = POWER_OF_EXPONENT[magnitude.view(np.uint64) >> MANTISSA_BITS]
    power += magnitude >= POWERS[power + 1]
    return np.asarray(POWERS[np.maximum(power - (SIGNIFICANT_DIGITS - 1), 0)])


def _combine(rows: int, columns: Iterable[Array]) -> Array:
    """(rows,) uint64 of (rows,) columns: each is mixed with its position, then all are added."""
    total = np.zeros(rows, dtype=np.uint64)
    with np.errstate(over="ignore"):
        for position, bits in enumerate(columns, 1):
            total += _mix(bits + MULTIPLIER * np.uint64(position))
        return _mix(total)


def _mix(x: Array) -> Array:
    x = (x ^ (x >> np.uint64(30))) * MIX_1
    x = (x ^ (x >> np.uint64(27))) * MIX_2
    return np.asarray(x ^ (x >> np.uint64(31)))
