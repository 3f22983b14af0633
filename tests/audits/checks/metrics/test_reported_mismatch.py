"""metrics.reported_mismatch: a number that the model does not give."""

from typing import Any

import numpy as np
import pytest

from audits.checks.metrics.reported_mismatch import CODE
from audits.evidence.case import Case
from audits.evidence.reported.forensics import judged
from audits.evidence.reported.table import METRICS
from audits.evidence.thresholds import best_threshold
from schemas.report import Outcome, Severity
from tests.audits.checks.remedies import defined_by, remedy_of
from tests.factories import (
    Fault,
    Task,
    case_of,
    copied,
    examined,
    fitted,
    holes,
    memoriser,
    miscut,
    request_for,
    result_of,
    scaled,
    splits,
)

WORLD: dict[str, Any] = {"n_train": 300, "n_validation": 400, "signal": 1.0, "seed": 3}


def claimed(task: Task, *claims: dict[str, Any], model: Any = memoriser, fault: Any = None, **request: Any) -> Case:
    """A case of which these numbers are reported."""
    train, validation = splits(task, **WORLD)
    seen = fault(validation, train, np.random.default_rng(0)) if fault else validation
    return case_of(
        train, seen, model(train, task), request=request_for(task=task, reported_metrics=list(claims), **request)
    )


def gives(task: Task, metric: str, split: str = "validation", **world: Any) -> float:
    one = claimed(task, **world)
    return METRICS[metric](judged(one, getattr(one, split)))


@pytest.mark.parametrize(
    ("task", "metric"),
    [("binary", "accuracy"), ("binary", "roc_auc"), ("multiclass", "f1_macro"), ("regression", "r2")],
)
def test_fires_on_a_number_of_the_training_rows(task: Task, metric: str):
    value = gives(task, metric, "train")

    result = result_of(CODE, claimed(task, {"name": metric, "value": value}))

    assert result.outcome is Outcome.FAIL
    assert result.finding.severity is Severity.CRITICAL
    assert result.confirmation.confirmed
    assert "on the training rows" in result.confirmation.intervention
    assert result.confirmation.after == pytest.approx(value, abs=1e-4)


def test_fires_on_a_number_from_nowhere():
    result = result_of(CODE, claimed("binary", {"name": "accuracy", "value": 0.8317}))

    assert result.outcome is Outcome.FAIL
    assert result.confirmation is None
    assert "None of the usual mistakes" in result.finding.summary or "candidates" in result.finding.summary


@pytest.mark.parametrize(("off", "severity"), [(0.07, Severity.WARNING), (0.035, Severity.INFO)])
def test_a_number_that_other_rows_might_give_is_an_observation(off: float, severity: Severity):
    """Materially another number than these rows give, outside the interval and inside it."""
    value = gives("binary", "accuracy")

    result = result_of(CODE, claimed("binary", {"name": "accuracy", "value": round(value + off, 4)}))

    assert result.finding.severity is severity
    if severity is Severity.INFO:
        assert (result.outcome, result.ranks) == (Outcome.PASS, False)
        assert (
            "Another sample of this size could give that number" in result.finding.summary
            or "candidates" in result.finding.summary
        )


def test_the_weighted_average_is_recognised():
    """Half of the answers are moved to one class, so that the averages differ."""
    model = miscut(-2.0)
    value = round(gives("binary", "f1_weighted", model=model), 4)

    result = result_of(CODE, claimed("binary", {"name": "f1", "value": value}, model=model))

    assert result.outcome is Outcome.FAIL
    assert "weighted F1 on the validation rows" in result.finding.summary


def test_a_threshold_of_the_training_rows_is_recognised():
    train, validation = splits("binary", n_train=600, n_validation=600, signal=3.0, seed=4)
    answer = miscut(-3.0)(train, "binary")
    shown = case_of(train, validation, answer, request=request_for(task="binary"))
    home, away = judged(shown, shown.train), judged(shown, shown.validation)
    cut = best_threshold(home.labels, home.probabilities[:, 1])
    value = float(np.mean((away.probabilities[:, 1] >= cut) == away.labels))

    result = result_of(
        CODE,
        case_of(
            train,
            validation,
            answer,
            request=request_for(task="binary", reported_metrics=[{"name": "acc", "value": value}]),
        ),
    )

    assert result.outcome is Outcome.FAIL
    assert "cut at the threshold of the best balanced accuracy" in result.finding.summary


@pytest.mark.parametrize("digits", [2, 3, 6])
@pytest.mark.parametrize(
    ("task", "metric"),
    [("binary", "accuracy"), ("binary", "log_loss"), ("multiclass", "mcc"), ("regression", "rmse")],
)
def test_stays_silent_on_the_right_number_however_rounded(task: Task, metric: str, digits: int):
    value = round(gives(task, metric, model=fitted), digits)

    result = result_of(CODE, claimed(task, {"name": metric, "value": value}, model=fitted))

    assert result.finding is None
    assert result.outcome in {Outcome.PASS, Outcome.INCONCLUSIVE}


def test_stays_silent_on_per_cent():
    value = round(100 * gives("binary", "accuracy", model=fitted), 1)

    result = result_of(CODE, claimed("binary", {"name": "val_accuracy", "value": value}, model=fitted))

    assert result.outcome is Outcome.PASS
    assert result.finding is None


def test_stays_silent_on_training_numbers_that_are_lower():
    """A history's training accuracy is measured with dropout, before the epoch is over."""
    value = gives("binary", "accuracy", "train", model=fitted) - 0.15

    result = result_of(CODE, claimed("binary", {"name": "accuracy", "value": value, "split": "train"}, model=fitted))

    assert result.outcome is Outcome.PASS
    assert result.finding.severity is Severity.INFO


def test_stays_silent_on_a_loss_that_holds_a_penalty():
    result = result_of(CODE, claimed("binary", {"name": "val_loss", "value": 0.0513}, model=fitted))
    plain = result_of(CODE, claimed("binary", {"name": "val_log_loss", "value": 0.0513}, model=fitted))

    assert result.outcome is Outcome.PASS
    assert result.finding.severity is Severity.INFO
    assert plain.outcome is Outcome.FAIL


@pytest.mark.parametrize(
    ("fault", "code"),
    [(scaled(3.0), "preprocessing.scaling_mismatch"), (holes(0.4, (0, 1, 2, 3)), "preprocessing.missing_values")],
)
def test_a_number_of_healthy_data_is_explained_by_the_repair(fault: Fault, code: str):
    """Reported before the validation data were spoilt: the data are to blame, not the report.

    What is missing stays lost: the rows without holes show what the model gave.
    """
    train, validation = splits("binary", n_train=600, n_validation=600, signal=4.0, seed=5)
    answer = fitted(train, "binary")
    healthy = case_of(train, validation, answer, request=request_for(task="binary"))
    value = METRICS["accuracy"](judged(healthy, healthy.validation))
    spoilt = fault(validation, train, np.random.default_rng(0))
    request = request_for(task="binary", reported_metrics=[{"name": "accuracy", "value": value}])

    _, results = examined(case_of(train, spoilt, answer, request=request))

    assert results[code].outcome is Outcome.FAIL
    assert results[CODE].finding.severity is Severity.INFO
    assert "measured on healthy data" in results[CODE].finding.summary


def test_a_number_without_copies_is_explained_by_them():
    fault = copied(0.5)
    one = claimed("binary", fault=fault)
    fresh = one.mended.at(one.decontaminated)
    value = METRICS["accuracy"](judged(one, fresh))

    result = result_of(CODE, claimed("binary", {"name": "accuracy", "value": value}, fault=fault))

    assert result.outcome is Outcome.PASS
    assert "copies of training rows" in result.finding.summary


def test_rows_left_unread_excuse_the_number():
    value = gives("binary", "accuracy", "train")

    result = result_of(CODE, claimed("binary", {"name": "accuracy", "value": value}, resources={"max_rows": 400}))

    assert result.finding.severity is Severity.INFO
    assert result.finding.evidence["rows_left_unread"]


@pytest.mark.parametrize("claims", [[], [{"name": "accuracy"}], [{"name": "charm", "value": 0.9}]])
def test_not_applicable_without_a_number_of_a_known_metric(claims: list[dict[str, Any]]):
    assert result_of(CODE, claimed("binary", *claims)).outcome is Outcome.NOT_APPLICABLE


def test_numbers_of_other_rows_of_the_same_kind_pass_for_noise():
    """Forty models whose numbers were measured on a sample of their own: one at most is told."""
    alarms = 0
    for seed in range(40):
        task: Task = ("binary", "multiclass", "regression")[seed % 3]
        n = (50, 100, 200, 500)[seed % 4]
        train, both = splits(task, n_train=400, n_validation=2 * n, signal=2.0, seed=seed)
        here, there = both.at(np.arange(n)), both.at(np.arange(n, 2 * n))
        answer = fitted(train, task)
        other = case_of(train, there, answer, request=request_for(task=task))
        names = ("mae", "r2") if task == "regression" else ("accuracy", "f1_macro", "roc_auc")
        claims = [{"name": m, "value": round(METRICS[m](judged(other, other.validation)), 3)} for m in names]
        one = case_of(train, here, answer, request=request_for(task=task, reported_metrics=claims))
        alarms += result_of(CODE, one).outcome is Outcome.FAIL

    assert alarms <= 1


def test_the_remedys_code_computes_the_metric():
    one = claimed("binary", {"name": "accuracy", "value": 1.0})
    code = defined_by(remedy_of(result_of(CODE, one)))
    rows = judged(one, one.validation)

    values = code["measured"](rows.labels, rows.answers, rows.probabilities[:, 1])

    assert values["accuracy"] == pytest.approx(METRICS["accuracy"](rows))


@pytest.mark.parametrize("n", [1, 2, 18])
@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_few_rows_are_no_crash(task: Task, n: int):
    train, validation = splits(task, n_train=60, n_validation=n, seed=2)
    claims = [{"name": name, "value": 0.9} for name in ("accuracy", "auc", "f1", "mcc", "r2", "mape", "loss")]
    request = request_for(task=task, reported_metrics=claims)

    assert (
        result_of(CODE, case_of(train, validation, fitted(train, task), request=request)).outcome is not Outcome.ERROR
    )
