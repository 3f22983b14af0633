"""preprocessing.scaling_mismatch: told by the distributions, proven by mapping them back."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from audits.checks.preprocessing import scaling_mismatch
from audits.checks.preprocessing.scaling_mismatch import CODE
from schemas.report import Outcome, Severity
from tests.audits.checks.remedies import defined_by, remedy_of
from tests.factories import (
    Fault,
    Part,
    case,
    case_of,
    examined,
    memoriser,
    moved,
    on_column,
    reordered,
    result_of,
    scaled,
    splits,
    standardised_by_itself,
)

EVERY = range(6)


def to_unit_interval(part: Part, train: Part, rng: np.random.Generator) -> Part:
    values = part.numbers
    low, high = values.min(axis=0), values.max(axis=0)
    return part.with_numbers((values - low) / (high - low))


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize(
    "fault",
    [scaled(3.0), scaled(0.01, columns=[0]), moved(2.0, EVERY), standardised_by_itself, to_unit_interval],
    ids=["times 3", "one column in another unit", "moved", "standardised", "min-max"],
)
def test_fires_on_columns_of_another_scale(task: str, fault: Fault):
    result = result_of(CODE, case(task, fault=fault, seed=3))

    assert result.outcome is Outcome.FAIL
    assert result.confirmation.after > result.confirmation.before + 0.05
    assert result.confirmation.placebo_gain < result.confirmation.after - result.confirmation.before


@pytest.mark.parametrize("layout", ["vector", "image"])
@pytest.mark.parametrize("factor", [255.0, 1 / 255])
def test_fires_on_arrays_of_another_range(layout: str, factor: float):
    result = result_of(CODE, case("multiclass", layout=layout, model=memoriser, signal=5.0, fault=scaled(factor)))

    assert result.outcome is Outcome.FAIL
    assert result.finding.evidence["factor"] == "0-255 and 0-1"


def test_fires_on_an_inverted_image():
    result = result_of(CODE, case(layout="image", channels=3, fault=scaled(-1.0, 1.0)))

    assert result.outcome is Outcome.FAIL
    assert result.finding.evidence["fault"] == "inverted"


def test_the_repair_brings_back_what_the_model_had():
    healthy, spoilt = case(seed=3), case(seed=3, fault=scaled(5.0, 7.0))

    mended, results = examined(spoilt, {CODE})

    assert mended.score(mended.mended) == pytest.approx(healthy.validation_score[0], abs=0.03)
    assert results[CODE].finding.severity is Severity.CRITICAL


def test_the_map_is_recovered_from_the_distributions():
    one = case(n_train=2000, n_validation=1500, fault=scaled(4.0, 10.0, columns=[0, 2]))

    maps = result_of(CODE, one).finding.evidence["maps"]

    assert set(maps) == {"c0", "c2"}
    for found in maps.values():
        assert found["scale"] == pytest.approx(1 / 4, rel=0.1)
        assert found["distance_after"] < 0.25 * found["distance_before"]


@pytest.mark.parametrize(
    ("fault", "standardised", "name"),
    [
        (scaled(7.0, 30.0), True, "not_standardised"),
        (to_unit_interval, True, "min_max_for_standard"),
        (standardised_by_itself, False, "standardised_by_itself"),
        (scaled(1000.0), False, "unit"),
    ],
)
def test_names_the_fault(fault: Fault, standardised: bool, name: str):
    one = case(n_train=1500, n_validation=1000, standardised=standardised, fault=fault)

    assert result_of(CODE, one).finding.evidence["fault"] == name


@pytest.mark.parametrize(("factor", "words"), [(2.54, "inch"), (0.3048, "foot"), (1000.0, "kilo")])
def test_names_the_unit(factor: float, words: str):
    one = case("regression", n_train=4000, n_validation=4000, fault=scaled(factor, columns=[0]))

    assert words in result_of(CODE, one).finding.evidence["factor"]


@pytest.mark.parametrize("layout", ["table", "vector", "image"])
def test_the_remedys_code_maps_the_data_back(layout: str):
    train, validation = splits(layout=layout, signal=5.0)
    spoilt = scaled(3.0, 1.0)(validation, train, np.random.default_rng(0))

    result = result_of(CODE, case(layout=layout, signal=5.0, model=memoriser, fault=scaled(3.0, 1.0)))
    back = defined_by(remedy_of(result))["onto_training_scale"](spoilt.x)

    spread = validation.numbers.std(axis=0)
    off = np.abs(Part(back, validation.y).numbers - validation.numbers) / spread
    assert np.median(off) < 0.15


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("layout", ["table", "vector", "image"])
def test_stays_silent_on_healthy_data(task: str, layout: str):
    assert result_of(CODE, case(task, layout=layout)).finding is None


def test_stays_silent_on_columns_within_the_limits():
    """A factor of 1.1 and a shift of 0.1 deviations are the identity, however many rows tell them apart."""
    one = case(n_train=6000, n_validation=6000, standardised=True, fault=scaled(1.1, 0.1))

    assert examined(one, {CODE})[0].trials == ()


def test_healthy_columns_are_hardly_ever_suspected():
    """Of 60 rows any column differs somehow; that must be more than chance before a map is thought of."""
    suspected = 0
    for seed in range(20):
        one = case(n_train=120, n_validation=60, columns=4, seed=seed)
        suspected += scaling_mismatch.suspect(one, one.train.sample, one.mended) is not None

    assert suspected <= 2


def test_stays_silent_on_another_order_of_the_columns():
    """What explains a difference completely must be a map of the column onto itself."""
    one = case(fault=reordered(1, 2, 3, 4, 5, 0), seed=2)

    assert examined(one)[1][CODE].finding is None


def test_fires_on_a_skewed_column_that_is_turned_around():
    """Around its own mean, so that neither its place nor its spread changes."""

    def mirrored(part: Part, train: Part, rng: np.random.Generator) -> Part:
        values = part.numbers
        values[:, 1] = 2 * train.numbers[:, 1].mean() - values[:, 1]
        return part.with_numbers(values)

    result = result_of(CODE, case("regression", n_validation=600, seed=1, fault=mirrored))

    assert result.outcome is Outcome.FAIL
    assert result.finding.evidence["fault"] == "inverted"
    assert result.finding.affected.columns == ["c1"]


def test_placebo_maps_move_a_shifted_column_further_away():
    one = case(fault=moved(3.0, [0]))
    suspicion = scaling_mismatch.suspect(one, one.train.sample, one.mended)
    rng = np.random.default_rng(0)
    place, shifted = (s.rows["c0"].mean() for s in (one.train.sample, one.mended))

    means = [suspicion.placebo(one.mended, rng).rows["c0"].mean() for _ in range(40)]

    aimed_at_it = [mean for mean in means if mean != shifted]
    assert aimed_at_it
    assert all((mean - shifted) * (shifted - place) > 0 for mean in aimed_at_it)


@pytest.mark.parametrize("seed", range(3))
def test_no_placebo_map_is_the_repair_itself(seed: int):
    """A single channel: at random, one placebo in four would turn it around as the repair does."""
    one = case(layout="image", seed=seed, fault=scaled(-1.0, 1.0))

    confirmation = result_of(CODE, one).confirmation

    assert confirmation.confirmed
    assert confirmation.placebo_gain < 0.5 * (confirmation.after - confirmation.before)


def test_a_column_that_the_model_ignores_is_tested_and_acquitted():
    mended, results = examined(case(model=on_column(0), fault=scaled(9.0, columns=[3])), {CODE})

    assert results[CODE].outcome is Outcome.PASS
    assert "tested, not a cause" in results[CODE].reason
    assert [t.suspicion.columns for t in mended.trials] == [("c3",)]
    assert not mended.trials[0].confirmed
    assert mended.mended is mended.validation.sample


def test_inconclusive_on_few_rows():
    result = result_of(CODE, case(n_validation=29, fault=scaled(100.0)))

    assert result.outcome is Outcome.INCONCLUSIVE
    assert result.reason == "29 of 30 validation rows"


def test_the_limits_of_a_request_count():
    lenient = {CODE: {"min_scale_factor": 4.0, "min_offset_sd": 50.0}}

    assert result_of(CODE, case(standardised=True, fault=scaled(3.0), limits=lenient)).finding is None


@pytest.mark.parametrize("factor", [16.0, 255.0])
def test_few_levels_that_a_known_unit_nearly_fits_are_mapped_as_they_are(factor: float):
    """Pixels of 17 levels: a factor of 18.016 lies in the same bins as one of 16, and every level is off."""
    levels = np.random.default_rng(0).permutation(load_digits().data)[:1500] / 16
    y = (levels[:, :32].sum(axis=1) > levels[:, 32:].sum(axis=1)).astype(int)
    images = levels.reshape(-1, 8, 8, 1)
    train, validation = Part(images[:1000], y[:1000]), Part(images[1000:] * factor, y[1000:])

    def answer(m: np.ndarray) -> np.ndarray:
        """Right within the range that it knows, and sure of one class beyond it."""
        flat = m.reshape(len(m), -1)
        score = 3 * flat @ np.repeat([1.0, -1.0], 32)
        return np.where(flat.max(axis=1) > 1, 0.999, 1 / (1 + np.exp(-np.clip(score, -30, 30))))

    result = result_of(CODE, case_of(train, validation, answer))

    assert result.outcome is Outcome.FAIL
    (back,) = result.finding.evidence["maps"].values()
    assert back["scale"] == pytest.approx(1 / factor, rel=1e-3)
