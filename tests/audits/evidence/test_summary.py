"""The metrics of both splits, and those that suit the problem."""

import math

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score, matthews_corrcoef, recall_score, roc_auc_score

from audits.evidence.summary import summarise_metrics
from tests.factories import case, constant


def test_the_metrics_of_a_classifier_are_scikit_learns():
    one = case(prevalence=0.3)
    labels, decisions = one.validation.labels, one.validation.predictions.decisions
    scores = one.validation.predictions.probabilities[:, 1]

    values = summarise_metrics(one).validation.values

    expected = {
        "accuracy": np.mean(labels == decisions),
        "mcc": matthews_corrcoef(labels, decisions),
        "macro_f1": f1_score(labels, decisions, average="macro"),
        "roc_auc": roc_auc_score(labels, scores),
        "average_precision": average_precision_score(labels, scores),
        "brier": np.mean((scores - labels) ** 2),
    }
    assert {name: values[name].estimate for name in expected} == pytest.approx(expected)


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_every_number_lies_in_its_interval(task: str):
    metrics = summarise_metrics(case(task))

    for split in (metrics.train, metrics.validation):
        for name, value in split.values.items():
            low, high = value.interval
            assert low <= value.estimate <= high, name


def test_the_classification_report_has_a_line_for_each_class():
    one = case("multiclass", names=["cat", "dog", "owl"])

    lines = summarise_metrics(one).validation.per_class

    recalls = recall_score(one.validation.labels, one.validation.predictions.decisions, average=None)
    assert [line.label for line in lines] == ["cat", "dog", "owl"]
    assert [line.recall.estimate for line in lines] == pytest.approx(recalls)
    assert [line.support for line in lines] == np.bincount(one.validation.labels).tolist()


def test_a_regression_is_told_by_its_errors():
    one = case("regression")
    errors = one.validation.predictions.values - one.validation.labels

    values = summarise_metrics(one).validation.values

    assert values["mae"].estimate == pytest.approx(np.abs(errors).mean())
    assert values["rmse"].estimate == pytest.approx(math.sqrt((errors**2).mean()))
    assert values["bias"].estimate == pytest.approx(errors.mean())


def test_class_ids_have_no_ranking_and_no_loss():
    def ids(train, task):
        return lambda m: (m[:, 0] > m[:, 0].mean()).astype(np.int64)

    values = summarise_metrics(case(model=ids)).validation.values

    assert not {"roc_auc", "log_loss", "brier"} & set(values)


def test_unanswered_rows_are_counted():
    def half_silent(train, task):
        return lambda m: np.where(np.arange(len(m)) % 2 == 0, np.nan, 0.9)

    assert summarise_metrics(case(model=half_silent)).validation.values["answered"].estimate == 0.5


@pytest.mark.parametrize(
    ("world", "metrics"),
    [
        ({}, ["accuracy", "balanced_accuracy", "log_loss", "roc_auc"]),
        ({"prevalence": 0.1}, ["balanced_accuracy", "mcc", "average_precision", "roc_auc"]),
        ({"task": "regression"}, ["mae", "rmse", "r2"]),
    ],
)
def test_the_recommended_metrics_follow_the_class_shares(world: dict, metrics: list[str]):
    told = summarise_metrics(case(**world))

    assert told.recommended == metrics
    assert [one.name for one in told.recommendations] == metrics
    assert all(one.reason for one in told.recommendations)


@pytest.mark.parametrize("answer", [math.nan, 0.9])
def test_an_odd_model_has_finite_metrics(answer: float):
    told = summarise_metrics(case(model=constant(answer), kind="probability")).model_dump_json()

    assert "NaN" not in told
    assert "Infinity" not in told
