"""The properties of a problem, and the metrics that follow from them."""

import json
from dataclasses import replace

import numpy as np
import pytest

from audits.evidence.problem import cap, fingerprint, hill_index, near_zero_share, recommendations
from tests.factories import case


def test_the_classes_of_both_splits_are_counted():
    one = case("multiclass", names=["cat", "dog", "owl"], n_train=400, n_validation=200)

    seen = fingerprint(one)

    assert (seen.task, seen.classes, seen.n) == ("multiclass", 3, {"train": 400, "validation": 200})
    for name, split in (("train", one.train), ("validation", one.validation)):
        assert list(seen.n_per_class[name].values()) == np.bincount(split.labels).tolist()
        assert sum(seen.class_shares[name].values()) == pytest.approx(1)
    counts = np.bincount(one.validation.labels)
    assert seen.imbalance_ratio == pytest.approx(counts.max() / counts.min())


@pytest.mark.parametrize(("prevalence", "imbalanced"), [(0.5, False), (0.25, False), (0.1, True), (0.95, True)])
def test_imbalance_is_that_of_the_smallest_class(prevalence: float, imbalanced: bool):
    assert fingerprint(case(prevalence=prevalence)).imbalanced is imbalanced


def test_class_ids_have_no_scores_and_no_ranking_is_recommended():
    def ids(train, task):
        return lambda m: (m[:, 0] > m[:, 0].mean()).astype(np.int64)

    seen = fingerprint(case(model=ids))

    assert not seen.scores_available
    assert [one.name for one in recommendations(seen)] == ["accuracy", "balanced_accuracy"]


def test_groups_are_told():
    assert fingerprint(case(groups=30)).grouped
    assert not fingerprint(case()).grouped


def test_a_spread_that_differs_is_told_of_the_targets_and_with_r2():
    one = case("regression")
    narrow = replace(one, validation=replace(one.validation, labels=50 + (one.validation.labels - 50) / 4))

    seen = fingerprint(narrow)

    assert seen.target.range_ratio == pytest.approx(0.25, abs=0.03)
    assert "0.2" in recommendations(seen)[2].reason
    assert "spread" in recommendations(seen)[2].reason
    assert "times as much" not in recommendations(fingerprint(one))[2].reason


def test_the_tail_index_is_that_of_the_distribution():
    """Of Student's t, it is the degrees of freedom; of a normal, no power law holds and the estimate is large."""
    rng = np.random.default_rng(0)

    assert hill_index(rng.standard_t(2, 100_000)) == pytest.approx(2, abs=0.3)
    assert hill_index(rng.normal(size=100_000)) > 5
    assert hill_index(rng.normal(size=50)) is None
    assert hill_index(np.ones(1000)) is None


def test_a_cap_is_a_pile_at_the_maximum():
    y = np.random.default_rng(0).lognormal(size=2000)
    limit = float(np.quantile(y, 0.95))

    assert cap(np.minimum(y, limit)) == limit
    assert cap(y) is None
    assert cap(np.arange(2000) % 7.0) is None
    assert cap(np.random.default_rng(0).poisson(3, 2000).astype(float)) is None


def test_near_zero_is_held_against_the_median_size():
    y = np.array([0.0, 0.1, -0.2, 10, -10, 10, 10, 10, 10, 10])

    assert near_zero_share(y) == pytest.approx(0.3)
    assert near_zero_share(y + 100) == 0


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("n", [1, 2, 300])
def test_is_plain_json(task: str, n: int):
    told = fingerprint(case(task, n_validation=n)).describe()

    assert json.loads(json.dumps(told, allow_nan=False)) == told
