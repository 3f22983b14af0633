"""Rows are the same when their fingerprints are."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audits.evidence.row_fingerprints import fingerprints

NUMBERS = st.floats(-1e30, 1e30, allow_nan=False, width=64).filter(lambda v: v == 0 or abs(v) > 1e-30)


def one(**columns: object) -> int:
    return int(fingerprints(pd.DataFrame({name: [value] for name, value in columns.items()}))[0])


@given(NUMBERS)
def test_numbers_agree_to_six_digits(value: float):
    assert one(a=value) == one(a=float(f"{value:.9e}"))
    if value:
        assert one(a=value) != one(a=value * 1.0001)


@given(NUMBERS)
def test_a_csv_and_a_float32_copy_of_a_row_agree(value: float):
    rounded = float(f"{value:.6g}")

    assert one(a=rounded) == one(a=float(np.float32(rounded)))


def test_whole_numbers_zeros_and_kinds_of_missing_agree():
    assert one(a=3) == one(a=3.0)
    assert one(a=-0.0) == one(a=0.0)
    assert one(a=np.nan) == one(a=-np.nan)


def test_texts_agree_without_blanks_and_case():
    assert one(t=" New York ") == one(t="new york")
    assert one(t="new york") != one(t="newyork")


def test_the_place_of_a_value_counts():
    assert one(a=1.0, b=2.0) != one(a=2.0, b=1.0)
    assert one(a=np.nan, b=0.0) != one(a=0.0, b=np.nan)


def test_arrays_and_tables_of_the_same_numbers_agree():
    values = np.random.default_rng(0).normal(size=(50, 4))

    np.testing.assert_array_equal(fingerprints(values), fingerprints(pd.DataFrame(values, columns=list("abcd"))))


def test_different_rows_do_not_collide():
    rows = np.random.default_rng(0).normal(size=(200_000, 3))

    assert len(np.unique(fingerprints(rows))) == len(rows)


def test_images_that_differ_in_one_pixel_differ():
    image = np.zeros((1, 8, 8, 3), np.uint8)
    other = image.copy()
    other[0, 3, 4, 1] = 1

    assert fingerprints(image) != fingerprints(other)


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e300, 5e-324])
def test_extreme_numbers_have_a_fingerprint_of_their_own(value: float):
    assert one(a=value) == one(a=value)
    assert one(a=value) != one(a=1.0)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16, np.float32])
def test_images_are_alike_whatever_type_their_values_have(dtype: type):
    """Rows of many values are hashed as a whole, and those of bytes by a table."""
    rng = np.random.default_rng(0)
    images = rng.integers(1, 100, (20, 16, 16, 3)).astype(dtype)
    copy = images[::-1].astype(np.float64) + 1e-9

    np.testing.assert_array_equal(fingerprints(images), fingerprints(copy)[::-1])
    assert len(np.unique(fingerprints(images))) == 20


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
def test_bytes_have_the_fingerprint_of_their_numbers(dtype: type):
    rows = np.random.default_rng(0).integers(np.iinfo(dtype).min, np.iinfo(dtype).max + 1, (50, 4)).astype(dtype)

    np.testing.assert_array_equal(fingerprints(rows), fingerprints(rows.astype(np.float64)))
