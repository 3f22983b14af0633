"""preprocessing.non_finite_output: rows that the model does not answer."""

import numpy as np
import pytest

from audits.checks.preprocessing.non_finite_output import CODE
from schemas.report import Outcome, Severity
from tests.audits.checks.remedies import remedy_of
from tests.factories import ModelFactory, Part, case, fitted, holes, numbers, result_of


def silent_above(quantile: float, value: float = np.nan) -> ModelFactory:
    """A fitted model that answers NaN, or infinity, where the first column is large."""

    def build(train: Part, task):
        answer = fitted(train, task)
        limit = np.quantile(train.numbers[:, 0], quantile)

        def predict(x):
            scores = np.array(answer(x), dtype=np.float64)
            scores[numbers(x)[:, 0] > limit] = value
            return scores

        return predict

    return build


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_fires_on_rows_without_an_answer(task: str, value: float):
    result = result_of(CODE, case(task, model=silent_above(0.8, value)))

    assert result.outcome is Outcome.FAIL
    assert result.finding.severity is Severity.CRITICAL
    assert result.finding.effect.estimate == pytest.approx(0.2, abs=0.08)


def test_fires_softly_on_a_few_rows():
    assert result_of(CODE, case(model=silent_above(0.985))).finding.severity is Severity.WARNING


def test_names_the_rows():
    one = case(model=silent_above(0.9))

    rows = result_of(CODE, one).finding.affected.rows

    assert rows == [int(i) for i in np.flatnonzero(~one.validation.predictions.answered)][:100]


def test_stays_silent_on_a_model_that_answers():
    assert result_of(CODE, case()).outcome is Outcome.PASS


def test_stays_silent_on_rows_with_holes():
    """Those are told by missing_values."""
    assert result_of(CODE, case(fault=holes(0.2))).outcome is Outcome.PASS


def test_the_remedys_code_names_weights_that_are_nan():
    namespace: dict = {}
    exec(remedy_of(result_of(CODE, case(model=silent_above(0.8)))).code, namespace)

    class Weight:
        def __init__(self, name, values):
            self.name, self._values = name, np.array(values)

        def numpy(self):
            return self._values

    class Model:
        weights = (Weight("kernel", [1.0, np.nan]), Weight("bias", [0.0]))

    assert namespace["broken_weights"](Model()) == ["kernel"]
