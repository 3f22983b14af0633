"""metrics.weak_model: hardly better than a constant."""

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from audits.checks.metrics.weak_model import CODE
from schemas.report import Outcome
from tests.audits.checks.remedies import defined_by, remedy_of
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
