import numpy as np
import pytest
from scipy.stats import rankdata
from sklearn import metrics as sk

from audits.statistics import metrics
from audits.statistics.resampling import count_chunks

N, CLASSES, RESAMPLES = 200, 4, 6


@pytest.fixture
def rng():
    return np.random.default_rng(11)


@pytest.fixture
def labels(rng):
    return rng.choice(CLASSES, N, p=[0.6, 0.25, 0.1, 0.05])


@pytest.fixture
def predicted(rng, labels):
    """Mostly right; class 3 is hardly ever answered."""
    return np.where(rng.random(N) < 0.6, labels, rng.integers(0, CLASSES - 1, N))


@pytest.fixture
def probabilities(rng):
    return rng.dirichlet(np.ones(CLASSES), N)


@pytest.fixture
def counts(rng):
    return next(count_chunks(N, rng, n_resamples=RESAMPLES))


def classification_metrics():
    """Ours, and scikit-learn's of (labels, predicted, weights)."""
    names = list(range(CLASSES))
    return [
        pytest.param(metrics.accuracy, sk.accuracy_score, id="accuracy"),
        pytest.param(
            lambda y, p, w=None: metrics.balanced_accuracy(y, p, CLASSES, w),
            lambda y, p, sample_weight=None: sk.recall_score(
                y, p, average="macro", labels=np.unique(y), sample_weight=sample_weight
            ),
            id="balanced_accuracy",
        ),
        pytest.param(
            lambda y, p, w=None: metrics.macro_f1(y, p, CLASSES, w),
            lambda y, p, sample_weight=None: sk.f1_score(
                y, p, average="macro", labels=[c for c in names if c in y or c in p], sample_weight=sample_weight
            ),
            id="macro_f1",
        ),
        pytest.param(lambda y, p, w=None: metrics.mcc(y, p, CLASSES, w), sk.matthews_corrcoef, id="mcc"),
        pytest.param(
            lambda y, p, w=None: metrics.recall(y, p, CLASSES, w),
            lambda y, p, sample_weight=None: sk.recall_score(
                y, p, average=None, labels=names, sample_weight=sample_weight
            ),
            id="recall",
        ),
        pytest.param(
            lambda y, p, w=None: metrics.precision(y, p, CLASSES, w),
            lambda y, p, sample_weight=None: sk.precision_score(
                y, p, average=None, labels=names, sample_weight=sample_weight, zero_division=np.nan
            ),
            id="precision",
        ),
    ]


@pytest.mark.parametrize(("ours", "theirs"), classification_metrics())
def test_classification_agrees_with_sklearn(ours, theirs, labels, predicted, counts):
    assert ours(labels, predicted) == pytest.approx(theirs(labels, predicted), nan_ok=True)
    expected = [theirs(labels, predicted, sample_weight=row) for row in counts]
    assert ours(labels, predicted, counts) == pytest.approx(np.array(expected), nan_ok=True)
    assert ours(labels, predicted, counts[0]) == pytest.approx(expected[0], nan_ok=True)


@pytest.mark.parametrize(("ours", "theirs"), classification_metrics())
def test_no_answer_is_a_wrong_answer(ours, theirs, labels, predicted):
    """A fifth class that no label has plays the part of no answer for scikit-learn."""
    unanswered = np.where(np.arange(N) % 5 == 0, -1, predicted)

    if theirs is sk.matthews_corrcoef or theirs is sk.accuracy_score:
        assert ours(labels, unanswered) == pytest.approx(theirs(labels, unanswered))
    else:
        wrong = np.where(unanswered == -1, CLASSES, unanswered)
        assert ours(labels, unanswered) == pytest.approx(theirs(labels, wrong), nan_ok=True)


@pytest.mark.parametrize(("ours", "theirs"), classification_metrics())
def test_rows_without_a_label_do_not_count(ours, theirs, labels, predicted, counts):
    unknown = np.arange(N) % 3 == 0
    masked = np.where(unknown, -1, labels)

    assert ours(masked, predicted) == pytest.approx(ours(labels[~unknown], predicted[~unknown]), nan_ok=True)
    assert ours(masked, predicted, counts) == pytest.approx(
        ours(labels[~unknown], predicted[~unknown], counts[:, ~unknown]), nan_ok=True
    )


def test_no_answer_does_not_match_an_unknown_label():
    nothing = np.array([-1, -1])

    assert metrics.accuracy(np.array([-1, 0]), nothing) == 0
    assert np.isnan(metrics.accuracy(nothing, nothing))


def test_many_classes_take_the_sparse_way(rng):
    labels, predicted = rng.integers(0, 90, 500), rng.integers(0, 90, 500)
    predicted = np.where(rng.random(500) < 0.5, labels, predicted)
    counts = next(count_chunks(500, rng, n_resamples=3))
    expected = [metrics.balanced_accuracy(labels, predicted, 90, row) for row in counts]

    assert metrics.balanced_accuracy(labels, predicted, 90, counts) == pytest.approx(np.array(expected))


def test_balanced_accuracy_of_a_constant_answer_is_chance(labels):
    assert metrics.balanced_accuracy(labels, np.zeros(N, dtype=int), CLASSES) == pytest.approx(1 / CLASSES)


def test_a_class_that_a_resample_lost_is_left_out():
    labels, predicted = np.array([0, 0, 1]), np.array([0, 1, 1])

    assert metrics.balanced_accuracy(labels, predicted, 2, np.array([[1.0, 2.0, 0.0]])) == pytest.approx([1 / 3])


def test_mcc_of_a_constant_answer_is_zero(labels):
    assert metrics.mcc(labels, np.zeros(N, dtype=int), CLASSES) == 0


@pytest.mark.parametrize("digits", [1, 8], ids=["ties", "no ties"])
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(metrics.roc_auc, sk.roc_auc_score), (metrics.average_precision, sk.average_precision_score)],
)
def test_ranking_agrees_with_sklearn(ours, theirs, digits, rng):
    positives = rng.random(N) < 0.25
    counts = next(count_chunks(N, rng, n_resamples=RESAMPLES))
    scores = np.round(rng.normal(size=N) + positives, digits)

    assert ours(scores, positives) == pytest.approx(theirs(positives, scores))
    expected = [theirs(positives, scores, sample_weight=row) for row in counts]
    assert ours(scores, positives, counts) == pytest.approx(np.array(expected))


def test_ranking_of_constant_scores_is_chance(labels):
    positives = labels == 1

    assert metrics.roc_auc(np.ones(N), positives) == pytest.approx(0.5)
    assert metrics.average_precision(np.ones(N), positives) == pytest.approx(positives.mean())


@pytest.mark.parametrize("metric", [metrics.roc_auc, metrics.average_precision])
def test_ranking_without_positives_is_undefined(metric):
    assert np.isnan(metric(np.arange(4.0), np.zeros(4, dtype=bool)))
    assert np.isnan(metric(np.empty(0), np.empty(0, dtype=bool)))


def test_roc_auc_is_the_rank_sum(labels, rng):
    positives, scores = labels == 0, rng.normal(size=N)
    above = rankdata(scores)[positives].sum() - positives.sum() * (positives.sum() + 1) / 2

    assert metrics.roc_auc(scores, positives) == pytest.approx(above / positives.sum() / (~positives).sum())


def test_probabilities_agree_with_sklearn(labels, probabilities, counts):
    def brier(y, p, sample_weight=None):
        return sk.brier_score_loss(y, p, sample_weight=sample_weight, labels=range(CLASSES), scale_by_half=False)

    def log_loss(y, p, sample_weight=None):
        return sk.log_loss(y, p, sample_weight=sample_weight, labels=range(CLASSES))

    for ours, theirs in ((metrics.log_loss, log_loss), (metrics.brier, brier)):
        expected = [theirs(labels, probabilities, row) for row in counts]
        assert ours(probabilities, labels) == pytest.approx(theirs(labels, probabilities))
        assert ours(probabilities, labels, counts) == pytest.approx(np.array(expected))


def test_binary_brier_agrees_with_sklearn(labels, probabilities):
    positives = (labels == 1).astype(int)
    expected = sk.brier_score_loss(positives, probabilities[:, 1])

    assert metrics.brier(probabilities[:, 1], positives) == pytest.approx(expected)


@pytest.mark.parametrize("metric", [metrics.log_loss, metrics.brier])
def test_probabilities_of_unknown_labels_do_not_count(metric, labels, probabilities):
    unknown = np.arange(N) % 3 == 0

    assert metric(probabilities, np.where(unknown, -1, labels)) == pytest.approx(
        metric(probabilities[~unknown], labels[~unknown])
    )


def test_the_log_loss_of_a_missing_or_zero_probability_is_finite():
    probabilities = np.array([[1.0, 0.0], [np.nan, np.nan]])

    assert metrics.log_loss(probabilities, np.array([1, 0])) == pytest.approx(-np.log(1e-7))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (metrics.r2, sk.r2_score),
        (metrics.mae, sk.mean_absolute_error),
        (metrics.rmse, sk.root_mean_squared_error),
    ],
)
@pytest.mark.parametrize("offset", [0.0, 1e7])
def test_regression_agrees_with_sklearn(ours, theirs, offset, counts, rng):
    y = rng.normal(size=N) + offset
    predicted = y + rng.normal(size=N) / 2

    assert ours(y, predicted) == pytest.approx(theirs(y, predicted))
    expected = [theirs(y, predicted, sample_weight=row) for row in counts]
    assert ours(y, predicted, counts) == pytest.approx(np.array(expected))


def test_r2_of_a_constant_target_is_undefined():
    """0.1 three times does not have the mean 0.1."""
    assert np.isnan(metrics.r2(np.full(3, 0.1), np.arange(3.0)))
    assert np.isnan(metrics.r2(np.full(3, 0.1), np.arange(3.0), np.array([[1.0, 2.0, 0.0]]))).all()
    assert np.isnan(metrics.r2(np.array([1.0, 2.0]), np.zeros(2), np.array([[2.0, 0.0]]))).all()


def test_confusion_counts_unanswered_rows_last():
    labels, predicted = np.array([0, 0, 1, 1, -1]), np.array([0, 1, 1, -1, 0])

    assert metrics.confusion(labels, predicted, 2).tolist() == [[1, 1, 0], [0, 1, 1]]
