"""The exported epoch, found by what was logged."""

import numpy as np
import pytest

from audits.evidence.case import Case
from audits.evidence.training.exported import exported_epoch
from tests.factories import case

EPOCHS = 60


def losses_of(one: Case) -> tuple[float, float]:
    """Training and validation."""
    train, validation = (
        float(np.mean(one.scorer.losses(split.labels, split.predictions))) for split in (one.train, one.validation)
    )
    return train, validation


def passing_through(value: float, epoch: int, *, seed: int = 0, spread: float = 0.3) -> np.ndarray:
    """Numbers that are `value` at one epoch, and others elsewhere."""
    rng = np.random.default_rng(seed)
    values = value * np.exp(spread * rng.choice([-1, 1], EPOCHS) * rng.uniform(0.2, 1, EPOCHS))
    values[epoch] = value
    return values


def accuracy_of(one: Case) -> float:
    return float(np.mean(one.validation.predictions.probabilities.argmax(axis=1) == one.validation.labels))


def errors_of(one: Case) -> np.ndarray:
    return one.validation.predictions.values - one.validation.labels


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("epoch", [0, 40, 59])
def test_by_the_loss(task: str, epoch: int):
    one = case(task)
    found = exported_epoch(one, {"val_loss": passing_through(losses_of(one)[1], epoch)})

    assert (found.epoch, found.match, found.by) == (epoch, "exact", ("val_loss",))
    assert found.certain


def test_of_several_epochs_of_one_loss_the_last():
    one = case()
    own = losses_of(one)[1]

    assert exported_epoch(one, {"val_loss": np.array([3 * own, own, 2 * own, own, 4 * own])}).epoch == 3


@pytest.mark.parametrize("scale", ["std", "range", "max"])
@pytest.mark.parametrize("kind", ["squared", "absolute"])
def test_by_the_loss_of_scaled_targets(scale: str, kind: str):
    one = case("regression")
    labels = one.train.labels
    divisor = {"std": labels.std(), "range": np.ptp(labels), "max": np.abs(labels).max()}[scale]
    errors = errors_of(one) / divisor
    loss = float(np.mean(errors**2 if kind == "squared" else np.abs(errors)))

    assert exported_epoch(one, {"val_loss": passing_through(loss, 30)}).epoch == 30


@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("val_mae", lambda e: np.mean(np.abs(e))),
        ("val_mean_squared_error", lambda e: np.mean(e**2)),
        ("val_rmse", lambda e: np.sqrt(np.mean(e**2))),
    ],
)
def test_by_a_metric_beside_a_loss_that_cannot_be_computed(name: str, metric):
    one = case("regression")
    logged = {"val_loss": passing_through(7.7e9, 3), name: passing_through(float(metric(errors_of(one))), 30)}
    found = exported_epoch(one, logged)

    assert (found.epoch, found.match, found.by) == (30, "exact", (name,))


def regularised(one: Case, epoch: int, *, accuracy: float | None = None) -> dict[str, np.ndarray]:
    """Both losses hold a penalty that changes from epoch to epoch."""
    train, validation = losses_of(one)
    penalty = np.linspace(0.5, 1.0, EPOCHS)
    right = accuracy_of(one) if accuracy is None else accuracy
    logged = {
        "loss": passing_through(train, epoch, seed=1) + penalty,
        "val_loss": passing_through(validation, epoch, seed=2) + penalty,
        "val_accuracy": np.full(EPOCHS, right - 0.1),
    }
    logged["val_accuracy"][epoch] = right
    return logged


def test_by_accuracy_and_distance_where_the_loss_holds_a_penalty():
    one = case(signal=1.0)
    found = exported_epoch(one, regularised(one, 45))

    assert (found.epoch, found.match) == (45, "by accuracy")
    assert found.certain


def test_an_accuracy_alone_tells_nothing():
    """Another number of rows right, or the accuracy without the losses' distance."""
    one = case(signal=1.0)
    logged = regularised(one, 45)

    assert exported_epoch(one, regularised(one, 45, accuracy=0.01)) is None
    assert exported_epoch(one, {"val_accuracy": logged["val_accuracy"]}) is None
    assert exported_epoch(one, logged | {"loss": logged["loss"] - 5}) is None


def test_a_loss_beside_another_accuracy_is_chance():
    one = case()
    own = losses_of(one)[1]
    logged = {"val_loss": passing_through(own, 30), "val_accuracy": np.full(EPOCHS, 0.2)}

    assert exported_epoch(one, logged) is None
    # ... but not at the end of training, where it is expected
    assert exported_epoch(one, logged | {"val_loss": passing_through(own, 59)}).epoch == 59


def test_accuracy_as_keras_cuts_logits():
    """`metrics=["accuracy"]` on a network without a sigmoid cuts at a logit of 0.5."""
    one = case(signal=1.0, n_validation=600)
    positive = one.validation.predictions.probabilities[:, 1]
    accuracy = float(np.mean((positive > 0.6225) == one.validation.labels))
    assert accuracy != accuracy_of(one)
    logged = {
        "val_loss": passing_through(losses_of(one)[1], 30),
        "val_accuracy": np.where(np.arange(EPOCHS) == 30, accuracy, 0.2),
    }

    assert exported_epoch(one, logged).epoch == 30


def test_a_loss_that_is_near_is_not_certain():
    one = case()
    own = losses_of(one)[1]
    found = exported_epoch(one, {"val_loss": np.array([2 * own, 1.01 * own, 3 * own])})

    assert (found.epoch, found.match, found.certain) == (1, "near", False)
    told = exported_epoch(
        one, {"val_loss": np.array([2 * own, 1.01 * own, 3 * own]), "val_accuracy": np.full(3, accuracy_of(one))}
    )
    assert told.certain


@pytest.mark.parametrize("logged", [{}, {"loss": np.ones(9)}, {"val_loss": np.full(9, np.nan)}])
def test_nothing_to_match(logged: dict):
    assert exported_epoch(case(), logged) is None


def test_no_probabilities_no_match():
    one = case(kind="class", model=lambda train, task: lambda m: (m[:, 0] > 0).astype(int))

    assert exported_epoch(one, {"val_loss": np.ones(9), "val_accuracy": np.full(9, accuracy_of(one))}) is None
