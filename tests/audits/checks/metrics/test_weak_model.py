"""metrics.weak_model: hardly better than a constant."""

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from audits.checks.metrics.weak_model import CODE
from schemas.report import Outcome, Severity
from tests.audits.checks.remedies import defined_by, remedy_of
from tests.audits.checks.timeseries import forecast_case
from tests.factories import case, constant, examined, memoriser, result_of, scaled


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_fires_on_a_model_that_knows_nothing_of_new_rows(task: str):
    result = result_of(CODE, case(task, model=memoriser, signal=0.0, n_validation=800))

    assert result.outcome is Outcome.FAIL
    assert result.finding.effect.estimate < 0.1


@pytest.mark.parametrize(("task", "answer"), [("binary", 0.9), ("regression", 50.0)])
def test_fires_on_a_constant_beside_a_learner_that_does_better(task: str, answer: float):
    result = result_of(CODE, case(task, model=constant(answer)))

    assert result.outcome is Outcome.FAIL
    assert result.finding.evidence["control_learner"] > 0.6
    assert "A control learner" in result.finding.summary


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_stays_silent_on_a_model_with_skill(task: str):
    assert result_of(CODE, case(task)).outcome is Outcome.PASS


def test_is_judged_after_the_repairs():
    _, results = examined(case(fault=scaled(3.0)), {"preprocessing.scaling_mismatch", CODE})

    assert results[CODE].outcome is Outcome.PASS


def test_inconclusive_where_skill_cannot_be_excluded():
    assert result_of(CODE, case(model=memoriser, signal=0.0, n_validation=40)).outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_the_remedys_code_scores_a_simple_learner(task: str):
    code = defined_by(remedy_of(result_of(CODE, case(task, model=constant(0.9), n_validation=200))))
    x = np.random.default_rng(0).normal(size=(120, 2))
    y = (x[:, 0] > 0).astype(int) if task == "binary" else x[:, 0]

    with threadpool_limits(1):
        assert code["simple_learner"](x, y) > 0.5


@pytest.mark.parametrize("n", [100, 400])
@pytest.mark.parametrize("kind", ["walk", "autoregressive", "driven"])
@pytest.mark.parametrize("time", [True, False])
def test_fires_on_a_forecast_that_repeats_the_last_value(kind: str, n: int, time: bool):
    """R2 is high: the next value is near the last one."""
    one = forecast_case(kind, "copy", n_validation=n, time=time)
    result = result_of(CODE, one)

    assert result.outcome is Outcome.FAIL
    assert result.finding.title == "The forecast repeats the last known value"
    assert result.finding.effect.estimate == pytest.approx(0.0, abs=1e-6)
    assert result.finding.evidence["lean_on_last_value_interval"][0] > 0
    assert result.finding.evidence["mase"] == pytest.approx(1.0, abs=0.4)


def test_fires_on_a_copy_several_steps_ahead():
    result = result_of(CODE, forecast_case("walk", "copy", ahead=4, n_validation=600))

    assert result.outcome is Outcome.FAIL
    assert result.finding.evidence["last_known_lag"] == 4


@pytest.mark.parametrize(("kind", "forecast"), [("driven", "worse"), ("seasonal", "copy")])
def test_fires_on_a_forecast_that_is_worse_than_a_naive_one(kind: str, forecast: str):
    """For a seasonal series the naive forecast is the value of a season ago."""
    result = result_of(CODE, forecast_case(kind, forecast))

    assert result.outcome is Outcome.FAIL
    assert result.finding.title == "The forecast is worse than a naive one"
    assert result.finding.evidence["naive_lag"] == (12 if kind == "seasonal" else 1)


@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize("kind", ["driven", "seasonal", "independent"])
@pytest.mark.parametrize("seed", range(3))
def test_stays_silent_on_a_forecast_that_foresees(kind: str, shuffled: bool, seed: int):
    result = result_of(CODE, forecast_case(kind, shuffled=shuffled, seed=seed))

    assert result.outcome is Outcome.PASS
    assert result.finding is None


def test_stays_silent_on_the_best_forecast_of_a_slow_series():
    """Nothing more can be known: its skill over the last value is 0.05 where the steps correlate by 0.9."""
    outcomes = [
        result_of(CODE, forecast_case("autoregressive", n_validation=800, seed=seed)).outcome for seed in range(6)
    ]

    assert Outcome.FAIL not in outcomes


def test_a_last_value_that_may_not_be_known_is_observed_alone():
    """No feature holds an earlier label: the model may have to do without it."""
    result = result_of(CODE, forecast_case("driven", lags=(), memory=0.97, n_validation=600, seed=2))

    assert result.finding is None or result.finding.severity is not Severity.CRITICAL
    if result.finding is not None and result.outcome is not Outcome.FAIL:
        assert "may not be known in time" in result.finding.summary
        assert result.finding.severity is Severity.INFO
        assert not result.ranks


def test_the_remedys_code_computes_the_skill():
    code = defined_by(remedy_of(result_of(CODE, forecast_case("walk", "copy"))))
    y = np.array([1.0, 2.0, 4.0, 7.0])

    assert code["skill"](y, y) == 1.0
    assert code["skill"](y, np.array([0.0, 1.0, 2.0, 4.0])) == pytest.approx(0.0)
    assert code["change"](y)[1:].tolist() == [1.0, 2.0, 3.0]
