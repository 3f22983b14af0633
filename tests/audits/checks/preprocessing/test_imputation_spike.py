"""preprocessing.imputation_spike: the trace that an imputation before the split leaves."""

from dataclasses import replace

import numpy as np
import pytest

from audits.checks.preprocessing import imputation_spike
from audits.checks.preprocessing.imputation_spike import CODE
from audits.evidence.case import Case
from schemas.report import Outcome, Severity
from tests.audits.checks.remedies import defined_by, remedy_of
from tests.factories import Fault, Part, case, case_of, fitted, result_of, splits


def imputed(fill: str, share: float = 0.2, layout: str = "table", n: int = 300) -> Case:
    """Holes in two columns of both splits, filled with a statistic of the training rows or of all."""
    train, validation = splits(layout=layout, n_train=n, n_validation=n)
    rng = np.random.default_rng(0)
    values = [part.numbers for part in (train, validation)]
    for column in (0, 1):
        holed = [rng.random(len(part)) < share for part in values]
        observed = [part[~hole, column] for part, hole in zip(values, holed, strict=True)]
        pooled = np.concatenate(observed)
        value = {"train mean": observed[0].mean(), "pooled mean": pooled.mean(), "pooled median": np.median(pooled)}
        for part, hole in zip(values, holed, strict=True):
            part[hole, column] = value[fill]
    parts = [part.with_numbers(v) for part, v in zip((train, validation), values, strict=True)]
    return case_of(*parts, fitted(parts[0], "binary"))


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5])
def test_fires_on_the_mean_of_both_splits(share: float):
    result = result_of(CODE, imputed("pooled mean", share))

    assert result.outcome is Outcome.FAIL
    assert result.finding.severity is Severity.WARNING
    assert result.finding.affected.columns == ["c0", "c1"]
    assert {spike["equals"] for spike in result.finding.evidence["spikes"]} == {"mean of both splits"}


@pytest.mark.parametrize("size", [1e-12, 1e12])
def test_a_column_of_any_size_has_its_digits(size: float):
    """Rounded to nine decimals, a concentration in moles is 0 throughout."""
    one = imputed("pooled mean")
    small = {
        name: replace(split, sample=replace(split.sample, rows=split.sample.rows * size))
        for name, split in (("train", one.train), ("validation", one.validation))
    }

    spikes = imputation_spike.imputation_spike(replace(one, **small)).finding.evidence["spikes"]

    assert [spike["column"] for spike in spikes] == ["c0", "c1"]
    assert {spike["equals"] for spike in spikes} == {"mean of both splits"}


def test_fires_on_arrays():
    result = result_of(CODE, imputed("pooled mean", layout="vector", n=1000))

    assert result.finding.affected.columns == ["x[0]", "x[1]"]


@pytest.mark.parametrize(
    ("fill", "name"), [("train mean", "mean of the training data"), ("pooled median", "median of both splits")]
)
def test_another_statistic_is_an_observation(fill: str, name: str):
    result = result_of(CODE, imputed(fill))

    assert result.outcome is Outcome.PASS
    assert result.finding.severity is Severity.INFO
    assert not result.ranks
    assert {spike["equals"] for spike in result.finding.evidence["spikes"]} == {name}


def test_measures_what_imputing_anew_brings_back():
    reimputed = result_of(CODE, imputed("pooled mean")).finding.evidence["reimputed"]

    assert reimputed["before"] == pytest.approx(reimputed["median"]["after"] - reimputed["median"]["gain"])


@pytest.mark.parametrize("better", ["mean", "k nearest neighbours"])
def test_the_remedy_imputes_by_what_brought_most_back(better: str, monkeypatch: pytest.MonkeyPatch):
    one = imputed("pooled mean")
    worse = one.mended.rows * np.nan
    fill = imputation_spike.impute
    monkeypatch.setattr(
        imputation_spike, "impute", lambda space, a, b, method: fill(space, a, b, "mean") if method == better else worse
    )

    assert f"imputes by {better}, which served best" in result_of(CODE, one).finding.remedy.text


def test_the_remedys_code_runs():
    train, validation = splits()

    names = defined_by(remedy_of(result_of(CODE, imputed("pooled mean"))))

    assert not names["impute"](train.x, validation.x).isna().any().any()


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("layout", ["table", "vector"])
def test_stays_silent_on_continuous_columns(task: str, layout: str):
    assert result_of(CODE, case(task, layout=layout)).finding is None


def test_stays_silent_on_counts_and_on_values_at_an_end():
    """Rents of 0 and whole numbers repeat for reasons of their own."""

    def spoil(part: Part, train: Part, rng: np.random.Generator) -> Part:
        values = part.numbers
        values[:, 0] = np.round(rng.normal(50, 10, len(values)))
        values[rng.random(len(values)) < 0.3, 1] = train.numbers[:, 1].min()
        return part.with_numbers(values)

    assert result_of(CODE, case(train_fault=spoil, fault=spoil)).finding is None


def coarse(part: Part, train: Part, rng: np.random.Generator) -> Part:
    """Steps of a sixth of a deviation: some forty values a column, none of which towers over the others."""
    step = train.numbers.std(axis=0) / 6
    return part.with_numbers(np.round(part.numbers / step) * step)


def filled(share: float, with_median: bool = True) -> Fault:
    """A share of two coarse columns is the training median, or the training value next to the upper quartile."""

    def spoil(part: Part, train: Part, rng: np.random.Generator) -> Part:
        ours, values = coarse(train, train, rng).numbers, coarse(part, train, rng).numbers
        for column in (0, 1):
            value = np.quantile(ours[:, column], 0.5 if with_median else 0.75, method="lower")
            values[rng.random(len(values)) < share, column] = value
        return part.with_numbers(values)

    return spoil


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_fires_on_coarse_columns_that_were_filled_in_the_validation_data_alone(task: str):
    one = case(task, columns=3, signal=6.0, train_fault=coarse, fault=filled(0.5))

    result = result_of(CODE, one)

    assert result.outcome is Outcome.FAIL
    assert set(result.finding.affected.columns) == {"c0", "c1"}
    assert result.confirmation.confirmed
    assert {spike["equals"] for spike in result.finding.evidence["spikes"]} == {"median of the training data"}


@pytest.mark.parametrize("fault", [coarse, filled(0.05), filled(0.5, with_median=False)])
def test_stays_silent_on_coarse_columns_that_nobody_filled_with_their_middle(fault: Fault):
    one = case("regression", columns=3, signal=6.0, train_fault=coarse, fault=fault)

    assert result_of(CODE, one).finding is None


def test_stays_silent_on_a_few_rows_of_one_value():
    assert result_of(CODE, imputed("pooled mean", 0.015)).finding is None


def test_inconclusive_on_few_rows():
    assert result_of(CODE, case(n_validation=49)).outcome is Outcome.INCONCLUSIVE


def test_not_applicable_to_images():
    assert result_of(CODE, case(layout="image")).outcome is Outcome.NOT_APPLICABLE
