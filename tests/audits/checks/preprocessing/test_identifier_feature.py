"""preprocessing.identifier_feature: the row's name among the features."""

import numpy as np
import pytest

from audits.checks.preprocessing.identifier_feature import CODE, _unique_against_chance
from audits.evidence.case import Case
from schemas.report import Outcome, Severity
from tests.audits.checks.remedies import defined_by, remedy_of
from tests.factories import Part, case, case_of, fitted, result_of, splits


def by_heart(*, used: bool = True, texts: bool = False, seed: int = 0) -> Case:
    """A model that knows the labels of the training rows by their number."""
    train, validation = splits(n_train=400, n_validation=300, signal=0.7, seed=seed)
    numbers = np.random.default_rng(seed).permutation(700) + 1_000
    shown, rest = (Part(p.x.assign(row=n), p.y) for p, n in ((train, numbers[:400]), (validation, numbers[400:])))
    answer = fitted(train, "binary")
    known = dict(zip(numbers[:400].tolist(), train.y.tolist(), strict=True))

    def predict(frame):
        honest = answer(frame.drop(columns="row").to_numpy(dtype=float))
        rows = [int(float(str(value).removeprefix("id-"))) for value in frame["row"]]
        return np.array([known.get(row, a) if used else a for row, a in zip(rows, honest, strict=True)])

    if texts:
        shown, rest = (Part(p.x.assign(row=[f"id-{v}" for v in p.x["row"]]), p.y) for p in (shown, rest))
    return case_of(shown, rest, lambda m: m[:, 0], predict=predict)


@pytest.mark.parametrize("texts", [False, True], ids=["numbers", "texts"])
def test_fires_on_a_model_that_knows_rows_by_their_number(texts: bool):
    result = result_of(CODE, by_heart(texts=texts))

    assert result.outcome is Outcome.FAIL
    assert result.finding.severity is Severity.WARNING
    assert result.finding.affected.columns == ["row"]
    assert result.confirmation.confirmed
    assert result.confirmation.after < result.confirmation.before


def test_an_identifier_explains_no_more_than_the_gap():
    """Shuffled, its training labels are others', which is worse than the answers to new rows."""
    one = by_heart()

    result = result_of(CODE, one)

    assert result.finding.effect.estimate > one.train_score[0] - one.validation_score[0]
    assert result.recovered.estimate == pytest.approx(one.train_score[0] - one.validation_score[0])


def test_an_identifier_that_the_model_ignores_is_an_observation():
    result = result_of(CODE, by_heart(used=False))

    assert result.outcome is Outcome.PASS
    assert result.finding.severity is Severity.INFO


@pytest.mark.parametrize("kind", ["continuous", "amounts", "counts", "words", "sorted amounts"])
def test_stays_silent_on(kind: str):
    """Amounts are whole and hardly repeat, but no more rarely than chance has it."""
    train, validation = splits(n_train=400)
    rng = np.random.default_rng(0)

    def column(n: int):
        amounts = np.round(np.exp(rng.normal(10, 1, n)))
        return {
            "continuous": rng.normal(size=n),
            "amounts": amounts,
            "sorted amounts": np.sort(amounts),
            "counts": rng.poisson(4, n),
            "words": rng.choice(["red", "green"], n).astype(object),
        }[kind]

    shown, rest = (Part(p.x.assign(extra=column(len(p))), p.y) for p in (train, validation))
    result = result_of(
        CODE,
        case_of(
            shown,
            rest,
            fitted(train, "binary"),
            predict=lambda f: fitted(train, "binary")(f.drop(columns="extra").to_numpy(dtype=float)),
        ),
    )

    assert result.finding is None
    assert result.outcome is Outcome.PASS


def test_stays_silent_where_a_unique_quantity_serves_both_splits():
    """A rank is unique and says much about new rows too."""
    train, validation = splits("regression", n_train=400, n_validation=300)
    both = np.concatenate([train.x["c0"], validation.x["c0"]]).argsort().argsort()
    shown = Part(train.x.assign(c0=both[:400]), train.y)
    rest = Part(validation.x.assign(c0=both[400:]), validation.y)

    result = result_of(CODE, case_of(shown, rest, fitted(shown, "regression")))

    assert result.finding is None or result.finding.severity is Severity.INFO


def test_the_chance_of_uniqueness_is_the_birthday_problems():
    """23 people of 365 days: 0.507 that two share one, nearly Poisson; simulated for a few repeats."""
    days = np.r_[0, np.random.default_rng(0).choice(np.arange(1, 364), 21, replace=False), 364]
    assert _unique_against_chance(days) == pytest.approx(0.4927, abs=0.01)
    draws = np.random.default_rng(1).integers(0, 1000, (4000, 60))
    repeated = np.array([60 - len(np.unique(d)) for d in draws])
    some = np.r_[0, 999, np.arange(1, 58), 57]
    assert _unique_against_chance(some) == pytest.approx((repeated <= 1).mean(), abs=0.04)


def test_the_remedys_code_drops_the_column():
    drop = defined_by(remedy_of(result_of(CODE, by_heart())))["without_identifiers"]

    assert "row" not in drop(by_heart().train.sample.rows)


def test_inconclusive_on_few_rows():
    assert result_of(CODE, case(n_train=40)).outcome is Outcome.INCONCLUSIVE


def test_not_applicable_to_arrays():
    assert result_of(CODE, case(layout="vector")).outcome is Outcome.NOT_APPLICABLE
