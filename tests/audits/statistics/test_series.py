import numpy as np
import pytest
from scipy.stats import pearsonr

from audits.statistics.series import (
    autocorrelation,
    block_codes,
    block_length,
    effective_rows,
    forecast_sums,
    leaning,
    mase,
    skill_over,
)


@pytest.fixture
def rng():
    return np.random.default_rng(8)


def autoregressive(rng, n, memory):
    values = rng.normal(size=n)
    for t in range(1, n):
        values[t] = memory * values[t - 1] + np.sqrt(1 - memory**2) * values[t]
    return values


@pytest.mark.parametrize("memory", [-0.5, 0.0, 0.6, 0.9])
def test_autocorrelation(memory, rng):
    values = autoregressive(rng, 20_000, memory)

    assert autocorrelation(values) == pytest.approx(memory, abs=0.03)
    assert autocorrelation(values, 3) == pytest.approx(memory**3, abs=0.05)


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 2.0], [3.0] * 50, [0.1] * 50])
def test_no_autocorrelation_without_movement(values):
    assert np.isnan(autocorrelation(np.array(values)))
    assert block_length(np.array(values)) == 1


def test_independent_rows_are_drawn_alone(rng):
    lengths = [block_length(rng.normal(size=300)) for _ in range(400)]

    assert np.mean(np.array(lengths) > 1) < 0.02


def test_blocks_leave_enough_of_themselves(rng):
    assert block_length(np.cumsum(rng.normal(size=200))) == 20
    assert block_length(autoregressive(rng, 5000, 0.9)) > 20
    assert block_length(autoregressive(rng, 40, 0.9)) == 1


def test_codes_are_neighbours_in_order():
    assert block_codes(np.array([3, 0, 2, 1]), 2).tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize("memory", [0.5, 0.8])
def test_blocks_give_the_error_of_a_mean(memory, rng):
    """Against the spread of the means of 400 series; resampling single rows is far too sure."""
    n = 400
    true = np.std([autoregressive(rng, n, memory).mean() for _ in range(400)])
    claimed, naive = [], []
    for _ in range(40):
        values = autoregressive(rng, n, memory)
        length = block_length(values)
        means = np.array([block.mean() for block in np.array_split(values, n // length)])
        claimed.append(means.std(ddof=1) / np.sqrt(len(means)))
        naive.append(values.std(ddof=1) / np.sqrt(n))

    assert np.mean(claimed) == pytest.approx(true, rel=0.25)
    assert np.mean(naive) < 0.7 * true


def test_effective_rows():
    assert effective_rows(300, 0.1, 0.2) == pytest.approx(75)
    assert effective_rows(300, 0.1, 0.05) == 300


def test_skill_by_hand():
    labels, answers, naive = np.array([1.0, 2.0, 4.0]), np.array([1.0, 2.0, 3.0]), np.array([0.0, 1.0, 2.0])

    sums = forecast_sums(labels, answers, naive)

    assert float(skill_over(sums.sum(axis=0))) == pytest.approx(1 - 1 / 6)
    assert skill_over(np.array([[1.0, 1, 1], [1, 1, 0]]) @ sums) == pytest.approx([5 / 6, 1.0])


def test_leaning_is_a_difference_of_correlations(rng):
    labels, last = 1e6 + rng.normal(size=50), 1e6 + rng.normal(size=50)
    answers = last + 0.3 * rng.normal(size=50)
    expected = pearsonr(answers, last).statistic - pearsonr(answers, labels).statistic

    sums = forecast_sums(labels, answers, last)

    assert float(leaning(sums.sum(axis=0))) == pytest.approx(expected)
    half = slice(0, 25)
    alone = pearsonr(answers[half], last[half]).statistic - pearsonr(answers[half], labels[half]).statistic
    assert float(leaning(2 * sums[half].sum(axis=0))) == pytest.approx(alone)
    assert float(leaning(forecast_sums(labels, np.ones(50), last).sum(axis=0))) == 0.0


def test_mase_by_hand():
    assert mase(np.array([1.0, 2.0]), np.array([2.0, 4.0]), 3.0) == pytest.approx(0.5)
    assert np.isnan(mase(np.array([1.0]), np.array([2.0]), 0.0))
