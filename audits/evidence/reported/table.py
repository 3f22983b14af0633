"""Every metric that a report may name: how it is computed, what it looks at, and which way is better.

The computation is that of scikit-learn. What somebody means by a name is in `metric_names`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.stats import rankdata

from audits.artefacts import Array
from audits.statistics import metrics
from schemas.request import Task

Family = Literal["performance", "loss", "error"]


@dataclass(frozen=True)
class Judged:
    """Rows with a known label and what the model says of them.

    Attributes:
        labels: (rows,) class indices or quantities.
        answers: (rows,) class indices, -1 for no answer; or quantities.
        probabilities: (rows, classes), NaN where there is none; None for class ids and quantities.
        n_classes: 0 for a regression.
        weights: (rows,) with which metrics are computed; None for rows that count alike.
    """

    labels: Array
    answers: Array
    probabilities: Array | None
    n_classes: int
    weights: Array | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def at(self, which: Array) -> "Judged":
        probabilities = None if self.probabilities is None else self.probabilities[which]
        return replace(
            self,
            labels=self.labels[which],
            answers=self.answers[which],
            probabilities=probabilities,
            weights=None if self.weights is None else self.weights[which],
        )

    def joined(self, other: "Judged") -> "Judged":
        """Both together; rows count alike."""
        both = None
        if self.probabilities is not None and other.probabilities is not None:
            both = np.concatenate([self.probabilities, other.probabilities])
        return replace(
            self,
            labels=np.concatenate([self.labels, other.labels]),
            answers=np.concatenate([self.answers, other.answers]),
            probabilities=both,
            weights=None,
        )


# Of rows and of weights, None or (resamples, rows), to a number or (resamples,).
Compute = Callable[[Judged, Array | None], Array]


@dataclass(frozen=True)
class Metric:
    """One way to compute one metric.

    Attributes:
        title: as it stands in a sentence.
        family: what it may be mistaken for: a share of at most 1, a loss of probabilities, an error of quantities.
        compute: the metric of rows.
        of: what it looks at.
        higher: whether higher is better.
        tasks: for which it is defined.
    """

    title: str
    family: Family
    compute: Compute
    of: Literal["decisions", "scores", "values"] = "decisions"
    higher: bool = True
    tasks: tuple[Task, ...] = ("binary", "multiclass")

    def applies(self, task: Task, *, scores: bool) -> bool:
        return task in self.tasks and (self.of != "scores" or scores)

    def __call__(self, judged: Judged) -> float:
        return float(self.compute(judged, judged.weights))


# Decisions


def _by_class(name: str) -> Callable[[Judged, Array | None], Array]:
    """(..., classes); a precision of no answers counts as 0, as in scikit-learn."""
    function: Callable[..., Array] = getattr(metrics, name)
    return lambda j, w: np.nan_to_num(function(j.labels, j.answers, j.n_classes, w))


def _of_class(name: str, k: int) -> Compute:
    return lambda j, w: _by_class(name)(j, w)[..., k]


def _macro(name: str) -> Compute:
    def compute(j: Judged, w: Array | None) -> Array:
        occurs = np.union1d(j.labels, j.answers[j.answers >= 0]).astype(int)
        return np.asarray(_by_class(name)(j, w)[..., occurs].mean(axis=-1))

    return compute


def _weighted(name: str) -> Compute:
    def compute(j: Judged, w: Array | None) -> Array:
        indicator = (j.labels[:, None] == np.arange(j.n_classes)).astype(float)
        support = indicator.sum(axis=0) if w is None else w @ indicator
        return np.asarray((_by_class(name)(j, w) * support).sum(axis=-1) / np.maximum(support.sum(axis=-1), 1e-12))

    return compute


def _kappa(j: Judged, w: Array | None) -> Array:
    """Cohen, 1960, https://doi.org/10.1177/001316446002000104."""
    total = np.asarray(float(len(j)) if w is None else w.sum(axis=-1))
    shares = []
    for column in (j.labels, j.answers):
        indicator = (column[:, None] == np.arange(j.n_classes)).astype(float)
        shares.append((indicator.sum(axis=0) if w is None else w @ indicator) / total[..., None])
    chance = (shares[0] * shares[1]).sum(axis=-1)
    agreed = metrics.accuracy(j.labels, j.answers, w)
    return np.asarray(np.where(chance < 1, (agreed - chance) / np.maximum(1 - chance, 1e-12), 0.0))


def _top(k: int) -> Compute:
    def compute(j: Judged, w: Array | None) -> Array:
        assert j.probabilities is not None  # noqa: S101 - computed only where there are scores
        truth = j.probabilities[np.arange(len(j)), j.labels]
        above = (j.probabilities > truth[:, None]).sum(axis=1)
        return _mean((above < k) & np.isfinite(truth), w)

    return compute


# Scores


def _scored(j: Judged, w: Array | None) -> tuple[Array, Array, Array | None]:
    """Probabilities and labels of the answered rows, and their weights."""
    assert j.probabilities is not None  # noqa: S101 - computed only where there are scores
    usable = np.isfinite(j.probabilities).all(axis=1)
    return j.probabilities[usable], j.labels[usable], None if w is None else w[..., usable]


def _one_against_rest(name: str, *, by_support: bool = False) -> Compute:
    function: Callable[..., Array] = getattr(metrics, name)

    def compute(j: Judged, w: Array | None) -> Array:
        probabilities, labels, weights = _scored(j, w)
        if j.n_classes == 2:
            return np.asarray(function(probabilities[:, 1], labels == 1, weights))
        classes = np.unique(labels)
        each: Array = np.stack([function(probabilities[:, k], labels == k, weights) for k in classes], axis=-1)
        support = np.array([(labels == k).sum() for k in classes]) if by_support else np.ones(len(classes))
        return np.asarray((each * support).sum(axis=-1) / max(float(support.sum()), 1.0))

    return compute


def _pooled(name: str) -> Compute:
    """Every class of every row as a decision of its own, as Keras does it."""
    function: Callable[..., Array] = getattr(metrics, name)

    def compute(j: Judged, w: Array | None) -> Array:
        probabilities, labels, weights = _scored(j, w)
        truth = labels[:, None] == np.arange(j.n_classes)
        repeated = None if weights is None else np.repeat(weights, j.n_classes, axis=-1)
        return np.asarray(function(probabilities.ravel(), truth.ravel(), repeated))

    return compute


def _log_loss(j: Judged, w: Array | None) -> Array:
    probabilities, labels, weights = _scored(j, w)
    return metrics.log_loss(probabilities, labels, weights)


def _brier(j: Judged, w: Array | None) -> Array:
    probabilities, labels, weights = _scored(j, w)
    return metrics.brier(probabilities[:, 1] if j.n_classes == 2 else probabilities, labels, weights)


def _brier_mean(j: Judged, w: Array | None) -> Array:
    """Over rows and classes, which is what a mean squared error of one-hot labels is."""
    return np.asarray(_brier(j, w) / (1 if j.n_classes == 2 else j.n_classes))


# Quantities


def _mean(values: Array, w: Array | None) -> Array:
    values = np.asarray(values, dtype=float)
    if w is None:
        return np.asarray(values.mean() if len(values) else np.nan)
    return np.asarray(w @ values / np.maximum(w.sum(axis=-1), 1e-12))


def _row(error: Callable[[Array, Array], Array]) -> Compute:
    return lambda j, w: _mean(error(j.labels, j.answers), w)


def _relative(y: Array, answer: Array) -> Array:
    return np.asarray(np.abs(y - answer) / np.maximum(np.abs(y), np.finfo(float).eps))


def _pearson(j: Judged, w: Array | None) -> Array:
    y, a = j.labels - j.labels.mean(), j.answers - j.answers.mean()
    my, ma = _mean(y, w), _mean(a, w)
    covariance = _mean(y * a, w) - my * ma
    spread = (_mean(y * y, w) - my**2) * (_mean(a * a, w) - ma**2)
    return np.asarray(np.where(spread > 0, covariance / np.sqrt(np.maximum(spread, 1e-300)), 0.0))


def _spearman(j: Judged, w: Array | None) -> Array:
    return _pearson(replace(j, labels=rankdata(j.labels), answers=rankdata(j.answers)), w)


def _explained(j: Judged, w: Array | None) -> Array:
    residual, y = j.labels - j.answers, j.labels - j.labels.mean()
    spread = _mean(y * y, w) - _mean(y, w) ** 2
    left = _mean(residual**2, w) - _mean(residual, w) ** 2
    return np.asarray(np.where(spread > 0, 1 - left / np.maximum(spread, 1e-300), np.nan))


def _performance(title: str, compute: Compute, *tasks: Task) -> Metric:
    return Metric(title, "performance", compute, tasks=tasks or ("binary", "multiclass"))


def _ranking(title: str, compute: Compute, *tasks: Task) -> Metric:
    return Metric(title, "performance", compute, "scores", tasks=tasks or ("binary", "multiclass"))


def _loss(title: str, compute: Compute) -> Metric:
    return Metric(title, "loss", compute, "scores", higher=False)


def _error(title: str, compute: Compute) -> Metric:
    return Metric(title, "error", compute, "values", higher=False, tasks=("regression",))


def _fit(title: str, compute: Compute) -> Metric:
    return Metric(title, "performance", compute, "values", tasks=("regression",))


METRICS: dict[str, Metric] = {
    "accuracy": _performance("accuracy", lambda j, w: metrics.accuracy(j.labels, j.answers, w)),
    "balanced_accuracy": _performance(
        "balanced accuracy", lambda j, w: metrics.balanced_accuracy(j.labels, j.answers, j.n_classes, w)
    ),
    "precision": _performance("precision of the positive class", _of_class("precision", 1), "binary"),
    "recall": _performance("recall of the positive class", _of_class("recall", 1), "binary"),
    "specificity": _performance("specificity", _of_class("recall", 0), "binary"),
    "f1": _performance("F1 of the positive class", _of_class("f1", 1), "binary"),
    "negative_precision": _performance("precision of the negative class", _of_class("precision", 0), "binary"),
    "negative_f1": _performance("F1 of the negative class", _of_class("f1", 0), "binary"),
    "precision_macro": _performance("macro precision", _macro("precision")),
    "precision_weighted": _performance("weighted precision", _weighted("precision")),
    "f1_macro": _performance("macro F1", _macro("f1")),
    "f1_weighted": _performance("weighted F1", _weighted("f1")),
    "mcc": _performance("MCC", lambda j, w: metrics.mcc(j.labels, j.answers, j.n_classes, w)),
    "cohen_kappa": _performance("Cohen's kappa", _kappa),
    "roc_auc": _ranking("ROC AUC", _one_against_rest("roc_auc")),
    "roc_auc_weighted": _ranking("weighted ROC AUC", _one_against_rest("roc_auc", by_support=True), "multiclass"),
    "roc_auc_pooled": _ranking("ROC AUC over all classes at once", _pooled("roc_auc"), "multiclass"),
    "average_precision": _ranking("average precision", _one_against_rest("average_precision")),
    "average_precision_pooled": _ranking(
        "average precision over all classes at once", _pooled("average_precision"), "multiclass"
    ),
    **{f"top_{k}_accuracy": _ranking(f"top-{k} accuracy", _top(k), "multiclass") for k in (2, 3, 5, 10)},
    "log_loss": _loss("log loss", _log_loss),
    "brier": _loss("Brier score", _brier),
    "brier_mean": _loss("mean squared error of the probabilities", _brier_mean),
    "mae": _error("mean absolute error", _row(lambda y, a: np.abs(y - a))),
    "mse": _error("mean squared error", _row(lambda y, a: np.square(y - a))),
    "rmse": _error("root mean squared error", lambda j, w: np.sqrt(_row(lambda y, a: np.square(y - a))(j, w))),
    "mape": _error("mean absolute percentage error", _row(_relative)),
    "mape_percent": _error("mean absolute percentage error", _row(lambda y, a: 100 * _relative(y, a))),
    "r2": _fit("R2", lambda j, w: metrics.r2(j.labels, j.answers, w)),
    "explained_variance": _fit("explained variance", _explained),
    "pearson": _fit("correlation", _pearson),
    "spearman": _fit("rank correlation", _spearman),
}
