import numpy as np
import pytest
from scipy.stats import bootstrap, ks_2samp

from audits.statistics import metrics, resampling
from audits.statistics.resampling import collapse, collapsed_counts, count_chunks, resamples_for


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def resample_counts(n, n_resamples, rng, **units):
    return np.concatenate(list(count_chunks(n, rng, n_resamples=n_resamples, **units)))


def percentile_interval(draws):
    return tuple(np.quantile(draws, [0.025, 0.975]))


def means(values, counts):
    return counts @ values / counts.sum(axis=1)


def test_every_resample_draws_n_rows(rng):
    counts = resample_counts(30, 500, rng)

    assert counts.shape == (500, 30)
    assert (counts.sum(axis=1) == 30).all()
    # a row is missed with probability (1 - 1/30)^30
    assert np.mean(counts == 0) == pytest.approx((29 / 30) ** 30, abs=0.01)
    assert counts.mean(axis=0) == pytest.approx(np.ones(30), abs=0.2)


def test_strata_keep_their_sizes(rng):
    strata = np.array(["b", "a", "b", "c", "b", "a"])
    counts = resample_counts(6, 300, rng, strata=strata)

    for stratum, size in (("a", 2), ("b", 3), ("c", 1)):
        assert (counts[:, strata == stratum].sum(axis=1) == size).all()
    assert counts[:, 0].mean() == pytest.approx(1, abs=0.2)
    assert counts[:, 0].std() > 0


def test_groups_are_drawn_whole(rng):
    groups = np.array([5, 5, 9, 9, 9, 2])
    counts = resample_counts(6, 200, rng, groups=groups)

    assert (counts[:, 0] == counts[:, 1]).all()
    assert (counts[:, 2] == counts[:, 4]).all()
    assert (counts[:, [0, 2, 5]].sum(axis=1) == 3).all()


def test_groups_stay_in_their_strata(rng):
    groups = np.array([0, 0, 1, 1, 2, 3])
    strata = np.array([0, 0, 0, 0, 1, 1])
    counts = resample_counts(6, 200, rng, groups=groups, strata=strata)

    assert (counts[:, [0, 2]].sum(axis=1) == 2).all()
    assert (counts[:, [4, 5]].sum(axis=1) == 2).all()


def test_the_same_seed_draws_the_same_rows():
    one, other = (resample_counts(20, 5, np.random.default_rng(3)) for _ in range(2))

    assert (one == other).all()


def test_chunks_bound_the_memory(rng, monkeypatch):
    monkeypatch.setattr(resampling, "CHUNK_DRAWS", 1000)
    chunks = list(count_chunks(300, rng, n_resamples=10))

    assert [len(chunk) for chunk in chunks] == [3, 3, 3, 1]


@pytest.mark.parametrize(("rows", "resamples"), [(100, 2000), (20_000, 2000), (40_000, 1000), (10**6, 400)])
def test_more_rows_get_fewer_resamples(rows, resamples):
    assert resamples_for(rows) == resamples


def test_bootstrap_agrees_with_scipy(rng):
    values = rng.exponential(size=80)
    expected = bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", rng=rng).confidence_interval

    found = percentile_interval(means(values, resample_counts(80, 20_000, rng)))

    assert found == pytest.approx(tuple(expected), abs=0.01)


@pytest.mark.parametrize(("n", "slack"), [(30, 0.03), (200, 0.02)])
def test_the_interval_of_a_balanced_accuracy_covers(rng, n, slack):
    """True recalls 0.9 and 0.6; stratified, so that no class is lost."""
    labels = np.arange(n) % 2
    hits = 0
    for _ in range(400):
        predicted = np.where(rng.random(n) < np.where(labels == 0, 0.9, 0.6), labels, 1 - labels)
        counts = resample_counts(n, 400, rng, strata=labels)
        low, high = percentile_interval(metrics.balanced_accuracy(labels, predicted, 2, counts))
        hits += low <= 0.75 <= high

    assert 0.95 - slack - 0.02 <= hits / 400 <= 0.98


def test_rows_of_groups_are_worth_less_than_their_number(rng):
    """20 groups of 10 equal rows: only the clustered interval covers the mean."""
    groups = np.repeat(np.arange(20), 10)
    hits = {"clustered": 0, "plain": 0}
    for _ in range(300):
        values = rng.normal(size=20)[groups]
        for name, ids in (("clustered", groups), ("plain", None)):
            low, high = percentile_interval(means(values, resample_counts(200, 300, rng, groups=ids)))
            hits[name] += low <= 0 <= high

    assert hits["clustered"] / 300 > 0.88
    assert hits["plain"] / 300 < 0.6


def test_collapse_counts_equal_rows():
    first, sizes = collapse(np.array([0, 1, 0, 0]), np.array(["x", "x", "x", "y"]))

    assert dict(zip(first.tolist(), sizes.tolist(), strict=True)) == {0: 2, 1: 1, 3: 1}


def test_collapsed_resamples_are_distributed_as_rows(rng):
    labels = rng.integers(0, 3, 400)
    predicted = np.where(rng.random(400) < 0.7, labels, rng.integers(0, 3, 400))
    rows, sizes = collapse(labels, predicted)
    slow = metrics.balanced_accuracy(labels, predicted, 3, resample_counts(400, 2000, rng, strata=labels))
    counts = collapsed_counts(sizes, rng, strata=labels[rows])
    fast = metrics.balanced_accuracy(labels[rows], predicted[rows], 3, counts)

    assert (counts.sum(axis=1) == 400).all()
    assert ks_2samp(slow, fast).pvalue > 0.01
    assert fast.std() == pytest.approx(slow.std(), rel=0.1)
