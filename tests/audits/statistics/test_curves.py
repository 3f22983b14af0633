import numpy as np
import pytest

from audits.statistics.curves import disagreement, instability, still_falling


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def wandering(rng, epochs, memory):
    noise = rng.normal(size=epochs)
    for epoch in range(1, epochs):
        noise[epoch] = memory * noise[epoch - 1] + np.sqrt(1 - memory**2) * noise[epoch]
    return noise


def level(rng, epochs, memory=0.0, noise=0.03):
    curve = 0.3 + 0.7 * np.exp(-np.arange(epochs) / (epochs * 0.08))
    return curve * (1 + noise * wandering(rng, epochs, memory))


@pytest.mark.parametrize("epochs", [20, 60, 200])
def test_a_straight_fall_is_still_falling(epochs, rng):
    found = [still_falling(np.linspace(1, 0.3, epochs) * (1 + 0.002 * rng.normal(size=epochs))) for _ in range(50)]

    assert np.mean([f is not None for f in found]) > (0.2 if epochs == 20 else 0.95)
    told = next(f for f in found if f is not None)
    assert told.epochs == max(5, epochs // 5)
    assert told.fall == pytest.approx(1 - 0.3 / (0.3 + 0.7 * (told.epochs - 1) / (epochs - 1)), rel=0.2)


@pytest.mark.parametrize("memory", [0.0, 0.6])
@pytest.mark.parametrize("epochs", [10, 20, 60, 200])
def test_a_loss_that_levelled_off_is_not(epochs, memory, rng):
    found = [still_falling(level(rng, epochs, memory)) for _ in range(300)]

    assert np.mean([f is not None for f in found]) <= 0.01


def test_a_small_fall_has_little_left_to_give():
    losses = np.linspace(1, 0.9, 60)

    assert still_falling(losses) is None
    assert still_falling(losses, min_fall=0.01) is not None


@pytest.mark.parametrize("memory", [0.0, 0.6])
@pytest.mark.parametrize("noise", [0.003, 0.03, 0.1])
@pytest.mark.parametrize("epochs", [10, 30, 120])
def test_healthy_training_is_stable(epochs, noise, memory, rng):
    found = [instability(level(rng, epochs, memory, noise)) for _ in range(200)]

    assert np.mean([f is not None for f in found]) <= 0.01


def test_a_loss_that_is_no_number_from_some_epoch_on():
    found = instability(np.r_[np.linspace(1, 0.5, 20), np.nan, np.inf, np.nan])

    assert (found.kind, found.epoch) == ("not_finite", 20)


@pytest.mark.parametrize("losses", [[], [np.nan] * 3, [1.0, np.nan, 0.5, 0.4], [0.5] * 40, [1.0, 0.5]])
def test_no_instability_in_gaps_and_constants(losses):
    """A metric that not every epoch logged is no divergence, and a log without numbers tells nothing."""
    assert instability(np.array(losses)) is None


def test_a_loss_that_climbs_away(rng):
    losses = np.r_[np.geomspace(1, 0.2, 20), np.linspace(0.2, 1.5, 20)] * (1 + 0.02 * rng.normal(size=40))
    found = instability(losses)

    assert found.kind == "climbs"
    assert found.epoch == pytest.approx(20, abs=3)
    assert found.size > 1


def test_spikes(rng):
    losses = level(rng, 60, noise=0.01)
    losses[[25, 45]] += [0.9, 1.5]
    found = instability(losses)

    assert (found.kind, found.spikes, found.epoch) == ("spikes", 2, 45)


def test_one_spike_happens(rng):
    losses = level(rng, 60, noise=0.01)
    losses[25] += 0.9

    assert instability(losses) is None


def test_a_metric_that_does_not_follow(rng):
    losses = level(rng, 40)
    found = disagreement(losses, 0.1 + 0.01 * rng.normal(size=40), higher_is_better=True, perfect=1.0)

    assert abs(found.correlation) < 0.5
    assert found.loss_fall == pytest.approx(0.7, abs=0.1)
    assert disagreement(losses, np.zeros(40), higher_is_better=True, perfect=1.0).correlation == 0.0
    assert disagreement(losses, -losses, higher_is_better=False, perfect=0.0).correlation == pytest.approx(-1)


@pytest.mark.parametrize("noise", [0.0, 0.03])
def test_a_metric_that_follows(noise, rng):
    losses = level(rng, 40)
    accuracy = 0.9 - 0.4 * losses + noise * rng.normal(size=40)

    assert disagreement(losses, accuracy, higher_is_better=True, perfect=1.0) is None
    assert disagreement(losses, 2 * losses, higher_is_better=False, perfect=0.0) is None


def test_nothing_is_said_without_movement(rng):
    accuracy = rng.uniform(0.4, 0.6, 40)

    assert disagreement(np.linspace(1, 0.9, 40), accuracy, higher_is_better=True, perfect=1.0) is None
    assert disagreement(np.linspace(1, 0.1, 5), accuracy[:5], higher_is_better=True, perfect=1.0) is None
    assert disagreement(np.linspace(1, 0.1, 40), np.ones(40), higher_is_better=True, perfect=1.0) is None
