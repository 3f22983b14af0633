"""Identifiers and time stamps of both splits, in forms that can be compared."""

import numpy as np
import pytest

from audits.artefacts import Array
from audits.evidence.entities import NO_ENTITY, comparable_times, dependent_rows, entity_codes, looks_like_times


@pytest.mark.parametrize(
    "other",
    [
        np.array([3, 17]),
        np.array([3.0, 17.0]),
        np.array(["3", " 17"], dtype=object),
    ],
)
def test_an_identifier_is_the_same_however_it_is_written(other: Array):
    ours, theirs = entity_codes(np.array(["17", "3", "5"], dtype=object), other)

    assert theirs.tolist() == [ours[1], ours[0]]
    assert len(set(ours)) == 3


@pytest.mark.parametrize(
    "values",
    [
        np.array([None, "", "  "], dtype=object),
        np.array([np.nan] * 3),
        np.array(["NaT"] * 3, dtype="datetime64[ns]"),
    ],
)
def test_missing_identifiers_are_no_entity(values: Array):
    ours, theirs = entity_codes(values, np.array([1.0, np.nan]))

    assert set(ours) == {NO_ENTITY}
    assert theirs.tolist()[1] == NO_ENTITY


@pytest.mark.parametrize(
    "values", [np.array(["a", None, "b", "a", None], dtype=object), np.array([1.0, np.nan, 2.0, 1.0, np.nan])]
)
def test_rows_without_a_group_depend_on_no_other(values: Array):
    """They are as many groups as rows, and none of them is one that is named."""
    groups = dependent_rows(values)

    assert groups[0] == groups[3]
    assert len(set(groups)) == 4


def test_days_can_be_entities():
    ours, theirs = entity_codes(
        np.array(["2025-01-01", "2025-01-02"], dtype="datetime64[ns]"), np.array(["2025-01-02"], dtype="datetime64[ns]")
    )

    assert theirs[0] == ours[1]


def test_stamps_and_texts_share_a_scale():
    stamps = np.array(["2025-03-04", "NaT"], dtype="datetime64[ns]")
    texts = np.array(["2025-03-04T02:00:00+02:00", None], dtype=object)

    ours, theirs = comparable_times(stamps, texts)

    np.testing.assert_array_equal(ours, theirs)
    assert np.isnan(ours[1])


@pytest.mark.parametrize(
    ("texts", "month"),
    [
        (["03.04.2025", "25.12.2025"], 4),
        (["03.04.2025"], 4),
        (["03/04/2025"], 3),
        (["03/04/2025", "25/12/2025"], 4),
        (["03/04/2025", "12/25/2025"], 3),
    ],
)
def test_day_and_month_are_told_apart_by_all_dates(texts: list[str], month: int):
    """Both splits are read alike: here, the second one settles it."""
    times = comparable_times(np.array(texts[:1], dtype=object), np.array(texts, dtype=object))

    assert times[0][0] == np.datetime64(f"2025-0{month}-0{7 - month}", "s").astype(float)


def test_numbers_are_no_stamps():
    assert comparable_times(np.array([1.0]), np.array(["2025-01-01"], dtype="datetime64[ns]")) is None
    assert comparable_times(np.array([1.0]), np.array(["2025-01-01"], dtype=object)) is None
    assert comparable_times(np.array([1.0]), np.array(["2.5"], dtype=object)) is not None


def test_texts_that_begin_with_a_date_look_like_times():
    assert looks_like_times(np.array(["2025-01-01", None, "2025-01-02 10:00"], dtype=object))
    assert not looks_like_times(np.array(["2025-01-01", "soon"], dtype=object))
    assert not looks_like_times(np.array([None], dtype=object))
