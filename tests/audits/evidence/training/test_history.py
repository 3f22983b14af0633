"""The history as evidence: aligned curves and what they tell."""

import json

import numpy as np
import pytest

from audits.evidence.training.history import history_of
from audits.sources.histories.reading import LoggedHistory
from tests.factories import case

T = np.arange(40)
FALLING = 0.3 + 0.7 * np.exp(-T / 6)


def notes(**series: np.ndarray) -> str:
    history = history_of(case(history={name: list(map(float, values)) for name, values in series.items()}))
    assert history is not None
    return " / ".join(history.notes)


def test_none_where_none_was_given():
    assert history_of(case()) is None


def test_curves_are_aligned_and_finite_or_null():
    one = case(history={"loss": [3.0, 2.0, float("inf")], "val_loss": [4.0, 5.0]})
    section = history_of(one).section()

    assert section["metrics"] == {"loss": [3.0, 2.0, None], "val_loss": [4.0, 5.0, None]}
    assert (section["epochs"], section["best_epoch"], section["exported_epoch"]) == (3, 1, None)
    json.dumps(section, allow_nan=False)
    assert history_of(one) is history_of(one)


def test_what_the_reader_decided_is_told():
    logged = LoggedHistory({"loss": [1.0]}, ["3 epochs of an earlier run are left out"])

    assert history_of(case(history=logged)).notes == ["3 epochs of an earlier run are left out"]


def test_the_exported_epoch_is_told():
    own = case()
    loss = float(np.mean(own.scorer.losses(own.validation.labels, own.validation.predictions)))
    section = history_of(case(history={"val_loss": [3 * loss, loss, 2 * loss]})).section()

    assert (section["exported_epoch"], section["exported_match"]) == (2, "exact")


def test_a_quiet_history_has_no_notes():
    accuracy = 1.0 - 0.5 * FALLING

    assert notes(loss=FALLING, val_loss=1.1 * FALLING, accuracy=accuracy, val_accuracy=accuracy - 0.02) == ""


def test_a_metric_that_does_not_follow_the_loss():
    told = notes(loss=FALLING, accuracy=np.zeros(40), mae=FALLING[::-1], learning_rate=np.ones(40))

    assert "while accuracy did not follow (correlation 0.00" in told
    assert "while mae did not follow (correlation -" in told
    assert "learning_rate" not in told


def test_validation_that_is_better_throughout():
    assert "below the training loss throughout" in notes(loss=FALLING, val_loss=0.8 * FALLING)
    assert "throughout" not in notes(loss=FALLING, val_loss=0.99 * FALLING)
    assert "throughout" not in notes(loss=FALLING, val_loss=np.where(T < 30, 0.8, 1.2) * FALLING)


@pytest.mark.parametrize(("end", "told"), [(0.85, True), (0.70, False)])
def test_a_loss_that_rises_with_a_level_accuracy(end: float, told: bool):
    rising = np.where(T < 10, FALLING, FALLING[10] * (1 + 0.05 * (T - 10)))
    accuracy = np.where(T < 10, 0.5 + 0.035 * T, np.linspace(0.85, end, 40))

    assert ("not the decisions" in notes(loss=FALLING, val_loss=rising, val_accuracy=accuracy)) is told


def test_unstable_training_is_told():
    assert "NaN or infinite from epoch 31 on" in notes(loss=np.where(T < 30, FALLING, np.nan))
    assert "rose again from its minimum" in notes(loss=np.r_[FALLING, np.linspace(0.3, 2, 20)])


def test_a_loss_that_was_logged_for_fewer_epochs_is_not_unstable():
    """Padding is no NaN that training gave."""
    shorter = {"loss": [1.0, 0.8, 0.7, 0.65], "val_loss": [1.0, 0.9, 0.8, 0.75, 0.7, 0.7]}

    assert history_of(case(history=shorter)).instability is None
    assert history_of(case(history=shorter | {"loss": [1.0, 0.8, float("nan")]})).instability.epoch == 2


def test_losses_that_were_still_falling():
    straight = [float(v) for v in np.linspace(1, 0.2, 40)]
    both = history_of(case(history={"loss": straight, "val_loss": straight}))
    one = history_of(case(history={"loss": straight, "val_loss": [float(v) for v in FALLING]}))

    assert both.still_falling(0.05).fall > 0.2
    assert both.still_falling(0.9) is None
    assert one.still_falling(0.05) is None
    assert history_of(case(history={"val_loss": straight})).still_falling(0.05) is None
