"""overfitting.overtraining: the validation loss had turned up."""

import numpy as np
import pytest

from audits.checks.overfitting.overtraining import CODE, exported_epoch
from audits.evidence.case import Case
from schemas.report import Outcome, Severity
from tests.factories import case, result_of


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


def with_history(history: dict, exported: int | None = None) -> Case:
    """A case whose own validation loss is that of epoch `exported`, or of none."""
    one = case(history=history)
    own = float(np.nanmean(one.scorer.losses(one.validation.labels, one.validation.predictions)))
    scale = own / history["val_loss"][exported] if exported is not None else 100.0 * own
    return case(history={name: [v * scale for v in values] for name, values in history.items()})


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
    result = result_of(CODE, with_history(curve()))

    assert result.outcome is Outcome.FAIL
    assert not result.confirmation.confirmed
    assert result.finding.evidence["exported_epoch"] is None


def test_stays_silent_when_the_best_epoch_was_exported():
    history = curve()
    best = int(np.argmin(history["val_loss"]))

    result = result_of(CODE, with_history(history, exported=best))

    assert result.outcome is Outcome.PASS
    assert "was exported" in result.reason


def test_finds_the_exported_epoch():
    history = curve()

    one = with_history(history, exported=40)

    assert exported_epoch(one, one.history["val_loss"]) == pytest.approx(40, abs=2)
    assert exported_epoch(one, [1000.0] * 60) is None


def test_of_several_epochs_of_one_loss_the_last_was_exported():
    """Training exports its end unless told otherwise."""
    one = case()
    own = float(np.nanmean(one.scorer.losses(one.validation.labels, one.validation.predictions)))

    assert exported_epoch(one, [3 * own, own, 2 * own, own, 4 * own]) == 3


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
