import numpy as np
import pytest
from scipy import stats

from audits.statistics.affine import fit_affine
from audits.statistics.distributions import ks_2samp_statistic

SKEWED = {
    "lognormal": lambda rng, n: rng.lognormal(0, 0.5, n),
    "exponential": lambda rng, n: rng.exponential(1, n),
    "two bumps": lambda rng, n: np.where(rng.random(n) < 0.3, rng.normal(-3, 1, n), rng.normal(3, 1, n)),
    "half zeros": lambda rng, n: np.where(rng.random(n) < 0.5, 0, rng.lognormal(3, 0.5, n)),
}
SYMMETRIC = {"normal": lambda rng, n: rng.normal(5, 2, n), "uniform": lambda rng, n: rng.random(n)}
LEVELS = {
    "binary": lambda rng, n: (rng.random(n) < 0.3).astype(float),
    "rare": lambda rng, n: (np.arange(n) < 0.01 * n).astype(float),
    "six grades": lambda rng, n: rng.choice(6, n, p=[0.5, 0.3, 0.1, 0.06, 0.03, 0.01]).astype(float),
}


@pytest.fixture
def rng():
    return np.random.default_rng(4)


@pytest.mark.parametrize(("n", "tolerance"), [(100, 0.15), (1000, 0.07)])
@pytest.mark.parametrize("draw", (SKEWED | SYMMETRIC).values(), ids=SKEWED | SYMMETRIC)
def test_scale_and_offset_are_recovered(draw, n, tolerance, rng):
    errors, shifts = [], []
    for _ in range(40):
        scale, offset = np.exp(rng.normal(0, 2)), rng.normal(0, 5)
        target = draw(rng, 2000)
        fit = fit_affine((draw(rng, n) - offset) / scale, target)
        errors.append(abs(fit.scale / scale - 1))
        middle = (target.mean() - offset) / scale
        shifts.append(abs(fit.apply(middle) - target.mean()) / target.std())

    assert np.median(errors) < tolerance
    assert np.median(shifts) < tolerance


@pytest.mark.parametrize("draw", (SKEWED | LEVELS).values(), ids=SKEWED | LEVELS)
def test_a_column_turned_round_is_turned_back(draw, rng):
    fits = [fit_affine(7 - 2 * draw(rng, 300), draw(rng, 2000)) for _ in range(20)]

    assert np.median([fit.scale for fit in fits]) == pytest.approx(-0.5, rel=0.1)
    assert np.median([fit.offset for fit in fits]) == pytest.approx(3.5, abs=0.3)


@pytest.mark.parametrize("draw", (SKEWED | SYMMETRIC | LEVELS).values(), ids=SKEWED | SYMMETRIC | LEVELS)
def test_a_healthy_or_rescaled_column_is_not_turned_round(draw, rng):
    """A symmetric column fits both ways: the map without a change of sign is the simpler one."""
    assert all(fit_affine(draw(rng, 150) * 100, draw(rng, 1000)).scale > 0 for _ in range(40))


@pytest.mark.parametrize("draw", LEVELS.values(), ids=LEVELS)
def test_levels_are_met_exactly(draw, rng):
    """Standardised levels: a map that is nearly right would leave every row at a distance."""
    target = draw(rng, 1000)
    fit = fit_affine((draw(rng, 400) - 0.41) / 0.37, target)

    assert (fit.scale, fit.offset) == (pytest.approx(0.37), pytest.approx(0.41))
    assert fit.ks_after < 0.1


def test_a_rare_level_may_be_missing(rng):
    """The source never shows the fifth grade: moments stand in."""
    target = np.repeat(np.arange(5.0), [400, 300, 200, 90, 10])
    fit = fit_affine(np.repeat(np.arange(4.0), [40, 30, 20, 10]) * 10, target)

    assert fit.scale == pytest.approx(0.1, rel=0.1)
    assert fit.ks_after < 0.05


def test_spikes_that_meet_do_not_count_as_distance(rng):
    """Half of the rows are 1/3; on the way there and back they lose their last digit."""
    for _ in range(30):
        scale, offset = np.exp(rng.normal()), rng.normal()
        target = np.where(rng.random(900) < 0.5, 1 / 3, rng.lognormal(0, 1, 900))
        source = np.where(rng.random(900) < 0.5, 1 / 3, rng.lognormal(0, 1, 900))

        assert fit_affine((source - offset) / scale, target).ks_after < 0.12


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (np.repeat([0.0, 10.0], [197, 3]), np.repeat([0.0, 1.0, 2.0], [985, 13, 2])),
        (np.linspace(0, 10, 200), np.repeat([0.0, 1.0], [990, 10])),
    ],
    ids=["neither varies within its quantiles", "only the source varies"],
)
def test_moments_stand_in_for_quantiles_that_do_not_vary(source, target):
    fit = fit_affine(source, target)

    assert fit.scale == pytest.approx(target.std() / source.std())
    assert fit.apply(source).mean() == pytest.approx(target.mean())


def test_few_rows_of_an_inverted_column_are_enough(rng):
    """They fit badly by chance even when the map is right."""
    two_bumps = SKEWED["two bumps"]
    fits = [fit_affine(-two_bumps(rng, 50), two_bumps(rng, 2000)) for _ in range(30)]

    assert np.mean([fit.scale < 0 for fit in fits]) > 0.9


def test_an_inverted_column_of_a_slightly_different_shape_is_recognised(rng):
    """So many rows fit no map exactly."""
    fits = [fit_affine(-rng.lognormal(0, 0.7, 2000), rng.lognormal(0, 0.5, 2000)) for _ in range(10)]

    assert all(fit.scale < 0 for fit in fits)


def test_a_handful_of_rows_does_not_turn_a_column_round(rng):
    assert all(fit_affine(rng.normal(size=12), rng.normal(size=1000)).scale > 0 for _ in range(100))


def test_a_tenth_of_outliers_does_not_bend_the_map(rng):
    errors = []
    for _ in range(30):
        source = rng.normal(5, 2, 400) * 100
        source[:40] = 1e9
        fit = fit_affine(source, rng.normal(5, 2, 2000))
        errors.append(abs(fit.scale * 100 - 1))

    assert np.median(errors) < 0.3


def test_holes_are_ignored(rng):
    source, target = rng.normal(size=300), rng.normal(size=300)
    with_holes = np.concatenate([source, [np.nan, np.inf, -np.inf]])

    assert fit_affine(with_holes, np.append(target, np.nan)) == fit_affine(source, target)


def test_the_distances_are_those_of_kolmogorov_and_smirnov(rng):
    source, target = rng.lognormal(0, 1, 200) * 30, rng.lognormal(0, 1, 500)
    fit = fit_affine(source, target)

    assert fit.ks_before == pytest.approx(stats.ks_2samp(source, target).statistic)
    assert fit.ks_after == pytest.approx(stats.ks_2samp(fit.apply(source), target).statistic)


def test_large_samples_are_thinned_evenly(rng):
    source, target = rng.lognormal(0, 1, 150_000) * 3, rng.lognormal(0, 1, 120_000)
    fit = fit_affine(source, target)

    assert fit.scale == pytest.approx(1 / 3, rel=0.02)
    assert fit.ks_before == pytest.approx(ks_2samp_statistic(source, target), abs=2e-4)


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ([], [1.0, 2.0], (1.0, 0.0)),
        ([np.nan], [1.0], (1.0, 0.0)),
        ([3.0, 3.0], [1.0, 2.0, 4.0], (1.0, -1.0)),
        ([1.0, 2.0, 4.0], [3.0], (1.0, 1.0)),
    ],
)
def test_what_cannot_be_scaled_is_shifted_at_most(source, target, expected):
    fit = fit_affine(np.array(source), np.array(target))

    assert (fit.scale, fit.offset) == expected
