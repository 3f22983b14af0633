"""The control learner and its transfer between the splits."""

import numpy as np
import pandas as pd
import pytest

from audits.evidence.control import MAX_CATEGORIES, ControlEncoder, domain_scores, usable
from audits.evidence.features import FeatureSpace
from audits.evidence.gap import shift_auc
from tests.factories import Part, case, case_of, copied, moved, permuted_labels, relabelled, splits

SPLITS = splits(columns=3)
PLACE = np.median(SPLITS[0].numbers[:, :2], axis=0)


def matrix(**world) -> dict[str, float | None]:
    return case(signal=4.0, **world).control.scores


def test_a_healthy_world_is_learned_at_home_and_away():
    scores = matrix()

    assert min(scores.values()) > 0.75


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_every_task_has_a_learner(task: str):
    scores = matrix(task=task)

    assert min(scores.values()) > 0.6


def test_what_only_one_learner_finds_is_found():
    """Whether two columns have the same sign: a line sees nothing, a forest does."""
    parts = [Part(part.x, (np.prod(part.numbers[:, :2] - PLACE, axis=1) > 0).astype(int)) for part in SPLITS]

    control = case_of(*parts, lambda m: np.full(len(m), 0.5)).control

    assert "forest" in control.learner
    assert control.scores["train->train"] > 0.8


def test_inverted_labels_transfer_inverted():
    scores = matrix(fault=permuted_labels(1, 0))

    assert scores["train->validation"] < 0.25
    assert scores["validation->validation"] > 0.75


def test_noise_in_the_training_labels_is_seen_at_home():
    def noisy(y: np.ndarray) -> np.ndarray:
        return np.where(np.random.default_rng(0).random(len(y)) < 0.5, np.random.default_rng(1).permutation(y), y)

    scores = matrix(train_fault=relabelled(noisy))

    assert scores["train->train"] < scores["validation->validation"] - 0.1


def test_what_is_learned_out_of_sample_is_not_recited():
    """Random labels: a forest would answer its own rows perfectly, out of bag it knows nothing."""
    assert abs(case(signal=0.0).control.scores["train->train"] - 0.5) < 0.08


def test_copies_of_training_rows_are_left_out():
    """Otherwise the transfer would be scored on rows that the learner was fitted to."""
    one = case(signal=0.0, fault=copied(0.5))

    assert len(one.control.validation) == pytest.approx(150, abs=25)
    assert abs(one.control.scores["train->validation"] - 0.5) < 0.12


def test_the_intervals_hold_the_scores():
    control = case().control

    for name, score in control.scores.items():
        low, high = control.intervals[name]
        assert low < score < high


def test_the_same_population_cannot_be_told_apart_and_another_one_can():
    same, other = (shift_auc(case(fault=fault)) for fault in (None, moved(2.0, range(6))))

    assert same[1][0] < 0.5 < same[1][1]
    assert other[1][0] > 0.9


@pytest.mark.parametrize("world", [{"n_train": 30}, {"n_train": 60, "prevalence": 0.02}])
def test_too_few_rows_are_a_reason(world: dict):
    assert case(**world).control.reason


def test_usable_names_what_is_missing():
    assert usable(np.zeros(49), 0) == "49 rows, a control learner needs 50"
    assert usable(np.array([0] * 60 + [1] * 4), 2) == "a class has fewer than 5 rows"
    assert usable(np.array([0] * 60 + [1] * 5), 2) is None


def test_one_half_is_the_point_of_indifference_whatever_the_sizes():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(400, 3)), rng.normal(size=(100, 3))

    ours, theirs = domain_scores(x, y, np.ones(400, dtype=bool), np.ones(100, dtype=bool))

    assert np.mean(np.concatenate([ours, theirs])) == pytest.approx(0.5, abs=0.06)


TABLE = FeatureSpace("table", ("a",), ("t",))


def test_categories_are_ranked_by_their_frequency_in_training():
    train = pd.DataFrame({"a": [1.0, 2.0, np.nan], "t": ["x", "y", "y"]})
    encode = ControlEncoder(TABLE, train)

    columns = encode.columns(pd.DataFrame({"a": [np.nan, np.inf], "t": ["x", "never seen"]}))

    assert columns[0].tolist() == [1.5, 1.0]
    assert np.isfinite(columns).all()


def test_rare_categories_are_one():
    texts = [f"t{i}" for i in range(MAX_CATEGORIES + 20)]
    train = pd.DataFrame({"a": 0.0, "t": texts})

    columns = ControlEncoder(TABLE, train).columns(train)

    assert len(np.unique(columns[:, 1])) <= MAX_CATEGORIES + 1


def test_wide_rows_are_projected():
    train, validation = splits(layout="image", channels=3)
    encode = ControlEncoder(FeatureSpace("image", ("channel 0", "channel 1", "channel 2")), train.x)

    assert encode(validation.x).shape == (300, 64)
    assert encode.columns(validation.x).shape == (300, 108)


def test_the_training_rows_alone_fit_the_encoder():
    train, validation = splits()
    space = FeatureSpace("table", tuple(train.x.columns))
    holed = Part(train.x.assign(c0=np.nan), train.y)

    assert (ControlEncoder(space, holed.x).columns(validation.x.assign(c0=np.nan))[:, 0] == 0).all()
