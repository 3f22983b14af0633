"""Vocabularies and embeddings inside real SavedModels, held against the data of a whole audit."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from audits.engine import audit
from audits.sources import Roots
from schemas.report import Finding, Report, Severity
from schemas.request import AuditRequest

pytestmark = pytest.mark.usefixtures("tensorflow")

CODE = "preprocessing.category_mismatch"
CITIES, PLANS, WORDS = ["Rome", "Oslo", "Lima"], [10, 11, 12, 13], ["bad", "poor", "good", "fine"]
Change = Callable[[pd.DataFrame], pd.DataFrame]


def customers(rng: np.random.Generator, n: int) -> pd.DataFrame:
    """Rows that the model `looked_up` is right about but for the noise of its own probabilities."""
    frame = pd.DataFrame(
        {
            "city": rng.choice(CITIES, n),
            "plan": rng.choice(PLANS, n),
            "note": [" ".join(rng.choice(WORDS, 4)) for _ in range(n)],
            "size": rng.normal(size=n),
        }
    )
    score = frame["city"].map(dict(zip(CITIES, (-3, 0, 3), strict=True))).astype(float) + frame["size"]
    score += frame["plan"].map(dict(zip(PLANS, (-3, -1, 1, 3), strict=True))).astype(float)
    score += frame["note"].map(lambda text: sum((-1, -1, 1, 1)[WORDS.index(word)] for word in text.split()))
    return frame.assign(y=(rng.random(n) < 1 / (1 + np.exp(-score))).astype(int))


def shops(rng: np.random.Generator, n: int) -> pd.DataFrame:
    frame = pd.DataFrame({"shop": rng.integers(0, 6, n), "size": rng.normal(size=n)})
    score = np.array([-3.0, -2.0, -1.0, 1.0, 2.0, 3.0])[frame["shop"]] + frame["size"]
    return frame.assign(y=(rng.random(n) < 1 / (1 + np.exp(-score))).astype(int))


def as_it_is(frame: pd.DataFrame) -> pd.DataFrame:
    return frame


def cities(change: Callable[[str], str]) -> Change:
    return lambda frame: frame.assign(city=frame["city"].map(change))


def moved(column: str, by: int) -> Change:
    return lambda frame: frame.assign(**{column: frame[column] + by})


@pytest.fixture
def audited(tmp_path: Path, saved_models: Path) -> Callable[..., Report]:
    """The report on a model, with what was done to each split's file."""

    def run(model: str, draw: Callable, train: Change = as_it_is, validation: Change = as_it_is) -> Report:
        rng = np.random.default_rng(1)
        for name, change, n in (("train", train, 600), ("validation", validation, 400)):
            change(draw(rng, n)).to_csv(tmp_path / f"{name}.csv", index=False)
        request = AuditRequest.model_validate(
            {
                "model": {"uri": str(saved_models / model)},
                "data": {
                    "train": {"uri": str(tmp_path / "train.csv")},
                    "validation": {"uri": str(tmp_path / "validation.csv")},
                    "label": "y",
                },
            }
        )
        return audit(request, audit_id="looked-up", roots=Roots((tmp_path, saved_models)))

    return run


def told(report: Report) -> Finding:
    (finding,) = [finding for finding in report.findings if finding.code == CODE]
    return finding


@pytest.mark.parametrize(("model", "draw"), [("looked_up", customers), ("embedded", shops)])
def test_healthy_models_that_look_up_are_left_alone(audited: Callable[..., Report], model: str, draw: Callable):
    report = audited(model, draw)

    assert [f.code for f in report.findings if f.severity is not Severity.INFO] == []


@pytest.mark.parametrize(
    ("model", "draw", "change", "intervention"),
    [
        ("looked_up", customers, cities(str.upper), "'ROME' as 'Rome'"),
        ("looked_up", customers, moved("plan", 100), "take 100 from the ids in plan in both splits"),
        ("embedded", shops, moved("shop", 1), "take 1 from the ids in shop in both splits"),
    ],
    ids=["spelling", "numbers", "ids"],
)
def test_files_that_agree_with_each_other_and_not_with_the_model(
    audited: Callable[..., Report], model: str, draw: Callable, change: Change, intervention: str
):
    report = audited(model, draw, change, change)

    cause = report.diagnosis[0]
    assert cause.code == CODE
    assert intervention in cause.confirmation.intervention
    assert cause.confirmation.after > cause.confirmation.before + 0.05
    assert told(report).summary.startswith("Training and validation data agree with each other, and not with the model")


def test_a_training_file_that_alone_is_spelled_otherwise_costs_no_validation_performance(
    audited: Callable[..., Report],
):
    report = audited("looked_up", customers, train=cities(str.upper))

    finding = told(report)
    assert (finding.severity, finding.affected.split, finding.n) == (Severity.WARNING, "train", 600)
    assert finding.affected.share_of_rows == 1.0
    assert [f.code for f in report.findings if f.severity is Severity.CRITICAL] == []


def test_ids_moved_by_one_are_moved_back(audited: Callable[..., Report]):
    report = audited("embedded", shops, validation=moved("shop", 1))

    assert report.diagnosis[0].code == CODE
    assert report.diagnosis[0].confirmation.intervention == "take 1 from the ids in shop"
    assert told(report).evidence["ids"]["embedding_3"]["share_without_a_row"]["as_they_are"] > 0.1


@pytest.mark.parametrize("model", ["embedded", "gathered"])
@pytest.mark.parametrize("strange", [77, -2], ids=["beyond the table", "negative"])
def test_ids_without_a_row_are_a_finding_and_no_failure(audited: Callable[..., Report], model: str, strange: int):
    def some(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(shop=frame["shop"].where(np.arange(len(frame)) % 8 > 0, strange))

    def fewer(rng: np.random.Generator, n: int) -> pd.DataFrame:
        return shops(rng, n).assign(shop=lambda f: f["shop"] % 4)

    report = audited(model, shops if model == "embedded" else fewer, validation=some)

    finding = told(report)
    assert (finding.severity, finding.affected.rows[:3]) == (Severity.CRITICAL, [0, 8, 16])
    assert finding.affected.share_of_rows == 1 / 8
    assert f"{strange} in shop" in finding.summary
    assert not [f for f in report.findings if f.code == "preprocessing.non_finite_output"]


def test_words_that_the_vocabulary_lacks_are_counted_and_their_cost_is_measured(audited: Callable[..., Report]):
    def foreign(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(note=frame["note"].str.replace("good", "gut").str.replace("bad", "schlecht"))

    report = audited("looked_up", customers, validation=foreign)

    finding = told(report)
    assert finding.evidence["vocabularies"][0]["unknown"] > 500
    assert set(finding.evidence["unseen"]["note"]) == {"gut", "schlecht"}


def test_a_category_that_training_rows_lack_and_the_vocabulary_holds_is_known(audited: Callable[..., Report]):
    report = audited("looked_up", customers, train=lambda f: f.assign(city=f["city"].replace("Lima", "Oslo")))

    assert [f for f in report.findings if f.code == CODE and "Lima" in f.summary] == []


@pytest.mark.parametrize("by", [1, 3, -1])
def test_token_ids_that_are_counted_from_another_start_are_found(tmp_path: Path, saved_models: Path, by: int):
    rng = np.random.default_rng(0)
    weights = np.concatenate([[0.0], rng.normal(size=40)[1:]])
    frequency = 1 / np.arange(1, 37)
    for name, n in (("train", 600), ("validation", 400)):
        ids = 3 + rng.choice(36, (n, 12), p=frequency / frequency.sum())
        y = (rng.random(n) < 1 / (1 + np.exp(-weights[ids].sum(axis=1)))).astype(int)
        np.savez(tmp_path / f"{name}.npz", x=ids + (by if name == "validation" else 0), y=y)
    request = AuditRequest.model_validate(
        {
            "model": {"uri": str(saved_models / "tokens")},
            "data": {k: {"uri": str(tmp_path / f"{k}.npz")} for k in ("train", "validation")},
        }
    )

    report = audit(request, audit_id="tokens", roots=Roots((tmp_path, saved_models)))

    assert report.diagnosis[0].code == CODE
    verb = f"take {by} from" if by > 0 else f"add {-by} to"
    assert report.diagnosis[0].confirmation.intervention == f"{verb} the ids in 12 positions (x[0] to x[11])"
