"""metrics.small_validation: too few rows to tell models apart."""

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier, DummyRegressor

from audits.checks.metrics.small_validation import CODE
from schemas.report import Outcome, Severity
from tests.audits.checks.remedies import defined_by, remedy_of
from tests.audits.checks.timeseries import forecast_case
from tests.factories import case, result_of


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("n", [18, 40])
def test_fires_on_a_few_dozen_rows(task: str, n: int):
    result = result_of(CODE, case(task, n_validation=n, signal=1.0))

    assert result.outcome is Outcome.FAIL
    assert result.finding.severity is Severity.WARNING
    assert result.finding.evidence["rows_needed"] > n


@pytest.mark.parametrize("n_train", [40, 500])
def test_redrawn_rows_show_how_far_chance_goes(n_train: int):
    """From the training rows where they are many, else from the validation rows themselves."""
    proof = result_of(CODE, case(n_train=n_train, n_validation=18, signal=1.0)).confirmation

    assert proof.confirmed
    assert proof.after - proof.before > 0.1
    assert ("training" if n_train == 500 else "validation") in proof.intervention


def test_fires_on_many_rows_with_few_positives():
    """A rare class counts by its own rows."""
    assert result_of(CODE, case(prevalence=0.02, n_validation=500)).outcome is Outcome.FAIL


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_stays_silent_on_enough_rows(task: str):
    assert result_of(CODE, case(task, n_validation=1200)).outcome is Outcome.PASS


def test_the_rows_asked_for_are_enough():
    needed = result_of(CODE, case(n_validation=60)).finding.evidence["rows_needed"]

    assert result_of(CODE, case(n_validation=int(1.4 * needed))).outcome is Outcome.PASS


def test_the_standard_error_is_that_of_repeated_samples():
    """Balanced accuracy of 150 rows, over 60 validation sets of one model."""
    scores = [
        case(n_train=60, n_validation=150, model=_fixed, seed=seed, columns=2).validation_score[0] for seed in range(60)
    ]
    claimed = result_of(CODE, case(n_train=60, n_validation=150, model=_fixed, columns=2, limits=STRICT))

    assert claimed.finding.evidence["standard_error"] == pytest.approx(np.std(scores), rel=0.35)


STRICT = {CODE: {"material_difference": 0.001}}


def _fixed(train, task):
    """Right for four rows in five, at random."""
    return lambda m: np.where(np.random.default_rng(0).random(len(m)) < 0.8, 0.9, 0.1)


def test_the_difference_that_matters_is_the_requests():
    one = case(n_validation=300, limits={CODE: {"material_difference": 0.02}})

    assert result_of(CODE, one).outcome is Outcome.FAIL


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_the_remedys_code_estimates_by_cross_validation(task: str):
    code = defined_by(remedy_of(result_of(CODE, case(task, n_validation=30, signal=1.0))))
    x, y = np.zeros((40, 1)), np.arange(40) % 2

    scores = code["estimate"](DummyClassifier() if task == "binary" else DummyRegressor(), x, y)

    assert len(scores) == 50


def test_rows_that_depend_on_each_other_count_for_less():
    """A forecast without the past: its errors wander with the series."""
    told = result_of(CODE, forecast_case("driven", lags=(), n_validation=200, limits=STRICT)).finding
    alone = result_of(CODE, forecast_case("driven", lags=(), n_validation=200, limits=STRICT, time=False)).finding

    assert told.evidence["effective_rows"] < 150
    assert told.evidence["standard_error"] > 1.15 * alone.evidence["standard_error"]
    assert "depend on each other" in told.summary
    assert alone.evidence["effective_rows"] == 200
    assert "depend" not in alone.summary
