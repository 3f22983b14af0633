"""The class shares of a population, without its labels."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from audits.statistics.priors import corrected, shares_by_confusion, shares_by_expectation


def answers(n: int, share: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels at a share, and the exact probabilities of a model that was trained at shares of one half."""
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < share).astype(int)
    p = 1 / (1 + np.exp(-2 * rng.normal(2 * y - 1, 1)))
    return y, np.stack([1 - p, p], axis=1)


def test_the_shares_maximise_the_likelihood():
    _, p = answers(500, 0.2)

    best = minimize_scalar(
        lambda s: -np.log(2 * ((1 - s) * p[:, 0] + s * p[:, 1])).sum(), bounds=(0, 1), method="bounded"
    )

    assert shares_by_expectation(p, np.array([0.5, 0.5]))[1] == pytest.approx(best.x, abs=1e-4)


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_both_estimates_are_right_on_average(share: float):
    found = []
    for seed in range(20):
        y, p = answers(500, 0.5, seed)
        decided = (p[:, 1] > 0.5).astype(int)
        table = np.histogram2d(y, decided, bins=2)[0]
        _, q = answers(500, share, 100 + seed)
        by_confusion = shares_by_confusion(table, np.bincount((q[:, 1] > 0.5).astype(int), minlength=2))
        found.append((shares_by_expectation(q, np.array([0.5, 0.5]))[1], by_confusion[1]))

    np.testing.assert_allclose(np.mean(found, axis=0), share, atol=0.02)


def test_maximum_likelihood_is_the_more_precise_one():
    """It uses the probabilities, not only the decisions (Garg et al., 2020)."""
    found = []
    for seed in range(40):
        y, p = answers(300, 0.5, seed)
        table = np.histogram2d(y, p[:, 1] > 0.5, bins=2)[0]
        _, q = answers(300, 0.3, 100 + seed)
        by_confusion = shares_by_confusion(table, np.bincount((q[:, 1] > 0.5).astype(int), minlength=2))
        found.append((shares_by_expectation(q, np.array([0.5, 0.5]))[1], by_confusion[1]))

    assert np.std(found, axis=0)[0] < np.std(found, axis=0)[1]


def test_a_confusion_that_says_nothing_gives_nothing():
    assert shares_by_confusion(np.array([[5, 5], [5, 5]]), np.array([3, 7])) is None
    assert shares_by_confusion(np.array([[5, 5], [0, 0]]), np.array([3, 7])) is None
    assert shares_by_confusion(np.array([[9, 1], [1, 9]]), np.array([0, 0])) is None


def test_correcting_is_the_rule_of_bayes():
    """Log-odds move by the log of the ratio of the odds of the shares."""
    _, p = answers(50, 0.5)

    after = corrected(p, np.array([0.9, 0.1]), np.array([0.5, 0.5]))

    moved = np.log(after[:, 1] / after[:, 0]) - np.log(p[:, 1] / p[:, 0])
    np.testing.assert_allclose(moved, np.log(0.1 / 0.9))


def test_a_row_without_any_probability_stays():
    np.testing.assert_array_equal(corrected(np.zeros((1, 2)), np.array([0.9, 0.1]), np.array([0.5, 0.5])), [[0, 0]])
