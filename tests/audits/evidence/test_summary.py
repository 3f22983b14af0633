"""The metrics of both splits, and those that suit the problem."""

import math
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    f1_score,
    log_loss,
    matthews_corrcoef,
    mean_absolute_error,
    r2_score,
    recall_score,
    roc_auc_score,
    root_mean_squared_error,
)

from audits.checks.metrics.incomplete_report import incomplete_report
from audits.checks.metrics.reported_mismatch import reported_mismatch
from audits.evidence.case import Case
from audits.evidence.summary import summarise_metrics
from tests.factories import case, case_of, constant, fitted, request_for, result_of, splits


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
def test_rows_without_a_group_are_groups_of_their_own(task: str):
    """Texts with holes, as a table has them, and the same rows with a name of its own in each hole."""
    train, validation = splits(task, n_train=200, n_validation=200, groups=15)
    holes = np.arange(200) >= 100  # last, so that both count the groups in one order

    def told(names: np.ndarray) -> dict[str, object]:
        parts = [replace(part, groups=names) for part in (train, validation)]
        one = case_of(*parts, fitted(train, task), request=request_for(task=task, reported_metrics=["accuracy=0.5"]))
        incomplete_report(one)
        reported_mismatch(one)
        return summarise_metrics(one).validation.values

    names = np.array([f"g{k}" for k in np.arange(200) // 20], dtype=object)

    assert told(np.where(holes, None, names)) == told(np.where(holes, [f"alone {k}" for k in range(200)], names))


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_every_interval_is_wider_where_rows_are_copies_of_each_other(task: str):
    """Each row ten times: as rows by themselves they would tell ten times as much."""
    train, validation = splits(task, n_train=300, n_validation=40)
    repeated = validation.at(np.repeat(np.arange(40), 10))

    def widths(groups: np.ndarray | None) -> dict[str, float]:
        parts = (replace(train, groups=None if groups is None else np.arange(300)), replace(repeated, groups=groups))
        one = case_of(*parts, fitted(train, task), request=request_for(task=task))
        values = summarise_metrics(one).validation.values
        return {name: value.interval[1] - value.interval[0] for name, value in values.items() if name != "answered"}

    alone, grouped = widths(None), widths(np.repeat(np.arange(40), 10))

    assert {name for name in alone if not grouped[name] > 1.5 * alone[name]} == set()


def weighted_case(task: str, **request: object) -> tuple[Case, np.ndarray]:
    """A case in which the validation rows have weights, and these."""
    train, validation = splits(task, n_train=300, n_validation=300)
    one = case_of(
        train,
        validation,
        fitted(train, task),
        request=request_for(
            task=task,
            data={"train": {"uri": "t.csv"}, "validation": {"uri": "v.csv"}, "label": "y", "weight": "w"},
            **request,
        ),
    )
    rng = np.random.default_rng(0)
    weights = rng.gamma(0.5, size=300)
    heavy = replace(one.validation, roles={"weight": weights})
    return replace(one, train=replace(one.train, roles={"weight": rng.random(300)}), validation=heavy), weights


def test_weighted_metrics_are_scikit_learns_with_sample_weights():
    one, weights = weighted_case("binary")
    labels, decisions = one.validation.labels, one.validation.predictions.decisions
    scores = one.validation.predictions.probabilities[:, 1]

    told = summarise_metrics(one).validation

    given = {"sample_weight": weights}
    expected = {
        "accuracy": accuracy_score(labels, decisions, **given),
        "balanced_accuracy": balanced_accuracy_score(labels, decisions, **given),
        "macro_f1": f1_score(labels, decisions, average="macro", **given),
        "mcc": matthews_corrcoef(labels, decisions, **given),
        "roc_auc": roc_auc_score(labels, scores, **given),
        "log_loss": log_loss(labels, scores, **given),
    }
    assert {name: value.estimate for name, value in told.weighted.items()} == pytest.approx(expected)
    assert all(value.interval[0] < value.estimate < value.interval[1] for value in told.weighted.values())
    assert told.values["accuracy"].estimate == pytest.approx(np.mean(labels == decisions))


def test_weighted_errors_of_a_regression_are_scikit_learns():
    one, weights = weighted_case("regression")
    labels, values = one.validation.labels, one.validation.predictions.values

    told = summarise_metrics(one).validation.weighted

    assert told["r2"].estimate == pytest.approx(r2_score(labels, values, sample_weight=weights))
    assert told["mae"].estimate == pytest.approx(mean_absolute_error(labels, values, sample_weight=weights))
    assert told["rmse"].estimate == pytest.approx(root_mean_squared_error(labels, values, sample_weight=weights))


def test_without_weights_there_are_no_weighted_metrics():
    assert summarise_metrics(case()).validation.weighted == {}


def test_a_number_that_was_computed_with_weights_is_recognised():
    """The rows that the model gets wrong weigh most."""
    one, _ = weighted_case("regression")
    labels, values = one.validation.labels, one.validation.predictions.values
    weights = np.abs(labels - values)
    value = round(float(mean_absolute_error(labels, values, sample_weight=weights)), 5)

    claimed, _ = weighted_case("regression", reported_metrics=[{"name": "mae", "value": value}])
    claimed = replace(claimed, validation=replace(claimed.validation, roles={"weight": weights}))

    assert "weighted by w" in result_of("metrics.reported_mismatch", claimed).finding.summary


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
