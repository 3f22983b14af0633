"""Sequences of ids, padded in front or behind."""

import numpy as np
import pytest

from audits.checks.preprocessing.feature_order import CODE
from audits.evidence.case import Case
from audits.repairs.categories.padding import padded_end, with_padding
from schemas.report import Outcome
from tests.audits.checks.remedies import defined_by, remedy_of
from tests.factories import Part, case, case_of, result_of

WIDTH = 12


def sequences(n: int, seed: int) -> Part:
    """Rows of 3 to 12 ids with zeros in front; the last id of a row says what it is."""
    rng = np.random.default_rng(seed)
    x, y = rng.integers(1, 50, (n, WIDTH)), rng.integers(0, 2, n)
    x[np.arange(WIDTH) < (WIDTH - rng.integers(3, WIDTH + 1, n))[:, None]] = 0
    x[:, -1] = 50 + y
    return Part(x.astype(np.float32), y)


def read(*, spoilt: bool) -> Case:
    train, validation = sequences(300, 0), sequences(200, 1)
    rest = Part(with_padding(validation.x, "back"), validation.y) if spoilt else validation
    return case_of(train, rest, lambda m: np.where(m[:, -1] == 51, 0.9, 0.1))


def test_fires_on_padding_at_the_other_end():
    result = result_of(CODE, read(spoilt=True))

    assert result.outcome is Outcome.FAIL
    assert result.confirmation.after == 1.0
    assert result.finding.evidence == {"padding_in_training": "front"}


def test_fires_on_sequences_that_are_too_wide_to_be_columns():
    one = read(spoilt=True)
    narrow = one.limits[CODE].model_copy(update={"max_columns": 5})

    assert result_of(CODE, case_with(one, narrow)).outcome is Outcome.FAIL


def case_with(one: Case, limits) -> Case:
    one.limits[CODE] = limits
    return one


def test_stays_silent_on_padding_where_training_has_it():
    assert result_of(CODE, read(spoilt=False)).outcome is Outcome.PASS


@pytest.mark.parametrize("end", ["front", "back"])
def test_moving_the_padding_keeps_the_ids_in_their_order(end: str):
    x = np.array([[0, 3, 1, 2], [5, 0, 0, 4], [0, 0, 0, 0], [1, 2, 3, 4]])

    moved = with_padding(x, end)

    assert [row[row != 0].tolist() for row in moved] == [[3, 1, 2], [5, 4], [], [1, 2, 3, 4]]
    assert moved[1].tolist() == ([0, 0, 5, 4] if end == "front" else [5, 4, 0, 0])


def test_columns_are_no_sequences():
    for layout in ("vector", "table"):
        one = case(layout=layout, columns=10)
        assert padded_end(one, one.mended) is None


def test_the_remedys_code_moves_the_padding():
    result = result_of(CODE, read(spoilt=True))

    np.testing.assert_array_equal(
        defined_by(remedy_of(result))["move_padding"](read(spoilt=True).mended.rows), sequences(200, 1).x
    )
