"""metrics.majority_class: one answer for everybody."""

import numpy as np
import pytest

from audits.checks.metrics.majority_class import CODE
from schemas.report import Outcome, Severity
from tests.factories import case, constant, miscut, result_of


@pytest.mark.parametrize("answer", [0.0, 0.3, 0.9])
def test_fires_on_one_answer_for_all(answer: float):
    result = result_of(CODE, case(model=constant(answer)))

    assert result.outcome is Outcome.FAIL
    assert result.finding.severity is Severity.CRITICAL
    assert result.finding.effect.estimate == 1.0
    assert result.finding.evidence["answers"] == {"0": 300 * (answer < 0.5), "1": 300 * (answer >= 0.5)}


def test_fires_on_nearly_one_answer():
    result = result_of(CODE, case(model=miscut(6.0)))

    assert result.outcome is Outcome.FAIL
    assert 0.95 <= result.finding.effect.estimate < 1.0


def test_fires_on_several_classes():
    def always_one(train, task):
        return lambda m: np.tile([0.2, 0.7, 0.1], (len(m), 1))

    assert result_of(CODE, case("multiclass", model=always_one)).outcome is Outcome.FAIL


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_stays_silent_on_a_model_that_tells_classes_apart(task: str):
    assert result_of(CODE, case(task)).outcome is Outcome.PASS


def test_stays_silent_where_the_labels_are_as_one_sided():
    """98 % of the answers are no, and so are 97 % of the labels."""
    assert result_of(CODE, case(prevalence=0.02, model=constant(0.1), n_validation=1000)).outcome is Outcome.PASS


def test_rows_without_an_answer_do_not_count():
    def half_silent(train, task):
        return lambda m: np.where(np.arange(len(m)) % 2 == 0, np.nan, 0.9)

    result = result_of(CODE, case(model=half_silent))

    assert result.finding.n == 150


def test_inconclusive_without_any_answer():
    assert result_of(CODE, case(model=constant(np.nan), kind="probability")).outcome is Outcome.INCONCLUSIVE


def test_inconclusive_on_a_handful_of_rows():
    """Eight answers alike of eight: Wilson's interval reaches below the share of the class."""

    def mostly_ones(part, train, rng):
        return part.at(np.concatenate([np.flatnonzero(part.y == 1)[:7], np.flatnonzero(part.y == 0)[:1]]))

    one = case(n_validation=60, model=constant(0.9), fault=mostly_ones)

    assert result_of(CODE, one).outcome is Outcome.INCONCLUSIVE


def test_not_applicable_to_a_regression():
    assert result_of(CODE, case("regression", model=constant(50.0))).outcome is Outcome.NOT_APPLICABLE
