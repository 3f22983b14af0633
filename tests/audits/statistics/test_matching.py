"""Costs of matchings against densities of scipy, and matchings against a search through all of them."""

from itertools import permutations

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from audits.statistics.matching import IMPOSSIBLE, Levels, best_matching, cost_of, matching_costs, whitener


def drawn(rng: np.random.Generator, n: int, means: np.ndarray, shares: list[float]) -> tuple[np.ndarray, np.ndarray]:
    codes = rng.choice(len(shares), n, p=shares)
    return codes, means[codes] + rng.normal(size=(n, means.shape[1]))


def test_levels_are_counted_and_averaged():
    codes = np.array([0, 2, 2, -1])
    features = np.array([[1.0, 1.0], [2.0, 4.0], [4.0, 8.0], [99.0, 99.0]])

    levels = Levels.of(codes, features, 3)

    assert levels.counts.tolist() == [1, 0, 2]
    assert levels.means.tolist() == [[1.0, 1.0], [0.0, 0.0], [3.0, 6.0]]


def test_costs_are_minus_the_log_likelihood():
    """Between two matchings the constants fall out: means by scipy's density, shares by its normal one."""
    rng = np.random.default_rng(0)
    reference = Levels(np.array([40.0, 60.0]), rng.normal(size=(2, 3)))
    subject = Levels(np.array([10.0, 30.0]), rng.normal(size=(2, 3)))

    costs = matching_costs(subject, reference)

    def minus_log(v: int, t: int) -> float:
        variance = 1 / subject.counts[v] + 1 / reference.counts[t]
        of_mean = multivariate_normal(reference.means[t], variance * np.eye(3)).logpdf(subject.means[v])
        angles = [2 * np.arcsin(np.sqrt(s.counts[k] / s.counts.sum())) for s, k in ((subject, v), (reference, t))]
        return float(-of_mean - multivariate_normal(0.0, 1 / 40 + 1 / 100).logpdf(angles[0] - angles[1]))

    constants = [costs[v, t] - minus_log(v, t) for v in range(2) for t in range(2)]
    np.testing.assert_allclose(constants, constants[0])


def test_the_whitener_makes_features_uncorrelated_within_levels():
    rng = np.random.default_rng(1)
    codes, features = drawn(rng, 20_000, np.array([[0.0, 0.0], [5.0, -5.0]]), [0.3, 0.7])
    features = features @ np.array([[2.0, 0.5], [0.0, 1.0]])

    white = features @ whitener(codes, features, 2)

    within = white - np.array([white[codes == k].mean(axis=0) for k in (0, 1)])[codes]
    covariance = np.cov(within.T)
    # a twentieth of ridge is left
    assert np.diag(covariance) == pytest.approx([1.0, 1.0], abs=0.1)
    assert abs(covariance[0, 1]) < 0.2


@pytest.mark.parametrize("seed", range(4))
def test_the_best_of_all_matchings_is_found(seed: int):
    costs = np.random.default_rng(seed).random((5, 5))

    best = min(permutations(range(5)), key=lambda order: cost_of(costs, np.array(order)))

    assert best_matching(costs).tolist() == list(best)


def test_permuted_levels_come_back():
    rng = np.random.default_rng(2)
    means = rng.normal(size=(4, 3))
    order, shares = np.array([2, 0, 3, 1]), [0.4, 0.3, 0.2, 0.1]
    (a, x), (b, z) = (drawn(rng, n, means, shares) for n in (2000, 600))
    written = order[b]

    found = best_matching(matching_costs(Levels.of(written, z, 4), Levels.of(a, x, 4)))

    assert found[order].tolist() == [0, 1, 2, 3]


def test_nothing_is_better_than_to_leave_alike_levels_alone():
    assert best_matching(np.ones((3, 3))).tolist() == [0, 1, 2]


def test_a_level_that_the_reference_lacks_can_only_be_itself():
    subject = Levels(np.array([5.0, 5.0, 5.0]), np.zeros((3, 1)))
    costs = matching_costs(subject, Levels(np.array([7.0, 8.0, 0.0]), np.zeros((3, 1))))

    assert (costs[:2, 2] == IMPOSSIBLE).all()
    assert costs[2, 2] < IMPOSSIBLE
