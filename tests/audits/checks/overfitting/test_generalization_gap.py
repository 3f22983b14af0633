"""overfitting.generalization_gap: worse on new rows, and no fault of the data explains it."""

import numpy as np
import pytest
from sklearn.tree import DecisionTreeClassifier

from audits.checks.overfitting.generalization_gap import CODE
from schemas.report import Outcome, Severity
from tests.factories import (
    Answer,
    Part,
    Task,
    case,
    copied,
    examined,
    fitted,
    memoriser,
    miscut,
    result_of,
    scaled,
)


def half_memorised(train: Part, task: Task) -> Answer:
    """Mostly the healthy model, with a deep tree's memory of the training rows mixed in."""
    honest = fitted(train, task)
    tree = DecisionTreeClassifier(max_depth=7, random_state=0).fit(train.numbers, train.y)
    return lambda m: 0.7 * honest(m) + 0.3 * tree.predict_proba(m)[:, 1]


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_fires_on_a_model_that_knows_its_training_rows_better(task: Task):
    result = result_of(CODE, case(task, model=memoriser, signal=1.0))

    assert result.outcome is Outcome.FAIL
    assert result.finding.effect.interval[0] > result.finding.effect.limit
    assert result.confirmation.by_exclusion


def test_a_smaller_gap_is_a_warning():
    result = result_of(CODE, case(model=half_memorised, signal=1.5, n_train=800, n_validation=800))

    assert result.outcome is Outcome.FAIL
    assert result.finding.severity is Severity.WARNING


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_stays_silent_on_a_model_that_generalises(task: Task):
    assert result_of(CODE, case(task, n_train=1500, n_validation=1000)).outcome is Outcome.PASS


def test_copies_do_not_hide_the_gap():
    one = case(model=memoriser, signal=1.0, fault=copied(0.6))

    result = result_of(CODE, one)

    assert result.recovered.estimate > 1.5 * (one.train_score[0] - one.validation_score[0])


def test_a_gap_that_a_repair_closes_is_not_the_models():
    """Judged after the repair of the scale, the same model generalises."""
    _, results = examined(
        case(n_train=1500, n_validation=1000, fault=scaled(3.0)), {"preprocessing.scaling_mismatch", CODE}
    )

    assert results["preprocessing.scaling_mismatch"].outcome is Outcome.FAIL
    assert results[CODE].outcome is Outcome.PASS


def test_a_gap_that_the_data_explain_is_inconclusive():
    """The same gap, with its repair left out."""
    result = result_of(CODE, case(n_train=1500, n_validation=1000, fault=scaled(3.0)))

    assert result.outcome is Outcome.INCONCLUSIVE
    assert "populations" in result.reason


def test_a_gap_of_the_threshold_is_not_the_models():
    """Cut where the training rows say, both splits are alike."""
    assert result_of(CODE, case(model=miscut(3.0), n_train=1500, n_validation=1000)).outcome is Outcome.PASS


def test_inconclusive_where_the_interval_spans_the_margin():
    result = result_of(CODE, case(model=half_memorised, signal=1.5, n_train=300, n_validation=60))

    assert result.outcome is Outcome.INCONCLUSIVE
    assert result.smallest_visible_effect > 0.1


def test_groups_widen_the_interval():
    """Rows of one group stand or fall together: of twelve groups, less is known than of 300 rows."""

    def interval(groups: int) -> tuple[float, float]:
        return result_of(CODE, case(model=memoriser, signal=1.0, groups=groups)).finding.effect.interval

    rows, clustered = interval(0), interval(12)

    assert np.diff(clustered) > 0
    assert clustered != rows


def test_rows_without_an_answer_in_both_splits_are_no_gap():
    """They count as wrong where they are told; a model that is silent about a third of all rows has not overfitted."""

    def silent(train: Part, task: Task) -> Answer:
        answer = fitted(train, task)
        return lambda m: np.where(np.abs(m[:, 0] * 1e3) % 1 < 0.3, np.nan, answer(m))

    result = result_of(CODE, case(model=silent, n_validation=600))

    assert result.finding is None
