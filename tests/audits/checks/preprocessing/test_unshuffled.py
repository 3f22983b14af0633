"""preprocessing.unshuffled: a file that is sorted by its label."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from audits.checks.preprocessing.unshuffled import CODE
from audits.evidence.case import Case
from schemas.report import Outcome, Severity
from tests.audits.checks.remedies import defined_by, remedy_of
from tests.audits.checks.timeseries import with_roles
from tests.factories import Part, Task, case, case_of, fitted, request_for, result_of, splits


def ordered(part: Part, train: Part, rng: np.random.Generator) -> Part:
    return part.at(np.argsort(part.y, kind="stable"))


def nearly_ordered(part: Part, train: Part, rng: np.random.Generator) -> Part:
    return part.at(np.argsort(part.y + rng.normal(0, 0.25 * part.y.std(), len(part))))


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("fault", [ordered, nearly_ordered])
def test_fires_on_a_sorted_file(task: str, fault):
    result = result_of(CODE, case(task, train_fault=fault))

    assert result.outcome is Outcome.PASS
    assert result.finding.severity is Severity.INFO
    assert result.finding.effect.estimate < result.finding.effect.limit
    assert not result.ranks


def test_the_remedys_code_shuffles_both_alike():
    x, y = np.arange(50)[:, None], np.arange(50)

    mixed_x, mixed_y = defined_by(remedy_of(result_of(CODE, case(train_fault=ordered))))["shuffled"](x, y)

    np.testing.assert_array_equal(mixed_x[:, 0], mixed_y)
    assert (mixed_y != y).any()


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("prevalence", [0.5, 0.05])
def test_stays_silent_on_a_shuffled_file(task: str, prevalence: float):
    assert result_of(CODE, case(task, prevalence=prevalence)).finding is None


def test_stays_silent_on_a_drift_that_few_runs_show():
    """Certain in 8000 rows, and far from sorted."""

    def drifting(part: Part, train: Part, rng: np.random.Generator) -> Part:
        return part.at(np.argsort(part.y + rng.normal(0, 1.2, len(part))))

    assert result_of(CODE, case(n_train=8000, train_fault=drifting)).finding is None


def test_stays_silent_on_a_handful_of_rows_in_order():
    """Twenty rows in order may be ten and ten by chance, once in some hundred thousand files."""
    assert result_of(CODE, case(n_train=20, train_fault=ordered)).finding is None


def test_stays_silent_on_labels_that_take_turns():
    def alternating(part: Part, train: Part, rng: np.random.Generator) -> Part:
        order = np.argsort(part.y, kind="stable")
        half = len(order) // 2
        return part.at(np.stack([order[:half], order[half : 2 * half]], axis=1).reshape(-1))

    assert result_of(CODE, case(train_fault=alternating)).finding is None


def test_inconclusive_on_few_rows():
    assert result_of(CODE, case(n_train=19)).outcome is Outcome.INCONCLUSIVE


def cut_by_position(task: Task, *, order: str = "sorted", share: float = 0.7, classes: int = 3, **roles: Any) -> Case:
    """The whole file in an order, its first part for training."""
    train, validation = splits(task, classes=classes, n_train=500, n_validation=300)
    x, y = pd.concat([train.x, validation.x], ignore_index=True), np.concatenate([train.y, validation.y])
    at = (
        np.argsort(y, kind="stable")
        if order == "sorted"
        else np.argsort(y + np.random.default_rng(1).normal(0, 0.6 * y.std(), 800))
    )
    whole = Part(x.iloc[at].reset_index(drop=True), y[at])
    cut = int(share * 800)
    parts = whole.at(np.arange(cut)), whole.at(np.arange(cut, 800))
    one = case_of(*parts, fitted(train, task), request=request_for(task=task))
    for name in ("train", "validation") if roles else ():
        one = with_roles(one, name, time=np.arange(getattr(one, name).n, dtype=float))
    return one


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_fires_on_a_sorted_file_that_was_split_by_position(task: Task):
    result = result_of(CODE, cut_by_position(task))

    assert result.outcome is Outcome.FAIL
    assert result.finding.severity is Severity.CRITICAL
    assert "split by position" in result.finding.summary
    assert result.finding.evidence["share_beyond_training"] > 0.8


def test_the_classes_that_training_hardly_has_are_named():
    result = result_of(CODE, cut_by_position("multiclass"))

    assert result.finding.evidence["labels"] == ["2"]
    assert "are of 2" in result.finding.summary


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_a_drift_that_was_split_by_position_is_no_sorted_file(task: Task):
    result = result_of(CODE, cut_by_position(task, order="drifting"))

    assert result.finding is None or result.finding.severity is Severity.INFO


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_stays_silent_on_a_series_with_a_trend(task: Task):
    """Named times say that the split was by time."""
    assert result_of(CODE, cut_by_position(task, time=True)).outcome is Outcome.PASS


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_a_sorted_training_file_beside_drawn_validation_rows_is_an_observation(task: Task):
    assert result_of(CODE, case(task, train_fault=ordered)).finding.severity is Severity.INFO
