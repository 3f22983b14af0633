"""preprocessing.dtype_mismatch: other types, other precision, other width."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from audits.checks.preprocessing.dtype_mismatch import CODE
from audits.evidence.case import Case
from schemas.report import Outcome, Severity
from tests.audits.checks.remedies import defined_by, remedy_of
from tests.factories import Part, Task, by_category, case, case_of, fitted, on_column, result_of, scaled, splits


def as_text(spell: Callable[[str], str], *, seed: int = 0) -> Case:
    """A model that reads a number from its text; what it cannot read is nothing to it."""
    rng = np.random.default_rng(seed)
    amounts = rng.choice([0.5, 1.5, 1000.25, 2000.75, 4.5], 700)
    y = (np.log(amounts) + rng.normal(size=700) > 1.5).astype(int)
    texts = [f"{amount:g}" for amount in amounts]
    train = Part(pd.DataFrame({"amount": np.array(texts[:400], dtype=object)}), y[:400])
    spoilt = [spell(text) for text in texts[400:]]
    validation = Part(pd.DataFrame({"amount": np.array(spoilt, dtype=object)}), y[400:])

    def predict(frame: pd.DataFrame) -> np.ndarray:
        numbers = pd.to_numeric(frame["amount"], errors="coerce").fillna(0.1)
        return 1 / (1 + np.exp(1.5 - np.log(numbers.to_numpy())))

    return case_of(train, validation, lambda m: m[:, 0], predict=predict)


def truncating(*, fractions: bool = True) -> Case:
    """Codes one hair below their whole number, and a model whose integer input cuts fractions off."""
    train, validation = splits("regression", columns=4, categories=2, n_train=600)
    answer = by_category(train, "regression")
    shift = 1e-4 if fractions else 0.0
    rest = Part(validation.x.assign(g0=validation.x["g0"] - shift, g1=validation.x["g1"] - shift), validation.y)

    def predict(frame: pd.DataFrame) -> np.ndarray:
        whole = frame.assign(g0=np.trunc(frame["g0"]), g1=np.trunc(frame["g1"]))
        return answer(whole.to_numpy(dtype=float))

    return case_of(train, rest, answer, predict=predict)


def coarse(task: Task, *, seed: int = 0) -> Case:
    """Columns around 0, that the validation data hold as whole numbers."""
    train, validation = splits(task, columns=4, standardised=True, n_train=600, seed=seed)
    narrow = [part.with_numbers(0.5 * part.numbers) for part in (train, validation)]
    return case_of(narrow[0], narrow[1].with_numbers(np.round(narrow[1].numbers)), fitted(narrow[0], task))


def sentences(*, cut: int | None) -> Case:
    """What the sentence says stands at its end."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 700)
    some = [rng.choice(["some", "quiet", "words", "about"], rng.integers(3, 9)) for _ in y]
    texts = [
        f"{' '.join(words)} {'good' if k else 'bad'} {i}" for i, (words, k) in enumerate(zip(some, y, strict=True))
    ]
    train = Part(pd.DataFrame({"text": np.array(texts[:400], dtype=object)}), y[:400])
    rest = Part(pd.DataFrame({"text": np.array([t[:cut] for t in texts[400:]], dtype=object)}), y[400:])
    return case_of(
        train,
        rest,
        lambda m: m[:, 0],
        predict=lambda f: (0.4 + f["text"].str.contains("good") * 0.5 - f["text"].str.contains("bad") * 0.3).to_numpy(),
    )


@pytest.mark.parametrize(
    "spell",
    [lambda t: t.replace(".", ","), "{} kg".format, "$ {}".format, lambda t: f"{float(t):,.2f}"],
    ids=["decimal comma", "unit", "currency", "thousands"],
)
def test_fires_on_numbers_in_another_dress(spell: Callable[[str], str]):
    result = result_of(CODE, as_text(spell))

    assert result.outcome is Outcome.FAIL
    assert result.finding.affected.columns == ["amount"]
    assert result.confirmation.after == pytest.approx(as_text(str).validation_score[0], abs=1e-9)


def test_fires_on_truth_values_in_words():
    train, validation = splits(columns=2)
    flag = [np.where(p.y == 1, "1", "0").astype(object) for p in (train, validation)]
    words = pd.Series(flag[1]).map({"1": "True", "0": "False"}).to_numpy(dtype=object)
    shown, rest = Part(train.x.assign(flag=flag[0]), train.y), Part(validation.x.assign(flag=words), validation.y)

    one = case_of(shown, rest, lambda m: m[:, 0], predict=lambda f: (f["flag"] == "1").to_numpy(dtype=float))

    assert result_of(CODE, one).outcome is Outcome.FAIL


def test_fires_on_fractions_that_an_integer_input_cuts_off():
    result = result_of(CODE, truncating())

    assert result.outcome is Outcome.FAIL
    assert set(result.finding.affected.columns) == {"g0", "g1"}
    assert result.confirmation.after == pytest.approx(truncating(fractions=False).validation_score[0])


@pytest.mark.parametrize("task", ["regression", "binary"])
def test_fires_on_columns_that_were_rounded(task: Task):
    result = result_of(CODE, coarse(task))

    assert result.outcome is Outcome.FAIL
    assert result.finding.evidence["decimals"] == {"c0": 0, "c1": 0, "c2": 0, "c3": 0}
    assert result.confirmation.after < result.confirmation.before


def test_rounding_that_costs_nothing_is_an_observation():
    train, validation = splits("regression", columns=3)
    rest = validation.with_numbers(np.round(validation.numbers, 2))

    result = result_of(CODE, case_of(train, rest, fitted(train, "regression")))

    assert result.outcome is Outcome.PASS
    assert result.finding is None or result.finding.severity is Severity.INFO


def test_fires_on_sentences_that_were_cut():
    result = result_of(CODE, sentences(cut=22))

    assert result.outcome is Outcome.FAIL
    assert result.finding.evidence["characters"] == {"text": 22}
    assert "cut at 22 characters" in result.finding.summary


def test_stays_silent_on_sentences_of_their_own_length():
    assert result_of(CODE, sentences(cut=None)).finding is None


def test_whole_numbers_beyond_float32_are_an_observation():
    train, validation = splits(columns=2)
    rng = np.random.default_rng(0)
    shown, rest = (Part(p.x.assign(code=2**40 + rng.integers(0, 10_000, len(p))), p.y) for p in (train, validation))
    one = case_of(shown, rest, on_column(0)(shown, "binary"))

    result = result_of(CODE, one)

    assert result.outcome is Outcome.PASS
    assert result.finding.severity is Severity.INFO
    assert "float32" in result.finding.summary


def test_the_remedys_code_casts():
    one = as_text("{} kg".format)

    cast = defined_by(remedy_of(result_of(CODE, one)))["cast"]

    assert list(cast(one.mended.rows)["amount"]) == list(as_text(str).mended.rows["amount"])


def test_the_remedys_code_shows_types():
    types = defined_by(remedy_of(result_of(CODE, sentences(cut=22))))["types_of"](sentences(cut=22).mended.rows)

    assert types.loc["text", "longest"] == 22


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_stays_silent_on_healthy_data(task: Task, seed: int):
    assert result_of(CODE, case(task, texts=1, categories=2, seed=seed)).finding is None


def test_stays_silent_on_whole_numbers_in_another_unit():
    """Values that were never standardised may be whole; they are not rounded z-scores."""
    assert result_of(CODE, case(standardised=True, fault=scaled(1000.0))).finding is None
    train, validation = splits(columns=3, standardised=True)
    rest = validation.with_numbers(np.round(30 + 12 * validation.numbers))
    assert result_of(CODE, case_of(train, rest, fitted(train, "binary"))).finding is None


def test_inconclusive_on_few_rows():
    assert result_of(CODE, case(n_validation=30)).outcome is Outcome.INCONCLUSIVE


def test_not_applicable_to_images():
    assert result_of(CODE, case(layout="image")).outcome is Outcome.NOT_APPLICABLE
