"""The metrics, for one set of rows or for many weightings of it at once.

Everywhere:
    labels: (n,) class indices; a label below 0 is unknown and its row does not count.
    predicted: (n,) class indices; -1 is no answer, and wrong.
    weights: None (every row counts once), (n,), or (resamples, n) such as the counts of
        `audits.statistics.resampling`. The result has one number per weighting: shape (), (), (resamples,).

A metric that these rows do not define (no row, one class only, no spread) is NaN.
"""

import numpy as np
from scipy.sparse import csr_array

from audits.artefacts import Array

# A probability of exactly 0 for the truth would make the loss infinite; Keras clips at the same value.
SMALLEST_PROBABILITY = 1e-7
# From this many classes on, most of a dense indicator matrix would be zeros.
DENSE_CLASSES = 32
# From this many scores on, sorting bits is faster than sorting by index.
FEWEST_KEYS = 10_000


def accuracy(labels: Array, predicted: Array, weights: Array | None = None) -> Array:
    known = labels >= 0
    return _mean((predicted == labels) & known, known, weights)


def balanced_accuracy(labels: Array, predicted: Array, n_classes: int, weights: Array | None = None) -> Array:
    """Mean recall of the classes that have rows; 1 / n_classes for a constant answer.

    Reference: Brodersen et al., 2010, https://doi.org/10.1109/ICPR.2010.764
    """
    return _nanmean(recall(labels, predicted, n_classes, weights))


def recall(labels: Array, predicted: Array, n_classes: int, weights: Array | None = None) -> Array:
    """(..., classes) share of the rows of each class that are found; NaN for a class without rows."""
    labels = np.asarray(labels, dtype=np.intp)
    hits = np.where(labels == predicted, labels, -1)
    return _divide(_class_sums(hits, n_classes, weights), _class_sums(labels, n_classes, weights))


def precision(labels: Array, predicted: Array, n_classes: int, weights: Array | None = None) -> Array:
    """(..., classes) share of the answers of each class that are right; NaN for a class never answered."""
    hits, _, answered = _hits_labels_answers(labels, predicted, n_classes, weights)
    return _divide(hits, answered)


def f1(labels: Array, predicted: Array, n_classes: int, weights: Array | None = None) -> Array:
    """(..., classes) harmonic mean of precision and recall; NaN for a class in neither labels nor answers."""
    hits, truth, answered = _hits_labels_answers(labels, predicted, n_classes, weights)
    return _divide(2 * hits, truth + answered)


def macro_f1(labels: Array, predicted: Array, n_classes: int, weights: Array | None = None) -> Array:
    """Mean F1 of the classes that occur."""
    return _nanmean(f1(labels, predicted, n_classes, weights))


def mcc(labels: Array, predicted: Array, n_classes: int, weights: Array | None = None) -> Array:
    """Matthews' correlation of labels and answers, in [-1, 1]; 0 when either is constant.

    Reference: Gorodkin, 2004 (many classes), https://doi.org/10.1016/j.compbiolchem.2004.09.006
    """
    hits, truth, answered = _hits_labels_answers(labels, predicted, n_classes, weights)
    total = truth.sum(axis=-1)
    unanswered = total - answered.sum(axis=-1)
    covariance = hits.sum(axis=-1) * total - (truth * answered).sum(axis=-1)
    truth_spread = total**2 - (truth**2).sum(axis=-1)
    answer_spread = total**2 - (answered**2).sum(axis=-1) - unanswered**2
    product = np.sqrt(np.maximum(truth_spread * answer_spread, 0.0))
    return np.where(product > 0, covariance / np.where(product > 0, product, 1.0), 0.0)


def roc_auc(scores: Array, positives: Array, weights: Array | None = None) -> Array:
    """Chance that a positive row scores above a negative one, ties counting half.

    Args:
        scores: (n,), higher speaks for positive.
        positives: (n,) booleans.
        weights: see above.
    """
    return roc_auc_of(*tied_weights(scores, positives, weights))


def roc_auc_of(positive: Array, negative: Array) -> Array:
    """The same from the weights of `tied_weights`."""
    below = np.cumsum(negative, axis=-1) - negative / 2
    pairs = positive.sum(axis=-1) * negative.sum(axis=-1)
    return _divide((positive * below).sum(axis=-1), pairs)


def average_precision(scores: Array, positives: Array, weights: Array | None = None) -> Array:
    """Precision averaged over the recalls that the thresholds reach; the share of positives by chance."""
    positive, negative = tied_weights(scores, positives, weights)
    return average_precision_of(positive, negative)


def average_precision_of(positive: Array, negative: Array) -> Array:
    """The same from the weights of `tied_weights`."""
    positive, negative = positive[..., ::-1], negative[..., ::-1]
    found = np.cumsum(positive, axis=-1)
    answered = found + np.cumsum(negative, axis=-1)
    gained = positive * np.divide(found, answered, out=np.zeros_like(found), where=answered > 0)
    return _divide(gained.sum(axis=-1), positive.sum(axis=-1))


def log_loss(probabilities: Array, labels: Array, weights: Array | None = None) -> Array:
    """Mean negative log-likelihood in nats; a missing probability counts as the smallest.

    Args:
        probabilities: (n, classes).
        labels: see above.
        weights: see above.
    """
    known = labels >= 0
    truth = np.nan_to_num(probabilities[np.arange(len(labels)), np.where(known, labels, 0)], nan=0.0)
    return _mean(-np.log(np.clip(truth, SMALLEST_PROBABILITY, 1.0)) * known, known, weights)


def brier(probabilities: Array, labels: Array, weights: Array | None = None) -> Array:
    """Mean squared error of the probabilities.

    Args:
        probabilities: (n,) of class 1, then in [0, 1]; or (n, classes), summed over the classes, in [0, 2].
        labels: see above.
        weights: see above.

    Reference: Brier, 1950, https://doi.org/10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2
    """
    known = labels >= 0
    if probabilities.ndim == 1:
        errors = np.square(probabilities - labels)
    else:
        errors = np.square(probabilities - (labels[:, None] == np.arange(probabilities.shape[1]))).sum(axis=1)
    return _mean(np.where(known, errors, 0.0), known, weights)


def r2(y: Array, predicted: Array, weights: Array | None = None) -> Array:
    """Share of the variance of y, (n,), that the predictions explain; 0 for answering with its mean.

    Undefined (NaN) when y does not vary.
    """
    y = np.asarray(y, dtype=float)
    centred = y - y.mean() if len(y) else y  # else the squares of large values swallow the spread
    total = _sum(np.ones(len(y)), weights)
    squares = _sum(np.square(centred), weights)
    spread = squares - _divide(_sum(centred, weights) ** 2, total)
    # what rounding leaves of a constant y
    rounding = np.maximum(1e-14 * squares, 1e-28 * _sum(np.square(y), weights))
    spread = np.where(spread > rounding, spread, 0.0)
    return 1 - _divide(_sum(np.square(y - predicted), weights), spread)


def mae(y: Array, predicted: Array, weights: Array | None = None) -> Array:
    """Mean absolute error, in the unit of y."""
    return _mean(np.abs(np.asarray(y, dtype=float) - predicted), np.ones(len(y)), weights)


def rmse(y: Array, predicted: Array, weights: Array | None = None) -> Array:
    """Root mean squared error, in the unit of y."""
    return np.sqrt(_mean(np.square(np.asarray(y, dtype=float) - predicted), np.ones(len(y)), weights))


def confusion(labels: Array, predicted: Array, n_classes: int) -> Array:
    """(classes, classes + 1) rows by label and answer; the last column counts the rows without an answer."""
    known = labels >= 0
    answers = np.where((predicted >= 0) & (predicted < n_classes), predicted, n_classes)
    cells = labels[known] * (n_classes + 1) + answers[known]
    counts = np.bincount(cells.astype(np.intp), minlength=n_classes * (n_classes + 1))
    return counts.reshape(n_classes, n_classes + 1)


def _hits_labels_answers(
    labels: Array, predicted: Array, n_classes: int, weights: Array | None
) -> tuple[Array, Array, Array]:
    """Each (..., classes): right answers, rows and answers per class."""
    labels, predicted = np.asarray(labels, dtype=np.intp), np.asarray(predicted, dtype=np.intp)
    hits = np.where(labels == predicted, labels, -1)
    answers = np.where(labels >= 0, predicted, -1)
    parts = [_class_sums(which, n_classes, weights) for which in (hits, labels, answers)]
    return parts[0], parts[1], parts[2]


def _class_sums(classes: Array, n_classes: int, weights: Array | None) -> Array:
    """(..., classes) total weight of the rows of each class; classes below 0 are left out."""
    valid = (classes >= 0) & (classes < n_classes)
    if weights is None or weights.ndim == 1:
        kept = None if weights is None else weights[valid]
        return np.bincount(classes[valid], weights=kept, minlength=n_classes).astype(float)
    if n_classes < DENSE_CLASSES:
        return np.asarray(weights @ (classes[:, None] == np.arange(n_classes)).astype(float))
    rows = np.flatnonzero(valid)
    ones = np.ones(len(rows))
    indicator = csr_array((ones, (classes[rows], rows)), shape=(n_classes, len(classes)))
    return np.asarray((indicator @ weights.T).T)


def tied_weights(scores: Array, positives: Array, weights: Array | None = None) -> tuple[Array, Array]:
    """Each (..., distinct scores), by increasing score: the weight of the positive and negative rows."""
    scores, positives = np.asarray(scores, dtype=float), np.asarray(positives, dtype=bool)
    if weights is None and len(scores) > FEWEST_KEYS and (scores >= 0).all():
        return _tied_counts(scores, positives)
    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    starts = np.flatnonzero(np.diff(ordered, prepend=np.nan) != 0)
    row_weights = np.ones(len(scores)) if weights is None else np.asarray(weights, dtype=float)
    sorted_weights = row_weights[..., order]
    if not len(starts):
        return sorted_weights, sorted_weights
    positive = np.add.reduceat(sorted_weights * positives[order], starts, axis=-1)
    negative = np.add.reduceat(sorted_weights * ~positives[order], starts, axis=-1)
    return positive, negative


def _tied_counts(scores: Array, positives: Array) -> tuple[Array, Array]:
    """The same for many scores from 0 up that count once: their bits, in order, with the class as the last one."""
    keys = (scores + 0.0).view(np.uint64)
    keys <<= np.uint64(1)  # the sign goes, and makes room
    keys |= positives
    keys.sort()
    is_positive = (keys & np.uint64(1)).astype(bool)
    keys >>= np.uint64(1)
    starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    n = len(keys)
    del keys  # these arrays are long
    total = np.diff(starts, append=n)
    positive = np.add.reduceat(is_positive, starts, dtype=np.int64)
    return positive.astype(float), (total - positive).astype(float)


def _sum(values: Array, weights: Array | None) -> Array:
    """Weighted sum of (n,) values."""
    return np.asarray(values.sum() if weights is None else weights @ values)


def _mean(values: Array, counted: Array, weights: Array | None) -> Array:
    """Weighted sum of (n,) values over that of (n,) booleans."""
    return _divide(_sum(values.astype(float), weights), _sum(counted.astype(float), weights))


def _divide(numerator: Array, denominator: Array) -> Array:
    """Element by element; NaN where the denominator is 0."""
    safe = np.where(denominator > 0, denominator, 1.0)
    return np.where(denominator > 0, numerator / safe, np.nan)


def _nanmean(values: Array) -> Array:
    """Mean over the last axis of what is not NaN."""
    known = ~np.isnan(values)
    return _divide(np.where(known, values, 0.0).sum(axis=-1), known.sum(axis=-1))
