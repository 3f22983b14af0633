"""preprocessing.feature_order: columns under each other's names."""

import numpy as np
import pytest

from audits.checks.preprocessing import feature_order
from audits.checks.preprocessing.feature_order import CODE
from schemas.report import Outcome
from tests.audits.checks.remedies import defined_by, remedy_of
from tests.factories import Part, case, examined, on_column, reordered, result_of, splits


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("order", [(1, 0), (2, 0, 1), (5, 4, 3, 2, 1, 0)], ids=["two", "three", "all"])
def test_fires_on_exchanged_columns(task: str, order: tuple[int, ...]):
    result = result_of(CODE, case(task, fault=reordered(*order)))

    assert result.outcome is Outcome.FAIL
    assert set(result.finding.affected.columns) == {f"c{i}" for i, j in enumerate(order) if i != j}


@pytest.mark.parametrize("layout", ["table", "vector"])
def test_fires_on_columns_that_differ_in_shape_alone(layout: str):
    """Standardised columns: place and scale say nothing, skewness and correlations with the label do."""
    one = case(layout=layout, standardised=True, n_train=1500, n_validation=1000, fault=reordered(1, 2, 0))

    result = result_of(CODE, one)

    assert result.outcome is Outcome.FAIL
    assert result.confirmation.after == pytest.approx(
        case(layout=layout, standardised=True, n_train=1500, n_validation=1000).validation_score[0], abs=0.02
    )


def test_says_where_each_columns_values_stand():
    """With (2, 0, 1), c0 holds the values of c2, c1 those of c0, c2 those of c1."""
    holds = result_of(CODE, case(fault=reordered(2, 0, 1))).finding.evidence["holds_the_values_of"]

    assert holds == {"c0": "c2", "c1": "c0", "c2": "c1"}


@pytest.mark.parametrize("layout", ["table", "vector"])
def test_the_remedys_code_puts_the_columns_back(layout: str):
    train, validation = splits(layout=layout)
    spoilt = reordered(2, 0, 1)(validation, train, np.random.default_rng(0))

    result = result_of(CODE, case(layout=layout, fault=reordered(2, 0, 1)))
    back = defined_by(remedy_of(result))["put_back"](spoilt.x)

    np.testing.assert_array_equal(np.asarray(back), np.asarray(validation.x))


def twins(part: Part, train: Part, rng: np.random.Generator) -> Part:
    """The first two columns are all but the same."""
    values = part.numbers
    values[:, 1] = values[:, 0] + 0.03 * train.numbers[:, 0].std() * rng.normal(size=len(values))
    return part.with_numbers(values)


def noisy_twin(part: Part, train: Part, rng: np.random.Generator) -> Part:
    values = twins(part, train, rng).numbers
    values[:, 0] += 1.5 * train.numbers[:, 0].std() * rng.normal(size=len(values))
    return part.with_numbers(values)


@pytest.mark.parametrize("seed", [2, 3, 5])
def test_noise_in_one_of_two_columns_that_are_alike_is_no_exchange(seed: int):
    """As their classes are spread, the one or the other order is cheaper by next to nothing."""
    one = case("regression", n_train=1500, n_validation=1500, seed=seed, train_fault=twins, fault=noisy_twin)

    assert feature_order.suspect(one, one.train.sample, one.mended) is None


def test_the_repair_is_judged_on_rows_that_it_was_not_found_on():
    """Columns of noise: the assignment finds something in any sample, and it must not count as gain."""
    mended, results = examined(case(signal=0.0, standardised=True, columns=20, n_train=200, n_validation=100), {CODE})

    assert results[CODE].finding is None
    assert not any(trial.confirmed for trial in mended.trials)


def test_every_fold_is_put_in_the_order_that_the_others_give(monkeypatch: pytest.MonkeyPatch):
    one = case(fault=reordered(1, 2, 0))
    suspicion = feature_order.suspect(one, one.train.sample, one.mended)
    seen: list[np.ndarray] = []
    profile_of = feature_order._Profile.of
    monkeypatch.setattr(
        feature_order._Profile, "of", classmethod(lambda kind, c, s: seen.append(s.index) or profile_of(c, s))
    )

    suspicion.apply(one.mended)

    held = [set(one.mended.index) - set(index) for index in seen]
    assert len(held) == feature_order.FOLDS
    assert sorted(row for fold in held for row in fold) == sorted(one.mended.index)


def test_the_cost_of_an_exchange_is_the_difference_of_the_totals():
    rng = np.random.default_rng(0)
    distances = rng.random((5, 5))
    mine, others = (np.corrcoef(rng.normal(size=(5, 30))) for _ in range(2))
    order = rng.permutation(5)

    changes = feature_order._exchange_changes(distances, mine, others, order)

    before = feature_order._total(distances, mine, others, order)
    for i, j in [(0, 1), (1, 4), (2, 3)]:
        exchanged = order.copy()
        exchanged[[i, j]] = order[[j, i]]
        assert changes[i, j] == pytest.approx(feature_order._total(distances, mine, others, exchanged) - before)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("task", ["binary", "regression"])
def test_stays_silent_on_healthy_data(task: str, seed: int):
    """Half of the columns are nearly exchangeable: same place, same scale, same shape."""
    one = case(task, standardised=True, n_train=300, n_validation=150, seed=seed)

    assert result_of(CODE, one).finding is None


def test_columns_that_the_model_ignores_are_tested_and_acquitted():
    mended, results = examined(case(model=on_column(5), fault=reordered(1, 0)), {CODE})

    assert results[CODE].outcome is Outcome.PASS
    assert [trial.suspicion.columns for trial in mended.trials] == [("c0", "c1")]


def test_inconclusive_on_few_rows():
    assert result_of(CODE, case(n_validation=25, fault=reordered(1, 0))).outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize(
    "world", [{"layout": "image"}, {"columns": 1}, {"columns": 8, "limits": {CODE: {"max_columns": 7}}}]
)
def test_not_applicable_without_columns_to_exchange(world: dict):
    assert result_of(CODE, case(**world)).outcome is Outcome.NOT_APPLICABLE
