import numpy as np
import pytest
from scipy.stats import kendalltau

from audits.statistics.trend import divergence, kendall_tail, rise_p_value, smooth, visible_rise


@pytest.fixture
def rng():
    return np.random.default_rng(9)


def healthy(epochs, half_life):
    return 0.3 + 0.7 * 0.5 ** (np.arange(epochs) / half_life)


def overfit(epochs, best, final):
    """Falls until `best`, then rises by the factor `final`."""
    falling = healthy(epochs, best / 6)
    rising = 1 + (final - 1) * np.maximum(np.arange(epochs) - best, 0) / (epochs - 1 - best)
    return falling * rising


def wandering(rng, epochs, memory):
    """Noise that remembers `memory` of the epoch before, with deviation 1."""
    noise = rng.normal(size=epochs)
    for epoch in range(1, epochs):
        noise[epoch] = memory * noise[epoch - 1] + np.sqrt(1 - memory**2) * noise[epoch]
    return noise


def share(verdict, curves, training=None):
    return np.mean([divergence(curve, training).verdict == verdict for curve in curves])


@pytest.mark.parametrize("noise", [0.005, 0.02, 0.05, 0.15])
@pytest.mark.parametrize(("epochs", "half_life"), [(10, 2), (30, 20), (60, 2), (150, 10)])
def test_healthy_histories_are_left_alone(epochs, half_life, noise, rng):
    curves = [healthy(epochs, half_life) * (1 + noise * rng.normal(size=epochs)) for _ in range(100)]

    assert share("diverged", curves) <= 0.01
    assert share("suspect", curves) <= 0.05


@pytest.mark.parametrize("epochs", [30, 100])
def test_histories_that_wander_on_a_plateau_are_left_alone(epochs, rng):
    curves = [healthy(epochs, 2) * (1 + 0.05 * wandering(rng, epochs, 0.6)) for _ in range(100)]

    assert share("diverged", curves) <= 0.04
    assert share("none", curves) >= 0.9


@pytest.mark.parametrize(
    ("epochs", "best", "final", "noise"),
    [(20, 6, 1.3, 0.01), (60, 20, 1.1, 0.005), (60, 20, 1.3, 0.05), (60, 20, 2.0, 0.1), (100, 30, 1.3, 0.05)],
)
def test_clear_divergence_is_found(epochs, best, final, noise, rng):
    curves = [overfit(epochs, best, final) * (1 + noise * rng.normal(size=epochs)) for _ in range(100)]

    assert share("diverged", curves) > 0.95


def anything_healthy(rng, epochs):
    """A plateau, a fast or slow decay, a power law, or falls of the learning rate; level and speed by chance."""
    t, floor = np.arange(epochs), rng.uniform(0.1, 0.8)
    kind = rng.integers(5)
    if kind == 0:
        return np.full(epochs, floor)
    if kind == 1:
        return floor + (1 - floor) / (1 + t) ** rng.uniform(0.3, 1.5)
    curve = floor + (1 - floor) * np.exp(-t / (epochs * (rng.uniform(0.03, 0.3) if kind < 4 else rng.uniform(0.5, 3))))
    for drop in rng.integers(0, epochs, 3 if kind == 3 else 0):
        curve = curve * np.where(t >= drop, rng.uniform(0.7, 0.95), 1)
    return curve


@pytest.mark.parametrize(("memory", "most"), [(0.0, 0.002), (0.3, 0.002), (0.6, 0.005), (0.8, 0.01)])
def test_the_rate_of_false_alarms(memory, most, rng):
    """One in two hundred over all kinds of healthy histories, 10 to 300 epochs, noise of 0.3 to 10 %."""
    alarms = [
        divergence(
            (base := anything_healthy(rng, int(rng.choice([10, 15, 20, 30, 50, 80, 120, 300]))))
            * (1 + rng.choice([0.003, 0.01, 0.03, 0.1]) * wandering(rng, len(base), memory)),
            0.9 * base,
        ).verdict
        == "diverged"
        for _ in range(1000)
    ]

    assert np.mean(alarms) <= most


@pytest.mark.parametrize(("epochs", "best"), [(30, 10), (60, 20), (120, 5)])
@pytest.mark.parametrize("memory", [0.0, 0.6])
@pytest.mark.parametrize("again", [1.0, 0.7], ids=["levels off", "comes half-way back"])
def test_a_rise_that_levels_off_is_found(epochs, best, memory, again, rng):
    """At once by half of the minimum, as when a network has learned its rows by heart after a few epochs."""
    after = np.maximum(np.arange(epochs) - best, 0) / (epochs - 1 - best)
    shape = (1 - np.exp(-8 * after)) * (1 - (1 - again) * after)
    curves = [
        healthy(epochs, best / 6) * (1 + 0.5 * shape) * (1 + 0.01 * wandering(rng, epochs, memory)) for _ in range(60)
    ]

    assert share("diverged", curves) > 0.95


def test_the_rise_that_can_be_seen(rng):
    """Ten in a hundred of noise hide what one in a hundred shows."""
    quiet, loud = (healthy(60, 5) * (1 + noise * rng.normal(size=60)) for noise in (0.01, 0.1))

    assert visible_rise(quiet, 2.5) < 0.05 < visible_rise(loud, 2.5)
    assert np.isfinite(visible_rise(np.array([0.5]), 2.5))


def test_a_smooth_rise_without_noise_is_found():
    found = divergence(overfit(40, 12, 1.5))

    assert found.verdict == "diverged"
    assert found.best_epoch == pytest.approx(12, abs=1)
    assert found.rise == pytest.approx(0.45, abs=0.05)
    assert found.tau == pytest.approx(1.0)


def test_a_short_tail_is_only_suspect():
    """Four epochs after the minimum are too few for a verdict."""
    found = divergence(overfit(20, 16, 2.0))

    assert found.tail == 4
    assert found.verdict == "suspect"


def test_limits_can_be_set():
    losses = overfit(60, 20, 1.3)
    found = divergence(losses)

    assert found.verdict == "diverged"
    assert divergence(losses, min_rise=0.4).verdict == "none"
    assert divergence(losses, min_tail=50).verdict == "suspect"
    assert divergence(losses, min_z=found.z + 1).verdict == "suspect"
    assert divergence(losses, max_p=found.tau_p / 2).verdict == "suspect"
    assert divergence(losses, max_p=found.tau_p / 2, min_held=found.held - 0.1).verdict == "diverged"
    assert divergence(losses, max_p=found.tau_p / 20, min_z=found.z + 1).verdict == "none"


def test_a_rise_below_two_per_cent_is_not_material():
    found = divergence(overfit(60, 20, 1.015))

    assert found.rise < 0.02
    assert found.tau_p < 0.01
    assert found.verdict == "none"


def test_a_training_loss_that_rises_too_is_instability():
    validation = overfit(60, 20, 2.0)

    assert divergence(validation, 0.8 * validation).verdict == "none"
    assert divergence(validation, 0.8 * healthy(60, 5)).verdict == "diverged"


def test_a_training_loss_that_trembles_at_zero_does_not_rise(rng):
    training = np.maximum(1e-4 + 1e-6 * np.arange(60), 0)

    assert divergence(overfit(60, 20, 2.0), training).train_falls


def test_missing_epochs_are_left_out():
    losses = overfit(40, 12, 1.5)
    losses[[0, 7, 30]] = [np.nan, np.inf, np.nan]
    found = divergence(losses, healthy(40, 5))

    assert found.verdict == "diverged"
    assert found.best_epoch == pytest.approx(12, abs=1)
    assert divergence(np.insert(overfit(40, 12, 1.5), 0, [np.nan] * 5)).best_epoch == pytest.approx(17, abs=1)


@pytest.mark.parametrize("losses", [[], [np.nan], [0.5], [0.5, 0.6], [0.5, 0.6, 0.7], [0.4] * 30, [0.0] * 30])
def test_short_and_constant_histories_say_nothing(losses):
    found = divergence(np.array(losses))

    assert found.verdict == "none"
    assert np.isfinite([found.rise, found.z, found.tau_p]).all()


def test_a_loss_below_zero_can_diverge():
    """From 0.3 - 5 up by 0.3."""
    found = divergence(overfit(60, 20, 2.0) - 5)

    assert found.verdict == "diverged"
    assert found.rise == pytest.approx(0.3 / 4.7, rel=0.15)


def test_smoothing_by_hand():
    assert smooth(np.array([3.0, 6.0, 0.0, np.nan, 4.0])) == pytest.approx([4.5, 3.0, 3.0, 2.0, 4.0])
    assert np.isnan(smooth(np.full(4, np.nan))).all()
    assert smooth(np.array([3.0, 6.0]), k=1).tolist() == [3.0, 6.0]


def test_the_tail_statistic_is_kendalls(rng):
    values = rng.normal(size=15) + 0.1 * np.arange(15)
    expected = kendalltau(np.arange(15), values, alternative="greater")

    assert kendall_tail(np.insert(values, 4, np.nan)) == pytest.approx((expected.statistic, expected.pvalue))


@pytest.mark.parametrize("memory", [0.0, 0.6, 0.9])
def test_a_level_stretch_seldom_seems_to_rise(memory, rng):
    p_values = np.array([rise_p_value(wandering(rng, 60, memory)) for _ in range(400)])

    assert np.mean(p_values < 0.01) <= 0.04


@pytest.mark.parametrize(("epochs", "memory"), [(20, 0.6), (30, 0.8)])
def test_the_autocorrelation_of_few_epochs_is_not_underestimated(epochs, memory, rng):
    p_values = np.array([rise_p_value(wandering(rng, epochs, memory)) for _ in range(400)])

    assert np.mean(p_values < 0.05) <= 0.065


def test_the_end_of_a_wandering_plateau_seldom_stands_out(rng):
    curves = [healthy(100, 2) * (1 + 0.05 * wandering(rng, 100, 0.6)) for _ in range(100)]

    assert np.mean([divergence(curve).z > 2.5 for curve in curves]) <= 0.05


def test_a_falling_stretch_does_not_rise():
    assert rise_p_value(-np.arange(20.0)) == 1.0
    assert rise_p_value(np.arange(20.0)) < 1e-6
