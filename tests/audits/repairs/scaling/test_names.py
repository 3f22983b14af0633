"""Faults of scale under their own names, from columns that real data might have."""

import numpy as np
import pytest

from audits.artefacts import Array
from audits.repairs.scaling.maps import ScaleMap, UnitPair
from audits.repairs.scaling.names import UNIT_FACTORS, UNIT_MAPS, NamedMap, free_map, named
from audits.repairs.scaling.words import evidence_of, words_of

N, M = 500, 900


def columns(seed: int, n: int) -> Array:
    """(n, 6): ages, heights, weights, incomes, temperatures, distances."""
    rng = np.random.default_rng(seed)
    return np.stack(
        [
            rng.gamma(3, 12, n) + 1,
            rng.normal(172, 9, n),
            np.exp(rng.normal(4.3, 0.2, n)),
            np.exp(rng.normal(10, 0.6, n)),
            rng.normal(18, 7, n),
            rng.gamma(2, 15, n) + 2,
        ],
        axis=1,
    )


def pairs(faulty: Array, right: Array) -> list[UnitPair]:
    return [
        UnitPair(i, f"c{i}", np.sort(faulty[:, i]), np.sort(right[:, i]), len(faulty), len(right))
        for i in range(right.shape[1])
    ]


def name_of(change, column: int = 1, seed: int = 0) -> NamedMap:
    """What one column is called after a change of its values."""
    right, faulty = columns(seed, M), columns(seed + 100, N)
    faulty[:, column] = change(faulty[:, column])
    (one,) = named([pairs(faulty, right)[column]], considered=6)
    return one


@pytest.mark.parametrize("factor", [2.54, 0.45359237, 0.3048, 1.609344, 60.0, 3600.0, 24.0, 100.0, 1000.0])
@pytest.mark.parametrize("way", [1, -1])
def test_a_unit_factor_is_named_and_exact(factor: float, way: int):
    one = name_of(lambda x: x * factor**way)

    assert (one.name.fault, one.name.detail) == ("unit", UNIT_FACTORS[factor])
    assert one.back.scale == pytest.approx(factor**-way)
    assert (one.back.offset, one.fitted) == (0.0, 0)


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        (lambda x: 1.8 * x + 32, "Fahrenheit for Celsius"),
        (lambda x: (x - 32) / 1.8, "Celsius for Fahrenheit"),
        (lambda x: x + 273.15, "Kelvin for Celsius"),
        (lambda x: x - 273.15, "Celsius for Kelvin"),
    ],
)
def test_temperatures_are_named(change, detail: str):
    one = name_of(change, column=4)

    assert (one.name.fault, one.name.detail) == ("unit", detail)
    assert one.back == UNIT_MAPS[detail]


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        (np.log, "the natural logarithm"),
        (np.sqrt, "the square root"),
        (np.square, "the square"),
        (np.log2, "the logarithm to base 2"),
    ],
)
def test_a_function_is_named(change, detail: str):
    one = name_of(change, column=3)

    assert (one.name.fault, one.name.detail) == ("transformed", detail)
    assert one.back.apply(change(np.array([7.0]))) == pytest.approx(7.0)


def test_log_and_log_of_one_more_are_told_apart_near_nought():
    right, faulty = columns(0, M)[:, :1] / 20, np.log1p(columns(100, N)[:, :1] / 20)

    (one,) = named(pairs(faulty, right), considered=6)

    assert one.name.detail == "log(1 + x)"


def test_a_forgotten_logarithm_is_named():
    right, faulty = np.log(columns(0, M)[:, 3:4]), columns(100, N)[:, 3:4]

    (one,) = named(pairs(faulty, right), considered=6)

    assert (one.name.fault, one.back.function) == ("transformed", "log")


def test_a_function_before_a_scaler_is_fitted():
    """The training column is the standardised logarithm, the validation column has never seen either."""
    right, faulty = np.log(columns(0, M)[:, 3:4]), columns(100, N)[:, 3:4]
    right = (right - right.mean()) / right.std()

    (one,) = named(pairs(faulty, right), considered=6)

    assert (one.name.fault, one.back.function, one.fitted) == ("transformed", "log", 2)
    assert one.misfit < free_map(pairs(faulty, right)[0]).pair.misfit(ScaleMap(1.0, 0.0))


def named_all(change) -> tuple[list[NamedMap], Array, Array]:
    """All columns after a change of the whole matrix, which gets the training rows too."""
    right, healthy = columns(0, M), columns(100, N)
    return named(pairs(change(healthy, right), right), considered=6), healthy, change(healthy, right)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda x, t: (x - t.mean(axis=0)) / t.std(axis=0), "standardised"),
        (lambda x, t: (x - x.mean(axis=0)) / x.std(axis=0), "standardised_by_itself"),
        (lambda x, t: ((x - t.mean(axis=0)) / t.std(axis=0) - t.mean(axis=0)) / t.std(axis=0), "standardised_twice"),
        (lambda x, t: (x - t.min(axis=0)) / np.ptp(t, axis=0), "min_max"),
    ],
)
def test_scalers_are_named_over_all_columns(change, fault: str):
    found, healthy, faulty = named_all(change)

    assert {one.name.fault for one in found} == {fault}
    back = np.stack([one.back.apply(faulty[:, one.pair.unit]) for one in found], axis=1)
    error = np.abs(back - healthy) / healthy.std(axis=0)
    assert error.max() < (0.5 if fault == "standardised_by_itself" else 1e-9)


def test_each_column_has_its_own_name():
    right, faulty = columns(0, M), columns(100, N)
    faulty[:, 1] /= 2.54
    faulty[:, 2] /= 0.45359237
    faulty[:, 3] = np.log(faulty[:, 3])

    found = named(pairs(faulty, right)[1:4], considered=6)
    _, _, intervention = words_of(found, considered=6)

    assert [one.name.fault for one in found] == ["unit", "unit", "transformed"]
    for words in ("inch and centimetre", "pound and kilogram", "undo the natural logarithm that c3"):
        assert words in intervention


def test_part_of_the_rows_in_another_unit():
    def some(x: Array) -> Array:
        return np.where(np.arange(len(x)) % 10 < 3, x / 2.54, x)

    one = name_of(some)

    assert (one.name.fault, one.name.detail) == ("unit_of_some_rows", "inch and centimetre")
    healthy = columns(100, N)[:, 1]
    assert one.back.apply(some(healthy)) == pytest.approx(healthy)
    assert evidence_of([one])["c1"]["rows_outside"] is not None


@pytest.mark.parametrize("seed", range(3))
def test_outliers_are_no_rows_in_another_unit(seed: int):
    def run_away(x: Array) -> Array:
        rng = np.random.default_rng(seed)
        return np.where(rng.random(len(x)) < 0.08, x * rng.uniform(2, 60, len(x)), x)

    assert name_of(run_away, seed=seed).name.fault == "affine"


def test_a_unit_that_changed_before_the_scaler_is_named_in_few_columns():
    right, faulty = columns(1, M), columns(101, N)
    mean, sd = right.mean(axis=0), right.std(axis=0)
    faulty[:, 1:3] *= 2.54
    one, two = pairs((faulty - mean) / sd, (right - mean) / sd)[1:3]

    found = named([one, two], considered=6)

    assert {m.name.detail for m in found} == {"inch and centimetre"}
    assert [m.back.scale for m in found] == pytest.approx([1 / 2.54] * 2)


@pytest.mark.parametrize("seed", range(4))
def test_raw_columns_are_not_called_units_by_accident(seed: int):
    """Standardised training columns beside raw ones: the scales of some will be near a known factor."""
    right, faulty = columns(seed, M), columns(seed + 50, N)
    standard = (right - right.mean(axis=0)) / right.std(axis=0)

    found = named(pairs(faulty, standard), considered=6)

    assert {one.name.fault for one in found} <= {"affine", "transformed"}
    assert words_of(found, considered=6)[0] == "not_standardised"


def test_no_unit_is_named_where_the_rows_cannot_tell_two_apart():
    """Inches and pounds are a tenth apart: forty rows about nought do not tell 2.54 from 2.2."""
    right, faulty = np.random.default_rng(0).normal(size=(60, 3)), np.random.default_rng(1).normal(size=(40, 3))

    found = named(pairs(2.54 * faulty, right), considered=9)

    assert "unit" not in {one.name.fault for one in found}


def test_a_function_is_not_named_where_it_is_straight():
    """Tiny values about nought: log(1 + x) is x there."""
    rng = np.random.default_rng(0)
    right = rng.normal(size=(M, 1))
    faulty = 0.05 * np.where(rng.random((N, 1)) < 0.3, 2.0, 1.0) * rng.normal(size=(N, 1))

    (one,) = named(pairs(faulty, right), considered=1)

    assert one.name.fault != "transformed"


def test_nothing_is_named_of_nothing():
    assert named([], considered=3) == []


@pytest.mark.parametrize("values", [np.array([1.0, 2.0]), np.repeat([0.0, 1.0], 20), np.full(30, 1e30) * np.arange(30)])
def test_odd_columns_do_not_crash(values: Array):
    odd = UnitPair(0, "c0", np.sort(values), np.sort(values * 3 + 1), len(values), len(values))

    assert len(named([odd], considered=1)) == 1
