"""Filling holes from the training rows."""

import numpy as np
import pandas as pd
import pytest

from audits.evidence.features import FeatureSpace
from audits.repairs.imputation import METHODS, column_names, holes, impute

TABLE = FeatureSpace("table", ("a", "b"), ("t",))
VECTOR = FeatureSpace("vector", ("x[0]", "x[1]"))
IMAGE = FeatureSpace("image", ("channel 0",))


@pytest.fixture
def reference() -> pd.DataFrame:
    return pd.DataFrame({"a": [0.0, 1.0, 2.0, 9.0], "b": [0.0, 10.0, 20.0, 90.0], "t": ["x", "y", "y", "z"]})


@pytest.fixture
def rows() -> pd.DataFrame:
    return pd.DataFrame({"a": [np.nan, 5.0], "b": [10.0, np.nan], "t": ["z", None]})


def test_marks_holes_of_numbers_and_then_of_texts(rows: pd.DataFrame):
    assert holes(TABLE, rows).tolist() == [[True, False, False], [False, True, True]]
    assert column_names(TABLE, 3) == ["a", "b", "t"]


@pytest.mark.parametrize(("method", "fill"), [("median", 1.5), ("mean", 3.0)])
def test_fills_with_the_statistic_of_the_training_rows(
    reference: pd.DataFrame, rows: pd.DataFrame, method: str, fill: float
):
    filled = impute(TABLE, reference, rows, method)

    assert filled["a"].tolist() == [fill, 5.0]
    assert filled["t"].tolist() == ["z", "y"]


def test_the_mode_is_the_most_frequent_value(rows: pd.DataFrame):
    coded = pd.DataFrame({"a": [3.0, 1.0, 3.0, 2.0], "b": [0.0, 7.0, 7.0, np.nan], "t": ["x", "y", "y", "z"]})

    assert impute(TABLE, coded, rows, "mode")[["a", "b"]].to_numpy().tolist() == [[3.0, 10.0], [5.0, 7.0]]


def test_neighbours_know_more_than_the_median(reference: pd.DataFrame, rows: pd.DataFrame):
    """b is ten times a: the row with b = 10 is that with a = 1."""
    filled = impute(TABLE, reference, rows, "k nearest neighbours", neighbours=1)

    assert filled["a"].tolist() == [1.0, 5.0]
    assert filled["b"].tolist() == [10.0, 20.0]


@pytest.mark.parametrize("method", METHODS)
def test_rows_without_holes_stay_as_they_are(reference: pd.DataFrame, method: str):
    pd.testing.assert_frame_equal(impute(TABLE, reference, reference, method), reference)


@pytest.mark.parametrize("method", METHODS)
def test_a_column_that_training_never_filled_becomes_zero(reference: pd.DataFrame, rows: pd.DataFrame, method: str):
    filled = impute(TABLE, reference.assign(a=np.nan), rows, method)

    assert filled["a"].tolist()[0] == 0.0


@pytest.mark.parametrize("method", METHODS)
def test_infinite_training_values_are_no_values(reference: pd.DataFrame, rows: pd.DataFrame, method: str):
    filled = impute(TABLE, reference.assign(a=[0.0, 1.0, 2.0, np.inf]), rows, method)

    assert 0.0 <= filled["a"].tolist()[0] <= 2.0


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("space", "shape"), [(VECTOR, (6, 2)), (IMAGE, (6, 2, 2, 1))])
def test_arrays_keep_their_shape_and_type(space: FeatureSpace, shape: tuple[int, ...], method: str):
    reference = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    rows = reference.copy()
    rows[0] = np.nan

    filled = impute(space, reference, rows, method)

    assert filled.shape == shape
    assert filled.dtype == np.float32
    assert np.isfinite(filled).all()
    np.testing.assert_array_equal(filled[1:], reference[1:])
