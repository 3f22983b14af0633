"""preprocessing.distribution_shift: rows from elsewhere, and what it costs."""

from dataclasses import replace

import numpy as np
import pytest

from audits.checks.preprocessing.distribution_shift import CODE, distribution_shift
from audits.evidence.case import Case
from schemas.report import Outcome, Severity
from tests.audits.checks.preprocessing.test_image_geometry import answering, pictures
from tests.audits.checks.remedies import defined_by, remedy_of
from tests.factories import (
    Answer,
    Fault,
    Part,
    Task,
    both,
    case,
    case_of,
    fitted,
    moved,
    request_for,
    result_of,
    splits,
)


def selected(strength: float, *, hard: bool, layout: str = "table", n: int = 6000) -> Case:
    """Validation rows chosen by column 0: `strength` 0 takes all alike.

    The truth bends where training rows are rare, and the model is a line: rows from there are `hard` for it.
    """
    rng = np.random.default_rng(5)
    x = rng.normal(size=(n, 4))
    bend = 3.0 * np.maximum(x[:, 0] - 0.5, 0.0) if hard else 0.0
    y = (2 * x[:, 1] + x[:, 0] - 2 * bend + rng.logistic(size=n) > 0).astype(np.int64)
    train = rng.random(n) < 0.4 / (1 + np.exp(strength * x[:, 0]))
    validation = ~train & (rng.random(n) < 0.3 / (1 + np.exp(-strength * x[:, 0])))
    template = splits(columns=4, layout=layout, n_train=2, n_validation=2)[0]
    parts = [Part(_like(template, x[rows]), y[rows]) for rows in (train, validation)]
    return case_of(*parts, fitted(parts[0], "binary"), request=request_for(task="binary"))


def _like(template: Part, values: np.ndarray):
    if isinstance(template.x, np.ndarray):
        return values.astype(template.x.dtype)
    return (
        template.x.iloc[[0] * len(values)]
        .reset_index(drop=True)
        .assign(**{name: values[:, i] for i, name in enumerate(template.x.columns)})
    )


@pytest.mark.parametrize("layout", ["table", "vector"])
def test_fires_on_a_shift_that_costs(layout: str):
    result = result_of(CODE, selected(2.5, hard=True, layout=layout))

    assert result.outcome is Outcome.FAIL
    assert result.finding.severity is Severity.WARNING
    assert result.finding.affected.columns[0] in {"c0", "x[0]"}


def test_names_the_columns_that_moved_most_first():
    result = result_of(CODE, case(fault=both(moved(2.0, [1]), moved(5.0, [3]), moved(3.0, [5]))))

    assert result.finding.affected.columns[:3] == ["c3", "c5", "c1"]


def test_weighting_to_the_training_density_brings_the_metric_back():
    one = selected(3.0, hard=True)

    result = result_of(CODE, one)

    assert result.recovered.interval[0] > 0
    assert result.confirmation.after == pytest.approx(one.train_score[0], abs=0.05)


def test_fires_on_splits_that_hardly_overlap():
    """Nothing can be weighted; the metric speaks of another population, and that is said."""
    result = result_of(CODE, case(fault=moved(5.0, range(6))))

    assert result.outcome is Outcome.FAIL
    assert result.finding.evidence["overlap"] == "too small to weight"
    assert result.confirmation is None


def noisy(deviations: float) -> Fault:
    def spoil(part: Part, train: Part, rng: np.random.Generator) -> Part:
        values = part.numbers
        values[:, :2] += deviations * train.numbers[:, :2].std(axis=0) * rng.normal(size=(len(values), 2))
        return part.with_numbers(values)

    return spoil


def test_fires_where_every_row_has_changed_and_a_control_learner_falls_too():
    """Noise on two sensors: weights of rows bring back less than the margin, and the learner loses more."""
    limits = {CODE: {"min_cost": 0.9, "certain_auc": 0.99}}

    result = result_of(CODE, case("regression", columns=3, signal=6.0, fault=noisy(3.0), limits=limits))

    assert result.outcome is Outcome.FAIL
    assert result.finding.severity is Severity.WARNING
    assert result.confirmation is None
    assert "a control learner, too, falls" in result.explanation


def test_a_shift_that_costs_nothing_is_an_observation():
    result = result_of(CODE, selected(1.7, hard=False))

    assert result.outcome is Outcome.PASS
    assert result.finding.severity is Severity.INFO
    assert not result.ranks


def test_the_remedys_code_compares_the_columns():
    train, validation = splits(columns=4)

    table = defined_by(remedy_of(result_of(CODE, selected(2.5, hard=True))))["compare"](train.x, validation.x)

    assert set(table.columns.get_level_values(0)) == {"train", "validation"}


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("layout", ["table", "image"])
def test_stays_silent_on_one_population(task: Task, layout: str):
    result = result_of(CODE, case(task, layout=layout, n_train=250, n_validation=150))

    assert result.outcome is Outcome.PASS
    assert result.finding is None


def test_stays_silent_on_another_share_of_the_classes():
    """Prevalence alone is no shift of the inputs: within a class the rows are the same."""
    train, _ = splits(n_train=800, n_validation=2, prevalence=0.5)
    pool, _ = splits(n_train=2000, n_validation=2, prevalence=0.5)
    keep = np.random.default_rng(0).random(len(pool)) < np.where(pool.y == 1, 0.05, 0.4)
    fresh = np.arange(len(pool)) >= 800
    one = case_of(pool.at(np.arange(800)), pool.at(np.flatnonzero(keep & fresh)), fitted(train, "binary"))

    assert result_of(CODE, one).finding is None


def test_a_model_that_ignores_the_shifted_column_is_not_blamed():
    def without_first(train: Part, task: Task) -> Answer:
        values = train.numbers
        alone = fitted(Part(values[:, 1:], train.y), task)
        return lambda m: alone(m[:, 1:])

    one = selected(1.7, hard=False)
    other = case_of(
        Part(one.train.sample.rows, one.train.labels),
        Part(one.validation.sample.rows, one.validation.labels),
        without_first(Part(one.train.sample.rows, one.train.labels), "binary"),
    )

    assert result_of(CODE, other).outcome is Outcome.PASS


@pytest.mark.parametrize("world", [{"n_train": 40}, {"n_validation": 40}])
def test_inconclusive_on_few_rows(world: dict):
    assert result_of(CODE, case(**world)).outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize("split", ["training", "validation"])
def test_the_split_that_is_too_small_is_named(split: str):
    world = {"n_train": 100, "n_validation": 300} if split == "training" else {"n_train": 300, "n_validation": 100}

    result = result_of(CODE, case(limits={CODE: {"min_rows": 150}}, **world))

    assert result.outcome is Outcome.INCONCLUSIVE
    assert result.reason == f"100 of 150 {split} rows"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda x: (x + np.roll(x, 1, axis=1) + np.roll(x, 1, axis=2)) / 3, "blurrier"),
        (lambda x: x + np.random.default_rng(0).normal(0, 0.3, x.shape), "sharper or noisier"),
        (lambda x: x + 0.5, None),
    ],
    ids=["blurred", "noisy", "brighter"],
)
def test_says_that_images_are_blurrier_or_sharper(change, said: str | None):
    train, validation = pictures(400), pictures(300)
    spoilt = replace(validation, x=change(validation.x).astype(np.float32))
    finding = distribution_shift(case_of(train, spoilt, answering(train, "multiclass"))).finding

    assert ("than the training images" in finding.summary) is (said is not None)
    assert said is None or (said in finding.summary and "fine_detail" in finding.remedy.code)
