"""What a text means, however it is written; and what is not to be guessed."""

import numpy as np
import pytest

from audits.repairs.categories import spelling as spelling_module
from audits.repairs.categories.spelling import WordSpelling, as_cast, mended_encoding, number, plain, respelling


def counted(*values: str) -> dict[str, int]:
    return dict.fromkeys(values, 10)


@pytest.mark.parametrize(
    ("known", "unseen", "meant"),
    [
        (["Red", "Green"], [" red", "GREEN."], ["Red", "Green"]),
        (["HS-grad", "Some college"], ["HS grad", "some_college"], ["HS-grad", "Some college"]),
        (["Köln", "Malmö"], ["KÃ¶ln", "Malmo"], ["Köln", "Malmö"]),
        (["A&B", "C"], ["A&amp;B"], ["A&B"]),
        (["<=50K", ">50K"], ["<=50K.", ">50K."], ["<=50K", ">50K"]),
        (["1", "2"], ["1.0", "2.0"], ["1", "2"]),
        (["3", "4"], ["cat_3", "cat_4"], ["3", "4"]),
        (["cat_3", "cat_4"], ["3", "4"], ["cat_3", "cat_4"]),
        (["male", "female"], ["M", "F"], ["male", "female"]),
        (["M", "F"], ["male", "female"], ["M", "F"]),
        (["Bachelors", "Masters"], ["Bachelrs", "Mastesr"], ["Bachelors", "Masters"]),
    ],
)
def test_finds_what_is_meant(known: list[str], unseen: list[str], meant: list[str]):
    assert respelling(counted(*known), unseen, unseen) == dict(zip(unseen, meant, strict=True))


@pytest.mark.parametrize(
    ("known", "unseen"),
    [
        (["red", "green"], ["purple"]),
        (["item 1", "item 2"], ["item 3"]),
        (["1", "-1"], ["+ -"]),
        (["Red", "red", "blue"], ["RED"]),
        (["10", "12"], ["1"]),
        (["cart", "care"], ["carp"]),
        ([], ["x"]),
        (["x"], [""]),
    ],
    ids=["another", "next number", "sign", "two readings", "digits", "two neighbours", "nothing known", "empty"],
)
def test_does_not_guess(known: list[str], unseen: list[str]):
    assert respelling(counted(*known), unseen, unseen) == {}


def test_a_slip_cannot_mean_what_is_there_too():
    """Validation data with both "colour" and "color" may mean two things."""
    assert respelling(counted("colour", "shape"), ["colors"], ["colors", "colour"]) == {}
    assert respelling(counted("colours", "shape"), ["colors"], ["colors"]) == {"colors": "colours"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3.0", 3.0), ("-2", -2.0), ("1,234", 1234.0), ("1,234.5", 1234.5), ("1.234,5", 1234.5), ("3,5", 3.5),
        ("1'000", 1000.0), ("12 kg", 12.0), ("$ 5", 5.0), ("USD 12", 12.0), ("True", 1.0), ("no", 0.0),
        ("abc", None), ("", None), ("1/2", None), ("2024-01-02", None),
    ],
)  # fmt: skip
def test_reads_numbers_in_any_dress(text: str, value: float | None):
    assert number(text) == value


def test_casts_only_between_numbers():
    assert as_cast(["1.5", "2"], ["1,5", "2,0"]) == {"1,5": "1.5", "2,0": "2"}
    assert as_cast(["0", "1"], ["false", "true"]) == {"false": "0", "true": "1"}
    assert as_cast(["red"], ["1 kg"]) == {}
    assert as_cast(["1"], ["1 kg", "red"]) == {}
    # another digit is another spelling, no other type
    assert as_cast(["1"], ["1.0"]) == {}


def test_truth_values_in_another_case_are_spelled_otherwise_and_of_the_same_type():
    assert as_cast(["no", "yes"], ["NO", "Yes "]) == {}
    assert as_cast(["no", "yes"], ["NO", "true"]) == {"NO": "no", "true": "yes"}


def test_what_is_no_wrong_decoding_stays():
    assert mended_encoding("naïve") == "naïve"
    assert mended_encoding("naÃ¯ve") == "naïve"
    assert plain("a-b") == "ab"


def test_sentences_take_the_trainings_spelling_word_by_word():
    spelling = WordSpelling(["The cat sat.", "the dog", "Über alles"])

    assert spelling("THE CAT saw uber DOGS!") == "The cat saw Über DOGS!"
    assert spelling.unknown_share(["THE cat", "dog"]) == pytest.approx(1 / 3)
    assert WordSpelling([]).unknown_share([""]) == 0.0


def test_the_most_frequent_spelling_wins():
    assert WordSpelling(["Us us us"])("US") == "us"


def test_words_spelled_at_random_are_words_of_the_training():
    spelling = WordSpelling(["one two three four five six"])

    other = spelling.at_random(np.random.default_rng(0))("ONE TWO THREE FOUR FIVE SIX")

    assert other != spelling("ONE TWO THREE FOUR FIVE SIX")
    assert set(other.split()) <= set(spelling.known)


def test_each_word_is_looked_at_once_however_long_the_texts_are(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    spelling = WordSpelling(["one two"])
    monkeypatch.setattr(spelling_module, "plain", lambda word: asked.append(word) or word)

    assert spelling.unknown_share(["one two six " * 1000] * 5) == pytest.approx(1 / 3)
    assert sorted(asked) == ["one", "six", "two"]
