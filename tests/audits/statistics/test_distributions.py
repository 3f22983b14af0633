import numpy as np
import pytest
from scipy import stats

from audits.statistics.distributions import (
    chi2_independence,
    cramers_v,
    ks_2samp_statistic,
    ks_matrix,
    ks_pvalue,
    mcnemar_test,
    psi,
    psi_of_counts,
    runs_test,
    two_proportion_test,
    wasserstein_sd,
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


def test_the_ks_matrix_agrees_with_scipy(rng):
    a, b = np.round(rng.normal(size=(60, 3)), 1), np.round(rng.normal(size=(40, 4)), 1)
    a[5:9, 1] = b[3, 2] = np.nan
    expected = [[stats.ks_2samp(x, y, nan_policy="omit").statistic for y in b.T] for x in a.T]

    assert ks_matrix(a, b) == pytest.approx(np.array(expected))


def test_columns_without_values_have_no_distance(rng):
    a, b = rng.normal(size=(9, 3)), rng.normal(size=(8, 3))
    a[:, 0] = b[:, 1] = np.nan
    distances = ks_matrix(a, b)

    assert (distances[0] == 0).all()
    assert (distances[:, 1] == 0).all()
    assert (distances[1:, [0, 2]] > 0).all()
    assert distances[1, 2] == pytest.approx(stats.ks_2samp(a[:, 1], b[:, 2]).statistic)
    assert (ks_matrix(a, b[:, 1:2]) == 0).all()


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


def test_wasserstein_is_the_shift_in_deviations(rng):
    values = rng.normal(size=500) * 7

    assert wasserstein_sd(values, np.append(values + 3.5, np.nan)) == pytest.approx(3.5 / values.std())


def test_wasserstein_is_measured_in_deviations_of_the_reference(rng):
    values = np.sort(rng.normal(size=500))

    assert wasserstein_sd(values, 3 * values) == pytest.approx(2 * np.abs(values).mean() / values.std())


def test_wasserstein_of_a_constant_is_undefined():
    assert np.isnan(wasserstein_sd(np.ones(5), np.arange(5.0)))
    assert np.isnan(wasserstein_sd(np.arange(5.0), np.array([np.nan])))


def test_psi_by_hand():
    """Shares 0.2, 0.8 and 0.4, 0.6, of so many rows that the half added to each does not show."""
    result = psi_of_counts(np.array([2e6, 8e6]), np.array([4e6, 6e6]))

    assert result.value == pytest.approx(0.2 * np.log(2) - 0.2 * np.log(0.75), rel=1e-5)
    assert result.p_value == 0


def test_an_empty_cell_gets_half_a_row():
    """Shares (10.5, 0.5) / 11 and (5.5, 5.5) / 11."""
    result = psi_of_counts(np.array([10, 0]), np.array([5, 5]))

    assert result.value == pytest.approx(5 / 11 * np.log(21))


def test_a_category_that_nobody_has_does_not_count():
    assert psi_of_counts(np.array([9, 5, 0]), np.array([4, 8, 0])) == psi_of_counts(np.array([9, 5]), np.array([4, 8]))


def test_the_critical_psi_is_the_published_one():
    """(1/n + 1/m) chi2(9, 0.95): 0.34 at 100 rows a side, 0.068 at 500."""
    values = np.linspace(0, 1, 100)

    assert psi(values, values).critical == pytest.approx(0.338, abs=0.001)
    assert psi(np.repeat(values, 5), np.repeat(values, 5)).critical == pytest.approx(0.0677, abs=0.0005)


@pytest.mark.parametrize(("n", "m"), [(100, 100), (2000, 150), (1000, 1000)])
def test_psi_keeps_its_level(n, m, rng):
    results = [psi(rng.exponential(size=n), rng.exponential(size=m)) for _ in range(600)]

    assert 0.025 < np.mean([r.value > r.critical for r in results]) < 0.08
    assert np.mean([r.p_value < 0.05 for r in results]) == np.mean([r.value > r.critical for r in results])


def test_psi_finds_a_shift_where_the_reference_repeats_itself(rng):
    spiky = np.concatenate([np.zeros(600), rng.random(400)])

    assert psi(spiky, spiky[200:]).p_value < 0.05 < psi(spiky, spiky[::2]).p_value


def test_psi_of_nothing_or_of_one_value_is_no_shift():
    assert psi(np.empty(0), np.arange(3.0)).value == psi(np.ones(5), np.ones(4)).value == 0
    assert psi(np.ones(5), np.full(4, np.nan)).p_value == 1


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


def test_mcnemar_agrees_with_the_sign_test():
    expected = stats.binomtest(9, 11, alternative="greater").pvalue

    assert mcnemar_test(9, 2) == pytest.approx((7, expected))


def test_no_row_that_changed_is_no_evidence():
    assert mcnemar_test(0, 0).p_value == 1
    assert mcnemar_test(2, 0).p_value == pytest.approx(0.25)


def test_independence_agrees_with_scipy(rng):
    table = rng.integers(1, 40, (3, 4))
    expected = stats.chi2_contingency(table, correction=False)
    with_gaps = np.insert(np.insert(table, 1, 0, axis=0), 2, 0, axis=1)

    assert chi2_independence(table) == pytest.approx((expected.statistic, expected.pvalue))
    assert chi2_independence(with_gaps) == chi2_independence(table)


def test_one_row_is_independent():
    assert chi2_independence(np.array([[3, 4], [0, 0]])) == (0.0, 1.0)


def test_cramers_v_agrees_with_scipy(rng):
    table = rng.integers(1, 40, (3, 4))

    assert cramers_v(table, corrected=False) == pytest.approx(stats.contingency.association(table, "cramer"))


def test_the_corrected_v_by_hand():
    """phi2 = 20/90 over n = 90 rows in 2 x 2: less 1/89, over the smaller corrected size less one, 1 - 1/89."""
    table = np.array([[30, 15], [10, 35]])
    phi2 = stats.chi2_contingency(table, correction=False).statistic / 90

    assert cramers_v(table) == pytest.approx(np.sqrt((phi2 - 1 / 89) / (1 - 1 / 89)))


def test_the_corrected_v_of_independence_is_about_zero(rng):
    values = {True: [], False: []}
    for _ in range(200):
        table = np.histogram2d(rng.integers(0, 5, 100), rng.integers(0, 5, 100), bins=5)[0]
        for corrected, found in values.items():
            found.append(cramers_v(table, corrected=corrected))

    assert np.mean(values[True]) < 0.06
    assert np.mean(values[False]) > 0.17


@pytest.mark.parametrize("corrected", [True, False])
def test_v_of_a_determined_table_is_one(corrected):
    assert cramers_v(np.diag([20, 30, 50]), corrected=corrected) == pytest.approx(1.0)
    assert cramers_v(np.array([[5, 7]]), corrected=corrected) == 0


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
