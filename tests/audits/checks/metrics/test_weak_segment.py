"""metrics.weak_segment: part of the rows fares worse than it need."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from audits.checks.metrics.weak_segment import CODE
from audits.evidence.case import Case
from audits.evidence.segments.rules import Columns, Condition, Segment, simple_segments
from audits.evidence.segments.trial import Measured, Trial
from schemas.report import Outcome, Severity
from tests.audits.checks.remedies import defined_by, remedy_of
from tests.factories import Part, Task, case_of, constant, fitted, miscut, request_for, result_of, splits


def with_segment(train: Part, share: float = 0.2, seed: int = 0) -> pd.Series:
    """A column of places, one of which a share of the rows belongs to."""
    rng = np.random.default_rng([seed, len(train)])
    return pd.Series(np.where(rng.random(len(train)) < share, "north", rng.choice(["south", "west"], len(train))))


def blind_to_a_place(
    task: Task = "binary", *, n: int = 800, share: float = 0.2, seed: int = 0, kind: str = "text"
) -> Case:
    """A model that answers at random where the place is the north, and well elsewhere."""
    train, validation = splits(task, n_train=800, n_validation=n, signal=4.0, seed=seed)
    answer = fitted(train, task)
    parts = []
    for part in (train, validation):
        place = with_segment(part, share, seed)
        values = place.astype(object) if kind == "text" else (place == "north").to_numpy() * 2.0 - 1.0
        parts.append(Part(part.x.assign(place=values), part.y))

    def predict(rows: pd.DataFrame) -> np.ndarray:
        answers = answer(rows[[c for c in rows.columns if c != "place"]].to_numpy(dtype=float))
        north = (rows["place"] == ("north" if kind == "text" else 1.0)).to_numpy()
        noise = np.random.default_rng(1).permutation(answers)
        return np.where(north if answers.ndim == 1 else north[:, None], noise, answers)

    return case_of(*parts, answer, request=request_for(task=task), predict=predict)


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("kind", ["text", "number"])
def test_fires_on_a_model_that_is_blind_in_one_place(task: Task, kind: str):
    result = result_of(CODE, blind_to_a_place(task, kind=kind))

    assert result.outcome is Outcome.FAIL
    assert result.finding.severity is Severity.WARNING
    assert "place" in result.finding.affected.columns
    assert result.finding.affected.share_of_rows == pytest.approx(0.2, abs=0.06)
    assert result.finding.effect.interval[0] > 0.1
    assert result.confirmation is None or result.confirmation.confirmed


def test_fires_on_labels_that_are_wrong_in_one_tail():
    """No learner of the validation rows can do better there: what the training rows give is the witness."""
    train, validation = splits("binary", n_train=1000, n_validation=1000, signal=6.0, seed=2)
    tail = (validation.x["c2"] > validation.x["c2"].quantile(0.75)).to_numpy()
    y = np.where(tail & (np.random.default_rng(0).random(len(tail)) < 0.5), 1 - validation.y, validation.y)

    result = result_of(CODE, case_of(train, Part(validation.x, y), fitted(train, "binary")))

    assert result.outcome is Outcome.FAIL
    assert result.finding.affected.columns[0] == "c2"


def test_stays_silent_on_rows_that_are_hard_for_everyone():
    """Where the noise is larger, every learner errs more: an observation at most."""
    train, validation = splits("regression", n_train=1500, n_validation=1500, signal=3.0, seed=3)
    parts = []
    for place, part in enumerate((train, validation)):
        loud = (part.x["c2"] > train.x["c2"].quantile(0.7)).to_numpy()
        noise = np.random.default_rng(place).normal(0, 40, len(part))
        parts.append(Part(part.x, part.y + loud * noise))

    result = result_of(CODE, case_of(*parts, fitted(parts[0], "regression")))

    assert result.outcome is Outcome.PASS
    assert result.finding is None or result.finding.severity is Severity.INFO


def test_a_hard_segment_is_an_observation():
    train, validation = splits("binary", n_train=1500, n_validation=1500, signal=8.0, seed=3)
    parts = []
    for place, part in enumerate((train, validation)):
        rng = np.random.default_rng(place)
        tossed = (part.x["c2"] > train.x["c2"].quantile(0.75)).to_numpy()
        parts.append(Part(part.x, np.where(tossed, rng.integers(0, 2, len(part)), part.y)))

    result = result_of(CODE, case_of(*parts, fitted(parts[0], "binary")))

    assert result.outcome is Outcome.PASS
    assert not result.ranks
    assert result.finding.severity is Severity.INFO
    assert "c2" in result.finding.affected.columns


@pytest.mark.parametrize("model", [constant(0.1), miscut(3.0)])
def test_stays_silent_on_a_model_that_is_weak_everywhere(model: Any):
    """A wrong threshold or a constant answer is no matter of a segment, though the classes are spread unevenly."""
    train, validation = splits("binary", n_train=800, n_validation=800, prevalence=0.3, seed=4)

    result = result_of(CODE, case_of(train, validation, model(train, "binary")))

    assert result.outcome is not Outcome.FAIL


def test_stays_silent_on_healthy_models():
    alarms = []
    for seed in range(12):
        task: Task = ("binary", "multiclass", "regression")[seed % 3]
        n = (60, 150, 300, 600)[(seed // 3) % 4]
        train, validation = splits(task, n_train=max(300, n), n_validation=n, texts=seed % 2, signal=2.0, seed=seed)
        result = result_of(CODE, case_of(train, validation, fitted(train, task), request=request_for(task=task)))
        alarms += [seed] if result.outcome is Outcome.FAIL else []

    assert alarms == []


WEAK = Trial(
    Segment((Condition("c0", ">=", 1.0),)),
    "trained like the model",
    deficit=Measured(0.3, 0.05),
    excess=Measured(0.3, 0.05),
    contrast=Measured(0.3, 0.05),
    elsewhere=Measured(0.0, 0.02),
    inside=Measured(0.6, 0.05),
    outside=Measured(0.9, 0.02),
    rival_inside=Measured(0.9, 0.05),
)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("deficit", Measured(0.3, 0.15)),  # perhaps no worse than elsewhere
        ("excess", Measured(0.3, 0.15)),  # perhaps hard for everyone
        ("contrast", Measured(0.04, 0.01)),  # no more so than elsewhere
        ("elsewhere", Measured(0.2, 0.02)),  # weak everywhere
    ],
)
def test_every_condition_of_a_weak_segment_is_needed(part: str, value: Measured):
    assert WEAK.is_weak(0.1, 0.05)
    assert not replace(WEAK, **{part: value}).is_weak(0.1, 0.05)


def test_the_p_value_is_that_of_the_weakest_condition():
    assert replace(WEAK, excess=Measured(0.1, 0.05)).p_value == pytest.approx(norm.sf(2))


def test_few_groups_are_segments():
    """Three hospitals; the model fails in one of them, and no feature tells which it is."""
    train, validation = splits("binary", n_train=900, n_validation=900, signal=6.0, seed=6)
    rng = np.random.default_rng(0)
    train, validation = (Part(p.x, p.y, rng.integers(0, 3, len(p))) for p in (train, validation))
    wrong = (validation.groups == 1) & (rng.random(len(validation)) < 0.5)
    spoilt = Part(validation.x, np.where(wrong, 1 - validation.y, validation.y), validation.groups)
    data = {"train": {"uri": "a.csv"}, "validation": {"uri": "b.csv"}, "label": "y", "group": "hospital"}

    result = result_of(CODE, case_of(train, spoilt, fitted(train, "binary"), request=request_for(data=data)))

    assert result.outcome is Outcome.FAIL
    assert result.finding.evidence["segment"] == "hospital is '1'"
    root, worst, *_ = result.finding.evidence["tree"]
    assert (root["rule"], root["depth"], root["rank"]) == ("all rows", 0, None)
    assert (worst["rule"], worst["depth"], worst["rank"]) == ("hospital is '1'", 1, 1)
    assert worst["rows"] < root["rows"] == result.finding.evidence["confirmed_on_rows"]
    assert worst["estimate"] < root["estimate"]


def test_the_remedys_code_selects_the_segment():
    one = blind_to_a_place()
    result = result_of(CODE, one)
    code = defined_by(remedy_of(result))
    rows, labels = one.validation.sample.rows, one.validation.labels

    inside = code["segment"](rows)
    told = code["segment_metric"](rows, labels, one.validation.predictions.decisions)

    assert np.flatnonzero(inside)[:100].tolist() == result.finding.affected.rows
    assert told["inside"] < told["outside"] - 0.1
    assert set(np.unique(code["sample_weights"](rows))) == {1.0, code["WEIGHT"]}


def test_a_vector_is_selected_by_position():
    segment = Segment((Condition("x[1]", ">=", 0.5), Condition("x[0]", "<", 2.0)))

    assert segment.code(table=False, positions={"x[0]": 0, "x[1]": 1}) == (
        "(features[:, 1] >= 0.5) & (features[:, 0] < 2.0)"
    )
    assert str(segment) == "x[1] >= 0.5 and x[0] < 2"


def test_missing_values_and_constants_make_no_segment():
    one = blind_to_a_place()
    rows = one.train.sample.rows.assign(c0=np.nan, c1=3.0)

    columns = {s.columns[0] for s in simple_segments(Columns(one.space), rows, None)}

    assert columns == {"c2", "c3", "c4", "c5", "place"}


def test_images_have_no_segments():
    train, validation = splits("binary", layout="image")

    result = result_of(CODE, case_of(train, validation, fitted(train, "binary")))

    assert result.outcome is Outcome.NOT_APPLICABLE


@pytest.mark.parametrize("n", [1, 18, 60])
@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_inconclusive_on_few_rows(task: Task, n: int):
    train, validation = splits(task, n_train=120, n_validation=n, seed=2)

    result = result_of(CODE, case_of(train, validation, fitted(train, task), request=request_for(task=task)))

    assert result.outcome is Outcome.INCONCLUSIVE
