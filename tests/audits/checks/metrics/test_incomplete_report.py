"""metrics.incomplete_report: what is reported, and what it leaves out."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import recall_score

from audits.checks.metrics import incomplete_report
from audits.checks.metrics.incomplete_report import CODE
from audits.results import CheckResult
from schemas.report import Outcome, Severity
from tests.audits.checks.remedies import defined_by, remedy_of
from tests.factories import Fault, Part, case, case_of, fitted, miscut, request_for, result_of, splits


def reported(*names: str, **world: Any) -> CheckResult:
    return result_of(CODE, case(reported=names, **world))


def scattered(factor: float) -> Fault:
    """Rows whose targets, and the features with them, spread otherwise than in training."""

    def spoil(part: Part, train: Part, rng: np.random.Generator) -> Part:
        middle = np.median(part.y)
        order = np.argsort(np.abs(part.y - middle))
        kept = order[: len(order) // 3] if factor < 1 else order[-len(order) // 3 :]
        return part.at(np.sort(kept))

    return spoil


def test_fires_on_precision_that_hides_the_recall():
    """One in five is found, and those that are named are right."""
    one = case(reported=["precision"], model=miscut(-4.0), signal=4.0, n_validation=600)
    result = result_of(CODE, one)

    assert result.outcome is Outcome.FAIL
    assert result.finding.severity is Severity.WARNING
    recall = recall_score(one.validation.labels, one.validation.predictions.decisions)
    assert result.finding.evidence["missing"][0]["metric"] == "recall"
    assert result.finding.evidence["missing"][0]["estimate"] == pytest.approx(recall)
    low, high = result.finding.evidence["missing"][0]["interval"]
    assert low < recall < high < 0.7


def test_fires_on_recall_that_hides_the_precision():
    result = reported("sensitivity", model=miscut(6.0), signal=4.0, prevalence=0.2, n_validation=600)

    assert result.finding.severity is Severity.WARNING
    assert "precision" in result.finding.summary


def test_fires_on_a_weighted_f1_that_hides_a_rare_class():
    result = reported("f1_weighted", model=miscut(-6.0), prevalence=0.1, n_validation=600)

    assert result.finding.severity is Severity.WARNING
    assert result.finding.evidence["missing"][0]["metric"] == "f1_macro"


def test_fires_on_percentages_of_targets_near_zero():
    def around_zero(part: Part, train: Part, rng: np.random.Generator) -> Part:
        return Part(part.x, part.y - 50)

    result = reported("mape", task="regression", fault=around_zero, train_fault=around_zero)

    assert result.finding.severity is Severity.WARNING
    assert "near zero" in result.finding.summary


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_fires_on_r2_of_targets_that_spread_otherwise(factor: float):
    result = reported("r2", task="regression", fault=scattered(factor), n_validation=1200, signal=1.5)

    assert result.finding.severity is Severity.WARNING
    assert "spread" in result.finding.summary


@pytest.mark.parametrize(
    ("names", "task", "missing"),
    [
        (["precision"], "binary", "recall"),
        (["recall"], "binary", "precision"),
        (["specificity"], "binary", "recall"),
        (["roc_auc"], "binary", "balanced_accuracy"),
        (["log_loss"], "multiclass", "balanced_accuracy"),
        (["precision"], "multiclass", "balanced_accuracy"),
        (["r2"], "regression", "mae"),
        (["rmse"], "regression", "r2"),
    ],
)
def test_stays_silent_where_the_missing_metric_is_fine(names: Sequence[str], task: str, missing: str):
    """It is named all the same, as an observation that is never ranked."""
    result = reported(*names, task=task, signal=4.0)

    assert result.outcome is Outcome.PASS
    assert not result.ranks
    assert result.finding.severity is Severity.INFO
    assert result.finding.evidence["missing"][0]["metric"] == missing


@pytest.mark.parametrize(
    ("name", "world"),
    [
        ("precision", {"model": miscut(-4.0), "signal": 4.0}),
        ("r2", {"task": "regression", "fault": scattered(2.0), "n_validation": 1200}),
    ],
)
def test_a_metric_that_is_not_defined_is_not_told_as_0(name: str, world: dict, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(incomplete_report, "interval", lambda *_: (np.nan, np.nan))

    result = reported(name, **world)

    assert result.outcome is Outcome.PASS
    assert result.finding is None


@pytest.mark.parametrize(
    ("names", "task"),
    [
        (["precision", "recall"], "binary"),
        (["precision", "val_f1"], "binary"),
        (["accuracy"], "binary"),
        (["auc", "accuracy"], "binary"),
        (["accuracy", "f1"], "multiclass"),
        (["r2", "mae"], "regression"),
        (["mape", "r2"], "regression"),
    ],
)
def test_stays_silent_on_a_complete_report(names: Sequence[str], task: str):
    """Accuracy alone is the business of `metrics.imbalanced_accuracy`."""
    result = reported(*names, task=task, signal=1.0)

    assert result.outcome is Outcome.PASS
    assert result.finding is None


@pytest.mark.parametrize("names", [[], ["charm"]])
def test_not_applicable_where_nothing_known_is_reported(names: Sequence[str]):
    assert reported(*names).outcome is Outcome.NOT_APPLICABLE


def test_healthy_models_are_never_warned_of():
    """Any one metric reported of a healthy model: at most an observation."""
    for seed in range(12):
        task = ("binary", "multiclass", "regression")[seed % 3]
        n = (25, 60, 150, 500)[seed % 4]
        train, validation = splits(task, n_train=500, n_validation=n, signal=3.0, seed=seed)
        answer = fitted(train, task)
        for name in ("r2", "rmse") if task == "regression" else ("precision", "recall", "f1_weighted", "auc"):
            request = request_for(task=task, reported=[name])
            result = result_of(CODE, case_of(train, validation, answer, request=request))
            assert result.outcome is not Outcome.FAIL, (seed, name, result.finding)


def test_the_remedys_code_computes_the_missing_metric():
    one = case(reported=["precision"], model=miscut(-4.0))
    code = defined_by(remedy_of(result_of(CODE, one)))
    labels, decisions = one.validation.labels, one.validation.predictions.decisions

    assert code["measured"](labels, decisions)["recall"] == pytest.approx(recall_score(labels, decisions))


def test_inconclusive_on_few_rows():
    assert reported("precision", n_validation=12).outcome is Outcome.INCONCLUSIVE
