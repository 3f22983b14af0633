from math import inf

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import expit, logit
from scipy.stats import binomtest, norm, t, ttest_1samp
from sklearn.metrics import roc_auc_score

from audits.statistics.intervals import (
    auc_interval,
    auc_interval_from_counts,
    difference,
    mean_interval,
    mean_of_paired_differences,
    mean_of_proportions,
    rule_of_three,
    wilson,
)


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def newcombe(successes1, n1, successes2, n2):
    first, second = wilson(successes1, n1), wilson(successes2, n2)
    return difference(successes1 / n1, first, successes2 / n2, second)


@pytest.mark.parametrize(("successes", "n"), [(0, 7), (7, 7), (1, 30), (81, 263), (500, 1000)])
def test_wilson_agrees_with_scipy(successes, n):
    test = binomtest(successes, n)

    assert wilson(successes, n) == pytest.approx(tuple(test.proportion_ci(method="wilson")), abs=1e-12)


@pytest.mark.parametrize("n", [1, 18, 300])
def test_the_rule_of_three_is_the_exact_one_sided_bound(n):
    assert rule_of_three(n) == pytest.approx(binomtest(0, n, alternative="less").proportion_ci().high)
    assert rule_of_three(0) == 1.0


def test_wilson_takes_the_confidence():
    expected = tuple(binomtest(3, 10).proportion_ci(0.8, method="wilson"))

    assert wilson(3, 10, confidence=0.8) == pytest.approx(expected)


def test_wilson_without_rows_knows_nothing():
    assert wilson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("successes1", "n1", "successes2", "n2", "expected"),
    [
        (56, 70, 48, 80, (0.0524, 0.3339)),
        (9, 10, 3, 10, (0.1705, 0.8090)),
        (6, 7, 2, 7, (0.0582, 0.8062)),
        (5, 56, 0, 29, (-0.0381, 0.1926)),
        (0, 10, 0, 20, (-0.1611, 0.2775)),
        (10, 10, 0, 10, (0.6075, 1.0)),
    ],
)
def test_a_difference_of_proportions_gives_the_published_table(successes1, n1, successes2, n2, expected):
    """Newcombe, 1998, table II, method 10."""
    assert newcombe(successes1, n1, successes2, n2) == pytest.approx(expected, abs=5e-5)


def test_a_difference_turns_round_with_its_samples():
    low, high = newcombe(9, 10, 30, 100)

    assert newcombe(30, 100, 9, 10) == pytest.approx((-high, -low))


@pytest.mark.parametrize(("n1", "n2", "p1", "p2"), [(5000, 30, 1.0, 0.9), (1000, 50, 0.9, 0.7), (100, 300, 0.5, 0.5)])
def test_a_difference_covers_where_wald_does_not(rng, n1, n2, p1, p2):
    bounds = np.array(
        [newcombe(a, n1, b, n2) for a, b in zip(rng.binomial(n1, p1, 3000), rng.binomial(n2, p2, 3000), strict=True)]
    )

    coverage = np.mean((bounds[:, 0] <= p1 - p2) & (p1 - p2 <= bounds[:, 1]))

    assert 0.93 <= coverage <= 0.98


def test_mean_interval_is_the_t_test(rng):
    values = rng.normal(size=12)
    expected = ttest_1samp(values, 0).confidence_interval(0.9)

    assert mean_interval(np.append(values, np.nan), 0.9) == pytest.approx((expected.low, expected.high))


def test_one_value_says_nothing_about_its_mean():
    assert mean_interval(np.array([3.0])) == (-inf, inf)


def test_auc_interval_agrees_with_the_definition_of_delong(rng):
    """The definition compares every positive with every negative; scores are rounded so that some tie."""
    scores, positives = np.round(rng.normal(size=60), 1), rng.random(60) < 0.3
    upper, lower = scores[positives], scores[~positives]
    wins = (upper[:, None] > lower) + (upper[:, None] == lower) / 2
    errors = wins.mean(axis=1).var(ddof=1) / len(upper), wins.mean(axis=0).var(ddof=1) / len(lower)
    freedom = sum(errors) ** 2 / (errors[0] ** 2 / (len(upper) - 1) + errors[1] ** 2 / (len(lower) - 1))
    auc = roc_auc_score(positives, scores)
    half = t.ppf(0.975, freedom) * np.sqrt(sum(errors)) / (auc * (1 - auc))

    assert auc_interval(scores, positives) == pytest.approx(tuple(expit(logit(auc) + np.array([-half, half]))))


def test_the_auc_of_one_class_is_unknown():
    assert auc_interval(np.arange(3.0), np.ones(3, dtype=bool)) == (0.0, 1.0)


def test_auc_interval_turns_round_with_the_scores(rng):
    scores, positives = rng.normal(size=50), rng.random(50) < 0.4
    low, high = auc_interval(scores, positives)

    assert auc_interval(-scores, positives) == pytest.approx((1 - high, 1 - low))


def test_perfect_separation_still_has_a_width():
    scores = np.arange(20.0)
    low, high = auc_interval(scores, scores >= 10)

    assert (low, high) == (pytest.approx(0.80, abs=0.01), 1.0)
    assert auc_interval(-scores, scores >= 10) == pytest.approx((0.0, 1 - low))


def test_constant_scores_give_an_interval_around_a_half():
    low, high = auc_interval(np.zeros(40), np.arange(40) < 20)

    assert 0.2 < low < 0.5 < high < 0.8


@pytest.mark.parametrize(
    ("positives", "negatives", "auc"),
    [(10, 90, 0.7), (10, 90, 0.97), (20, 20, 0.5), (50, 50, 0.9), (50, 50, 0.99), (200, 400, 0.8)],
)
def test_auc_interval_covers(rng, positives, negatives, auc):
    """Normal scores whose means differ by sqrt(2) times the normal quantile of the area."""
    is_positive = np.arange(positives + negatives) < positives
    shift = np.sqrt(2) * norm.ppf(auc)
    bounds = np.array(
        [auc_interval(rng.normal(size=len(is_positive)) + shift * is_positive, is_positive) for _ in range(1500)]
    )

    assert 0.925 <= np.mean((bounds[:, 0] <= auc) & (auc <= bounds[:, 1])) <= 0.985


@pytest.mark.parametrize("unequal", [0.3, 3.0])
def test_auc_interval_covers_when_the_classes_spread_differently(rng, unequal):
    is_positive = np.arange(120) < 30
    shift = np.sqrt(1 + unequal**2) * norm.ppf(0.8)
    bounds = np.array(
        [
            auc_interval(np.where(is_positive, shift + unequal * noise, noise), is_positive)
            for noise in rng.normal(size=(1500, 120))
        ]
    )

    assert 0.925 <= np.mean((bounds[:, 0] <= 0.8) & (bounds[:, 1] >= 0.8)) <= 0.975


def test_auc_interval_from_counts_solves_hanley_and_mcneil():
    """The bounds lie 1.96 of their own standard errors from the estimate."""

    def hanley_mcneil(theta, n=40):
        q1, q2 = theta / (2 - theta), 2 * theta**2 / (1 + theta)
        return (theta * (1 - theta) + (n - 1) * (q1 - theta**2) + (n - 1) * (q2 - theta**2)) / n**2

    low = brentq(lambda theta: 0.8 - theta - 1.959964 * np.sqrt(hanley_mcneil(theta)), 0.01, 0.8)
    high = brentq(lambda theta: theta - 0.8 - 1.959964 * np.sqrt(hanley_mcneil(theta)), 0.8, 0.999)

    assert auc_interval_from_counts(0.8, 40, 40) == pytest.approx((low, high), abs=1e-6)
    assert auc_interval_from_counts(0.8, 0, 40) == (0.0, 1.0)


def test_the_mean_of_one_proportion_is_wilsons():
    assert mean_of_proportions(np.array([7, 0]), np.array([9, 0])) == pytest.approx(wilson(7, 9))


def test_the_mean_of_no_proportions_is_unknown():
    assert mean_of_proportions(np.array([0]), np.array([0])) == (0.0, 1.0)


def test_half_the_sum_of_two_proportions_is_newcombes_difference():
    """p1 + p2 is p1 - (1 - p2) + 1."""
    low, high = newcombe(9, 12, 5, 20)

    expected = ((low + 1) / 2, (high + 1) / 2)
    assert mean_of_proportions(np.array([9, 15]), np.array([12, 20])) == pytest.approx(expected)


@pytest.mark.parametrize("rows", [(3, 200), (5, 200), (30, 30), (20, 8, 300)])
def test_the_interval_of_a_balanced_accuracy_covers_with_classes_of_a_few_rows(rows, rng):
    """On average over recalls from 0.6 to 1: at a single one, counts of a few rows cover in steps."""
    recalls = rng.uniform(0.6, 1, (3000, len(rows)))
    truth = recalls.mean(axis=1)
    bounds = np.array([mean_of_proportions(hits, np.array(rows)) for hits in rng.binomial(rows, recalls)])

    assert 0.93 <= np.mean((bounds[:, 0] <= truth) & (truth <= bounds[:, 1])) <= 0.98


def test_two_paired_rows_are_no_certainty():
    """Both rows of a class gained, none of the other: the bootstrap would have no width."""
    low, high = mean_of_paired_differences(np.array([2, 0]), np.array([0, 0]), np.array([2, 200]))

    assert low < 0 < high


def test_one_pair_of_proportions_has_the_interval_of_agresti_and_min():
    """By hand from the paper's formula: 12 gained, 3 lost, of 40."""
    low, high = mean_of_paired_differences(np.array([12]), np.array([3]), np.array([40]))

    estimate, error = 9 / 42, np.sqrt(16 - 81 / 42) / 42
    assert (low, high) == pytest.approx((estimate - norm.ppf(0.975) * error, estimate + norm.ppf(0.975) * error))


def test_paired_differences_without_rows_know_nothing():
    assert mean_of_paired_differences(np.zeros(2), np.zeros(2), np.zeros(2)) == (-1.0, 1.0)


@pytest.mark.parametrize("sizes", [(10, 40), (30, 30), (200, 50)])
def test_the_interval_of_paired_differences_covers(rng, sizes):
    """Classes of few and of many rows, one mostly gained and one mostly kept."""
    shares = np.array([[0.3, 0.1], [0.05, 0.05]])
    truth = float((shares[:, 0] - shares[:, 1]).mean())
    covered = []
    for _ in range(2000):
        drawn = [rng.multinomial(n, [g, l, 1 - g - l]) for n, (g, l) in zip(sizes, shares, strict=True)]  # noqa: E741
        low, high = mean_of_paired_differences(*np.array(drawn).T[:2], np.array(sizes))
        covered.append(low <= truth <= high)

    assert 0.93 <= np.mean(covered) <= 0.985
