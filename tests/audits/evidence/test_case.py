"""The case: its scores, and what is left of the validation rows when copies and guesses are set aside."""

import numpy as np
import pytest

from audits.checks.preprocessing import missing_values, scaling_mismatch
from audits.evidence.gap import honest_gap, honest_validation
from audits.repairs.protocol import mend
from tests.factories import both, case, copied, holes, memoriser, miscut, scaled


def test_a_generator_belongs_to_its_purpose():
    one = case()

    assert one.rng("a").random() == one.rng("a").random()
    assert one.rng("a").random() != one.rng("b").random()


def test_scores_are_those_of_all_rows():
    one = case(model=memoriser, signal=0.0)

    assert one.train_score[0] == 1.0
    low, high = one.validation_score[1]
    assert low < one.validation_score[0] < high


def test_the_mended_score_follows_the_repairs():
    one = case(fault=scaled(3.0))

    mended = mend(one, [(scaling_mismatch.CODE, scaling_mismatch.suspect)])

    assert one.mended_score == one.validation_score
    assert mended.mended_score[0] == mended.score(mended.mended) > one.validation_score[0]


def test_what_is_computed_once_is_computed_anew_for_another_state_of_repair():
    one = case(fault=scaled(3.0))
    spoilt = honest_gap(one)

    mended = mend(one, [(scaling_mismatch.CODE, scaling_mismatch.suspect)])

    assert honest_gap(one) is spoilt
    assert honest_gap(mended).validation == mended.score(mended.mended) > spoilt.validation


def test_a_subject_keeps_rows_labels_and_answers_together():
    subject = case().validation.sample

    part = subject.at(np.array([5, 3]))

    assert part.index.tolist() == [5, 3]
    np.testing.assert_array_equal(part.labels, subject.labels[[5, 3]])
    np.testing.assert_array_equal(part.rows["c0"], subject.rows["c0"].iloc[[5, 3]])
    np.testing.assert_array_equal(part.predictions.probabilities, subject.predictions.probabilities[[5, 3]])
    assert len(subject.at(subject.labels == 1)) == subject.labels.sum()


def test_copies_and_guessed_rows_are_set_aside():
    one = case(signal=4.0, fault=both(copied(0.3), holes(0.2)))

    mended = mend(one, [(missing_values.CODE, missing_values.suspect)])

    guessed = one.validation.sample.rows["c0"].isna().to_numpy()
    np.testing.assert_array_equal(mended.untouched, ~guessed)
    assert mended.decontaminated.mean() == pytest.approx(1 - 0.3 * 0.8, abs=0.06)
    assert len(honest_validation(mended)) == (mended.untouched & mended.decontaminated).sum()


def test_copies_count_where_nothing_else_is_left():
    one = case(fault=copied(1.0))

    assert len(honest_validation(one)) == one.validation.n


def test_the_honest_gap_is_that_of_independent_samples():
    gap = honest_gap(case(model=memoriser, signal=0.0))

    assert gap.estimate == gap.train - gap.validation
    assert gap.interval[0] < gap.estimate < gap.interval[1]
    assert gap.normalised_low == pytest.approx(gap.interval[0] / (gap.train - 0.5))


def test_a_gap_of_the_cut_alone_is_none():
    one = case(model=miscut(3.0), n_train=1500, n_validation=1000)

    assert honest_gap(one).estimate < 0.05
