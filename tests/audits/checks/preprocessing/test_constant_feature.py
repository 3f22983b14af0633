"""preprocessing.constant_feature: a column that is constant in one split."""

import numpy as np
import pandas as pd
import pytest

from audits.checks.preprocessing.constant_feature import CODE
from schemas.report import Outcome, Severity
from tests.audits.checks.remedies import defined_by, remedy_of
from tests.factories import Fault, Part, case, case_of, fitted, on_column, result_of, splits


def frozen(*columns: int, at: float | None = None) -> Fault:
    """Columns that hold one value, the training median unless it is given."""

    def spoil(part: Part, train: Part, rng: np.random.Generator) -> Part:
        values = part.numbers
        for column in columns:
            values[:, column] = np.median(train.numbers[:, column]) if at is None else at
        return part.with_numbers(values)

    return spoil


def untrained(seed: int = 0, n_validation: int = 300):
    """A model with a random weight on a column that never varied in training, and varies in validation."""
    train, validation = splits(columns=5, n_validation=n_validation, seed=seed)
    answer = fitted(train, "binary")
    rng = np.random.default_rng(seed)

    def model(m):
        return np.clip(answer(m[:, :5]) + 0.6 * m[:, 5], 0, 1)

    shown = Part(train.x.assign(site=0.0), train.y)
    spoilt = Part(validation.x.assign(site=rng.normal(size=len(validation))), validation.y)
    return case_of(shown, spoilt, model)


@pytest.mark.parametrize("layout", ["table", "vector"])
@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_fires_on_columns_that_the_validation_data_lost(task: str, layout: str):
    result = result_of(CODE, case(task, layout=layout, fault=frozen(0, 2, 3), seed=2))

    assert result.outcome is Outcome.FAIL
    assert len(result.finding.affected.columns) == 3
    assert result.confirmation.after < result.confirmation.before
    assert result.confirmation.gain_interval[1] < 0
    assert result.recovered.estimate > 0.02


def test_fires_on_a_column_that_was_constant_in_training_alone():
    result = result_of(CODE, untrained())

    assert result.outcome is Outcome.FAIL
    assert result.finding.affected.columns == ["site"]
    assert result.confirmation.after > result.confirmation.before + 0.1


@pytest.mark.parametrize("layout", ["table", "vector"])
@pytest.mark.parametrize("site", [0.0, 7.0])
def test_fires_on_a_column_that_is_another_constant_in_each_split(site: float, layout: str):
    """No row shows that the value is new: only the other file does."""
    train, validation = splits(columns=5, n_validation=300, layout=layout)
    answer = fitted(train, "binary")

    def at(part: Part, value: float) -> Part:
        if layout == "table":
            return Part(part.x.assign(site=value), part.y)
        return Part(np.column_stack([part.x, np.full(len(part), value)]), part.y)

    one = case_of(at(train, site), at(validation, 999.0), lambda m: np.clip(answer(m[:, :5]) + m[:, 5] - site, 0, 1))
    result = result_of(CODE, one)

    assert result.outcome is Outcome.FAIL
    assert result.finding.affected.columns == ["site" if layout == "table" else "x[5]"]
    assert result.confirmation.confirmed


def test_another_constant_that_the_model_ignores_is_not_told_as_the_same():
    train, validation = splits()
    parts = (Part(p.x.assign(site=value), p.y) for p, value in ((train, 0.0), (validation, 999.0)))
    answer = fitted(train, "binary")

    result = result_of(CODE, case_of(*parts, lambda m: answer(m[:, :6])))

    assert result.outcome is Outcome.PASS
    assert result.finding is None
    assert "not a cause" in result.reason


def test_what_is_recovered_is_no_more_than_the_gap():
    one = case(fault=frozen(0, 1, 2, 3, 4), seed=2)

    result = result_of(CODE, one)

    assert result.recovered.estimate <= one.train_score[0] - one.validation_score[0] + 1e-9


def test_a_lost_column_that_the_model_ignores_is_an_observation():
    result = result_of(CODE, case(model=on_column(5), fault=frozen(0)))

    assert result.outcome is Outcome.PASS
    assert result.finding.severity is Severity.INFO


def test_a_constant_that_costs_the_validation_data_nothing_is_an_observation():
    """All validation rows are of one site: in truth, and not because a join failed."""
    train, validation = splits("regression", columns=4, n_train=800, n_validation=1600)
    site = train.x["c0"] > train.x["c0"].median()
    answer = fitted(Part(train.x.assign(c0=site.astype(float)), train.y), "regression")
    shown = Part(train.x.assign(c0=site.astype(float)), train.y)
    of_one_site = validation.at(np.flatnonzero(validation.x["c0"] > train.x["c0"].median()))
    spoilt = Part(of_one_site.x.assign(c0=1.0), answer(of_one_site.x.assign(c0=1.0).to_numpy()))

    result = result_of(CODE, case_of(shown, spoilt, answer))

    assert result.finding.severity is Severity.INFO
    assert result.outcome is Outcome.PASS


def test_columns_that_are_constant_everywhere_are_an_observation():
    result = result_of(CODE, case(fault=frozen(0, at=1.0), train_fault=frozen(0, at=1.0)))

    assert result.finding.severity is Severity.INFO
    assert "both splits" in result.finding.summary


def test_texts_can_be_lost_too():
    train, validation = splits(texts=1)

    def red(frame: pd.DataFrame) -> np.ndarray:
        return (frame["t0"] == "red").to_numpy(dtype=float)

    shown = Part(train.x, red(train.x).astype(int))
    spoilt = Part(validation.x.assign(t0="blue"), red(validation.x).astype(int))
    result = result_of(CODE, case_of(shown, spoilt, lambda m: m[:, 0], predict=red))

    assert result.outcome is Outcome.FAIL
    assert result.finding.affected.columns == ["t0"]


def test_the_remedys_code_refuses_a_lost_column():
    result = result_of(CODE, case(fault=frozen(0, 2, 3), seed=2))
    train, validation = splits(seed=1)
    require = defined_by(remedy_of(result))["require_varied"]

    require(train.x, validation.x)
    with pytest.raises(ValueError, match="constant in validation"):
        require(train.x, validation.x.assign(c0=1.0))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("task", ["binary", "regression"])
def test_stays_silent_on_healthy_data(task: str, seed: int):
    assert result_of(CODE, case(task, categories=2, texts=1, seed=seed)).finding is None


def test_inconclusive_on_few_rows():
    assert result_of(CODE, case(n_validation=20, fault=frozen(0))).outcome is Outcome.INCONCLUSIVE


def test_not_applicable_to_images():
    assert result_of(CODE, case(layout="image")).outcome is Outcome.NOT_APPLICABLE
