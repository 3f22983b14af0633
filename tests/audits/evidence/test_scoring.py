"""The primary metric: its value, its interval and the loss of each row."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, log_loss, r2_score

from audits.artefacts import Array
from audits.evidence.labels import UNKNOWN, LabelSpace
from audits.evidence.outputs import Predictions
from audits.evidence.scoring import Scorer, quantile_interval
from tests.factories import case

CLASSES = Scorer(LabelSpace("multiclass", ("a", "b", "c"), ""), 0.0)
QUANTITY = Scorer(LabelSpace("regression", (), ""), 10.0)


def decided(answers: Array) -> Predictions:
    return Predictions(None, np.full((len(answers), 3), np.nan), answers)


def test_balanced_accuracy_is_scikit_learns():
    rng = np.random.default_rng(0)
    labels, answers = rng.integers(0, 3, 200), rng.integers(0, 3, 200)

    assert CLASSES.score(labels, decided(answers)) == pytest.approx(balanced_accuracy_score(labels, answers))
    assert CLASSES.chance == pytest.approx(1 / 3)


def test_r2_is_scikit_learns():
    rng = np.random.default_rng(0)
    labels = rng.normal(size=200)
    answers = labels + rng.normal(size=200)

    assert QUANTITY.score(labels, Predictions(answers, None, None)) == pytest.approx(r2_score(labels, answers))
    assert QUANTITY.chance == 0.0


def test_a_row_without_an_answer_is_wrong():
    labels = np.array([0, 0, 1, 2])

    assert CLASSES.score(labels, decided(np.array([0, -1, 1, 2]))) == pytest.approx((0.5 + 1 + 1) / 3)


def test_a_row_without_a_value_is_answered_with_the_training_mean():
    labels = np.array([8.0, 12.0, 10.0])

    score = QUANTITY.score(labels, Predictions(np.array([8.0, np.nan, 10.0]), None, None))

    assert score == pytest.approx(1 - 4 / 8)


def test_a_label_that_is_no_class_is_never_right():
    """Nor is it the same as a row without an answer, whose code is the same number."""
    labels, answers = np.array([0, 1, 2, UNKNOWN]), np.array([0, 1, 2, -1])

    assert CLASSES.score(labels, decided(answers)) == pytest.approx(3 / 4)


def test_an_interval_of_unanswered_rows_is_finite():
    labels, answers = np.array([0, 1, 2] * 20), np.full(60, -1)

    low, high = CLASSES.interval(labels, answers, np.random.default_rng(0))

    assert 0 <= low <= high < 0.2


@pytest.mark.parametrize("n", [40, 200])
@pytest.mark.parametrize("right", [0.55, 0.8, 0.95])
def test_the_interval_of_balanced_accuracy_covers_what_it_says(n: int, right: float):
    """Three classes, one of them rare, over 400 samples."""
    rng = np.random.default_rng([n, int(100 * right)])
    covered = 0
    for _ in range(400):
        labels = np.concatenate([[0, 1, 2], rng.choice(3, n - 3, p=[0.45, 0.4, 0.15])])
        answers = np.where(rng.random(n) < right, labels, (labels + 1) % 3)
        low, high = CLASSES.interval(labels, answers, rng)
        covered += low <= right <= high

    # some six rows of the rare class, nearly all right: little is known of it
    least = 0.92 if n * (1 - right) > 3 else 0.86
    assert least <= covered / 400 <= 0.995


@pytest.mark.parametrize("n", [40, 100])
def test_the_interval_of_r2_covers_what_it_says(n: int):
    """True R2 is 0.8: the answers are the signal, the labels have a quarter of its variance in noise."""
    rng = np.random.default_rng(n)
    covered = 0
    for _ in range(100):
        answers = rng.normal(0, 2, n)
        low, high = QUANTITY.interval(answers + rng.normal(0, 1, n), answers, rng)
        covered += low <= 0.8 <= high

    assert 0.88 <= covered / 100 <= 0.99


def test_groups_are_resampled_whole():
    """Ten groups, all right or all wrong: the interval is that of ten, not of a thousand rows."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(10), 100)
    labels = rng.integers(0, 3, 1000)
    answers = np.where(groups < 5, labels, (labels + 1) % 3)

    rows, clustered = (CLASSES.interval(labels, answers, np.random.default_rng(1), g) for g in (None, groups))

    assert rows[1] - rows[0] < 0.1
    assert clustered[1] - clustered[0] > 0.4


def test_draws_centre_on_the_score():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 300)
    answers = np.where(rng.random(300) < 0.7, labels, 0)

    draws = CLASSES.draws(labels, answers, rng)

    assert draws.mean() == pytest.approx(CLASSES.score(labels, decided(answers)), abs=0.01)


@pytest.mark.parametrize("stratified", [True, False])
def test_every_class_keeps_its_rows_where_it_should(stratified: bool):
    labels = np.repeat([0, 1, 2], [80, 15, 5])

    sizes = CLASSES.resample(
        (labels, labels), lambda w, y, a: (w * (y == 2)).sum(axis=1), np.random.default_rng(0), stratified=stratified
    )

    assert bool(np.ptp(sizes) == 0) is stratified
    assert sizes.mean() == pytest.approx(5, abs=0.2)


def test_a_contrast_is_the_second_minus_the_first_on_the_same_rows():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 300)
    poor, good = (np.where(rng.random(300) < share, labels, (labels + 1) % 3) for share in (0.5, 0.9))

    draws = CLASSES.contrast_draws(labels, poor, labels, good, rng)
    none = CLASSES.contrast_draws(labels, poor, labels, poor, rng)

    gain = CLASSES.score(labels, decided(good)) - CLASSES.score(labels, decided(poor))
    assert draws.mean() == pytest.approx(gain, abs=0.01)
    assert (none == 0).all()


def test_losses_are_cross_entropy_and_squared_error():
    one, other = case("multiclass"), case("regression")

    losses = one.scorer.losses(one.validation.labels, one.validation.predictions)
    squares = other.scorer.losses(other.validation.labels, other.validation.predictions)

    expected = log_loss(one.validation.labels, one.validation.predictions.probabilities)
    assert losses.mean() == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(squares, (other.validation.predictions.values - other.validation.labels) ** 2)


def test_a_certain_error_has_a_finite_loss_and_an_unknown_label_none():
    predictions = Predictions(None, np.array([[0.0, 1.0, 0.0]] * 2), np.array([1, 1]))

    losses = CLASSES.losses(np.array([0, UNKNOWN]), predictions)

    assert np.isfinite(losses[0])
    assert losses[0] > 10
    assert np.isnan(losses[1])


def test_quantile_interval_leaves_the_same_share_on_both_sides():
    low, high = quantile_interval(np.arange(1001) / 1000)

    assert (low, high) == (pytest.approx(0.025), pytest.approx(0.975))
    assert quantile_interval(np.array([np.nan, 1.0, 1.0])) == (1.0, 1.0)
