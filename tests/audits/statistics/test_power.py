from math import inf

import numpy as np
import pytest
from scipy.stats import norm

from audits.statistics.power import (
    detectable_from_standard_error,
    effective_rows,
    minimum_detectable_difference,
    rows_needed,
)


@pytest.mark.parametrize(
    ("p", "points", "rows"),
    [(0.7, 1, 16_483), (0.7, 2, 4_121), (0.7, 5, 660), (0.7, 10, 165), (0.9, 1, 7_064), (0.9, 10, 71)],
)
def test_rows_needed_gives_the_known_table(p, points, rows):
    assert rows_needed(p, points / 100) == rows


def test_rows_needed_undo_the_detectable_difference():
    n = rows_needed(0.7, 0.02)

    assert minimum_detectable_difference(0.7, n) == pytest.approx(0.02, rel=0.01)


def test_the_promised_power_is_reached():
    """A drop by the detectable difference is found in 80 of 100 validation sets."""
    rng, n, known = np.random.default_rng(3), 400, 0.8
    drop = minimum_detectable_difference(known, n)
    p = rng.binomial(n, known - drop, 20_000) / n
    z = (known - p) / np.sqrt(known * (1 - known) / n)

    assert np.mean(np.abs(z) > norm.ppf(0.975)) == pytest.approx(0.8, abs=0.04)


def test_a_perfect_score_leaves_something_to_see():
    assert 0.1 < minimum_detectable_difference(1.0, 20) < 0.2


def test_a_small_reference_hides_more():
    assert minimum_detectable_difference(0.8, 100, n_reference=100) == pytest.approx(
        np.sqrt(2) * minimum_detectable_difference(0.8, 100)
    )


def test_without_rows_nothing_can_be_seen():
    assert minimum_detectable_difference(0.5, 0) == inf


def test_a_standard_error_is_worth_its_factor():
    assert detectable_from_standard_error(0.01) == pytest.approx(0.02802, abs=1e-5)
    assert detectable_from_standard_error(1, power=0.9, alpha=0.01) == pytest.approx(3.8576, abs=1e-3)


def test_rows_that_repeat_each_other_count_once():
    assert effective_rows(100, 10, 1.0) == pytest.approx(10)
    assert effective_rows(100, 10, 0.0) == 100
