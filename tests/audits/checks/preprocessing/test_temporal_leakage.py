"""preprocessing.temporal_leakage: a model that was trained on the future."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from audits.artefacts import Array
from audits.checks.preprocessing.temporal_leakage import CODE
from audits.evidence.case import Case
from schemas.report import Outcome, Severity
from tests.audits.checks.remedies import defined_by, remedy_of
from tests.factories import case, case_of, fitted, request_for, result_of, splits

DAY = np.timedelta64(1, "D")
START = np.datetime64("2025-01-01", "ns")


def timed(train: Array, validation: Array, **world: object) -> Case:
    """A healthy case whose rows have these times."""
    one = case(n_train=len(train), n_validation=len(validation), **world)
    ours, theirs = (replace(s, roles={"time": t}) for s, t in ((one.train, train), (one.validation, validation)))
    return replace(one, train=ours, validation=theirs)


def days(low: int, high: int, n: int, seed: int = 0) -> Array:
    return START + np.random.default_rng(seed).integers(low, high, n) * DAY


def leaking() -> Case:
    """The same four hundred days on both sides."""
    return timed(days(0, 400, 500), days(0, 400, 300, 1))


def written(times: Array, how: str) -> Array:
    stamps = pd.Series(times)
    texts = {
        "iso": stamps.dt.strftime("%Y-%m-%d"),
        "zone": stamps.dt.strftime("%Y-%m-%dT%H:%M:%S+02:00"),
        "german": stamps.dt.strftime("%d.%m.%Y"),
    }
    if how in texts:
        return texts[how].to_numpy(dtype=object)
    seconds = times.astype(np.int64) / 1e9
    if how == "epoch as text":
        return np.array([str(int(v)) for v in seconds], dtype=object)
    return seconds if how == "epoch" else times


HOW = ["stamp", "iso", "zone", "german", "epoch", "epoch as text"]


@pytest.mark.parametrize("how", HOW)
def test_fires_on_rows_of_the_same_days(how: str):
    result = result_of(CODE, timed(written(days(0, 400, 500), how), written(days(0, 400, 300, 1), how)))

    assert result.outcome is Outcome.FAIL
    assert result.finding.severity is Severity.WARNING
    assert result.finding.effect.estimate > 0.95
    assert result.finding.evidence["younger_training_rows"] == pytest.approx(0.5, abs=0.06)
    assert result.confirmation.confirmed


def test_fires_on_a_split_that_is_the_wrong_way_round():
    result = result_of(CODE, timed(days(200, 400, 500), days(0, 200, 300)))

    assert result.finding.effect.estimate == 1.0
    assert result.finding.evidence["younger_training_rows"] == 1.0
    assert "2025" in result.finding.summary


def test_fires_on_an_overlap_of_years():
    years = np.random.default_rng(0).integers(2001, 2020, 800)

    assert result_of(CODE, timed(years[:500], years[500:])).outcome is Outcome.FAIL


@pytest.mark.parametrize("how", HOW)
def test_stays_silent_on_a_split_by_time(how: str):
    result = result_of(CODE, timed(written(days(0, 300, 500), how), written(days(300, 400, 300), how)))

    assert result.outcome is Outcome.PASS
    assert result.finding is None


def test_stays_silent_on_days_that_only_touch():
    """The day of the cut stands on both sides; what is not later is no future."""
    assert result_of(CODE, timed(days(0, 301, 500), days(300, 400, 300))).finding is None


def test_stays_silent_on_the_year_in_which_training_ended():
    years = np.random.default_rng(0).integers(2018, 2021, 500)

    assert result_of(CODE, timed(years, np.full(300, 2020))).finding is None


def test_stays_silent_on_one_stray_stamp():
    train = days(0, 300, 500)
    train[7] = np.datetime64("2099-01-01", "ns")

    assert result_of(CODE, timed(train, days(300, 400, 300))).finding is None


def test_missing_stamps_do_not_count():
    train, validation = days(0, 400, 500), days(0, 400, 300, 1)
    train[:200] = np.datetime64("NaT")
    validation[:290] = np.datetime64("NaT")

    result = result_of(CODE, timed(train, validation))

    assert result.finding.evidence["rows_without_time"] == {"training": 200, "validation": 290}


@pytest.mark.parametrize(
    ("train", "validation"),
    [
        (np.full(60, np.datetime64("NaT", "ns")), days(0, 400, 40)),
        (np.full(60, None, dtype=object), np.full(40, None, dtype=object)),
        (np.array(["soon"] * 60, dtype=object), np.array(["later"] * 40, dtype=object)),
        (days(0, 400, 60), np.arange(40.0)),
    ],
)
def test_inconclusive_where_the_times_say_nothing(train: Array, validation: Array):
    assert result_of(CODE, timed(train, validation)).outcome is Outcome.INCONCLUSIVE


def test_not_applicable_where_all_is_of_one_day():
    assert result_of(CODE, timed(days(3, 4, 60), days(3, 4, 40))).outcome is Outcome.NOT_APPLICABLE


@pytest.mark.parametrize("n", [1, 18])
def test_survives_few_rows(n: int):
    assert result_of(CODE, timed(days(0, 400, 60), days(0, 400, n))).outcome in Outcome


@pytest.mark.parametrize("after", [True, False])
def test_is_critical_where_the_metric_falls_with_time(after: bool):
    """The labels of the last rows are half wrong, whether or not they lie after the training data."""
    validation = np.sort(days(0, 400, 300, 1))
    one = timed(days(0, 300 if after else 400, 500), validation)
    late = validation > START + 300 * DAY
    labels = np.where(late & (np.arange(300) % 2 == 0), 1 - one.validation.labels, one.validation.labels)
    sample = one.validation.sample.with_labels(labels)
    one = replace(one, validation=replace(one.validation, labels=labels, sample=sample), mended=sample)

    result = result_of(CODE, one)

    assert result.finding.severity is Severity.CRITICAL
    assert result.finding.evidence["metric_over_time"]["interval"][0] > 0.03
    if after:
        assert result.confirmation.after < result.confirmation.before


def test_not_applicable_without_a_time():
    assert result_of(CODE, case()).outcome is Outcome.NOT_APPLICABLE
    assert result_of(CODE, case(layout="image")).outcome is Outcome.NOT_APPLICABLE


@pytest.mark.parametrize("how", ["stamp", "iso"])
def test_mentions_a_column_of_time_stamps(how: str):
    train, validation = splits()
    parts = [
        replace(p, x=p.x.assign(seen_on=written(days(0, 400, len(p), seed), how)))
        for seed, p in enumerate((train, validation))
    ]

    result = result_of(CODE, case_of(*parts, fitted(train, "binary"), request=request_for(task="binary")))

    assert result.finding.severity is Severity.INFO
    assert result.finding.affected.columns == ["seen_on"]


def test_the_remedys_code_splits_by_time():
    code = defined_by(remedy_of(result_of(CODE, leaking())))
    table = pd.DataFrame({code["TIME"]: days(0, 400, 200), "x": 1.0})

    train, validation = code["split_by_time"](table)

    assert train[code["TIME"]].max() < validation[code["TIME"]].min()
    assert len(train) + len(validation) == 200
