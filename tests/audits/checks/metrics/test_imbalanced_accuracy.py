"""metrics.imbalanced_accuracy: a number that cannot see the rare class."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from audits.checks.metrics.imbalanced_accuracy import CODE, class_weights, constant_answer, imbalanced_accuracy
from audits.evidence.case import Case
from schemas.report import Outcome, Severity
from tests.audits.checks.remedies import defined_by, remedy_of
from tests.factories import Part, case, case_of, constant, fitted, result_of, splits


@pytest.mark.parametrize("prevalence", [0.02, 0.1, 0.9])
def test_fires_on_a_model_that_always_says_the_majority(prevalence: float):
    answer = 0.9 if prevalence > 0.5 else 0.1

    result = result_of(CODE, case(prevalence=prevalence, model=constant(answer), n_validation=600))

    assert result.outcome is Outcome.FAIL
    assert result.finding.severity is Severity.CRITICAL
    assert result.finding.evidence["balanced_accuracy"] == pytest.approx(0.5)
    assert result.finding.evidence["accuracy"] == pytest.approx(max(prevalence, 1 - prevalence), abs=0.04)


def test_accuracy_beyond_the_majority_is_a_warning():
    """Better than always no, and still most of the positives are missed."""
    result = result_of(CODE, case(prevalence=0.12, n_train=2000, n_validation=1500, signal=2.5))

    assert result.outcome is Outcome.FAIL
    assert result.finding.severity is Severity.WARNING


def test_fires_on_a_rare_one_of_several_classes():
    def without_most(part, train, rng):
        return part.at(np.flatnonzero((part.y != 2) | (rng.random(len(part)) < 0.1)))

    def never_rare(train, task):
        return lambda m: np.column_stack([np.full(len(m), 0.5), np.full(len(m), 0.45), np.full(len(m), 0.05)])

    one = case("multiclass", model=never_rare, fault=without_most, reported=["acc"])

    result = result_of(CODE, one)

    assert result.outcome is Outcome.FAIL
    assert min(result.finding.evidence["class_shares"], key=result.finding.evidence["class_shares"].get) == "2"


def test_intervals_are_over_whole_groups_where_there_are_any():
    """Each validation row ten times: as rows by themselves they would tell ten times as much."""
    train, validation = splits(prevalence=0.12, n_train=1000, n_validation=300, signal=2.5)
    repeated = validation.at(np.repeat(np.arange(300), 10))

    def widths(groups: np.ndarray | None) -> list[float]:
        parts = (replace(train, groups=None if groups is None else np.arange(1000)), replace(repeated, groups=groups))
        result = imbalanced_accuracy(case_of(*parts, fitted(train, "binary")))
        intervals = (result.finding.effect.interval, constant_interval(case_of(*parts, fitted(train, "binary"))))
        return [high - low for low, high in intervals]

    def constant_interval(one: Case) -> tuple[float, float]:
        answers = one.scorer.answers(one.mended.predictions)
        return constant_answer(one, one.mended.labels, answers, one.mended.groups).gain_interval

    alone, grouped = widths(None), widths(np.repeat(np.arange(300), 10))

    assert grouped[0] > 2 * alone[0]
    assert grouped[1] > 2 * alone[1]


def test_class_weights_are_scikit_learns():
    one = case(prevalence=0.1)

    expected = compute_class_weight("balanced", classes=np.array([0, 1]), y=one.train.labels)
    np.testing.assert_allclose(list(class_weights(one).values()), expected, atol=1e-4)


def test_the_remedys_code_weights_the_classes_of_shuffled_rows():
    class Recorder:
        def fit(self, x, y, *, class_weight, **options):
            return x, y, class_weight, options

    one = case(prevalence=0.1, model=constant(0.1))
    code = defined_by(remedy_of(result_of(CODE, one)))
    x, y = np.arange(40)[:, None], np.arange(40) % 2

    shuffled_x, shuffled_y, weights, options = code["fit"](Recorder(), x, y, epochs=3)

    np.testing.assert_array_equal(shuffled_x[:, 0] % 2, shuffled_y)
    assert weights == class_weights(one)
    assert options == {"epochs": 3}


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_stays_silent_on_classes_of_equal_size(task: str):
    assert result_of(CODE, case(task)).outcome is Outcome.PASS


def test_stays_silent_on_a_model_that_finds_the_rare_class():
    result = result_of(CODE, case(prevalence=0.1, signal=80.0, n_train=2000, n_validation=1500))

    assert result.outcome is Outcome.PASS


def test_not_applicable_where_another_metric_is_reported():
    one = case(prevalence=0.1, model=constant(0.1), reported=["roc_auc", "f1"])

    assert result_of(CODE, one).outcome is Outcome.NOT_APPLICABLE


@pytest.mark.parametrize("name", ["accuracy", "ACC", "binary_accuracy"])
def test_fires_where_accuracy_is_reported(name: str):
    one = case(prevalence=0.1, model=constant(0.1), reported=[name, "roc_auc"])

    assert result_of(CODE, one).outcome is Outcome.FAIL


def test_not_applicable_to_a_regression():
    assert result_of(CODE, case("regression")).outcome is Outcome.NOT_APPLICABLE


def test_inconclusive_where_the_interval_reaches_zero():
    """Four positives: the illusion is large, and anybody's guess."""
    _, validation = splits(prevalence=0.1, n_validation=40)
    few = np.concatenate([np.flatnonzero(validation.y == 0), np.flatnonzero(validation.y == 1)[:4]])

    def thin(part, train, rng):
        return part.at(few)

    result = result_of(CODE, case(prevalence=0.1, n_validation=40, signal=4.0, fault=thin))

    assert result.outcome in {Outcome.INCONCLUSIVE, Outcome.PASS}


@pytest.mark.parametrize("prevalence", [0.02, 0.1, 0.9])
def test_the_constant_answer_proves_that_accuracy_is_blind(prevalence: float):
    """Everybody is answered the majority class: accuracy does not fall."""
    answer = 0.9 if prevalence > 0.5 else 0.1

    proof = result_of(CODE, case(prevalence=prevalence, model=constant(answer), n_validation=600)).confirmation

    assert proof.confirmed
    assert proof.metric == "accuracy"
    assert proof.after == proof.before
    assert proof.gain_interval[0] < 0 < proof.gain_interval[1]


def test_a_model_whose_lead_accuracy_shows_is_no_proof():
    """It misses many of the rare class, but answers far better than the constant: accuracy sees that much."""
    one = case(
        prevalence=0.18,
        n_train=3000,
        n_validation=3000,
        signal=4.0,
        limits={CODE: {"min_illusion": 0.02}},
        reported=["accuracy"],
    )

    result = result_of(CODE, one)

    assert result.outcome is Outcome.FAIL
    assert result.confirmation.after < result.confirmation.before - 0.05
    assert not result.confirmation.confirmed


def test_a_model_that_finds_some_is_told_apart_by_balanced_accuracy_alone():
    """A few true alarms and as many false ones: accuracy stays, balanced accuracy shows the skill."""
    rng = np.random.default_rng(0)

    def some(train, task):
        return lambda m: np.where(m[:, 0] > 0, 0.9, 0.1)

    n = 2000
    y = (rng.random(n) < 0.05).astype(np.int64)
    alarm = np.where(y == 1, rng.random(n) < 0.5, rng.random(n) < 0.025)
    part = Part(np.column_stack([np.where(alarm, 1.0, -1.0), rng.normal(size=n)]).astype(np.float32), y)

    proof = result_of(CODE, case_of(part, part, some(None, None))).confirmation

    assert proof.confirmed
    assert abs(proof.after - proof.before) < 0.01
    assert "balanced accuracy goes from 0.7" in proof.intervention
