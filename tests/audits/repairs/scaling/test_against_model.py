"""Both files, or the training file alone, off the model's scale: what no comparison of the splits can show."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from audits.artefacts import ModelInternals, Normaliser, Place
from audits.checks.preprocessing import scaling_mismatch
from audits.checks.preprocessing.scaling_mismatch import CODE
from audits.evidence.case import Case
from audits.repairs.scaling.against_model import suspect
from audits.repairs.witness import as_the_model_saw
from schemas.report import Outcome, Severity
from tests.audits.checks.remedies import defined_by, remedy_of
from tests.factories import Fault, Part, case, examined, faults_found, fitted, memoriser, result_of, splits

TASKS = pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])


def standardised(part: Part, train: Part, rng: np.random.Generator) -> Part:
    """With the training rows' statistics."""
    return part.with_numbers((part.numbers - train.numbers.mean(axis=0)) / train.numbers.std(axis=0))


def times(factor: float) -> Fault:
    return lambda part, train, rng: part.with_numbers(part.numbers * factor)


def holding(kind: str = "normalization", task: str = "binary", **world) -> ModelInternals:
    """What a model that was adapted to the training rows of this world holds of them."""
    train, _ = splits(task, **world)
    numbers = train.numbers
    places = tuple(Place("x", i, f"c{i}") for i in range(numbers.shape[1]))
    mean, sd = (tuple(map(float, part)) for part in (numbers.mean(axis=0), numbers.std(axis=0)))
    return ModelInternals(normalisers=(Normaliser("scaler", kind, mean, sd, places),))


def both(fault: Fault, task: str = "binary", internals: ModelInternals | None = None, **world) -> Case:
    return case(task, fault=fault, train_fault=fault, internals=internals, **world)


@TASKS
@pytest.mark.parametrize("kind", ["normalization", "batch_normalization"])
def test_data_that_are_standardised_before_a_model_that_does_it_itself(task: str, kind: str):
    healthy = case(task).validation_score[0]

    result = result_of(CODE, both(standardised, task, holding(kind, task)))

    assert (result.outcome, result.finding.severity) == (Outcome.FAIL, Severity.CRITICAL)
    assert result.finding.evidence["fault"] == "standardised_twice"
    assert result.confirmation.after == pytest.approx(healthy, abs=1e-6)
    assert result.finding.evidence["model"]["c0"]["layer"] == "scaler"
    assert "Training and validation data agree" in result.finding.summary


@TASKS
def test_both_files_in_another_unit_than_the_model_holds(task: str):
    healthy = case(task).validation_score[0]

    result = result_of(CODE, both(times(1000.0), task, holding(task=task)))

    assert result.finding.evidence["fault"] == "not_the_models_scale"
    assert result.confirmation.after == pytest.approx(healthy, abs=1e-6)


@TASKS
@pytest.mark.parametrize("layout", ["table", "vector"])
def test_a_scaler_that_was_forgotten_for_both_files(task: str, layout: str):
    """The model holds nothing; it is right about its training rows once they are standardised."""

    def build(train: Part, task: str):
        return fitted(standardised(train, train, None), task)

    result = result_of(CODE, case(task, layout=layout, model=build))

    assert result.finding.evidence["fault"] == "not_standardised"
    assert result.confirmation.after > result.confirmation.before + 0.1


def test_the_remedys_code_carries_the_columns_onto_the_models_scale():
    train, _ = splits()
    result = result_of(CODE, both(standardised, internals=holding()))

    back = defined_by(remedy_of(result))["onto_training_scale"](standardised(train, train, None).x)

    assert Part(back, train.y).numbers == pytest.approx(train.numbers, rel=1e-3, abs=1e-3)


def test_pixels_that_were_divided_before_a_model_that_does_it_itself():
    def build(train: Part, task: str):
        answer = fitted(train, task)
        return lambda m: answer(m / 255)

    world = {"layout": "image", "signal": 5.0}
    layer = Normaliser("rescaling", "rescaling", (0.0,), (255.0,), (Place("image", None, "channel 0"),))
    one = case(model=build, internals=ModelInternals(normalisers=(layer,)), **world)

    result = result_of(CODE, one)

    assert result.finding.evidence["fault"] == "rescaled_twice"
    assert result.confirmation.after == pytest.approx(case(**world).validation_score[0])


def test_what_is_repaired_for_both_splits_is_told_once():
    """No check compares repaired validation rows with training rows that are not."""
    size = {"n_train": 800, "n_validation": 500}

    mended, results = examined(both(standardised, internals=holding(**size), **size))

    assert faults_found(results) == {CODE}
    assert mended.train_score[0] == pytest.approx(case(**size).train_score[0])


@TASKS
def test_a_training_file_that_is_not_what_the_model_saw(task: str):
    one = case(task, train_fault=standardised, n_train=800, n_validation=500)

    mended, results = examined(one)
    result = results[CODE]

    assert faults_found(results) == {CODE}
    assert (result.finding.severity, result.recovered) == (Severity.WARNING, None)
    assert result.finding.affected.split == "train"
    assert result.confirmation.after > result.confirmation.before + 0.1
    assert mended.score(mended.mended) == pytest.approx(one.validation_score[0])


def test_a_sample_of_a_larger_split_stands_for_it():
    one = both(standardised, internals=holding(n_train=800), n_train=800)
    at = np.arange(0, 800, 2)
    sampled = replace(one, train=replace(one.train, sample=one.train.sample.at(at)))

    mended = as_the_model_saw(sampled, CODE, scaling_mismatch.suspect, suspect)

    assert mended.train.n == len(mended.train.sample) == 400
    assert mended.train.labels.tolist() == one.train.labels[at].tolist()
    assert mended.train.sample.index.tolist() == list(range(400))


@TASKS
@pytest.mark.parametrize("layout", ["table", "vector", "image"])
def test_stays_silent_on_healthy_models(task: str, layout: str):
    one = case(task, layout=layout)

    assert as_the_model_saw(one, CODE, scaling_mismatch.suspect, suspect) is one


@TASKS
def test_stays_silent_on_a_model_whose_layer_agrees(task: str):
    one = case(task, internals=holding(task=task))

    assert as_the_model_saw(one, CODE, scaling_mismatch.suspect, suspect) is one


def test_stays_silent_on_a_layer_that_was_never_adapted_and_does_no_harm():
    """Mean 0 and deviation 1 before raw data: the model was trained like that."""
    places = tuple(Place("x", i, f"c{i}") for i in range(6))
    idle = ModelInternals(normalisers=(Normaliser("scaler", "normalization", (0.0,) * 6, (1.0,) * 6, places),))
    one = case(internals=idle)

    assert as_the_model_saw(one, CODE, scaling_mismatch.suspect, suspect) is one


@pytest.mark.parametrize("signal", [0.0, 0.3])
def test_stays_silent_on_models_that_are_merely_weak(signal: float):
    """Nothing to learn, and a model that cries at random: from nonsense to chance is no proof."""

    def wild(train: Part, task: str):
        return lambda m: 50 + 1e3 * np.sin(m.sum(axis=1))

    for seed in range(5):
        assert result_of(CODE, case("regression", model=wild, signal=signal, seed=seed)).finding is None
        assert result_of(CODE, case(signal=signal, seed=seed)).finding is None


@pytest.mark.parametrize("rows", [1, 3, 12, 49])
def test_few_rows_and_odd_columns_do_not_crash(rows: int):
    def odd(part: Part, train: Part, rng: np.random.Generator) -> Part:
        values = part.numbers
        values[:, 0], values[:, 1] = 3.0, np.nan
        return part.with_numbers(values)

    one = case("regression", n_train=30, n_validation=rows, fault=odd, train_fault=odd, internals=holding(n_train=30))

    assert as_the_model_saw(one, CODE, scaling_mismatch.suspect, suspect) is one


def test_texts_alone_have_no_scale():
    one = case(columns=2, texts=2)
    frame = one.train.sample.rows[["t0", "t1"]]

    assert isinstance(frame, pd.DataFrame)
    texts = replace(one, space=replace(one.space, units=()))
    assert as_the_model_saw(texts, CODE, scaling_mismatch.suspect, suspect) is texts


@pytest.mark.parametrize("model", [fitted, memoriser])
def test_healthy_worlds_are_hardly_ever_off_scale(model):
    found = 0
    for seed in range(12):
        for task in ("binary", "multiclass", "regression"):
            one = case(task, model=model, seed=seed, n_train=60 + 40 * seed, n_validation=50 + 30 * seed)
            found += as_the_model_saw(one, CODE, scaling_mismatch.suspect, suspect) is not one

    assert found == 0
