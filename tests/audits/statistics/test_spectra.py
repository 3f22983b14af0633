"""Spectra of weight matrices, against draws and matrices whose numbers are known."""

import numpy as np
import pytest

from audits.statistics.spectra import power_law_exponent, stable_rank


@pytest.mark.parametrize("alpha", [2.0, 3.5, 6.0])
def test_the_exponent_of_pareto_draws_is_recovered(alpha: float):
    draws = 2.0 * (1 - np.random.default_rng(0).random(5000)) ** (-1 / (alpha - 1))

    assert power_law_exponent(draws) == pytest.approx(alpha, rel=0.1)


def test_the_exponent_knows_no_unit():
    draws = np.random.default_rng(1).pareto(2.0, 500) + 1

    assert power_law_exponent(1000 * draws) == pytest.approx(power_law_exponent(draws))


@pytest.mark.parametrize("values", [np.empty(0), np.arange(1.0, 6), np.zeros(50), np.ones(50)])
def test_no_exponent_without_a_tail(values: np.ndarray):
    assert power_law_exponent(values) is None


def test_the_stable_rank_of_known_matrices():
    assert stable_rank(np.ones(7)) == pytest.approx(7)
    assert stable_rank(np.array([5.0, 0, 0])) == pytest.approx(1)
    assert stable_rank(np.zeros(3)) == 0
