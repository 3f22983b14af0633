import numpy as np
import pytest
from scipy import stats

from audits.statistics.distributions import (
    binned_likelihood_ratio,
    ks_2samp_statistic,
    ks_pvalue,
    runs_test,
    two_proportion_test,
)


@pytest.fixture
def rng():
    return np.random.default_rng(2)


@pytest.mark.parametrize("digits", [0, 1, 6], ids=["many ties", "ties", "no ties"])
@pytest.mark.parametrize(("n", "m"), [(20, 30), (37, 5), (300, 200)])
def test_the_ks_statistic_agrees_with_scipy(digits, n, m, rng):
    for _ in range(20):
        a, b = np.round(rng.normal(size=n), digits), np.round(rng.normal(0.2, 1.3, size=m), digits)

        assert ks_2samp_statistic(a, b) == pytest.approx(stats.ks_2samp(a, b).statistic)


@pytest.mark.parametrize(("n", "m"), [(20, 20), (20, 31), (7, 200), (90, 100)])
def test_small_samples_get_the_exact_p_value(n, m, rng):
    for shift in (0.0, 0.4, 1.5):
        test = stats.ks_2samp(rng.normal(size=n), rng.normal(shift, size=m), method="exact")

        assert ks_pvalue(test.statistic, n, m) == pytest.approx(test.pvalue, rel=1e-9)


def test_large_samples_get_the_asymptotic_p_value(rng):
    test = stats.ks_2samp(rng.normal(size=3000), rng.normal(0.05, size=900), method="exact")

    assert ks_pvalue(test.statistic, 3000, 900) == pytest.approx(test.pvalue, rel=0.1)


@pytest.mark.parametrize(("distance", "n", "m"), [(0.0, 10, 10), (0.5, 0, 10), (0.5, 10, 0), (0.0, 900, 900)])
def test_no_distance_is_no_evidence(distance, n, m):
    assert ks_pvalue(distance, n, m) == 1.0


def test_the_largest_distance_has_the_chance_of_one_order():
    """All of one sample before all of the other: 2 of the C(10, 5) orders."""
    assert ks_pvalue(1.0, 5, 5) == pytest.approx(2 / 252)


@pytest.mark.parametrize(("n", "m"), [(40, 60), (400, 300)])
def test_the_ks_test_keeps_its_level(n, m, rng):
    p_values = [ks_pvalue(ks_2samp_statistic(rng.normal(size=n), rng.normal(size=m)), n, m) for _ in range(600)]

    assert 0.025 < np.mean(np.array(p_values) < 0.05) < 0.07


@pytest.mark.parametrize("table", [[[90, 10], [70, 30]], [[500, 500], [40, 60]]])
def test_proportions_agree_with_chi_square(table):
    (s1, f1), (s2, f2) = table
    result = two_proportion_test(s1, s1 + f1, s2, s2 + f2)

    assert result.statistic == pytest.approx(s1 / (s1 + f1) - s2 / (s2 + f2))
    assert result.p_value == pytest.approx(stats.chi2_contingency(table, correction=False).pvalue)


def test_rare_events_are_tested_exactly():
    assert two_proportion_test(3, 50, 0, 60).p_value == pytest.approx(stats.fisher_exact([[3, 47], [0, 60]]).pvalue)


@pytest.mark.parametrize("counts", [(0, 10, 0, 20), (10, 10, 20, 20), (0, 0, 5, 9)])
def test_equal_or_empty_proportions_do_not_differ(counts):
    assert two_proportion_test(*counts).p_value == 1


def test_runs_by_hand():
    """Wald & Wolfowitz: of 5 and 7 labels 1 + 70/12 runs are expected, with variance 70 * 58 / (144 * 11)."""
    labels = np.array([0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 1])
    result = runs_test(labels)

    assert (result.runs, result.expected) == (6, pytest.approx(1 + 70 / 12))
    assert result.z == pytest.approx((6.5 - 1 - 70 / 12) / np.sqrt(70 * 58 / (144 * 11)))


@pytest.mark.parametrize("shares", [[0.5, 0.5], [0.9, 0.1], [0.5, 0.3, 0.15, 0.05]])
def test_runs_of_a_shuffled_file_keep_their_level(shares, rng):
    results = [runs_test(rng.choice(len(shares), 200, p=shares)) for _ in range(1500)]

    assert 0.03 < np.mean([r.p_value < 0.05 for r in results]) < 0.07
    assert np.std([r.z for r in results]) == pytest.approx(1, abs=0.08)


def test_runs_of_a_sorted_file_are_few():
    result = runs_test(np.repeat(["a", "b", "c"], 30))

    assert result.runs == 3
    assert result.p_value < 1e-10


@pytest.mark.parametrize("labels", [[], [1], [1, 1, 1], [0, 1]])
def test_runs_of_hardly_any_labels_say_nothing(labels):
    assert runs_test(np.array(labels)).p_value > 0.3


@pytest.mark.parametrize(("n", "m"), [(200, 300), (1000, 100)])
def test_the_likelihood_ratio_of_one_law_is_chi_squared(n: int, m: int):
    """Over 400 pairs of samples: mean bins - 1, and one in a hundred beyond the 99 % point."""
    rng = np.random.default_rng(0)
    g = np.array([binned_likelihood_ratio(rng.normal(size=n), rng.normal(size=m), 10, n, m) for _ in range(400)])

    assert g.mean() == pytest.approx(9, abs=0.8)
    assert (g > stats.chi2.isf(0.01, 9)).mean() <= 0.025


def test_the_likelihood_ratio_sees_a_shift_and_a_spread():
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=500), rng.normal(size=500)

    assert binned_likelihood_ratio(a, b + 0.5, 10, 500, 500) > stats.chi2.isf(1e-4, 9)
    assert binned_likelihood_ratio(a, 1.5 * b, 10, 500, 500) > stats.chi2.isf(1e-4, 9)


def test_the_likelihood_ratio_counts_independent_values_alone():
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=500), rng.normal(0.3, 1, size=500)

    assert binned_likelihood_ratio(a, b, 10, 50, 50) == pytest.approx(binned_likelihood_ratio(a, b, 10, 500, 500) / 10)


@pytest.mark.parametrize("values", [np.empty(0), np.array([np.nan])])
def test_the_likelihood_ratio_of_nothing_is_nought(values: np.ndarray):
    assert binned_likelihood_ratio(values, np.arange(5.0), 4, 0, 5) == 0.0
    assert binned_likelihood_ratio(np.ones(5), np.ones(4), 4, 5, 4) == 0.0
