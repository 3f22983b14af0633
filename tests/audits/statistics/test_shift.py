import numpy as np
import pytest

from audits.statistics.shift import density_ratio, effective_sample_size


def test_the_density_ratio_makes_one_sample_look_like_the_other():
    """Exponential rows at rate 1 become rows at rate 2; the classifier is the exact one."""
    source = np.random.default_rng(8).exponential(1, 20_000)
    ratio = 2 * np.exp(-2 * source) / np.exp(-source)
    n_source, n_target = 20_000, 5_000
    probability = ratio * n_target / (ratio * n_target + n_source)
    weights = density_ratio(probability, n_source, n_target)

    assert weights.mean() == pytest.approx(1)
    assert np.average(source, weights=weights) == pytest.approx(0.5, abs=0.01)


def test_no_row_weighs_more_than_the_clip_before_it_is_scaled():
    weights = density_ratio(np.array([0.5] * 99 + [1.0]), 100, 100, largest=20)

    assert weights.max() / weights.min() == pytest.approx(20)
    assert density_ratio(np.array([]), 5, 5).shape == (0,)


def test_the_clip_is_in_units_of_the_density():
    """Even odds against a hundred times as many source rows are a ratio of 100, and clipped to 20."""
    weights = density_ratio(np.array([0.5, 1 / 101]), 100, 1, largest=20)

    assert weights[0] / weights[1] == pytest.approx(20)


def test_unequal_weights_are_worth_fewer_rows():
    assert effective_sample_size(np.ones(40)) == pytest.approx(40)
    assert effective_sample_size(np.array([1.0, 0, 0, 0])) == pytest.approx(1)
    assert effective_sample_size(np.array([3.0, 1.0])) == pytest.approx(1.6)
    assert effective_sample_size(np.zeros(4)) == 0
