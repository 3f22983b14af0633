"""How much more often the labels of one split contradict the learners than those of the other."""

import numpy as np
import pytest

from audits.evidence.disagreement import excess_disagreement
from tests.audits.checks.preprocessing.test_label_noise import EASY, mislabelled
from tests.factories import case, permuted_labels


def test_the_sides_are_mirror_images():
    """The same mistakes in either split: the same estimate, of the other split."""
    ours = case(train_fault=mislabelled(0.25), **EASY)
    theirs = case(fault=mislabelled(0.25), **EASY)

    first, second = (excess_disagreement(one, one.control) for one in (ours, theirs))

    assert (first.split, second.split) == ("train", "validation")
    assert first.agrees
    assert second.agrees
    assert first.estimate == pytest.approx(second.estimate, abs=0.1)


def test_the_interval_covers_no_difference_where_there_is_none():
    """Of eight healthy worlds at most one may be missed; the interval is on the wide side."""
    missed = 0
    for seed in range(8):
        one = case(signal=3.0, n_train=120, n_validation=100, seed=seed)
        excess = excess_disagreement(one, one.control)
        missed += excess.interval[0] > 0

    assert missed <= 1


def test_wrong_labels_do_not_spare_the_sure_rows():
    one = case(train_fault=mislabelled(0.25), **EASY)

    excess = excess_disagreement(one, one.control)

    assert excess.sure_low > 0
    assert excess.among_sure > 0.6 * excess.estimate
    assert excess.sure_agreement > 0.95


def test_learners_that_accuse_each_other_do_not_agree():
    """After a swap of the validation labels, each learner finds the other split's labels wrong."""
    one = case(fault=permuted_labels(1, 0), **EASY)

    excess = excess_disagreement(one, one.control)

    assert min(excess.by_learner.values()) < -0.3
    assert not excess.agrees


def test_says_nothing_without_a_learner_on_the_validation_rows():
    one = case(n_validation=45)

    assert excess_disagreement(one, one.control) is None


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_outputs_at_home_and_away_are_of_one_kind(task: str):
    """A row of the other split is answered from as little as a row at home, so that neither looks easier."""
    gaps = []
    for seed in range(4):
        one = case(task, signal=2.0, n_train=150, n_validation=150, seed=seed)
        forward = one.control.forward
        assert forward.home_outputs.shape == (150, *forward.away_outputs.shape[1:])
        if task != "regression":
            np.testing.assert_allclose(forward.away_outputs.sum(axis=1), 1.0)
            gaps.append(forward.home_outputs.max(axis=1).mean() - forward.away_outputs.max(axis=1).mean())

    assert abs(np.mean(gaps or [0.0])) < 0.025
