"""preprocessing.missing_values: holes that reach the model, and rows that were dropped for them."""

import numpy as np
import pandas as pd
import pytest

from audits.artefacts import Array
from audits.checks.preprocessing.missing_values import CODE
from schemas.report import Outcome, Severity
from tests.audits.checks.remedies import defined_by, remedy_of
from tests.factories import (
    Answer,
    Part,
    Task,
    both,
    case,
    case_of,
    examined,
    fitted,
    holes,
    on_column,
    result_of,
    splits,
)


def zero_filling(train: Part, task: Task) -> Answer:
    """A model that takes every hole for 0, far from where its columns lie."""
    answer = fitted(train, task)
    return lambda m: answer(np.nan_to_num(m))


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("layout", ["table", "vector", "image"])
def test_fires_on_holes_that_silence_the_model(task: str, layout: str):
    columns = (0, 7) if layout == "image" else (0, 3)

    result = result_of(CODE, case(task, layout=layout, fault=holes(0.2, columns)))

    assert result.outcome is Outcome.FAIL
    assert result.confirmation.confirmed
    assert result.recovered.interval[0] > 0


@pytest.mark.parametrize("share", [0.15, 0.5])
def test_fires_on_holes_that_the_model_takes_for_zeros(share: float):
    result = result_of(CODE, case(standardised=False, seed=1, model=zero_filling, fault=holes(share, range(6))))

    assert result.outcome is Outcome.FAIL
    assert result.finding.affected.share_of_rows == pytest.approx(1 - (1 - share) ** 6, abs=0.06)


def test_compares_the_imputations_on_the_same_rows():
    imputations = result_of(CODE, case(fault=holes(0.3, range(6)))).finding.evidence["imputations"]

    assert imputations["n"] == 300
    for method in ("median", "mean", "k nearest neighbours"):
        assert imputations[method]["gain"] == pytest.approx(imputations[method]["after"] - imputations["before"])
        assert imputations[method]["gain_interval"][0] > 0


def test_holes_in_text_columns_are_filled_with_the_most_frequent_text():
    def spoil(part: Part, train: Part, rng: np.random.Generator) -> Part:
        frame = part.x.copy()
        frame.loc[rng.random(len(frame)) < 0.3, "t0"] = None
        return Part(frame, part.y)

    mended, _ = examined(case(texts=1, fault=both(spoil, holes(0.2))), {CODE})

    assert mended.mended.rows["t0"].notna().all()
    was_missing = mended.validation.sample.rows["t0"].isna().to_numpy()
    assert set(mended.mended.rows["t0"][was_missing]) == {"red"}


def test_few_silent_rows_are_a_finding_though_imputing_them_proves_nothing():
    """Five rows of 300: the gain is not distinguishable from none, the missing answers are certain."""

    def spoil(part: Part, train: Part, rng: np.random.Generator) -> Part:
        values = part.numbers
        values[:5, 0] = np.nan
        return part.with_numbers(values)

    result = result_of(CODE, case(fault=spoil, limits={CODE: {"min_gain": 0.05}}))

    assert result.outcome is Outcome.FAIL
    assert result.finding.severity is Severity.WARNING
    assert result.finding.affected.rows == [0, 1, 2, 3, 4]
    assert not result.confirmation.confirmed


def test_fires_on_rows_that_were_dropped_for_their_holes():
    """A model that cannot answer holed rows, 30 % of them in training and none in validation."""
    result = result_of(CODE, case(train_fault=holes(0.3)))

    assert result.outcome is Outcome.FAIL
    assert "dropped" in result.finding.title
    assert result.finding.effect.estimate == pytest.approx(0.3, abs=0.05)


def test_fires_on_holes_that_training_never_showed():
    """The model's answers happen not to suffer; it was still not made for NaN."""
    result = result_of(CODE, case(model=on_column(1), fault=holes(0.3, [0])))

    assert result.outcome is Outcome.FAIL
    assert result.finding.severity is Severity.WARNING
    assert "The training data had none" in result.finding.summary


def test_holes_more_frequent_in_one_split_are_an_observation():
    def tolerant(train: Part, task: Task) -> Answer:
        answer, centre = fitted(train, task), train.numbers.mean(axis=0)
        return lambda m: answer(np.where(np.isnan(m), centre, m))

    result = result_of(CODE, case(model=tolerant, signal=0.0, train_fault=holes(0.1), fault=holes(0.4)))

    assert result.outcome is Outcome.PASS
    assert result.finding.severity is Severity.INFO
    assert not result.ranks
    assert result.finding.effect.estimate == pytest.approx(0.3, abs=0.08)


def test_the_remedys_code_fills_every_hole_from_the_training_rows():
    train, validation = splits(texts=1)
    frame = validation.x.copy()
    frame.loc[:100, ["c0", "t0"]] = None

    result = result_of(CODE, case_of(train, Part(frame, validation.y), fitted(train, "binary")))
    filled = defined_by(remedy_of(result))["impute"](train.x, frame)

    assert not filled.isna().any().any()
    assert (filled.loc[:100, "c0"] == train.x["c0"].median()).all()
    assert (filled.loc[:100, "t0"] == "red").all()


def test_the_remedys_code_fills_arrays():
    train, validation = splits(layout="vector")
    spoilt = holes(0.2)(validation, train, np.random.default_rng(0))

    result = result_of(CODE, case(layout="vector", fault=holes(0.2)))

    assert np.isfinite(defined_by(remedy_of(result))["impute"](train.x, spoilt.x)).all()


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("layout", ["table", "vector", "image"])
def test_stays_silent_without_holes(task: str, layout: str):
    result = result_of(CODE, case(task, layout=layout))

    assert result.outcome is Outcome.PASS
    assert result.finding is None


def test_stays_silent_on_holes_that_both_splits_have_and_the_model_handles():
    def tolerant(train: Part, task: Task) -> Answer:
        answer, centre = fitted(train, task), train.numbers.mean(axis=0)
        return lambda m: answer(np.where(np.isnan(m), centre, m))

    result = result_of(CODE, case(model=tolerant, train_fault=holes(0.2), fault=holes(0.2)))

    assert result.finding is None


def test_holes_are_imputed_from_the_training_rows_alone():
    """Validation values that lie elsewhere must not move the fill."""
    train, validation = splits()
    values = validation.numbers + 1000.0
    values[:150, 0] = np.nan
    one = case_of(train, validation.with_numbers(values), fitted(train, "binary"))

    mended = examined(one, {CODE})[0]
    trial = mended.trials[0]

    filled: Array = pd.Series(trial.after.rows["c0"]).to_numpy()[:150]
    np.testing.assert_allclose(filled, train.x["c0"].median())


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_holes_that_go_with_the_label_are_told(task: Task):
    """A field that is left empty for the high labels, in both splits: nothing is lost, and something is said."""

    def empty_when_high(part: Part, train: Part, rng: np.random.Generator) -> Part:
        values = part.numbers
        values[(part.y > np.median(train.y) - 0.5) & (rng.random(len(part)) < 0.5), 5] = np.nan
        return part.with_numbers(values)

    one = case(task, model=on_column(0), fault=empty_when_high, train_fault=empty_when_high, n_train=600)

    result = result_of(CODE, one)

    assert result.outcome is Outcome.PASS
    assert result.finding.severity is Severity.INFO
    assert result.finding.affected.columns == ["c5"]
    assert result.finding.evidence["cramers_v"]["c5"] > 0.2


def test_stays_silent_on_holes_at_random():
    """Twenty worlds: the association of chance is small, and many columns are many tests."""
    told = [
        result_of(CODE, case(model=on_column(0), fault=gaps, train_fault=gaps, n_train=200, seed=seed)).finding
        for seed in range(20)
        for gaps in (holes(0.2, [1, 2, 3, 4, 5]),)
    ]

    assert [finding for finding in told if finding is not None] == []
