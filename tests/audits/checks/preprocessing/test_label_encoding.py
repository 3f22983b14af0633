"""preprocessing.label_encoding: the same label means another class."""

import re

import numpy as np
import pandas as pd
import pytest

from audits.checks.preprocessing import label_encoding
from audits.checks.preprocessing.label_encoding import CODE
from audits.evidence.case import Subject
from schemas.report import Outcome, Severity
from tests.audits.checks.remedies import defined_by, remedy_of
from tests.factories import (
    Answer,
    Part,
    Task,
    case,
    constant,
    examined,
    memoriser,
    permuted_labels,
    relabelled,
    result_of,
)


@pytest.mark.parametrize("n_validation", [60, 400])
def test_fires_on_inverted_binary_labels(n_validation: int):
    healthy = case(n_validation=n_validation).validation_score[0]

    result = result_of(CODE, case(n_validation=n_validation, fault=permuted_labels(1, 0)))

    assert result.outcome is Outcome.FAIL
    assert result.finding.severity is Severity.CRITICAL
    assert result.confirmation.after == pytest.approx(healthy)


@pytest.mark.parametrize("order", [(1, 0, 2), (1, 2, 0), (2, 1, 0)])
@pytest.mark.parametrize("layout", ["table", "image"])
def test_fires_on_permuted_classes(order: tuple[int, ...], layout: str):
    one = case("multiclass", layout=layout, fault=permuted_labels(*order))

    result = result_of(CODE, one)

    assert result.outcome is Outcome.FAIL
    assert result.finding.evidence["read_as"] == {str(w): str(k) for k, w in enumerate(order) if k != w}


def test_fires_on_names_spelled_otherwise():
    """As in the census file whose test part ends every label with a full stop."""
    one = case(names=["<=50K", ">50K"], fault=relabelled(lambda y: np.array([" <=50K.", " >50k."], dtype=object)[y]))

    result = result_of(CODE, one)

    assert result.outcome is Outcome.FAIL
    assert result.finding.evidence["read_as"] == {" <=50K.": "<=50K", " >50k.": ">50K"}
    assert result.confirmation.before == 0.0


@pytest.mark.parametrize("offset", [1, -1])
def test_fires_on_labels_counted_from_another_number(offset: int):
    one = case("multiclass", fault=relabelled(lambda y: y + offset))

    result = result_of(CODE, one)

    assert result.outcome is Outcome.FAIL
    assert result.finding.evidence["read_as"] == {str(k + offset): str(k) for k in range(3)}
    assert result.confirmation.after == pytest.approx(case("multiclass").validation_score[0])


def test_the_reading_of_another_unit_names_its_offset():
    """With the slope alone, every label would stay off."""
    result = result_of(CODE, case("regression", fault=relabelled(lambda y: 10 * y + 5000)))

    formula = result.finding.evidence["read_as"]["label"]
    offset, slope = (float(x) for x in re.fullmatch(r"\(label - (\S+)\) / (\S+)", formula).groups())
    assert slope == pytest.approx(10, rel=0.1)
    assert offset == pytest.approx(5000, rel=0.02)
    assert result.confirmation.intervention == f"read the validation labels as {formula}"


@pytest.mark.parametrize("factor", [1000.0, 0.01])
def test_fires_on_quantities_of_another_unit(factor: float):
    result = result_of(CODE, case("regression", fault=relabelled(lambda y: y * factor)))

    assert result.outcome is Outcome.FAIL
    assert result.confirmation.after == pytest.approx(case("regression").validation_score[0], abs=0.02)


def test_fires_on_labels_that_no_class_is():
    """No map is found, but rows of an unknown class are counted as wrong, and that is said."""
    one = case(names=["no", "yes"], fault=relabelled(lambda y: np.array(["no", "maybe"], dtype=object)[y]))

    result = result_of(CODE, one)

    assert result.outcome is Outcome.FAIL
    assert result.finding.severity is Severity.CRITICAL
    assert result.finding.evidence["unseen"] == ["maybe"]
    assert result.finding.affected.share_of_rows == pytest.approx(0.5, abs=0.1)
    assert {one.validation.sample.raw_labels[i] for i in result.finding.affected.rows} == {"maybe"}


def test_few_unknown_labels_are_a_warning():
    def spoil(y: np.ndarray) -> np.ndarray:
        names = np.array(["no", "yes"], dtype=object)[y]
        names[:5] = "?"
        return names

    result = result_of(CODE, case(names=["no", "yes"], fault=relabelled(spoil)))

    assert result.outcome is Outcome.FAIL
    assert result.finding.severity is Severity.WARNING


def test_unknown_spellings_are_found_in_any_number_of_rows():
    one = case(
        n_validation=20,
        names=["no", "yes"],
        fault=relabelled(lambda y: np.array(["NO", "YES"], dtype=object)[y]),
    )

    assert result_of(CODE, one).outcome is Outcome.FAIL


def test_the_remedys_code_recodes_the_file():
    one = case("multiclass", fault=permuted_labels(1, 2, 0))
    frame = pd.DataFrame({"y": [1, 2, 0]})

    recoded = defined_by(remedy_of(result_of(CODE, one)))["recode"](frame)

    assert list(recoded["y"].astype(int)) == [0, 1, 2]


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("seed", range(3))
def test_stays_silent_on_healthy_data(task: str, seed: int):
    assert result_of(CODE, case(task, seed=seed)).finding is None


@pytest.mark.parametrize("task", ["binary", "multiclass"])
@pytest.mark.parametrize("seed", range(4))
def test_stays_silent_where_labels_are_noise(task: str, seed: int):
    """Some permutation always fits noise better; judged on other rows it gains nothing."""
    one = case(task, model=memoriser, signal=0.0, n_train=150, n_validation=100, seed=seed)

    assert result_of(CODE, one).finding is None


def test_a_permutation_is_judged_on_rows_that_it_was_not_found_on(monkeypatch: pytest.MonkeyPatch):
    """The order that one half gives changes labels of the other half alone."""
    one = case("multiclass", fault=permuted_labels(1, 0, 2))
    suspicion = label_encoding.suspect(one, one.train.sample, one.mended)
    found_on: list[set[int]] = []

    def first_half_exchanges(subject: Subject, classes: int) -> np.ndarray:
        found_on.append(set(subject.index))
        return np.array([1, 0, 2] if len(found_on) == 1 else [0, 1, 2])

    monkeypatch.setattr(label_encoding, "_best_order", first_half_exchanges)

    after = suspicion.apply(one.mended)

    changed = one.mended.index[after.labels != one.mended.labels]
    assert len(changed) > 50
    assert not found_on[0] & set(changed)


def test_stays_silent_on_a_permutation_that_brings_little_back():
    """Labels of which 58 % are turned around: reading all of them the other way is better, and not the fault."""

    def spoil(y: np.ndarray) -> np.ndarray:
        return np.where(np.random.default_rng(1).random(len(y)) < 0.58, 1 - y, y)

    assert result_of(CODE, case(n_validation=1500, fault=relabelled(spoil))).finding is None


def test_two_classes_of_one_spelling_are_not_guessed():
    one = case(names=["yes", "yes."], fault=relabelled(lambda y: np.array(["yes", "YES"], dtype=object)[y]))

    assert result_of(CODE, one).finding.evidence["unseen"] == ["YES"]


def test_stays_silent_on_a_model_that_knows_one_answer():
    assert result_of(CODE, case(model=constant(0.9))).finding is None


def test_stays_silent_on_a_biased_regression():
    """Twice the slope is a poor model, not another unit."""
    assert result_of(CODE, case("regression", fault=relabelled(lambda y: 2 * y))).finding is None


def test_inconclusive_on_few_rows():
    result = result_of(CODE, case(n_validation=25, fault=permuted_labels(1, 0)))

    assert result.outcome is Outcome.INCONCLUSIVE


def test_the_placebo_deals_the_same_labels_out_at_random():
    mended, results = examined(case(fault=permuted_labels(1, 0)), {CODE})
    (trial,) = mended.trials

    placebo = trial.suspicion.placebo(mended.validation.sample, np.random.default_rng(0))

    assert sorted(placebo.labels) == sorted(trial.after.labels)
    assert results[CODE].confirmation.placebo_gain < results[CODE].recovered.estimate


def test_stays_silent_on_a_weak_model_that_ranks_a_few_rows_wrongly():
    """Ten positives and a model at chance: now and then the other reading fits better, and means nothing."""
    for seed in range(12):
        one = case(model=constant_and_noise, prevalence=0.1, n_validation=100, seed=seed)
        assert result_of(CODE, one).outcome is not Outcome.FAIL


def constant_and_noise(train: Part, task: Task) -> Answer:
    """Answers that have nothing to do with the label."""
    return lambda m: 0.5 + 0.3 * np.sin(1e3 * m[:, 0])
