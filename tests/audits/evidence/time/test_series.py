"""Validation rows as a time series: order, horizon, season."""

import numpy as np
import pandas as pd
import pytest

from audits.evidence.time.naive import naive_comparison
from audits.evidence.time.series import dependent_blocks, series_of
from tests.audits.checks.timeseries import LAGS, forecast_case, with_roles
from tests.factories import case


@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize("ahead", [1, 6])
def test_the_last_known_value_is_the_newest_label_among_the_features(ahead: int, shuffled: bool):
    one = forecast_case(ahead=ahead, shuffled=shuffled)
    series = series_of(one, one.mended)

    assert (series.horizon, series.lag, series.declared) == (ahead, ahead, True)
    known = np.isfinite(series.naive)
    assert known.all()
    assert series.naive == pytest.approx(one.mended.rows[f"lag{LAGS[0]}"].to_numpy())


def test_rows_are_put_in_the_order_of_time():
    one = forecast_case(shuffled=True)
    series = series_of(one, one.mended)

    assert (np.diff(one.validation.roles["time"][series.order]) > 0).all()


@pytest.mark.parametrize("kind", ["stamps", "texts", "zoned texts", "numbers"])
def test_times_in_every_form(kind: str):
    one = forecast_case()
    for name in ("train", "validation"):
        days = pd.Timestamp("2025-01-01") + pd.to_timedelta(getattr(one, name).roles["time"], unit="D")
        texts = days.strftime("%Y-%m-%d" + ("T00:00:00+02:00" if kind == "zoned texts" else ""))
        told = {
            "stamps": days.to_numpy(),
            "numbers": days.to_numpy().astype(np.int64),
        }.get(kind, texts.to_numpy(dtype=object))
        one = with_roles(one, name, time=told)

    assert series_of(one, one.mended).horizon == 1


def test_dates_that_begin_with_the_day_are_read_so():
    """The first of February is no second of January, also in a split that holds no day beyond the twelfth."""
    one = forecast_case(n_train=400, n_validation=300)
    for name in ("train", "validation"):
        days = pd.Timestamp("2024-01-01") + pd.to_timedelta(getattr(one, name).roles["time"], unit="D")
        one = with_roles(one, name, time=days.strftime("%d.%m.%Y").to_numpy(dtype=object))
    series = series_of(one, one.mended)

    assert series.order.tolist() == list(range(300))
    assert series.naive == pytest.approx(one.mended.rows["lag1"].to_numpy())


def test_a_group_is_the_same_however_its_column_was_read():
    """Whole numbers in one split, and floats in the other, where a value is missing."""
    one = forecast_case("independent", lags=(1,))
    one = with_roles(one, "train", group=np.arange(one.train.n) % 2)
    group = (np.arange(one.validation.n) % 2).astype(float)
    group[-1] = np.nan
    one = with_roles(one, "validation", group=group)
    series = series_of(one, one.mended)

    rank = np.argsort(series.order)
    assert np.isnan(series.naive[-1])
    assert series.naive[:2] == pytest.approx(one.train.labels[-2:])
    assert series.naive[2:-1] == pytest.approx(one.mended.labels[:-3])
    assert len(np.unique(rank)) == one.validation.n


def test_texts_that_are_no_times():
    one = forecast_case()
    told = with_roles(one, "validation", time=np.full(one.validation.n, "spring", dtype=object))

    assert series_of(told, told.mended) is None
    assert dependent_blocks(told, told.mended) is None


def test_a_season_is_found_at_its_shortest():
    one = forecast_case("seasonal")

    assert series_of(one, one.mended).lag == 12


def test_without_an_earlier_label_among_the_features_nothing_is_known():
    one = forecast_case(lags=())
    series = series_of(one, one.mended)

    assert series.horizon is None
    assert series.lag == 1


def test_the_order_of_the_file_where_it_is_that_of_time():
    one = forecast_case(time=False)
    series = series_of(one, one.mended)

    assert (series.horizon, series.declared) == (1, False)
    assert np.isnan(series.naive[0])


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_other_data_are_no_series(task: str):
    one = case(task)

    assert series_of(one, one.mended) is None
    assert naive_comparison(one) is None
    assert dependent_blocks(one, one.mended) is None


def test_a_file_that_is_sorted_by_its_label_is_no_series():
    def ordered(part, train, rng):
        return part.at(np.argsort(part.y))

    one = case("regression", fault=ordered, signal=50.0, columns=1)

    assert series_of(one, one.mended) is None


def test_many_rows_of_one_time_are_no_series():
    one = forecast_case()
    for name in ("train", "validation"):
        one = with_roles(one, name, time=getattr(one, name).roles["time"] // 10)

    assert series_of(one, one.mended) is None


def test_each_group_has_its_own_past():
    one = forecast_case("independent", lags=(1,))
    for name in ("train", "validation"):
        one = with_roles(one, name, group=np.arange(getattr(one, name).n) % 2)
    series = series_of(one, one.mended)

    labels = one.mended.labels
    assert series.naive[2:] == pytest.approx(labels[:-2])


def test_blocks_where_errors_depend_on_each_other():
    poor, alone = forecast_case("driven", lags=()), forecast_case("independent", seed=1)

    assert dependent_blocks(alone, alone.mended) is None
    codes = dependent_blocks(poor, poor.mended)
    assert 10 <= len(np.unique(codes)) < 100
    assert (np.diff(codes) >= 0).all()


def test_the_comparison_is_that_of_the_definition():
    one = forecast_case("driven")
    told = naive_comparison(one)
    y, a, b = one.mended.labels, one.mended.predictions.values, one.mended.rows["lag1"].to_numpy()

    assert told.skill == pytest.approx(1 - np.mean((a - y) ** 2) / np.mean((b - y) ** 2))
    assert told.interval[0] < told.skill < told.interval[1]
    changes = np.abs(np.diff(one.train.labels))
    assert told.mase == pytest.approx(np.mean(np.abs(a - y)) / changes.mean())
    assert not told.copies
    assert {type(v) for v in told.evidence().values()} <= {int, float, bool, list}
