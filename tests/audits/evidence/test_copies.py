"""Which fingerprints repeat others, against numpy's own set operations."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audits.evidence.copies import among, repeated, shared

MARKS = st.lists(st.integers(0, 6), max_size=30).map(lambda values: np.array(values, dtype=np.uint64))


@given(MARKS, MARKS)
def test_marks_are_found_among_others_as_numpy_finds_them(marks: np.ndarray, others: np.ndarray):
    np.testing.assert_array_equal(among(marks, np.sort(others)), np.isin(marks, others))


@given(MARKS)
def test_repeats_and_shared_marks_are_counted_as_numpy_counts_them(marks: np.ndarray):
    values, counts = np.unique(marks, return_counts=True)

    assert repeated(np.sort(marks)) == len(marks) - len(values)
    assert shared(np.sort(marks)) == pytest.approx(counts[counts > 1].sum() / max(1, len(marks)))


def test_marks_use_all_64_bits():
    marks = np.array([2**64 - 1, 2**63, 0], dtype=np.uint64)

    assert among(marks, np.sort(marks[:2])).tolist() == [True, True, False]
