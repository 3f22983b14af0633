"""The fold of a split: whichever way the rows are divided and the parts merged, the evidence is the same."""

import pickle
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audits.artefacts import Batch
from audits.evidence import fold as module
from audits.evidence.fold import RawSplit, SplitFold
from audits.evidence.row_fingerprints import fingerprints
from audits.evidence.sample import row_keys, sample_key

ROWS = 400
KEY = sample_key(np.random.default_rng(5))


def table(rows: int = ROWS) -> pd.DataFrame:
    """A column without holes, one with a single hole, one of texts."""
    rng = np.random.default_rng(1)
    holes = rng.integers(0, 9, rows).astype(float)
    holes[rows // 2] = np.nan
    texts = np.array([None if i % 50 == 3 else f"t{i % 7}" for i in range(rows)], dtype=object)
    frame = {"whole": rng.integers(0, 9, rows), "holes": holes, "text": pd.Series(texts, dtype=object)}
    return pd.DataFrame(frame)


TABLE = table()
IMAGES = np.random.default_rng(2).integers(0, 255, (ROWS, 4, 4)).astype(np.uint8)


def as_read(values: "pd.Series[Any]") -> "pd.Series[Any]":
    """As a reader gives them: whole where there is no hole among them."""
    return values.astype(np.int64) if values.dtype == float and values.notna().all() else values


def batch(first: int, stop: int, layout: str) -> Batch:
    labels = np.arange(first, stop) % 3
    roles = {"group": np.array([f"g{i % 11}" for i in range(first, stop)], dtype=object)}
    if layout == "images":
        return Batch(first, IMAGES[first:stop], labels, roles)
    features = TABLE.iloc[first:stop].reset_index(drop=True).apply(as_read)
    return Batch(first, features, labels, roles)


def outputs(rows: Batch) -> dict[str, np.ndarray[Any, Any]]:
    numbers = rows.first_row + np.arange(len(rows))
    return {"p": numbers / ROWS, "wide": np.repeat(numbers[:, None], 5, axis=1), "widest": np.zeros((len(rows), 30))}


def folded(spans: list[tuple[int, int]], layout: str, capacity: int) -> SplitFold:
    fold = SplitFold("train", KEY, capacity)
    for first, stop in spans:
        rows = batch(first, stop, layout)
        fold.update(rows, fingerprints(rows.features), outputs(rows))
    return fold


def assert_same(one: RawSplit, other: RawSplit) -> None:
    np.testing.assert_array_equal(one.labels, other.labels)
    np.testing.assert_array_equal(one.fingerprints, other.fingerprints)
    assert one.outputs.keys() == other.outputs.keys()
    for name, values in one.outputs.items():
        np.testing.assert_array_equal(values, other.outputs[name])
    for role, values in one.roles.items():
        np.testing.assert_array_equal(values, other.roles[role])
    np.testing.assert_array_equal(one.sample_index, other.sample_index)
    if isinstance(one.sample_rows, pd.DataFrame):
        assert isinstance(other.sample_rows, pd.DataFrame)
        pd.testing.assert_frame_equal(one.sample_rows, other.sample_rows)
    else:
        np.testing.assert_array_equal(one.sample_rows, other.sample_rows)


@st.composite
def divisions(draw: st.DrawFn) -> list[list[tuple[int, int]]]:
    """The rows in spans, dealt out to a few folds in any order."""
    borders = sorted(draw(st.sets(st.integers(1, ROWS - 1), max_size=12)) | {0, ROWS})
    spans = draw(st.permutations(list(pairwise(borders))))
    places = draw(st.lists(st.integers(0, 4), min_size=len(spans), max_size=len(spans)))
    return [[span for span, place in zip(spans, places, strict=True) if place == fold] for fold in range(5)]


@pytest.mark.parametrize("layout", ["table", "images"])
@pytest.mark.parametrize("bound", [2**28, 30_000], ids=["all outputs", "the widest is let go"])
@settings(max_examples=40, deadline=None)
@given(division=divisions(), capacity=st.integers(1, ROWS + 10), data=st.data())
def test_any_division_and_any_grouping_give_the_evidence_of_one_pass(
    layout: str, bound: int, division: list[list[tuple[int, int]]], capacity: int, data: st.DataObject
):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MAX_OUTPUT_BYTES", bound)
        whole = folded([(0, ROWS)], layout, capacity).finish()
        parts = [folded(spans, layout, capacity) for spans in division]
        while len(parts) > 1:  # two of them, whichever, in whichever order
            one = parts.pop(data.draw(st.integers(0, len(parts) - 1)))
            other = parts.pop(data.draw(st.integers(0, len(parts) - 1)))
            parts.append(one.merge(other))

        assert_same(parts[0].finish(), whole)
    assert ("widest" in whole.outputs) == (bound == 2**28)


def test_a_column_has_the_type_that_all_rows_fit_and_not_those_of_the_sample_alone():
    """The only hole is not in the sample, and the column could not be whole without it."""
    found = folded([(0, 100), (100, 300), (300, ROWS)], "table", 5).finish()

    assert not np.isin(ROWS // 2, found.sample_index)
    assert isinstance(found.sample_rows, pd.DataFrame)
    assert list(found.sample_rows.dtypes) == [np.int64, np.float64, object]


def test_the_key_of_a_row_is_a_function_of_its_number():
    whole = row_keys(KEY, 0, 1000)

    for first in (1, 2, 3, 4, 997):
        np.testing.assert_array_equal(row_keys(KEY, first, 3), whole[first : first + 3])
    assert len(np.unique(whole)) == 1000


def test_keys_are_uniform_whatever_the_seed():
    """Of 200 seeds, each of ten rows is among the three with the smallest keys about as often: 60 times."""
    chosen = np.zeros(10)
    for seed in range(200):
        keys = row_keys(sample_key(np.random.default_rng(seed)), 1_000_003, 10)
        chosen[np.argsort(keys)[:3]] += 1

    assert (np.abs(chosen - 60) < 4 * np.sqrt(200 * 0.3 * 0.7)).all()


@pytest.mark.parametrize("spans", [[(0, 100), (200, ROWS)], [(50, ROWS)], [(0, 100), (50, ROWS)], []])
def test_rows_that_are_missing_or_counted_twice_are_noticed(spans: list[tuple[int, int]]):
    with pytest.raises(ValueError, match="row"):
        folded(spans, "table", 10).finish()


def test_a_fold_travels():
    """Between the machines of a cluster."""
    parts = [folded([(0, 150)], "table", 50), folded([(150, ROWS)], "table", 50)]
    back = [pickle.loads(pickle.dumps(part)) for part in parts]

    assert_same(back[1].merge(back[0]).finish(), folded([(0, ROWS)], "table", 50).finish())


def test_an_update_counts_its_rows():
    fold = folded([(0, 150), (150, 151)], "table", 5)
    assert fold.n == 151
