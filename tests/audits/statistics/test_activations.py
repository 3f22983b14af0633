"""The ranges of activations, and activations applied twice."""

import numpy as np
import pytest
from scipy.special import expit, softmax

from audits.statistics.activations import ceiling_r2, range_of, undo_sigmoid, undo_softmax


def test_a_softmax_over_one_unit_is_one():
    assert range_of("Softmax", 1) == (1.0, 1.0)
    assert range_of("Softmax", 3) == (0.0, 1.0)
    assert range_of("BiasAdd", 1) is None
    assert range_of(None, 1) is None


def test_no_answers_within_the_range_are_better_than_the_ceiling():
    rng = np.random.default_rng(0)
    targets = rng.normal(size=300)
    ceiling = ceiling_r2(targets, (0.0, np.inf))

    tried = [np.maximum(targets + rng.normal(0, 0.1, 300), 0) for _ in range(50)]
    assert all(1 - np.square(targets - t).sum() / np.square(targets - targets.mean()).sum() < ceiling for t in tried)
    assert ceiling_r2(targets, (-10.0, 10.0)) == 1
    assert ceiling == pytest.approx(
        1 - np.square(targets[targets < 0]).sum() / np.square(targets - targets.mean()).sum()
    )


def test_a_second_sigmoid_is_undone():
    p = expit(np.random.default_rng(1).normal(0, 3, 200))

    assert np.allclose(undo_sigmoid(expit(p)), p)
    assert undo_sigmoid(p) is None
    assert undo_sigmoid(np.full(200, 0.6)) is None
    assert undo_sigmoid(expit(p)[:5]) is None


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_a_second_softmax_is_undone(classes: int):
    p = softmax(np.random.default_rng(2).normal(0, 3, (200, classes)), axis=1)

    assert np.allclose(undo_softmax(softmax(p, axis=1)), p)
    assert undo_softmax(p) is None
    assert undo_softmax(np.full((200, classes), 1 / classes)) is None
