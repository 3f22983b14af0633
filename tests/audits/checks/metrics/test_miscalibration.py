"""metrics.miscalibration: right classes, wrong confidence."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit, softmax

from audits.checks.metrics.miscalibration import CODE, miscalibration
from audits.evidence.case import Case
from schemas.report import Outcome, Severity
from tests.audits.checks.remedies import defined_by, remedy_of
from tests.factories import (
    ModelFactory,
    Part,
    Task,
    case,
    case_of,
    constant,
    fitted,
    memoriser,
    miscut,
    request_for,
    splits,
)


def sharpened(factor: float) -> ModelFactory:
    """The healthy model with its logits multiplied."""

    def build(train: Part, task: Task):
        answer = fitted(train, task)
        if task == "binary":
            return lambda m: expit(factor * logit(answer(m)))
        return lambda m: softmax(factor * np.log(np.clip(answer(m), 1e-30, 1)), axis=1)

    return build


def healthy(task: Task, seed: int, n: int, **world) -> Case:
    train, validation = splits(task, n_train=2000, n_validation=n, seed=seed, **world)
    return case_of(train, validation, fitted(train, task), request=request_for(task=task))


@pytest.mark.parametrize("task", ["binary", "multiclass"])
@pytest.mark.parametrize("n", [200, 600])
def test_fires_on_logits_six_times_too_large(task: Task, n: int):
    one = case(task, model=sharpened(6.0), n_validation=n, n_train=1000)

    result = miscalibration(one)

    assert result.outcome is Outcome.FAIL
    assert result.finding.evidence["temperature"] == pytest.approx(6, rel=0.5)
    assert (result.confirmation.metric, result.confirmation.higher_is_better) == ("log_loss", False)
    assert result.confirmation.after < result.confirmation.before / 2
    assert result.confirmation.placebo_gain < result.finding.effect.estimate
    assert result.finding.title == "The model is surer than it should be"


@pytest.mark.parametrize(
    ("limits", "told", "not_told"),
    [
        ({"min_gain": 5.0}, "of log loss, which is not more than 5.0 for certain", "hardly changes"),
        ({"min_temperature": 50.0}, "hardly changes them (", "log loss"),
    ],
)
def test_the_reason_of_a_pass_is_the_one_that_holds(limits: dict[str, float], told: str, not_told: str):
    result = miscalibration(case("multiclass", model=sharpened(6.0), n_train=1000, limits={CODE: limits}))

    assert result.outcome is Outcome.PASS
    assert told in result.reason
    assert not_told not in result.reason


def test_fires_on_logits_that_are_too_small():
    result = miscalibration(case("multiclass", model=sharpened(0.2), n_train=1000))

    assert result.outcome is Outcome.FAIL
    assert result.finding.severity is Severity.WARNING
    assert result.finding.evidence["temperature"] == pytest.approx(0.2, rel=0.4)


def test_fires_on_log_odds_that_are_moved_and_fits_a_bias():
    """A temperature cannot mend a bias; that it is one shows in the numbers."""
    result = miscalibration(case(model=miscut(2.5), n_train=1000))

    assert result.outcome is Outcome.FAIL
    assert result.finding.evidence["bias"] == pytest.approx(-2.5, abs=0.8)
    assert "temperature and bias" in result.confirmation.intervention


def test_probabilities_worse_than_the_class_shares_are_critical():
    severities = [
        miscalibration(case(model=sharpened(factor), n_train=1000, n_validation=1000)).finding.severity
        for factor in (2.5, 15.0)
    ]

    assert severities == [Severity.WARNING, Severity.CRITICAL]


@pytest.mark.parametrize("task", ["binary", "multiclass"])
@pytest.mark.parametrize("n", [60, 150, 600])
def test_stays_silent_on_true_probabilities(task: Task, n: int):
    for seed in range(3):
        for signal in (1.0, 3.0, 8.0):
            assert miscalibration(healthy(task, seed, n, signal=signal)).finding is None


@pytest.mark.parametrize("prevalence", [0.03, 0.97])
def test_stays_silent_on_rare_classes(prevalence: float):
    for seed in range(3):
        assert miscalibration(healthy("binary", seed, 300, prevalence=prevalence)).finding is None


@pytest.mark.parametrize("model", [memoriser, constant(0.95)], ids=["memoriser", "constant"])
def test_stays_silent_on_a_model_that_knows_nothing(model: ModelFactory):
    """Less sure is better there, but the class shares are as good: the fault is another."""
    result = miscalibration(case(model=model, signal=0.0))

    assert result.outcome is Outcome.PASS
    assert "class shares" in result.reason


def sure_at_random(train: Part, task: Task):
    """Sure of itself along a direction that has nothing to do with the labels."""
    x = train.numbers
    direction = np.random.default_rng(5).normal(size=x.shape[1])
    centre, spread = x.mean(axis=0), x.std(axis=0)
    return lambda m: expit(4 * ((m - centre) / spread @ direction))


@pytest.mark.parametrize("seed", [2, 7])
def test_a_recalibrated_model_must_say_more_than_the_class_shares(seed: int):
    """By chance the true labels gain a little more than shuffled ones; the shares are as good all the same."""
    result = miscalibration(case(model=sure_at_random, signal=0.0, n_validation=1000, seed=seed))

    assert result.outcome is Outcome.PASS
    assert "class shares" in result.reason


def test_copies_of_training_rows_do_not_flatter_a_model_that_is_too_sure():
    """A memoriser is right on copies; it is judged on the others."""
    train, validation = splits(n_train=400, n_validation=300, signal=2.0)
    copies = train.at(np.arange(150))
    mixed = Part(pd.concat([copies.x, validation.x], ignore_index=True), np.concatenate([copies.y, validation.y]))
    one = case_of(train, mixed, memoriser(train, "binary"), request=request_for(task="binary"))

    assert miscalibration(one).finding.n == 300


def test_the_remedys_code_recalibrates():
    one = case("multiclass", model=sharpened(6.0), n_train=1000)
    result = miscalibration(one)
    code = defined_by(remedy_of(result))
    subject = one.validation

    mended = code["recalibrate"](subject.predictions.probabilities)

    truth = mended[np.arange(subject.n), subject.labels]
    assert -np.log(truth).mean() == pytest.approx(result.confirmation.after, abs=0.03)
    logits = 6 * np.log(fitted_probabilities(one))
    assert np.allclose(code["recalibrate_logits"](logits), mended, atol=1e-3)


def fitted_probabilities(one: Case) -> np.ndarray:
    """Of the healthy model, from the sharpened one."""
    p = one.validation.predictions.probabilities ** (1 / 6)
    return p / p.sum(axis=1, keepdims=True)


def test_the_remedys_code_mends_a_bias_too():
    one = case(model=miscut(2.5), n_train=1000)
    result = miscalibration(one)
    code = defined_by(remedy_of(result))

    mended = code["recalibrate"](one.validation.predictions.probabilities[:, 1])

    assert mended.mean() == pytest.approx(one.validation.labels.mean(), abs=0.03)


def test_each_half_is_recalibrated_by_the_other():
    """With labels dealt out at random, a fit on the same rows would gain; cross-fitted it does not."""
    result = miscalibration(case(signal=0.0, n_validation=60, n_train=60, model=sharpened(1.0)))

    assert result.finding is None


def test_rows_without_answer_or_label_do_not_count():
    one = case(model=sharpened(6.0), n_train=1000)
    probabilities, decisions = one.mended.predictions.probabilities.copy(), one.mended.predictions.decisions.copy()
    probabilities[:20], decisions[:20] = np.nan, -1
    labels = one.mended.labels.copy()
    labels[20:30] = -1
    silent = replace(one.mended.predictions, probabilities=probabilities, decisions=decisions)
    one = replace(one, mended=replace(one.mended, predictions=silent, labels=labels))

    assert miscalibration(one).finding.n == len(labels) - 30


def test_rows_of_a_group_stand_or_fall_together():
    """Sixteen groups of equal rows are the evidence of sixteen rows."""
    one = case(model=sharpened(3.0), n_train=1000, n_validation=16)
    repeated = one.mended.at(np.repeat(np.arange(16), 25))
    alone = replace(one, mended=repeated)
    grouped = replace(one, mended=replace(repeated, groups=np.repeat(np.arange(16), 25)))

    assert miscalibration(alone).outcome is Outcome.FAIL
    assert miscalibration(grouped).outcome is Outcome.PASS


def test_inconclusive_on_few_rows():
    assert miscalibration(case(n_validation=40, model=sharpened(6.0))).outcome is Outcome.INCONCLUSIVE


def test_not_applicable_without_confidence():
    hard = case(model=lambda train, task: lambda m: (fitted(train, task)(m) > 0.5).astype(float))

    for one in (case("regression"), hard):
        assert miscalibration(one).outcome is Outcome.NOT_APPLICABLE
    assert miscalibration(case(model=sharpened(6.0))).finding.code == CODE
