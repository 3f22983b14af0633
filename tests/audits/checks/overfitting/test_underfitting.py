"""overfitting.underfitting: a simple learner does better, even on the network's own rows."""

import numpy as np
import pytest
from scipy.special import expit

from audits.checks.overfitting.underfitting import CODE
from schemas.report import Outcome, Severity
from tests.factories import (
    Answer,
    Part,
    Task,
    case,
    constant,
    fitted,
    memoriser,
    miscut,
    on_column,
    result_of,
)


@pytest.mark.parametrize("task", ["binary", "regression"])
@pytest.mark.parametrize("model", [on_column(5), constant(0.5)], ids=["one poor column", "constant"])
def test_fires_on_a_model_that_has_learned_little(task: Task, model):
    result = result_of(CODE, case(task, model=model))

    assert result.outcome is Outcome.FAIL
    assert result.finding.severity is Severity.CRITICAL
    assert result.confirmation.after > result.confirmation.before
    assert result.finding.effect.interval[0] > result.finding.effect.limit


def test_fires_on_several_classes():
    assert result_of(CODE, case("multiclass", model=on_column(5))).outcome is Outcome.FAIL


def test_a_smaller_advantage_is_a_warning():
    def without_the_best(train: Part, task: Task) -> Answer:
        alone = fitted(Part(train.numbers[:, 1:], train.y), task)
        return lambda m: alone(m[:, 1:])

    result = result_of(CODE, case(model=without_the_best, n_train=1500, n_validation=1200, seed=6))

    assert result.outcome is Outcome.FAIL
    assert result.finding.severity is Severity.WARNING


@pytest.mark.parametrize(
    ("task", "layout"), [("binary", "table"), ("multiclass", "table"), ("regression", "table"), ("binary", "image")]
)
def test_stays_silent_on_a_model_as_good_as_a_simple_learner(task: Task, layout: str):
    assert result_of(CODE, case(task, layout=layout)).outcome is Outcome.PASS


def test_stays_silent_on_a_memoriser():
    """On its own rows it cannot be beaten: that is overfitting, not underfitting."""
    assert result_of(CODE, case(model=memoriser, signal=1.5, n_validation=1200)).outcome is Outcome.PASS


def test_stays_silent_on_a_bad_cut_of_a_good_ranking():
    assert result_of(CODE, case(model=miscut(4.0))).outcome is Outcome.PASS


def test_stays_silent_where_there_is_nothing_to_learn():
    assert result_of(CODE, case(model=constant(0.5), signal=0.0)).outcome is Outcome.PASS


def test_inconclusive_without_a_control_learner():
    result = result_of(CODE, case(model=constant(0.5), n_train=40))

    assert result.outcome is Outcome.INCONCLUSIVE
    assert "40 rows" in result.reason


STRAIGHT = [float(v) for v in np.linspace(1, 0.2, 40)]
LEVEL = [float(v) for v in 0.3 + 0.7 * np.exp(-np.arange(40) / 4)]


def test_a_loss_that_was_still_falling_says_why():
    history = {"loss": STRAIGHT, "val_loss": STRAIGHT}
    result = result_of(CODE, case(model=constant(0.5), history=history))

    assert result.outcome is Outcome.FAIL
    assert "still falling" in result.finding.summary
    assert "Train longer" in result.finding.remedy.text


def test_what_is_told_of_a_binary_model_is_told_at_its_best_threshold():
    """A weak ranking, cut in the wrong place besides: before, after and the gain are of one comparison."""

    def weak_and_miscut(train: Part, task: Task) -> Answer:
        answer = on_column(5)(train, task)
        return lambda m: expit(np.log(answer(m) / (1 - answer(m))) + 4.0)

    result = result_of(CODE, case(model=weak_and_miscut, n_validation=600))

    proof, (low, high) = result.confirmation, result.confirmation.gain_interval
    assert result.outcome is Outcome.FAIL
    assert low <= proof.after - proof.before <= high
    assert result.finding.effect.estimate == pytest.approx(proof.after - proof.before)
    assert "the model at its best threshold" in result.finding.summary


def test_a_training_that_was_unstable_says_why():
    result = result_of(CODE, case(model=constant(0.5), history={"loss": [*LEVEL, float("nan")]}))

    assert "NaN or infinite from epoch 41 on" in result.finding.summary
    assert "Lower the learning rate" in result.finding.remedy.text


@pytest.mark.parametrize("losses", [STRAIGHT, [*LEVEL, float("nan")]])
def test_of_a_model_that_does_well_it_is_an_observation(losses: list[float]):
    result = result_of(CODE, case(history={"loss": losses}))

    assert result.outcome is Outcome.PASS
    assert result.finding.severity is Severity.INFO
    assert not result.ranks


def test_stays_silent_on_a_loss_that_levelled_off():
    assert result_of(CODE, case(history={"loss": LEVEL, "val_loss": LEVEL})).finding is None
