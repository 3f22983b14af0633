"""Units of features, and what repairs do to them."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audits.evidence.features import MAX_UNIT_VALUES, FeatureSpace, concatenate, take
from tests.factories import MemorySplit, Part, splits

TABLE = FeatureSpace("table", ("a", "b", "c"), ("t",))
FRAME = pd.DataFrame({"t": ["x", "y"], "a": [1, 2], "b": [3.0, np.nan], "c": [5.0, 6.0]})
VECTOR = FeatureSpace("vector", ("x[0]", "x[1]", "x[2]"))
IMAGE = FeatureSpace("image", ("channel 0", "channel 1"))
PIXELS = np.arange(2 * 3 * 3 * 2, dtype=np.float32).reshape(2, 3, 3, 2)


@pytest.mark.parametrize(
    ("shape", "layout", "units"),
    [
        ((10,), "vector", 1),
        ((10, 4), "vector", 4),
        ((10, 6, 6), "image", 1),
        ((10, 6, 6, 1), "image", 1),
        ((10, 6, 6, 3), "image", 3),
        ((10, 6, 6, 40), "image", 1),
    ],
)
def test_the_shape_of_an_array_says_its_layout(shape: tuple[int, ...], layout: str, units: int):
    space = FeatureSpace.of(MemorySplit("train", Part(np.zeros(shape, np.float32), np.zeros(10))))

    assert (space.layout, len(space.units)) == (layout, units)


def test_the_columns_of_a_table_are_numbers_and_texts():
    space = FeatureSpace.of(MemorySplit("train", splits(columns=2, texts=1)[0]))

    assert (space.units, space.texts) == (("c0", "c1"), ("t0",))


def test_values_are_those_of_the_unit():
    np.testing.assert_array_equal(TABLE.values(FRAME, 1), [3.0, np.nan])
    np.testing.assert_array_equal(VECTOR.values(np.arange(6).reshape(2, 3), 2), [2, 5])
    np.testing.assert_array_equal(IMAGE.values(PIXELS, 1), PIXELS[..., 1].reshape(-1))


def test_many_pixels_are_thinned_evenly():
    pixels = np.arange(100 * 50 * 50, dtype=np.float32).reshape(100, 50, 50)

    values = FeatureSpace("image", ("channel 0",)).values(pixels, 0)

    assert MAX_UNIT_VALUES <= len(values) <= 2 * MAX_UNIT_VALUES
    assert values.mean() == pytest.approx(pixels.mean(), rel=0.01)


def test_a_map_changes_its_units_alone():
    changed = TABLE.map_units(FRAME, {0: lambda x: 10 * x})

    assert changed["a"].tolist() == [10.0, 20.0]
    pd.testing.assert_frame_equal(changed.drop(columns="a"), FRAME.drop(columns="a"))
    assert FRAME["a"].tolist() == [1, 2]


@pytest.mark.parametrize(("space", "rows"), [(VECTOR, np.arange(6, dtype=np.float32).reshape(2, 3)), (IMAGE, PIXELS)])
def test_a_map_of_an_array_is_a_copy_of_its_type(space: FeatureSpace, rows: np.ndarray):
    before = rows.copy()

    changed = space.map_units(rows, {1: lambda x: x + 100})

    np.testing.assert_array_equal(rows, before)
    np.testing.assert_array_equal(changed[..., 1], before[..., 1] + 100)
    np.testing.assert_array_equal(changed[..., 0], before[..., 0])
    assert changed.dtype == np.float32


def test_whole_pixels_can_hold_what_a_map_makes_of_them():
    changed = FeatureSpace("image", ("channel 0",)).map_units(
        np.full((2, 3, 3), 255, np.uint8), {0: lambda x: x / 255 - 0.5}
    )

    np.testing.assert_allclose(changed, 0.5)


@given(st.permutations(range(3)))
def test_a_permutation_and_its_inverse_give_the_rows_back(order: list[int]):
    rows = np.arange(6, dtype=np.float32).reshape(2, 3)
    source = np.array(order)

    there = VECTOR.permute_units(rows, source)

    np.testing.assert_array_equal(there[:, 0], rows[:, order[0]])
    np.testing.assert_array_equal(VECTOR.permute_units(there, np.argsort(source)), rows)


def test_a_permutation_of_a_table_leaves_names_and_texts():
    permuted = TABLE.permute_units(FRAME, np.array([2, 0, 1]))

    assert permuted["a"].tolist() == [5.0, 6.0]
    assert permuted["b"].tolist() == [1.0, 2.0]
    assert list(permuted.columns) == list(FRAME.columns)
    assert permuted["t"].tolist() == ["x", "y"]


@pytest.mark.parametrize("index", [np.array([1]), np.array([False, True])])
def test_take_accepts_positions_and_masks(index: np.ndarray):
    assert take(FRAME, index)["a"].tolist() == [2]
    assert take(PIXELS, index).shape == (1, 3, 3, 2)


def test_concatenate_keeps_the_rows_in_order():
    assert concatenate([FRAME, FRAME])["a"].tolist() == [1, 2, 1, 2]
    assert concatenate([PIXELS, PIXELS]).shape == (4, 3, 3, 2)
