"""preprocessing.duplicates: training data that repeat themselves."""

from dataclasses import replace

import numpy as np
import pytest

from audits.checks.preprocessing.duplicates import CODE
from audits.statistics import metrics
from schemas.report import Outcome, Severity
from tests.audits.checks.remedies import defined_by, remedy_of
from tests.factories import Fault, Part, case, result_of


def repeated(share: float, *, wrong: float = 0.0, label: int | None = None) -> Fault:
    """A share of the training rows replaced by copies of the others; some with another label."""

    def spoil(part: Part, train: Part, rng: np.random.Generator) -> Part:
        n = len(part)
        kept = np.arange(round((1 - share) * n))
        pool = kept if label is None else kept[part.y[kept] == label]
        copies = rng.choice(pool, n - len(kept))
        rows = part.at(np.concatenate([kept, copies]))
        flip = (np.arange(n) >= len(kept)) & (rng.random(n) < wrong)
        return replace(rows, y=np.where(flip, 1 - rows.y, rows.y))

    return spoil


@pytest.mark.parametrize("layout", ["table", "vector", "image"])
def test_fires_on_data_that_hold_every_row_several_times(layout: str):
    result = result_of(CODE, case(layout=layout, train_fault=repeated(0.4)))

    assert result.outcome is Outcome.FAIL
    assert result.finding.severity is Severity.WARNING
    assert result.finding.effect.estimate == pytest.approx(0.4, abs=0.01)
    assert result.finding.evidence["distinct_rows"] == 300
    assert result.finding.evidence["effective_rows"] < 300


def test_fires_on_copies_that_contradict_each_other():
    result = result_of(CODE, case(train_fault=repeated(0.1, wrong=1.0)))

    assert result.finding.severity is Severity.WARNING
    # of each pair, one of the two labels is in the minority
    assert result.finding.evidence["rows_with_contradicting_labels"] == pytest.approx(50, abs=5)


def test_the_metric_of_distinct_rows_is_that_of_the_rows_without_copies():
    one = case(signal=1.0, train_fault=repeated(0.4))
    result = result_of(CODE, one)

    first = np.unique(one.train.fingerprints, return_index=True)[1]
    expected = metrics.balanced_accuracy(one.train.labels[first], one.train.predictions.decisions[first], 2)
    assert result.confirmation.after == pytest.approx(float(expected))


def test_a_few_copies_are_only_mentioned():
    result = result_of(CODE, case(train_fault=repeated(0.05)))

    assert result.outcome is Outcome.PASS
    assert result.finding.severity is Severity.INFO
    assert not result.ranks


def test_names_the_copies():
    one = case(train_fault=repeated(0.1))

    affected = result_of(CODE, one).finding.affected
    assert (affected.split, affected.rows) == ("train", list(range(450, 500)))


@pytest.mark.parametrize("layout", ["table", "vector", "image"])
@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_stays_silent_on_rows_of_their_own(task: str, layout: str):
    assert result_of(CODE, case(task, layout=layout)).finding is None


@pytest.mark.parametrize("columns", [2, 4])
@pytest.mark.parametrize("n_train", [100, 500, 3000])
def test_stays_silent_on_tables_of_few_values(columns: int, n_train: int):
    def rounded(part: Part, train: Part, rng: np.random.Generator) -> Part:
        return part.with_numbers(np.round((part.numbers - train.numbers.mean(0)) / train.numbers.std(0)))

    one = case(columns=columns, n_train=n_train, n_validation=60, train_fault=rounded, fault=rounded)

    assert result_of(CODE, one).finding is None


def test_stays_silent_on_columns_that_depend_on_each_other():
    """Ten columns that all say the same repeat like one of them."""

    def echoed(part: Part, train: Part, rng: np.random.Generator) -> Part:
        first = np.round(100 * (part.numbers[:, :1] - train.numbers[:, :1].mean()) / train.numbers[:, :1].std())
        return part.with_numbers(np.tile(first, (1, 10)))

    assert result_of(CODE, case(columns=10, train_fault=echoed, fault=echoed)).finding is None


def test_stays_silent_on_repeats_by_chance_that_the_validation_rows_do_not_show():
    """A few validation rows meet no training row; what the columns give by chance tells all the same."""

    def rounded(part: Part, train: Part, rng: np.random.Generator) -> Part:
        return part.with_numbers(np.round(6 * (part.numbers - train.numbers.mean(0)) / train.numbers.std(0)))

    assert result_of(CODE, case(columns=2, n_train=300, train_fault=rounded)).finding is None


def test_stays_silent_on_an_oversampled_class():
    one = case(prevalence=0.1, train_fault=repeated(0.4, label=1))

    result = result_of(CODE, one)

    assert result.finding.severity is Severity.INFO
    assert "oversampled" in result.finding.summary


@pytest.mark.parametrize("layout", ["table", "vector"])
def test_the_remedys_code_leaves_every_row_once(layout: str):
    one = case(layout=layout, train_fault=repeated(0.4))
    code = defined_by(remedy_of(result_of(CODE, one)))
    rows = one.train.sample.rows

    kept = code["without_repeats"](rows) if layout == "table" else code["without_repeats"](rows, one.train.labels)[0]

    assert len(kept) == 300
