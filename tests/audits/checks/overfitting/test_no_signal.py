"""overfitting.no_signal: nothing to be learned."""

import pytest

from audits.checks.overfitting.no_signal import CODE
from schemas.report import Outcome, Severity
from tests.audits.checks.remedies import defined_by, remedy_of
from tests.factories import Task, case, constant, memoriser, on_column, result_of


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("model", [memoriser, constant(0.6)], ids=["memoriser", "constant"])
def test_fires_on_labels_that_have_nothing_to_do_with_the_features(task: Task, model):
    if task == "multiclass" and model is not memoriser:
        pytest.skip("one probability is no answer to several classes")

    result = result_of(CODE, case(task, model=model, signal=0.0, n_train=300, n_validation=200))

    assert result.outcome is Outcome.FAIL
    assert result.finding.severity is Severity.CRITICAL
    assert result.finding.p_value > 0.01


@pytest.mark.parametrize("seed", range(3))
def test_the_skill_that_is_told_is_that_of_the_rows_that_exclude_most(seed: int):
    """Estimate and interval are of the same rows, and the one lies in the other."""
    one = case(model=memoriser, signal=0.0, n_train=300, n_validation=80, seed=seed)

    effect = result_of(CODE, one).finding.effect

    name = min(("train->train", "train->validation"), key=lambda name: one.control.intervals[name][1])
    assert effect.estimate == pytest.approx(one.scorer.skill(one.control.scores[name]))
    assert effect.interval == pytest.approx([one.scorer.skill(end) for end in one.control.intervals[name]])
    assert effect.interval[0] <= effect.estimate <= effect.interval[1]


def test_fires_on_a_hundred_rows_of_noise():
    """The question that this product was made for: rounded random labels."""
    result = result_of(CODE, case(model=memoriser, signal=0.0, n_train=100, n_validation=200))

    assert result.outcome is Outcome.FAIL
    assert "Regularisation alone will not help" in result.finding.summary


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("model", [memoriser, on_column(5)], ids=["memoriser", "weak"])
def test_stays_silent_where_a_learner_finds_the_signal(task: Task, model):
    """Whatever the model makes of it."""
    assert result_of(CODE, case(task, model=model, signal=1.5)).outcome is Outcome.PASS


def test_stays_silent_on_a_signal_in_the_training_rows_alone():
    def shuffled(part, train, rng):
        return part.with_numbers(rng.permutation(part.numbers))

    assert result_of(CODE, case(signal=2.0, fault=shuffled)).outcome is Outcome.PASS


def test_inconclusive_where_a_signal_cannot_be_excluded():
    """The upper bound of the skill leaves room for more than is allowed."""
    limits = {CODE: {"max_upper_skill": 0.01}}

    result = result_of(CODE, case(signal=0.0, n_train=60, n_validation=60, limits=limits))

    assert result.outcome is Outcome.INCONCLUSIVE
    assert "cannot be excluded" in result.reason


@pytest.mark.parametrize("world", [{"n_train": 45}, {"n_train": 49, "task": "regression"}])
def test_inconclusive_on_few_rows(world: dict):
    assert result_of(CODE, case(signal=0.0, **world)).outcome is Outcome.INCONCLUSIVE


def test_the_remedys_code_tells_noise_from_signal_by_permutation():
    code = defined_by(remedy_of(result_of(CODE, case(model=memoriser, signal=0.0, n_train=300))))
    # the real one fits a thousand forests
    code["permutation_test_score"] = lambda forest, x, y, **settings: (0.5, [], 0.25)

    assert code["p_value"]([[0.0]], [0]) == 0.25
