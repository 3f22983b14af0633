"""Calibration errors against simulation, published values and independent computations."""

import numpy as np
import pytest
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, logit, softmax
from scipy.stats import binom
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss

from audits.statistics import calibration
from audits.statistics.calibration import (
    Recalibration,
    brier_parts,
    calibration_error,
    consistency_test,
    debiased_error,
    equal_mass_bins,
    equal_width_bins,
    fit_logistic,
    fit_temperature,
    reliability_curve,
    spiegelhalter,
)


def calibrated(rng: np.random.Generator, n: int, a: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    p = rng.beta(a, a, n)
    return p, rng.random(n) < p


def overconfident(p: np.ndarray, strength: float) -> np.ndarray:
    return expit(strength * logit(np.clip(p, 1e-12, 1 - 1e-12)))


def both(p: np.ndarray) -> np.ndarray:
    return np.stack([1 - p, p], axis=1)


def test_equal_width_bins_hold_their_upper_edge():
    assert equal_width_bins(np.array([0.0, 0.1, 0.1001, 1.0]), 10).tolist() == [0, 0, 1, 9]


def test_equal_mass_bins_are_equal_and_never_part_equal_confidence():
    assert np.bincount(equal_mass_bins(np.arange(30) / 30, 3)).tolist() == [10, 10, 10]
    tied = np.repeat([0.0, 0.5, 1.0], [50, 3, 47])
    assert np.bincount(equal_mass_bins(tied, 10)).tolist() in ([50, 50], [50, 3, 47], [53, 47])


def test_calibration_error_by_hand():
    """Two of four come true at 0.9: 0.4 on two thirds of the rows; one of two at 0.3: 0.2 on a third."""
    confidence = np.array([0.9] * 4 + [0.3] * 2)
    events = np.array([1, 1, 0, 0, 1, 0])

    assert calibration_error(confidence, events, equal_width_bins(confidence)) == pytest.approx(
        0.4 * 4 / 6 + 0.2 * 2 / 6
    )


@pytest.mark.parametrize(("n", "bias"), [(100, 0.110), (500, 0.049), (5000, 0.015)])
def test_the_plain_error_of_a_true_model_has_the_known_bias(n: int, bias: float):
    rng = np.random.default_rng(0)
    errors = [calibration_error(p, y, equal_width_bins(p)) for p, y in (calibrated(rng, n) for _ in range(100))]

    assert np.mean(errors) == pytest.approx(bias, rel=0.06)


@pytest.mark.parametrize(("n", "left"), [(100, 0.035), (1000, 0.010)])
def test_the_debiased_error_of_a_true_model_is_a_third_of_that(n: int, left: float):
    rng = np.random.default_rng(1)
    errors = [debiased_error(*calibrated(rng, n)) for _ in range(200)]

    assert np.mean([error.estimate for error in errors]) == pytest.approx(left, abs=0.006)
    assert np.mean([error.interval[0] > 0 for error in errors]) < 0.03


@pytest.mark.parametrize("n", [200, 1000])
def test_the_debiased_error_finds_the_true_one(n: int):
    """Unbiased to a hundredth, and its interval covers."""
    rng = np.random.default_rng(2)
    many = rng.beta(0.5, 0.5, 200_000)
    bin_of = equal_mass_bins(overconfident(many, 4))
    size = np.bincount(bin_of)
    gap = np.bincount(bin_of, weights=overconfident(many, 4) - many) / size
    truth = np.sqrt((size * gap**2).sum() / size.sum())

    found = []
    for _ in range(200):
        p, y = calibrated(rng, n)
        found.append(debiased_error(overconfident(p, 4), y))

    assert np.mean([f.estimate for f in found]) == pytest.approx(truth, abs=0.01)
    assert np.mean([f.interval[0] <= truth <= f.interval[1] for f in found]) > 0.93


@pytest.mark.parametrize("bins", [equal_width_bins, equal_mass_bins])
@pytest.mark.parametrize("n", [50, 200, 1000])
def test_the_consistency_test_keeps_its_level(n: int, bins):
    rng = np.random.default_rng(n)
    alarms = 0
    for _ in range(200):
        p, y = calibrated(rng, n)
        alarms += consistency_test(p, y, bins(p), rng, draws=99)[0].p_value <= 0.05

    assert alarms <= binom.ppf(0.999, 200, 0.05)


def test_the_consistency_test_has_power():
    """Log-odds twice too large are seen at 200 rows nearly always."""
    rng = np.random.default_rng(3)
    seen = 0
    for _ in range(50):
        p, y = calibrated(rng, 200)
        q = overconfident(p, 2)
        seen += consistency_test(q, y, equal_mass_bins(q), rng, draws=199)[0].p_value <= 0.05

    assert seen >= 40


def test_the_null_is_drawn_from_the_probabilities():
    p = np.full(100, 0.3)
    _, null = consistency_test(p, np.zeros(100), equal_mass_bins(p), np.random.default_rng(4))

    expected = np.abs(binom.rvs(100, 0.3, size=20_000, random_state=0) / 100 - 0.3)
    assert null.mean() == pytest.approx(expected.mean(), rel=0.08)


def test_certain_probabilities_that_come_true_are_consistent():
    p = np.array([0.0, 1.0] * 30)

    assert consistency_test(p, p, equal_mass_bins(p), np.random.default_rng(0))[0] == (0.0, 1.0)


def test_spiegelhalter_is_standard_normal_for_a_true_model_and_positive_for_one_too_sure():
    rng = np.random.default_rng(5)
    z = [spiegelhalter(*calibrated(rng, 300)).statistic for _ in range(400)]
    p, y = calibrated(rng, 300)

    assert np.mean(z) == pytest.approx(0, abs=0.15)
    assert np.std(z) == pytest.approx(1, abs=0.1)
    assert spiegelhalter(overconfident(p, 3), y).statistic > 3
    assert spiegelhalter(np.array([0.0, 1.0]), np.array([0, 1])).p_value == 1


def test_the_parts_of_the_brier_score_add_up():
    rng = np.random.default_rng(6)
    p, y = calibrated(rng, 500)
    parts = brier_parts(p, y, equal_mass_bins(p))

    assert parts.score == pytest.approx(brier_score_loss(y, p))
    assert abs(parts.within) < 0.01
    levels = np.round(p, 1)
    exact = brier_parts(levels, y, equal_mass_bins(levels, 500))
    assert exact.within == pytest.approx(0, abs=1e-12)


def test_the_temperature_is_the_most_likely_one():
    rng = np.random.default_rng(7)
    logits = rng.normal(size=(400, 3)) * 2
    labels = np.array([rng.choice(3, p=q) for q in softmax(logits, axis=1)])
    sharp = softmax(5 * logits, axis=1)

    def loss(log_strength: float) -> float:
        p = softmax(np.exp(log_strength) * np.log(sharp), axis=1)
        return float(-np.log(p[np.arange(400), labels]).sum() + log_strength**2 / 2)

    best = np.exp(minimize_scalar(loss, bounds=(-4, 2), method="bounded").x)
    fit = fit_temperature(sharp, labels)
    assert fit.strength == pytest.approx(best, rel=1e-3)
    assert fit.temperature == pytest.approx(5, rel=0.2)
    assert fit.strength_interval[0] < 0.2 < fit.strength_interval[1]


def test_slope_and_intercept_are_those_of_a_logistic_regression():
    rng = np.random.default_rng(8)
    p, y = calibrated(rng, 2000, a=1.0)
    moved = expit(2 * logit(p) + 1)
    fit = fit_logistic(both(moved), y.astype(int))
    sklearn = LogisticRegression(C=np.inf).fit(logit(moved)[:, None], y)

    assert fit.strength == pytest.approx(sklearn.coef_[0, 0], abs=0.01)
    assert fit.bias == pytest.approx(sklearn.intercept_[0], abs=0.01)
    assert fit.strength_interval[0] < 0.5 < fit.strength_interval[1]


def test_the_intervals_of_slope_and_intercept_cover():
    rng = np.random.default_rng(9)
    inside = []
    for _ in range(150):
        p, y = calibrated(rng, 300, a=1.0)
        fit = fit_logistic(both(p), y.astype(int))
        inside.append(
            (fit.strength_interval[0] < 1 < fit.strength_interval[1], fit.bias_interval[0] < 0 < fit.bias_interval[1])
        )

    assert (np.mean(inside, axis=0) > 0.9).all()


@pytest.mark.parametrize("fit", [fit_temperature, fit_logistic])
def test_separable_rows_give_a_finite_correction(fit):
    p = np.array([1e-9, 0.2, 0.8, 1.0])

    found = fit(both(p), np.array([0, 0, 1, 1]))

    assert 1 < found.strength <= calibration.MAX_STRENGTH
    assert np.isfinite(found.apply(both(p))).all()


def test_wrong_labels_everywhere_give_the_weakest_strength():
    assert fit_temperature(both(np.array([0.01, 0.99] * 50)), np.array([1, 0] * 50)).strength == pytest.approx(1 / 30)


def test_no_correction_changes_nothing():
    p = np.random.default_rng(0).dirichlet(np.ones(4), 10)

    assert np.allclose(Recalibration(1.0).apply(p), p)


def test_the_reliability_curve_counts_every_row():
    p, y = calibrated(np.random.default_rng(1), 100)
    curve = np.array(reliability_curve(p, y))

    assert curve[:, 2].sum() == 100
    assert (curve[:, 0] * curve[:, 2]).sum() == pytest.approx(p.sum())
    assert (curve[:, 1] * curve[:, 2]).sum() == pytest.approx(y.sum())


def test_nothing_to_judge():
    none = np.zeros(0)

    assert np.isnan(calibration_error(none, none, equal_mass_bins(none)))
    assert np.isnan(debiased_error(np.array([0.5]), np.array([1])).estimate)
    assert consistency_test(none, none, equal_mass_bins(none), np.random.default_rng(0))[0].p_value == 1


def test_the_logistic_fit_agrees_with_a_general_optimiser():
    rng = np.random.default_rng(10)
    p, y = calibrated(rng, 80)
    x = logit(np.clip(p, 1e-7, 1 - 1e-7))

    def loss(at: np.ndarray) -> float:
        z = at[0] * x + at[1]
        return float(np.logaddexp(0, np.where(y, -z, z)).sum() + (at[0] - 1) ** 2 / 2 + 0.1 * at[1] ** 2 / 2)

    fit = fit_logistic(both(p), y.astype(int))
    assert np.allclose([fit.strength, fit.bias], minimize(loss, [1.0, 0.0]).x, atol=2e-3)
