"""overfitting.overtraining: the validation loss had turned up."""

from typing import Any

import numpy as np
import pytest

from audits.checks.overfitting import overtraining
from audits.checks.overfitting.overtraining import CODE
from audits.evidence.case import Case
from audits.evidence.training.exported import ExportedEpoch
from audits.evidence.training.history import History
from schemas.report import Outcome, Severity
from tests.factories import case, memoriser, result_of


def curve(epochs: int = 60, *, turn: int = 20, rise: float = 0.6, noise: float = 0.005, seed: int = 0) -> dict:
    """Losses that fall until `turn`; from there the validation loss rises by `rise` of itself until the end."""
    rng = np.random.default_rng(seed)
    t = np.arange(epochs)
    falling = 0.4 + 0.6 * np.exp(-t / 6)
    rising = 1 + rise * np.maximum(0, t - turn) / max(1, epochs - 1 - turn)
    return {
        "loss": list(0.05 + 0.6 * np.exp(-t / 10) + rng.normal(0, noise, epochs)),
        "val_loss": list(falling * rising + rng.normal(0, noise, epochs)),
    }


def with_history(history: dict, exported: int | None = None, **world: Any) -> Case:
    """A case whose own validation loss is that of epoch `exported`, or of none."""
    one = case(history=history, **world)
    own = float(np.nanmean(one.scorer.losses(one.validation.labels, one.validation.predictions)))
    scale = own / history["val_loss"][exported] if exported is not None else 100.0 * own
    return case(history={name: [v * scale for v in values] for name, values in history.items()}, **world)


@pytest.mark.parametrize("rise", [0.15, 0.6, 3.0])
@pytest.mark.parametrize("seed", range(2))
def test_fires_on_a_validation_loss_that_turned_up(rise: float, seed: int):
    result = result_of(CODE, with_history(curve(rise=rise, seed=seed), exported=-1))

    assert result.outcome is Outcome.FAIL
    assert result.finding.effect.estimate == pytest.approx(rise, rel=0.35)
    assert result.finding.evidence["best_epoch"] == pytest.approx(21, abs=8)
    assert result.confirmation.confirmed


def test_severity_follows_the_rise():
    small, large = (
        result_of(CODE, with_history(curve(rise=rise), exported=-1)).finding.severity for rise in (0.2, 1.0)
    )

    assert (small, large) == (Severity.WARNING, Severity.CRITICAL)


def test_unconfirmed_where_no_epoch_has_the_models_loss():
    """A model that overfits, and a history that says why."""
    result = result_of(CODE, with_history(curve(), model=memoriser, signal=0.5))

    assert result.outcome is Outcome.FAIL
    assert not result.confirmation.confirmed
    assert result.finding.evidence["exported_epoch"] is None
    assert "not known" in result.finding.summary


def test_inconclusive_where_no_epoch_has_the_models_loss_and_the_model_is_well():
    """Early stopping on rows of its own: the best weights were restored, and no logged loss is that of these rows."""
    result = result_of(CODE, with_history(curve()))

    assert result.outcome is Outcome.INCONCLUSIVE
    assert "cannot be told" in result.reason


def test_inconclusive_where_one_loss_is_near_by_chance():
    history = curve()
    one = with_history(history, exported=50)
    near = {"val_loss": [v * 1.01 for v in one.history["val_loss"]], "loss": one.history["loss"]}

    assert result_of(CODE, case(history=near)).outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_fires_on_a_loss_that_rose_at_once_and_levelled_off(noise: float):
    rng = np.random.default_rng(4)
    losses = np.r_[1.0, 0.5, 0.4, 0.7, np.full(60, 0.8)] * (1 + noise * rng.normal(size=64))
    history = {"loss": list(np.geomspace(1.0, 0.01, 64)), "val_loss": list(losses)}

    result = result_of(CODE, with_history(history, exported=-1))

    assert result.outcome is Outcome.FAIL
    assert result.finding.evidence["held"] > 5
    assert result.confirmation.confirmed


def test_a_level_accuracy_makes_it_a_matter_of_calibration():
    one = with_history(curve(rise=1.0), exported=-1)
    history = one.history | {"val_accuracy": [0.5, 0.7, *[0.8] * 58]}

    result = result_of(CODE, case(history=history))

    assert result.finding.severity is Severity.WARNING
    assert "not the decisions" in result.finding.summary


def test_stays_silent_on_a_training_loss_that_rises_too():
    history = curve()
    history["loss"] = [0.9 * v for v in history["val_loss"]]

    result = result_of(CODE, with_history(history, exported=-1))

    assert result.outcome is Outcome.PASS
    assert "unstable" in result.reason


def test_stays_silent_when_the_best_epoch_was_exported():
    history = curve()
    best = int(np.argmin(history["val_loss"]))

    result = result_of(CODE, with_history(history, exported=best))

    assert result.outcome is Outcome.PASS
    assert "was exported" in result.reason


@pytest.mark.parametrize(("exported", "outcome"), [("best", Outcome.PASS), ("last", Outcome.FAIL)])
def test_a_negative_loss_has_a_best_epoch_too(exported: str, outcome: Outcome, monkeypatch: pytest.MonkeyPatch):
    """A log-likelihood: more than the minimum by a fraction of it would lie below it."""
    series = {name: np.array(values) - 5 for name, values in curve(rise=3.0).items()}
    epoch = int(np.argmin(series["val_loss"])) if exported == "best" else 59
    told = History(series, ExportedEpoch(epoch, "exact", ("val_loss",)))
    monkeypatch.setattr(overtraining, "history_of", lambda _: told)

    assert result_of(CODE, case(history={"loss": [1.0]})).outcome is outcome


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("noise", [0.003, 0.03])
def test_stays_silent_on_a_loss_that_levels_off(seed: int, noise: float):
    result = result_of(CODE, with_history(curve(rise=0.0, noise=noise, seed=seed), exported=-1))

    assert result.outcome in {Outcome.PASS, Outcome.INCONCLUSIVE}
    assert result.finding is None


def test_inconclusive_on_a_short_tail():
    result = result_of(CODE, with_history(curve(epochs=24, turn=20, rise=0.6), exported=-1))

    assert result.outcome is Outcome.INCONCLUSIVE


def test_inconclusive_on_few_epochs():
    assert result_of(CODE, case(history={"val_loss": [1.0, 0.9, 0.8]})).reason == "3 epochs with a finite val_loss"


@pytest.mark.parametrize("history", [None, {"loss": [1.0] * 30}])
def test_not_applicable_without_validation_losses(history: dict | None):
    assert result_of(CODE, case(history=history)).outcome is Outcome.NOT_APPLICABLE
