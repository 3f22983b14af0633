"""preprocessing.unscaled_inputs: large columns drown the small ones."""

import numpy as np
import pytest

from audits.checks.preprocessing.unscaled_inputs import CODE
from audits.evidence.case import Case
from schemas.report import Outcome
from tests.factories import Answer, Part, Task, case, case_of, constant, fitted, on_column, result_of, splits


def drowned(task: Task = "binary", *, learned: bool = False, factor: float = 1e5, seed: int = 0) -> Case:
    """The first column is a hundred thousand times larger, and alone in what the model has learned."""
    train, validation = splits(task, standardised=True, seed=seed)

    def enlarged(part: Part) -> Part:
        return Part(part.x.assign(c5=factor * part.x["c5"]), part.y)

    shown, rest = enlarged(train), enlarged(validation)
    answer: Answer = fitted(shown, task) if learned else on_column(5)(shown, task)
    return case_of(shown, rest, answer)


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_fires_on_a_model_that_follows_the_largest_column_alone(task: Task):
    result = result_of(CODE, drowned(task))

    assert result.outcome is Outcome.FAIL
    assert result.finding.affected.columns == ["c5"]
    assert result.finding.effect.estimate == pytest.approx(1e5, rel=0.3)
    assert result.confirmation.by_exclusion
    assert result.confirmation.after > result.confirmation.before


@pytest.mark.parametrize("seed", range(3))
def test_stays_silent_on_a_model_that_learned_all_the_same(seed: int):
    assert result_of(CODE, drowned(learned=True, seed=seed)).outcome is Outcome.PASS


def test_stays_silent_on_a_model_that_learned_little_from_columns_of_one_size():
    one = case(standardised=True, model=on_column(5))

    assert result_of(CODE, one).outcome is Outcome.PASS


def test_stays_silent_where_the_model_follows_a_small_column():
    """It did not learn, but not because of the large one."""
    train, validation = splits(standardised=True)
    shown, rest = (Part(p.x.assign(c0=1e5 * p.x["c0"]), p.y) for p in (train, validation))

    assert result_of(CODE, case_of(shown, rest, on_column(5)(shown, "binary"))).outcome is Outcome.PASS


def test_inconclusive_without_a_control_learner():
    train, validation = splits(n_train=40, standardised=True)
    shown, rest = (Part(p.x.assign(c5=1e5 * p.x["c5"]), p.y) for p in (train, validation))

    assert result_of(CODE, case_of(shown, rest, on_column(5)(shown, "binary"))).outcome is Outcome.INCONCLUSIVE


def test_not_applicable_to_images_and_constants():
    assert result_of(CODE, case(layout="image", model=constant(0.5))).outcome is Outcome.NOT_APPLICABLE
    train, validation = splits(columns=1)
    shown, rest = (Part(p.x * 0.0, p.y) for p in (train, validation))
    assert result_of(CODE, case_of(shown, rest, lambda m: np.full(len(m), 0.3))).outcome is Outcome.NOT_APPLICABLE
