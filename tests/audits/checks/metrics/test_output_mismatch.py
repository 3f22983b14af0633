"""metrics.output_mismatch: the output cannot say what the target is, or is read as something else."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit, logit, softmax

from audits.artefacts import TensorSpec
from audits.checks.metrics.output_mismatch import output_mismatch
from audits.evidence.case import Case
from audits.results import CheckResult
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
    request_for,
    splits,
    weakened,
)


def through(change: Callable[[np.ndarray], np.ndarray]) -> ModelFactory:
    """The healthy model with something done to its answers."""

    def build(train: Part, task: Task):
        answer = fitted(train, task)
        return lambda m: change(answer(m))

    return build


def ending_in(one: Case, op: str, units: int = 1) -> Case:
    """The same case, whose model says which op it ends in."""
    tensor = one.meaning.tensor
    about = replace(one.description, output_ops={tensor: op}, outputs=(TensorSpec(tensor, "float32", (None, units)),))
    return replace(one, description=about)


def softmax_over_one_unit() -> Case:
    return ending_in(case(model=constant(1.0)), "Softmax")


def standardised(train: Part, task: Task):
    """A model of standardised labels, whose answers nobody brought back."""
    answer = fitted(train, task)
    return lambda m: (answer(m) - train.y.mean()) / train.y.std()


def single(one: Case) -> Case:
    return ending_in(one, "BiasAdd")


# Answers that do not vary


def test_fires_on_a_softmax_over_one_unit():
    result = output_mismatch(softmax_over_one_unit())

    assert result.outcome is Outcome.FAIL
    assert result.finding.severity is Severity.CRITICAL
    assert "softmax over one unit" in result.finding.summary
    assert result.confirmation.confirmed
    assert result.confirmation.by_exclusion


def test_fires_on_a_softmax_over_one_unit_whose_labels_are_taken_for_quantities():
    result = output_mismatch(ending_in(case("regression", model=constant(1.0)), "Softmax"))

    assert "softmax over one unit" in result.finding.summary


def test_fires_on_a_dead_relu_and_on_a_saturated_sigmoid():
    dead = output_mismatch(ending_in(case("regression", model=constant(0.0)), "Relu"))
    saturated = output_mismatch(case(model=constant(0.0)))

    assert "stuck at its end" in dead.finding.summary
    assert "stuck at its end" in saturated.finding.summary


def test_stays_silent_on_a_constant_that_is_a_number_like_others():
    """The class shares, or the mean: that model has learned nothing, but its output could say more."""
    assert output_mismatch(case(model=constant(0.3))).finding is None
    assert output_mismatch(case("regression", model=constant(50.0))).finding is None


# Targets out of reach


@pytest.mark.parametrize(
    ("op", "change", "ceiling"),
    [("Sigmoid", expit, 0.0), ("Relu", lambda a: np.maximum(a, 0), 1.0), ("Tanh", np.tanh, 0)],
)
def test_fires_on_a_range_that_the_targets_leave(op: str, change: Callable, ceiling: float):
    """Targets around 0 with a deviation of 30, half of them negative."""
    one = centred(change)

    result = output_mismatch(ending_in(one, op))

    assert result.outcome is Outcome.FAIL
    assert result.finding.evidence["greatest_r2"] < 0.85
    assert result.confirmation.before <= result.confirmation.after + 1e-9
    assert result.finding.effect.interval[0] < result.finding.effect.estimate < result.finding.effect.interval[1]
    assert output_mismatch(one).finding is None


def centred(change: Callable[[np.ndarray], np.ndarray]) -> Case:
    train, validation = (replace(part, y=part.y - 50) for part in splits("regression"))
    answer = fitted(train, "regression")
    return case_of(train, validation, lambda m: change(answer(m)), request=request_for(task="regression"))


@pytest.mark.parametrize("op", ["Relu", "Softplus", "BiasAdd", None])
def test_stays_silent_on_a_range_that_holds_the_targets(op: str | None):
    for seed in range(3):
        one = case("regression", seed=seed, signal=1.0)
        assert output_mismatch(ending_in(one, op) if op else one).finding is None


def test_stays_silent_on_a_few_targets_at_the_edge():
    """Noise takes one target in fifty below zero: a relu costs nearly nothing there."""
    train, validation = splits("regression", signal=1.0)
    shifted = [replace(part, y=part.y - np.quantile(train.y, 0.02)) for part in (train, validation)]

    one = case_of(*shifted, fitted(shifted[0], "regression"), request=request_for(task="regression"))

    assert output_mismatch(ending_in(one, "Relu")).finding is None


# Another unit


@pytest.mark.parametrize(
    ("unit", "change"),
    [
        ("standardised", None),
        ("divided by 255", lambda a: a / 255),
        ("multiplied by 1000", lambda a: a * 1000),
    ],
)
def test_fires_on_answers_in_another_unit(unit: str, change: Callable | None):
    one = case("regression", model=standardised if change is None else through(change))

    result = output_mismatch(one)

    assert result.finding.evidence["labels_were"] == unit
    assert result.confirmation.after == pytest.approx(case("regression").validation_score[0], abs=1e-6)
    assert result.confirmation.placebo_gain < result.recovered.estimate
    brought_back = defined_by(remedy_of(result))["in_units_of_the_labels"](one.validation.predictions.values)
    assert one.scorer.score_of_answers(one.validation.labels, brought_back) == pytest.approx(result.confirmation.after)


def test_fires_on_the_logarithm_of_the_labels():
    train, validation = splits("regression", signal=2.0)
    prices = [replace(part, y=np.exp(part.y / 20)) for part in (train, validation)]
    answer = fitted(replace(train, y=train.y / 20), "regression")

    result = output_mismatch(case_of(*prices, answer, request=request_for(task="regression")))

    assert result.finding.evidence["labels_were"].startswith("log")


def test_labels_scaled_for_a_sigmoid_are_a_unit_and_not_out_of_reach():
    """What can be brought back is told before what cannot."""
    train, validation = splits("regression")
    low, high = train.y.min(), train.y.max()
    answer = fitted(replace(train, y=(train.y - low) / (high - low)), "regression")

    one = case_of(train, validation, lambda m: np.clip(answer(m), 0, 1), request=request_for(task="regression"))

    assert output_mismatch(ending_in(one, "Sigmoid")).finding.evidence["labels_were"] == "scaled to 0..1"


@pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 0.6])
def test_stays_silent_on_a_model_that_learned_little(share: float):
    """Its answers spread too little, and a factor would help; that is no unit."""
    for seed in range(3):
        assert output_mismatch(case("regression", model=weakened(share), seed=seed)).finding is None
        shrunk = through(lambda a: 50 + share * (a - 50) + 0.01)
        assert output_mismatch(case("regression", model=shrunk, seed=seed)).finding is None
        early = through(lambda a: share * a)
        if share in (0.3, 0.6):
            assert output_mismatch(case("regression", model=early, seed=seed)).finding is None


# Probabilities


def test_fires_on_a_sigmoid_applied_twice_and_brings_the_metric_back():
    one = ending_in(case(model=through(expit)), "Sigmoid")

    result = output_mismatch(one)

    assert result.finding.title == "The sigmoid is applied twice"
    assert result.finding.severity is Severity.CRITICAL
    assert result.confirmation.before == pytest.approx(0.5)
    assert result.confirmation.after == pytest.approx(case().validation_score[0])
    assert result.recovered.estimate > 0.2
    undone = defined_by(remedy_of(result))["undo_sigmoid"](one.validation.predictions.probabilities[:, 1])
    assert ((undone > 0.5) == (case().validation.predictions.decisions == 1)).all()


@pytest.mark.parametrize("classes", [3, 5])
def test_fires_on_a_softmax_applied_twice(classes: int):
    one = ending_in(
        case("multiclass", classes=classes, model=through(lambda p: softmax(p, axis=1)), n_train=1000),
        "Softmax",
        classes,
    )

    result = output_mismatch(one)

    assert result.finding.title == "The softmax is applied twice"
    assert result.finding.severity is Severity.WARNING
    assert (result.confirmation.metric, result.confirmation.higher_is_better) == ("log_loss", False)
    assert result.confirmation.after < result.confirmation.before
    undone = defined_by(remedy_of(result))["undo_softmax"](one.validation.predictions.probabilities)
    assert np.allclose(undone.sum(axis=1), 1)


def test_fires_on_a_linear_output_of_probabilities_that_is_taken_for_logits():
    """Least squares on 0 and 1: all answers lie in [0, 1], and a sigmoid makes all of them positive."""
    train, validation = splits()
    probability = fitted(train, "binary")
    one = case_of(train, validation, probability, request=request_for(output={"kind": "logit"}))

    result = output_mismatch(single(one))

    assert result.confirmation.before == pytest.approx(0.5)
    assert "output.kind" in remedy_of(result).text


@pytest.mark.parametrize("prevalence", [0.5, 0.62])
def test_stays_silent_on_unsure_probabilities(prevalence: float):
    """All of them may lie between 0.5 and 0.73, because nothing more is known."""
    for seed in range(4):
        weak = case(prevalence=prevalence, signal=0.3, seed=seed, n_train=2000)
        assert output_mismatch(ending_in(weak, "Sigmoid")).finding is None
        many = case("multiclass", signal=0.3, seed=seed, n_train=2000)
        assert output_mismatch(ending_in(many, "Softmax", 3)).finding is None


# Logits


def logits_read(kind: str, signal: float = 3.0) -> CheckResult:
    """A model of log-odds."""
    train, validation = splits(signal=signal)
    answer = fitted(train, "binary")
    request = request_for(task="binary", output={"kind": kind})
    return output_mismatch(single(case_of(train, validation, lambda m: logit(answer(m)), request=request)))


def test_fires_on_logits_that_the_request_calls_probabilities():
    result = logits_read("probability")

    assert result.outcome is Outcome.FAIL
    assert result.finding.title == "Logits are read as probabilities"
    assert result.confirmation.confirmed
    probability = defined_by(remedy_of(result))["probability"]
    assert np.allclose(probability(np.array([0.0, 1.0])), expit([0.0, 1.0]))


def test_fires_on_many_logits_that_the_request_calls_probabilities():
    train, validation = splits("multiclass")
    answer = fitted(train, "multiclass")

    def asked(kind: str) -> CheckResult:
        request = request_for(task="multiclass", output={"kind": kind})
        one = case_of(train, validation, lambda m: 3 * np.log(answer(m)), request=request)
        return output_mismatch(ending_in(one, "BiasAdd", 3))

    result = asked("probability")
    assert result.outcome is Outcome.FAIL
    assert result.finding.severity is Severity.WARNING
    assert np.allclose(defined_by(remedy_of(result))["probabilities"](np.zeros((1, 4))), 0.25)
    assert asked("auto").finding is None


def test_logits_that_are_read_rightly_are_an_observation_alone():
    result = logits_read("auto")

    assert result.outcome is Outcome.PASS
    assert result.finding.severity is Severity.INFO
    assert not result.ranks
    assert logits_read("logit").finding is None


def test_scores_on_the_scale_of_the_labels_are_an_observation_alone():
    """Least squares on 0 and 1: a sigmoid would make nearly all of them positive, so that they are cut as they are."""
    train, validation = splits()
    answer = fitted(train, "regression")
    one = case_of(train, validation, answer, request=request_for(task="binary"))

    result = output_mismatch(single(one))

    assert result.finding.title == "The output is neither a probability nor a logit"
    assert (result.outcome, result.finding.severity) == (Outcome.PASS, Severity.INFO)
    decided = answer(validation.numbers).ravel() >= 0.5
    assert (one.validation.predictions.decisions == decided).all()


def test_logits_in_the_wrong_place_are_the_thresholds_matter():
    moved = case(model=through(lambda p: logit(p) + 2.2), kind="logit", prevalence=0.1, n_train=1000)
    result = output_mismatch(single(replace(moved, request=request_for(task="binary"))))

    assert result.outcome is Outcome.PASS


def test_sigmoids_of_exclusive_classes_are_an_observation_alone():
    def sigmoids(train: Part, task: Task):
        answer = fitted(train, task)
        return lambda m: expit(logit(answer(m)) + 0.5)

    train, validation = splits("multiclass")
    request = request_for(task="multiclass", output={"kind": "probability"})
    one = case_of(train, validation, sigmoids(train, "multiclass"), request=request)

    result = output_mismatch(ending_in(one, "Sigmoid", 3))

    assert result.outcome is Outcome.PASS
    assert result.finding.severity is Severity.INFO


# Healthy models


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("n", [60, 300])
def test_stays_silent_on_a_fitting_output(task: Task, n: int):
    for seed in range(3):
        for signal in (0.5, 3.0):
            assert output_mismatch(case(task, n_train=n, n_validation=n, seed=seed, signal=signal)).finding is None


def test_a_unit_that_leaves_an_offset_is_none():
    """Divided by 255 and moved by 0.4 deviations: a fitted line would do better, so that it is a line and no unit."""
    assert output_mismatch(case("regression", model=through(lambda a: (a + 12) / 255))).finding is None


def test_answers_beyond_all_bounds_are_no_unit_and_no_crash():
    """A model that ran away: its squares overflow."""
    one = case("regression", model=through(lambda a: a * 1e150))

    assert output_mismatch(one).finding is None


def test_rows_without_an_answer_are_left_out():
    silent = case("regression", model=through(lambda a: np.where(np.arange(len(a)) % 3 == 0, np.nan, a / 255)))

    assert output_mismatch(silent).finding.evidence["labels_were"] == "divided by 255"


def test_inconclusive_on_few_rows():
    assert output_mismatch(case(n_validation=10)).outcome is Outcome.INCONCLUSIVE
