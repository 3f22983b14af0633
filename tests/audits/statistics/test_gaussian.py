"""Distances from a Gaussian of few directions, against the definition and by simulation."""

import numpy as np
import pytest

from audits.statistics.gaussian import MAX_DIRECTIONS, LowRankGaussian


def sample(rows: int, columns: int = 8, seed: int = 0) -> np.ndarray:
    mix = np.random.default_rng(1).normal(size=(columns, columns))
    return np.random.default_rng(seed).normal(size=(rows, columns)) @ mix + 5


def test_with_all_directions_it_is_the_mahalanobis_distance():
    """Seven directions and one for the rest are all eight."""
    rows = sample(300)
    fitted = LowRankGaussian.fitted(rows)
    centred = rows - rows.mean(axis=0)
    squared = np.einsum("ij,jk,ik->i", centred, np.linalg.inv(np.cov(rows, rowvar=False)), centred)

    np.testing.assert_allclose(fitted.distances(rows), np.sqrt(squared / 8))


def test_new_rows_lie_at_about_one():
    fitted = LowRankGaussian.fitted(sample(2000, 60))

    assert np.square(fitted.distances(sample(2000, 60, seed=2))).mean() == pytest.approx(1, abs=0.1)
    assert fitted.directions.shape == (60, MAX_DIRECTIONS)


def test_rearranging_is_done_by_the_gaussian():
    rows, source = sample(50), np.random.default_rng(3).permutation(8)
    fitted = LowRankGaussian.fitted(sample(300))

    np.testing.assert_allclose(fitted.distances(rows, source), fitted.distances(rows[:, source]))


def test_columns_that_never_vary_do_not_break_it():
    rows = sample(100)
    rows[:, :5] = 1.0
    fitted = LowRankGaussian.fitted(rows)

    assert np.isfinite(fitted.distances(rows)).all()
    assert np.isfinite(LowRankGaussian.fitted(np.ones((30, 4))).distances(np.zeros((3, 4)))).all()
