"""preprocessing.outliers: values beyond what the training rows explain."""

import numpy as np
import pytest

from audits.checks.preprocessing.outliers import CODE
from schemas.report import Outcome
from tests.audits.checks.remedies import defined_by, remedy_of
from tests.factories import Part, case, examined, on_column, outlying, result_of, splits


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize(("share", "distance"), [(0.3, 20.0), (0.15, 200.0)])
def test_fires_on_values_thrown_out(task: str, share: float, distance: float):
    result = result_of(CODE, case(task, fault=outlying(share, distance, range(4))))

    assert result.outcome is Outcome.FAIL
    assert set(result.finding.affected.columns) == {"c0", "c1", "c2", "c3"}


def test_fires_on_vectors():
    one = case("regression", layout="vector", fault=outlying(0.2, 50.0, range(3)))

    assert result_of(CODE, one).outcome is Outcome.FAIL


def test_images_are_not_looked_at():
    """The pixels of one image are no independent values."""
    one = case("regression", layout="image", fault=outlying(0.2, 50.0, range(0, 36, 3)))

    assert result_of(CODE, one).outcome is Outcome.NOT_APPLICABLE


def test_a_few_wild_rows_ruin_a_regression():
    """Six rows in 300."""
    result = result_of(CODE, case("regression", fault=outlying(0.02, 100.0)))

    assert result.outcome is Outcome.FAIL
    assert result.confirmation.before < 0 < result.confirmation.after
    assert result.finding.affected.share_of_rows < 0.05


def test_a_column_that_mostly_lies_outside_holds_something_else():
    """Cutting it would leave one value of the column: no repair, and later no column to look at."""
    one, _ = examined(case("regression", fault=outlying(0.9, 20.0)), {CODE})

    assert one.trials == ()


def test_a_column_that_was_turned_around_is_not_cut_to_one_value():
    """Less than half of a skewed column lies beyond the fence, and nearly all of it below the training range."""

    def turned(part: Part, train: Part, rng: np.random.Generator) -> Part:
        values = part.numbers
        values[:, 0] = 0.1 * train.numbers[:, 0].std() - rng.exponential(train.numbers[:, 0].std() * 5, len(part))
        return part.with_numbers(values - np.eye(1, values.shape[1]) * np.ptp(train.numbers[:, 0]))

    one, _ = examined(case("regression", fault=turned), {CODE})

    assert one.trials == ()


def test_names_the_rows_beyond_the_fence():
    one = case("regression", fault=outlying(0.05, 100.0))
    train = one.train.sample.rows["c0"]

    rows = result_of(CODE, one).finding.affected.rows

    far = np.abs(one.validation.sample.rows["c0"] - train.mean()) > 20 * train.std()
    assert rows == [int(i) for i in np.flatnonzero(far)]


@pytest.mark.parametrize("layout", ["table", "vector"])
def test_the_remedys_code_clips_to_the_training_quantiles(layout: str):
    fault = outlying(0.2, 50.0, range(3))
    train, validation = splits("regression", layout=layout)
    spoilt = fault(validation, train, np.random.default_rng(0))

    clipped = defined_by(remedy_of(result_of(CODE, case("regression", layout=layout, fault=fault))))["winsorise"]

    values = np.asarray(clipped(spoilt.x), dtype=np.float64).reshape(len(spoilt), -1)
    highest = train.numbers.max(axis=0)
    assert (values <= highest + 1e-4 * np.abs(highest)).all()


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("layout", ["table", "vector"])
def test_stays_silent_on_healthy_data(task: str, layout: str):
    assert result_of(CODE, case(task, layout=layout)).finding is None


@pytest.mark.parametrize("seed", range(3))
def test_stays_silent_on_heavy_tails_of_both_splits(seed: int):
    def heavy(part, train, rng):
        return part.with_numbers(rng.standard_t(2, part.numbers.shape))

    one = case("regression", columns=10, train_fault=heavy, fault=heavy, seed=seed)

    assert result_of(CODE, one).finding is None


def test_stays_silent_where_training_has_as_many():
    fault = outlying(0.05, 50.0)

    assert result_of(CODE, case("regression", train_fault=fault, fault=fault)).finding is None


def test_outliers_of_a_column_that_the_model_ignores_are_acquitted():
    mended, results = examined(case("regression", model=on_column(0), fault=outlying(0.2, 50.0, [3])), {CODE})

    assert results[CODE].outcome is Outcome.PASS
    assert [trial.suspicion.columns for trial in mended.trials] == [("c3",)]
    assert not mended.trials[0].confirmed


def test_the_placebo_moves_as_many_values_from_inside_the_fence():
    mended, _ = examined(case("regression", fault=outlying(0.1, 100.0)), {CODE})
    (trial,) = mended.trials
    subject = mended.validation.sample

    placebo = trial.suspicion.placebo(subject, np.random.default_rng(0))

    before, after = (s.rows["c0"].to_numpy() for s in (subject, placebo))
    changed = before != after
    assert changed.sum() == trial.suspicion.rows.sum()
    assert not (changed & trial.suspicion.rows).any()


def test_inconclusive_on_few_rows():
    one = case("regression", n_validation=25, fault=outlying(0.2, 50.0))

    assert result_of(CODE, one).outcome is Outcome.INCONCLUSIVE
