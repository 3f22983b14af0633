"""overfitting.memorization: labels learned by heart."""

import pytest
from sklearn.tree import DecisionTreeClassifier

from audits.checks.overfitting.memorization import CODE
from schemas.report import Outcome, Severity
from tests.factories import Answer, Part, Task, case, constant, copied, fitted, memoriser, result_of, scaled


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_fires_on_a_model_that_recites_its_training_rows(task: Task):
    result = result_of(CODE, case(task, model=memoriser, signal=0.5))

    assert result.outcome is Outcome.FAIL
    assert result.finding.severity is Severity.CRITICAL
    assert result.finding.effect.estimate > 0.6
    assert result.confirmation.by_exclusion


def test_fires_on_images():
    assert result_of(CODE, case(layout="image", model=memoriser, signal=0.2)).outcome is Outcome.FAIL


def test_fires_on_a_hundred_rows():
    assert result_of(CODE, case(model=memoriser, signal=0.0, n_train=100, n_validation=100)).outcome is Outcome.FAIL


def test_copies_among_the_validation_rows_do_not_hide_it():
    """Half of the validation rows are known by heart as well; the gap is that of the others."""
    plain, hidden = (result_of(CODE, case(model=memoriser, signal=0.5, fault=fault)) for fault in (None, copied(0.5)))

    assert hidden.outcome is Outcome.FAIL
    assert hidden.recovered.estimate == pytest.approx(plain.recovered.estimate, abs=0.1)


def test_what_is_recovered_is_the_gap():
    one = case(model=memoriser, signal=0.0)

    result = result_of(CODE, one)

    assert result.recovered.estimate == pytest.approx(one.train_score[0] - one.validation_score[0])
    assert result.recovered.interval[0] < result.recovered.estimate < result.recovered.interval[1]


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_stays_silent_on_a_model_that_generalises(task: Task):
    assert result_of(CODE, case(task)).outcome is Outcome.PASS


def test_stays_silent_on_a_perfect_model_of_an_easy_problem():
    """Near-perfect at home and elsewhere."""
    assert result_of(CODE, case(signal=60.0, n_train=1000)).outcome is Outcome.PASS


def test_stays_silent_on_a_model_that_overfits_without_reciting():
    """Membership shows, 0.78 against 0.66, and still one training row in five is answered wrongly."""

    def bent(train: Part, task: Task) -> Answer:
        honest = fitted(train, task)
        tree = DecisionTreeClassifier(max_depth=6, random_state=0).fit(train.numbers, train.y)
        return lambda m: 0.4 * honest(m) + 0.6 * tree.predict_proba(m)[:, 1]

    assert result_of(CODE, case(model=bent, signal=1.0, n_train=800, n_validation=800)).outcome is Outcome.PASS


def test_stays_silent_on_a_constant():
    assert result_of(CODE, case(model=constant(0.7))).outcome is Outcome.PASS


def test_does_not_blame_the_model_for_unscaled_validation_data():
    """A fault of the data that was not even mended: what differs is the data, and that is said."""
    result = result_of(CODE, case(model=memoriser, signal=6.0, fault=scaled(5.0, 100.0)))

    assert result.outcome is Outcome.INCONCLUSIVE
    assert "populations" in result.reason


@pytest.mark.parametrize("world", [{"n_train": 25}, {"n_validation": 25}])
def test_inconclusive_on_few_rows(world: dict):
    result = result_of(CODE, case(model=memoriser, signal=0.0, **world))

    assert result.outcome is Outcome.INCONCLUSIVE
    assert result.reason == "25 of 30 rows"
