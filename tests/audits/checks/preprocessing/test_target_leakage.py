"""preprocessing.target_leakage: a column that knows the answer."""

import numpy as np
import pandas as pd
import pytest

from audits.checks.preprocessing.target_leakage import CODE
from audits.evidence.case import Case
from schemas.report import Outcome, Severity
from tests.audits.checks.remedies import defined_by, remedy_of
from tests.factories import (
    Part,
    Task,
    case,
    case_of,
    examined,
    faults_found,
    fitted,
    on_column,
    request_for,
    result_of,
    splits,
)


def leaking(
    task: Task = "binary",
    *,
    knows: float = 1.0,
    in_validation: bool = True,
    model=fitted,
    signal: float = 1.0,
    layout: str = "table",
) -> Case:
    """Column 2 is the label in training: for a share `knows` of the rows, in noise otherwise."""
    parts = []
    for place, part in enumerate(splits(task, signal=signal, layout=layout, classes=3)):
        rng = np.random.default_rng(place)
        values, answer = part.numbers, np.asarray(part.y, dtype=np.float64)
        told = rng.random(len(part)) < knows
        if place and not in_validation:
            answer = rng.permutation(answer)
        noise = rng.normal(0, 0.05, len(part)) * answer.std()
        values[:, 2] = np.where(told, answer, rng.permutation(answer)) + noise
        parts.append(part.with_numbers(values))
    return case_of(parts[0], parts[1], model(parts[0], task), request=request_for(task=task))


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("layout", ["table", "vector"])
def test_fires_on_a_column_that_is_the_label(task: Task, layout: str):
    result = result_of(CODE, leaking(task, layout=layout))

    assert result.outcome is Outcome.FAIL
    assert result.finding.evidence["column"] in {"c2", "x[2]"}
    assert result.finding.severity is Severity.WARNING


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_what_the_metric_owes_to_a_leak_of_both_splits_is_proven(task: Task):
    """Shuffling any other column costs far less."""
    proof = result_of(CODE, leaking(task)).confirmation

    assert proof.confirmed
    assert proof.intervention == "shuffle c2 in the validation data"
    assert proof.gain_interval[1] < 0
    assert proof.after - proof.before < proof.placebo_gain


@pytest.mark.parametrize("knows", [0.9, 1.0])
def test_a_leak_that_validation_does_not_have_is_critical(knows: float):
    """The training metric was bought with it: that is what the gap is made of."""
    one = leaking(knows=knows, in_validation=False)

    result = result_of(CODE, one)

    assert result.finding.severity is Severity.CRITICAL
    owed, gap = one.train_score[0] - result.confirmation.after, one.train_score[0] - one.validation_score[0]
    assert result.recovered.estimate == pytest.approx(min(owed, gap))
    assert result.recovered.interval[0] > 0.2


def test_a_leak_explains_the_gap_instead_of_the_model():
    """No overfitting is found on top of what the leak did."""
    found = faults_found(examined(leaking(in_validation=False))[1])

    assert CODE in found
    assert not [code for code in found if code.startswith("overfitting.")]


def test_fires_on_a_text_that_is_the_label():
    parts = [
        Part(part.x.assign(outcome=np.array(["open", "closed"], dtype=object)[part.y]), part.y)
        for part in splits(signal=1.0)
    ]

    def reads_text(rows: pd.DataFrame) -> np.ndarray:
        return np.where(rows["outcome"] == "closed", 0.99, 0.01)

    one = case_of(*parts, fitted(parts[0], "binary"), predict=reads_text)

    result = result_of(CODE, one)

    assert result.outcome is Outcome.FAIL
    assert result.finding.affected.columns == ["outcome"]


@pytest.mark.parametrize("layout", ["table", "vector"])
def test_the_remedys_code_drops_the_column(layout: str):
    _, validation = splits(layout=layout)

    without = defined_by(remedy_of(result_of(CODE, leaking(layout=layout))))["without_the_leak"](validation.x)

    np.testing.assert_array_equal(Part(without, validation.y).numbers, np.delete(validation.numbers, 2, axis=1))


def test_a_strong_column_of_both_splits_may_be_honest():
    """Skill 0.8, twice that of the next one: the labels depend on it. One that vanishes does not."""
    honest, vanished = leaking(knows=0.8), leaking(knows=0.8, in_validation=False)

    assert result_of(CODE, honest).outcome is Outcome.PASS
    assert result_of(CODE, vanished).outcome is Outcome.FAIL


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("signal", [0.0, 3.0, 8.0])
def test_stays_silent_on_columns_that_share_the_work(task: Task, signal: float):
    assert result_of(CODE, case(task, signal=signal)).outcome is Outcome.PASS


def test_stays_silent_on_two_columns_that_know_equally_much():
    """Strong, and not alone: a leak would leave the next best far behind."""
    parts = []
    for place, part in enumerate(splits(signal=0.5)):
        values, rng = part.numbers, np.random.default_rng(place)
        values[:, 2:4] = part.y[:, None] + rng.normal(0, 0.4, (len(part), 2))
        parts.append(part.with_numbers(values))

    one = case_of(*parts, fitted(parts[0], "binary"))

    assert result_of(CODE, one).finding is None


def test_stays_silent_on_a_leak_that_the_model_does_not_use():
    """Of a model that never looks at the column, no score is bought with it."""
    assert result_of(CODE, leaking(model=on_column(0))).outcome is Outcome.PASS


def test_inconclusive_on_few_rows():
    assert result_of(CODE, case(n_train=49)).outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize("world", [{"layout": "image"}, {"columns": 1}, {"columns": 301, "n_train": 60}])
def test_not_applicable_without_columns_to_compare(world: dict):
    assert result_of(CODE, case(**world)).outcome is Outcome.NOT_APPLICABLE
