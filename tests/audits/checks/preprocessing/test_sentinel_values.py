"""preprocessing.sentinel_values: a number that stands for missing."""

import numpy as np
import pytest

from audits.checks.preprocessing import outliers
from audits.checks.preprocessing.sentinel_values import CODE
from schemas.report import Outcome
from tests.audits.checks.remedies import defined_by, remedy_of
from tests.factories import (
    Part,
    both,
    case,
    examined,
    on_column,
    outlying,
    result_of,
    sentinels,
    splits,
)


def test_the_value_at_which_outliers_were_cut_is_no_sentinel():
    """It stands in many rows after that repair, and in none as they were submitted."""
    codes = {CODE, outliers.CODE}
    one, results = examined(case("regression", fault=outlying(0.3, 20.0), n_train=800, n_validation=400), codes)

    assert [trial.suspicion.code for trial in one.trials if trial.confirmed] == [outliers.CODE]
    assert results[CODE].finding is None
    assert CODE not in {trial.suspicion.code for trial in one.trials}


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("value", [-999.0, 9999.0, 1e20])
def test_fires_on_a_number_far_away(task: str, value: float):
    result = result_of(CODE, case(task, n_validation=1000, fault=sentinels(value, 0.4)))

    assert result.outcome is Outcome.FAIL
    assert result.finding.evidence["sentinels"] == {"c0": value}


@pytest.mark.parametrize("layout", ["table", "vector"])
def test_fires_on_zeros_in_a_continuous_column(layout: str):
    """Within reach of the training values, and never among them."""
    zeros = sentinels(0.0, 0.3, [0, 2])
    one = case("regression", layout=layout, seed=1, fault=zeros)

    result = result_of(CODE, one)

    assert result.outcome is Outcome.FAIL
    assert list(result.finding.evidence["sentinels"].values()) == [0.0, 0.0]
    assert result.finding.affected.share_of_rows == pytest.approx(1 - 0.7**2, abs=0.08)


def test_the_rows_named_are_those_that_hold_the_sentinel():
    one = case(fault=sentinels(-999.0, 0.2))

    affected = result_of(CODE, one).finding.affected

    held = np.flatnonzero(one.validation.sample.rows["c0"].to_numpy() == -999.0)
    assert affected.rows == [int(i) for i in held[:100]]
    assert affected.columns == ["c0"]


@pytest.mark.parametrize("layout", ["table", "vector"])
def test_the_remedys_code_takes_the_sentinel_out(layout: str):
    train, validation = splits(layout=layout)
    spoilt = sentinels(-999.0, 0.2)(validation, train, np.random.default_rng(0))

    names = defined_by(remedy_of(result_of(CODE, case(layout=layout, fault=sentinels(-999.0, 0.2)))))
    cleaned = names["fill"](train.x, spoilt.x) if layout == "table" else names["to_missing"](spoilt.x)

    assert not (Part(cleaned, validation.y).numbers == -999.0).any()
    if layout == "table":
        assert cleaned.notna().all().all()


@pytest.mark.parametrize("task", ["binary", "regression"])
@pytest.mark.parametrize("seed", range(3))
def test_stays_silent_on_healthy_data(task: str, seed: int):
    assert result_of(CODE, case(task, seed=seed)).finding is None


def test_stays_silent_on_a_value_that_training_holds_as_often():
    fault = sentinels(-999.0, 0.2)

    assert examined(case(train_fault=fault, fault=fault), {CODE})[0].trials == ()


def test_stays_silent_on_far_values_that_all_differ():
    """Those are outliers."""
    assert result_of(CODE, case(fault=outlying(0.2, 30.0))).finding is None


def test_stays_silent_on_counts():
    """Whole numbers repeat; none of them stands for missing."""

    def rounded(part: Part, train: Part, rng: np.random.Generator) -> Part:
        values = (part.numbers - train.numbers.mean(axis=0)) / train.numbers.std(axis=0)
        return part.with_numbers(np.round(2 * values))

    one = case("regression", train_fault=rounded, fault=rounded)

    assert result_of(CODE, one).outcome is Outcome.PASS


@pytest.mark.parametrize("share", [0.05, 0.6])
def test_stays_silent_on_a_new_level_of_a_column_of_counts(share: float):
    """One more than training ever counted is a count, however frequent."""

    def counted(part: Part, train: Part, rng: np.random.Generator) -> Part:
        values = part.numbers
        values[:, 0] = rng.integers(0, 12, len(values))
        return part.with_numbers(values)

    one = case(train_fault=counted, fault=both(counted, sentinels(12.0, share)))

    assert not [trial for trial in examined(one, {CODE})[0].trials if trial.confirmed]


def test_stays_silent_on_a_handful():
    assert result_of(CODE, case(fault=sentinels(-999.0, 0.004))).finding is None


def test_a_sentinel_that_the_model_ignores_is_tested_and_acquitted():
    mended, results = examined(case(model=on_column(0), fault=sentinels(-999.0, 0.3, [3])), {CODE})

    assert results[CODE].outcome is Outcome.PASS
    assert [trial.suspicion.columns for trial in mended.trials] == [("c3",)]


def test_inconclusive_on_few_rows():
    assert result_of(CODE, case(n_validation=25, fault=sentinels(-999.0, 0.3))).outcome is Outcome.INCONCLUSIVE
