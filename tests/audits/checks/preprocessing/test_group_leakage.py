"""preprocessing.group_leakage: the same entities on both sides."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from audits.artefacts import Array
from audits.checks.preprocessing.group_leakage import CODE
from audits.evidence.case import Case
from audits.evidence.entities import dependent_rows
from schemas.report import Outcome, Severity
from tests.audits.checks.remedies import defined_by, remedy_of
from tests.factories import case, case_of, fitted, request_for, result_of, splits


def grouped(train: Array, validation: Array, **world: object) -> Case:
    """A healthy case whose rows name these groups."""
    one = case(n_train=len(train), n_validation=len(validation), **world)
    ours, theirs = (
        replace(s, roles={"group": g}, sample=replace(s.sample, groups=dependent_rows(g)))
        for s, g in ((one.train, train), (one.validation, validation))
    )
    return replace(one, train=ours, validation=theirs, mended=theirs.sample)


def dealt(n_groups: int = 60, n_train: int = 500, n_validation: int = 300) -> tuple[Array, Array]:
    """Groups dealt to the rows of both splits at random."""
    rng = np.random.default_rng(0)
    return rng.integers(0, n_groups, n_train), rng.integers(0, n_groups, n_validation)


def leaking() -> Case:
    return grouped(*dealt())


def test_fires_on_groups_that_stand_in_both_splits():
    result = result_of(CODE, leaking())

    assert result.outcome is Outcome.FAIL
    assert result.finding.severity is Severity.WARNING
    assert result.finding.effect.estimate == 1.0
    assert result.confirmation.confirmed
    assert "Too few rows of unseen groups" in result.explanation


@pytest.mark.parametrize("dtype", [np.int64, np.float64, object])
def test_fires_however_the_groups_are_written(dtype: type):
    train, validation = dealt()
    texts = np.array([f" {v} " for v in validation], dtype=object) if dtype is object else validation.astype(dtype)

    assert result_of(CODE, grouped(train, texts)).finding.effect.estimate == 1.0


def test_counts_only_rows_that_name_their_group():
    train, validation = dealt()
    names = np.where(np.arange(300) < 150, None, (validation + 1000).astype(object))
    names[150:180] = train[0]

    result = result_of(CODE, grouped(train.astype(object), names))

    assert result.finding.effect.estimate == pytest.approx(30 / 150)
    assert result.finding.evidence["rows_without_group"] == 150


def test_is_critical_where_seen_groups_score_better():
    """Labels of unseen groups are turned around: the model knows nothing of them."""
    train, validation = dealt()
    unseen = np.arange(300) < 150
    one = grouped(train, np.where(unseen, validation + 1000, validation))
    labels = np.where(unseen & (np.arange(300) % 3 == 0), 1 - one.validation.labels, one.validation.labels)
    sample = one.validation.sample.with_labels(labels)
    one = replace(one, validation=replace(one.validation, labels=labels, sample=sample), mended=sample)

    result = result_of(CODE, one)

    assert result.finding.severity is Severity.CRITICAL
    assert result.confirmation.after < result.confirmation.before
    assert result.confirmation.gain_interval[1] < 0
    assert "On rows of seen groups" in result.explanation


def test_stays_silent_on_groups_of_their_own():
    train, validation = dealt()

    assert result_of(CODE, grouped(train, validation + 1000)).outcome is Outcome.PASS


@pytest.mark.parametrize("groups", [2, 7])
def test_stays_silent_on_categories_that_every_split_has(groups: int):
    result = result_of(CODE, grouped(*dealt(groups)))

    assert result.outcome is Outcome.PASS
    assert result.finding.severity is Severity.INFO
    assert "categories" in result.reason


def test_stays_silent_on_rows_that_are_numbered_in_both_files():
    result = result_of(CODE, grouped(np.arange(500), np.arange(300)))

    assert result.finding.severity is Severity.INFO
    assert "number their rows" in result.reason


def test_a_handful_of_shared_rows_is_only_mentioned():
    train, validation = dealt()
    result = result_of(CODE, grouped(train, np.where(np.arange(300) < 6, validation, validation + 1000)))

    assert result.finding.severity is Severity.INFO
    assert not result.ranks


@pytest.mark.parametrize("values", [np.full(40, None, dtype=object), np.full(40, np.nan)])
def test_inconclusive_where_no_row_names_its_group(values: Array):
    assert result_of(CODE, grouped(values, values)).outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize("n", [1, 3])
def test_survives_a_row_or_three(n: int):
    assert result_of(CODE, grouped(np.arange(60) % 20, np.arange(n))).outcome in Outcome


@pytest.mark.parametrize("layout", ["table", "image"])
def test_not_applicable_without_a_group(layout: str):
    assert result_of(CODE, case(layout=layout)).outcome is Outcome.NOT_APPLICABLE


def test_mentions_a_column_that_looks_like_an_entity():
    """Nobody named the customer, but rows of known customers score far better."""
    train, validation = splits(n_train=600, n_validation=400)
    rng = np.random.default_rng(1)
    known = rng.random(400) < 0.5
    names = [rng.integers(0, 60, 600), np.where(known, rng.integers(0, 60, 400), rng.integers(900, 960, 400))]
    parts = [
        replace(p, x=p.x.assign(customer=np.array([f"K{v}" for v in ids], dtype=object)))
        for p, ids in zip((train, validation), names, strict=True)
    ]
    turned = ~known & (rng.random(400) < 0.4)
    parts[1] = replace(parts[1], y=np.where(turned, 1 - validation.y, validation.y))

    result = result_of(CODE, case_of(*parts, fitted(train, "binary"), request=request_for(task="binary")))

    assert result.finding.severity is Severity.INFO
    assert result.finding.affected.columns == ["customer"]


def test_the_remedys_code_splits_by_group():
    code = defined_by(remedy_of(result_of(CODE, leaking())))
    table = pd.DataFrame({code["GROUP"]: np.arange(200) // 4, "x": 1.0})

    train, validation = code["split_by_group"](table)

    assert not set(train[code["GROUP"]]) & set(validation[code["GROUP"]])
    assert len(train) + len(validation) == 200
