"""preprocessing.category_mismatch: the same categories under other names."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from audits.checks.preprocessing import category_mismatch
from audits.checks.preprocessing.category_mismatch import CODE
from audits.evidence.case import Case
from audits.registry import CHECKS
from audits.repairs.categories import unseen
from audits.repairs.reliance import Imitation
from schemas.report import Estimate, Outcome, Severity
from tests.audits.checks.remedies import defined_by, remedy_of
from tests.factories import (
    Part,
    Task,
    by_category,
    case,
    case_of,
    examined,
    faults_found,
    permuted_labels,
    recoded,
    reordered,
    result_of,
    scaled,
    splits,
)

TOWNS = ["Bachelors", "HS grad", "Masters", "Köln"]
# g0, g1 and g2 hold 3, 4 and 5 codes.
PERMUTED = {5: (2, 0, 1), 6: (3, 0, 2, 1), 7: (1, 4, 0, 3, 2)}
SHIFTED = {5: (1, 2, 3), 6: (1, 2, 3, 4), 7: (1, 2, 3, 4, 5)}
coded = partial(case, model=by_category, columns=5, categories=3, n_train=600)


def spelled(spell: Callable[[str], str], *, names=TOWNS, seed: int = 0, n: int = 600, share: float = 1.0) -> Case:
    """A model that looks its categories up, and validation rows that spell a share of them otherwise."""
    train, validation = splits(
        n_train=600, n_validation=n, columns=3, categories=2, signal=1.0, strength=4.0, seed=seed
    )
    named = [Part(p.x.assign(g1=np.array(names, dtype=object)[p.x["g1"]]), p.y) for p in (train, validation)]

    def encoded(frame: pd.DataFrame) -> np.ndarray:
        looked_up = np.stack([(frame["g1"] == name).to_numpy(dtype=float) for name in names], axis=1)
        return np.column_stack([frame[["c0", "c1", "c2", "g0"]].to_numpy(dtype=float), looked_up])

    model = LogisticRegression(max_iter=2000).fit(encoded(named[0].x), train.y)
    hit = np.random.default_rng(seed).random(n) < share
    spoilt = [spell(value) if h else value for value, h in zip(named[1].x["g1"], hit, strict=True)]
    rest = Part(named[1].x.assign(g1=np.array(spoilt, dtype=object)), validation.y)
    return case_of(named[0], rest, lambda m: m[:, 0], predict=lambda f: model.predict_proba(encoded(f))[:, 1])


GOOD = ["wonderful", "charming", "brilliant", "delightful", "superb"]
BAD = ["dreadful", "boring", "terrible", "clumsy", "awful"]
PLAIN = ["the", "a", "film", "with", "story", "and", "actors", "of", "some", "Scene", "in", "Paris", "naïve", "café"]


def reviews(spell: Callable[[str], str], *, seed: int = 0) -> Case:
    """Sentences, and a model that knows its words letter by letter."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, 700)
    texts = []
    for label in y:
        drawn = [*rng.choice(GOOD if label else BAD, 2), *rng.choice(GOOD + BAD, 1), *rng.choice(PLAIN, 7)]
        texts.append(" ".join(rng.permutation(drawn)))
    words = CountVectorizer(lowercase=False, token_pattern=r"\w+").fit(texts[:400])
    model = LogisticRegression().fit(words.transform(texts[:400]), y[:400])
    parts = (texts[:400], map_all(spell, texts[400:]))
    frames = [pd.DataFrame({"text": np.array(part, dtype=object)}) for part in parts]
    train, validation = (Part(frame, labels) for frame, labels in zip(frames, (y[:400], y[400:]), strict=True))

    def predict(frame: pd.DataFrame) -> np.ndarray:
        return model.predict_proba(words.transform(frame["text"]))[:, 1]

    return case_of(train, validation, lambda m: m[:, 0], predict=predict)


def map_all(spell: Callable[[str], str], texts: list[str]) -> list[str]:
    return [spell(text) for text in texts]


@pytest.mark.parametrize("layout", ["table", "vector"])
@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_fires_on_codes_of_another_encoder(task: Task, layout: str):
    one = coded(task, layout=layout, fault=recoded(PERMUTED))

    result = result_of(CODE, one)

    assert result.outcome is Outcome.FAIL
    assert result.confirmation.after == pytest.approx(coded(task, layout=layout).validation_score[0], abs=0.03)


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_fires_on_codes_that_count_from_one(task: Task):
    result = result_of(CODE, coded(task, fault=recoded(SHIFTED)))

    assert result.outcome is Outcome.FAIL
    assert set(result.finding.evidence["how"].values()) == {"shifted"}
    assert result.finding.evidence["read_as"]["g0"] == {"1": 0, "2": 1, "3": 2}


def test_says_what_each_code_means():
    """Code k was written as PERMUTED[k]."""
    result = result_of(CODE, coded("regression", fault=recoded({6: PERMUTED[6]})))

    assert result.finding.affected.columns == ["g1"]
    assert result.finding.evidence["read_as"]["g1"] == {"0": 1, "1": 3, "3": 0}


def test_fires_on_a_column_of_yes_and_no_that_was_turned():
    train, validation = splits("regression", columns=3, n_train=500)
    rng = np.random.default_rng(0)
    flags = [(rng.random(len(p)) < 0.4).astype(int) for p in (train, validation)]
    shown, rest = (Part(p.x.assign(flag=f), p.y + 40 * f) for p, f in zip((train, validation), flags, strict=True))
    turned = Part(rest.x.assign(flag=1 - rest.x["flag"]), rest.y)

    result = result_of(CODE, case_of(shown, turned, by_category(shown, "regression")))

    assert result.outcome is Outcome.FAIL
    assert result.finding.evidence["read_as"]["flag"] == {"0": 1, "1": 0}


def test_fires_on_standardised_codes_too():
    """A scaler in front of the model leaves codes on a grid."""
    train, validation = splits("regression", columns=5, categories=3, n_train=600)
    spoilt = recoded(PERMUTED)(validation, train, np.random.default_rng(0))
    centre, spread = train.numbers.mean(axis=0), train.numbers.std(axis=0)
    shown, rest = (p.with_numbers((p.numbers - centre) / spread) for p in (train, spoilt))

    result = result_of(CODE, case_of(shown, rest, by_category(shown, "regression")))

    assert result.outcome is Outcome.FAIL
    assert result.confirmation.after > 0.85


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        (recoded(SHIFTED), CODE),
        (recoded(PERMUTED), CODE),
        (scaled(2.54, 0.0, [0, 1]), "preprocessing.scaling_mismatch"),
        (reordered(1, 2, 0), "preprocessing.feature_order"),
        (permuted_labels(1, 0), "preprocessing.label_encoding"),
    ],
    ids=["shifted", "permuted", "scaled", "reordered", "labels"],
)
def test_each_fault_is_told_under_one_name(fault, cause: str):
    _, results = examined(
        coded(fault=fault, n_validation=400), {c for c, _ in CHECKS if c.startswith("preprocessing.")}
    )

    assert faults_found(results) - {"preprocessing.distribution_shift"} == {cause}


@pytest.mark.parametrize(
    "spell",
    [
        str.upper,
        " {} ".format,
        "{}.".format,
        "edu_{}".format,
        "{}_v2".format,
        lambda v: v[:4],
        lambda v: v.replace("a", "ä"),
        lambda v: v.encode().decode("latin-1"),
        lambda v: v[:-2] + v[-1] if len(v) > 4 else v,
    ],
    ids=["upper", "blanks", "full stop", "prefix", "suffix", "cut", "umlaut", "wrong decoding", "slip"],
)
def test_fires_on_categories_spelled_otherwise(spell: Callable[[str], str]):
    # a wrong decoding changes one category alone
    names = ["Bächelors", "HS gräd", "Mästers", "Köln"] if spell("ä") == "Ã¤" else TOWNS
    result = result_of(CODE, spelled(spell, names=names))

    assert result.outcome is Outcome.FAIL
    assert result.finding.affected.columns == ["g1"]
    assert result.confirmation.after == pytest.approx(spelled(str, names=names).validation_score[0], abs=1e-9)


def test_fires_on_names_that_have_nothing_in_common():
    """Letters for towns: who they are shows in how frequent they are and in which rows they stand."""
    letters = dict(zip(TOWNS, ["W", "X", "Y", "Z"], strict=True))
    result = result_of(CODE, spelled(lambda v: letters[v]))

    assert result.outcome is Outcome.FAIL
    assert result.finding.evidence["read_as"]["g1"] == {new: old for old, new in letters.items()}


@pytest.mark.parametrize("spell", [str.upper, str.title, lambda t: t.replace("e", "e\u0301")])
def test_fires_on_words_spelled_otherwise(spell: Callable[[str], str]):
    result = result_of(CODE, reviews(spell))

    assert result.outcome is Outcome.FAIL
    assert result.finding.evidence["unknown_words"]["text"]["respelled"] < 0.01
    assert result.confirmation.after == pytest.approx(reviews(str).validation_score[0], abs=0.02)


def test_unseen_categories_that_cost_are_a_finding():
    result = result_of(CODE, spelled(lambda v: "Zzyzx 17", share=0.4))

    assert result.outcome is Outcome.FAIL
    assert result.finding.evidence["unseen"]["g1"] == ["Zzyzx 17"]
    assert result.finding.severity is Severity.WARNING
    assert result.confirmation.after < result.confirmation.before
    assert result.recovered.estimate > 0.01


@pytest.mark.parametrize(("gap", "told"), [(0.05, 0.05), (-0.02, 0.0), (0.5, 0.2)])
def test_what_unseen_categories_cost_explains_no_more_than_the_gap(
    gap: float, told: float, monkeypatch: pytest.MonkeyPatch
):
    made = Imitation("balanced_accuracy", Estimate(estimate=0.2, interval=(0.1, 0.3), n=500), 0.9, 0.7, gap, True)
    monkeypatch.setattr(unseen, "imitate", lambda *_: made)

    result = result_of(CODE, spelled(lambda v: "Zzyzx 17", share=0.4))

    assert result.recovered.estimate == told


@pytest.mark.parametrize(("low", "confirmed"), [(0.01, True), (-0.01, False)])
def test_a_fault_made_in_training_is_confirmed_where_its_loss_is_certain(low: float, confirmed: bool):
    made = Imitation("r2", Estimate(estimate=0.1, interval=(low, 0.3), n=500), 0.9, 0.8, 0.5, True)

    assert made.confirmation("do it").confirmed is confirmed


def test_unseen_categories_that_cost_nothing_are_an_observation():
    train, validation = splits(texts=1)
    rest = Part(validation.x.assign(t0=validation.x["t0"].replace("blue", "Zzyzx 17")), validation.y)
    answer = by_category(train, "binary")

    result = result_of(CODE, case_of(train, rest, answer))

    assert result.outcome is Outcome.PASS
    assert result.finding.severity is Severity.INFO
    assert not result.ranks


def test_the_remedys_code_reads_the_codes_rightly():
    train, validation = splits("regression", columns=5, categories=3, n_train=600)
    spoilt = recoded(PERMUTED)(validation, train, np.random.default_rng(0))
    result = result_of(CODE, coded("regression", fault=recoded(PERMUTED)))

    recode = defined_by(remedy_of(result))["recode"]

    np.testing.assert_array_equal(recode(spoilt.x)[["g0", "g1", "g2"]], validation.x[["g0", "g1", "g2"]])


def test_the_remedys_code_reads_the_codes_of_arrays_rightly():
    train, validation = splits("regression", layout="vector", columns=5, categories=3, n_train=600)
    spoilt = recoded(PERMUTED)(validation, train, np.random.default_rng(0))
    result = result_of(CODE, coded("regression", layout="vector", fault=recoded(PERMUTED)))

    np.testing.assert_allclose(defined_by(remedy_of(result))["recode"](spoilt.x), validation.x)


def test_the_remedys_code_respells_words():
    one = reviews(str.upper)
    respell = defined_by(remedy_of(result_of(CODE, one)))["respell"]

    assert list(respell(one.train.sample.rows, one.mended.rows)["text"]) == list(reviews(str).mended.rows["text"])


def test_codes_are_judged_on_rows_that_they_were_not_read_on(monkeypatch: pytest.MonkeyPatch):
    one = coded("regression", fault=recoded(PERMUTED))
    suspicion = category_mismatch.suspect(one, one.train.sample, one.mended)
    seen: list[np.ndarray] = []
    read = category_mismatch.codes.read
    monkeypatch.setattr(category_mismatch.codes, "read", lambda c, a, b, fit: seen.append(fit) or read(c, a, b, fit))

    suspicion.apply(one.mended)

    left_out = np.unique([~fit for fit in seen], axis=0)
    assert len(left_out) == category_mismatch.FOLDS
    assert (left_out.sum(axis=0) == 1).all()


def test_the_placebo_reads_no_category_as_the_repair_does():
    one = coded("regression", fault=recoded({7: PERMUTED[7]}))
    suspicion = category_mismatch.suspect(one, one.train.sample, one.mended)
    right = suspicion.apply(one.mended).rows["g2"].to_numpy()
    moved = right != one.mended.rows["g2"].to_numpy()

    for seed in range(5):
        other = suspicion.placebo(one.mended, np.random.default_rng(seed)).rows["g2"].to_numpy()
        assert not (other == right)[moved].any()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_stays_silent_on_healthy_codes_and_texts(task: Task, seed: int):
    one = coded(task, texts=2, seed=seed, n_validation=150, strength=0.5)

    result = result_of(CODE, one)

    assert result.finding is None
    assert result.finding is None


@pytest.mark.parametrize("seed", range(3))
def test_stays_silent_on_counts_that_drift(seed: int):
    """A count is a quantity: more of it is not another encoder."""
    train, validation = splits("regression", columns=4, n_train=500, seed=seed)
    rng = np.random.default_rng(seed)
    counts = [rng.poisson(mean, len(p)) for mean, p in ((2.0, train), (3.0, validation))]
    shown, rest = (Part(p.x.assign(rooms=c), p.y + 5.0 * c) for p, c in zip((train, validation), counts, strict=True))

    result = result_of(CODE, case_of(shown, rest, by_category(shown, "regression")))

    assert result.finding is None


def test_stays_silent_on_sentences_of_the_same_world():
    assert result_of(CODE, reviews(str)).outcome is Outcome.PASS


def test_inconclusive_on_few_rows_unless_a_spelling_shows():
    assert result_of(CODE, coded(n_validation=25, fault=recoded(PERMUTED))).outcome is Outcome.INCONCLUSIVE
    assert result_of(CODE, spelled(str.upper, n=45)).outcome is Outcome.FAIL


def test_not_applicable_to_images():
    assert result_of(CODE, case(layout="image")).outcome is Outcome.NOT_APPLICABLE
