"""Sums that a few terms carry."""

import numpy as np
import pytest

from audits.statistics.tails import largest, share_of_largest, top_counts, usual_shares


def test_the_largest_share_by_hand():
    assert share_of_largest(np.array([1.0, 7.0, 2.0]), 1) == pytest.approx(0.7)
    assert share_of_largest(np.array([1.0, 7.0, 2.0]), 2) == pytest.approx(0.9)
    assert share_of_largest(np.zeros(3), 1) == 0
    assert largest(np.array([1.0, 7.0, 7.0]), 2).tolist() == [1, 2]


def test_the_top_of_a_resample_is_that_of_its_rows_written_out():
    rng = np.random.default_rng(0)
    values = np.sort(rng.exponential(size=30))[::-1]
    drawn = rng.integers(0, 30, (20, 30))
    counts = np.array([np.bincount(d, minlength=30) for d in drawn]).astype(float)

    shares = (top_counts(counts, 4) @ values) / (counts @ values)

    assert np.allclose(shares, [share_of_largest(values[d], 4) for d in drawn])


def test_normal_errors_have_the_share_that_integration_gives():
    """The largest hundredth of squared normals, beyond 2.576 deviations: 2 * (z * density + tail) = 8.5 %."""
    shares = usual_shares(10_000, 100, np.random.default_rng(1), 50, degrees=np.inf)

    assert shares.mean() == pytest.approx(2 * (2.5758 * 0.014460 + 0.005), abs=0.002)
    heavier = usual_shares(10_000, 100, np.random.default_rng(1), 50)
    assert heavier.mean() > 1.5 * shares.mean()
