"""The table of metrics, against scikit-learn, and with row weights against repeated rows."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from audits.evidence.reported.table import METRICS, Judged


def classified(n_classes: int, n: int = 200, seed: int = 0) -> Judged:
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.ones(n_classes), n)
    labels = np.where(rng.random(n) < 0.5, probabilities.argmax(axis=1), rng.integers(0, n_classes, n))
    return Judged(labels, probabilities.argmax(axis=1), probabilities, n_classes)


def quantified(n: int = 200, seed: int = 0) -> Judged:
    rng = np.random.default_rng(seed)
    y = rng.normal(3, 2, n)
    return Judged(y, y + rng.normal(0.2, 1, n), None, 0)


BINARY: dict[str, Callable[[Judged], float]] = {
    "accuracy": lambda j: sk.accuracy_score(j.labels, j.answers),
    "balanced_accuracy": lambda j: sk.balanced_accuracy_score(j.labels, j.answers),
    "precision": lambda j: sk.precision_score(j.labels, j.answers),
    "recall": lambda j: sk.recall_score(j.labels, j.answers),
    "specificity": lambda j: sk.recall_score(j.labels, j.answers, pos_label=0),
    "negative_precision": lambda j: sk.precision_score(j.labels, j.answers, pos_label=0),
    "f1": lambda j: sk.f1_score(j.labels, j.answers),
    "negative_f1": lambda j: sk.f1_score(j.labels, j.answers, pos_label=0),
    "precision_macro": lambda j: sk.precision_score(j.labels, j.answers, average="macro"),
    "precision_weighted": lambda j: sk.precision_score(j.labels, j.answers, average="weighted"),
    "f1_macro": lambda j: sk.f1_score(j.labels, j.answers, average="macro"),
    "f1_weighted": lambda j: sk.f1_score(j.labels, j.answers, average="weighted"),
    "mcc": lambda j: sk.matthews_corrcoef(j.labels, j.answers),
    "cohen_kappa": lambda j: sk.cohen_kappa_score(j.labels, j.answers),
    "roc_auc": lambda j: sk.roc_auc_score(j.labels, j.probabilities[:, 1]),
    "average_precision": lambda j: sk.average_precision_score(j.labels, j.probabilities[:, 1]),
    "log_loss": lambda j: sk.log_loss(j.labels, j.probabilities),
    "brier": lambda j: sk.brier_score_loss(j.labels, j.probabilities[:, 1]),
    "brier_mean": lambda j: np.mean((j.labels - j.probabilities[:, 1]) ** 2),
}
AVERAGED = ("accuracy", "balanced_accuracy", "precision_macro", "precision_weighted", "f1_macro", "f1_weighted")
MULTICLASS: dict[str, Callable[[Judged], float]] = {
    **{name: BINARY[name] for name in (*AVERAGED, "mcc", "cohen_kappa", "log_loss")},
    "roc_auc": lambda j: sk.roc_auc_score(j.labels, j.probabilities, multi_class="ovr"),
    "roc_auc_weighted": lambda j: sk.roc_auc_score(j.labels, j.probabilities, multi_class="ovr", average="weighted"),
    "roc_auc_pooled": lambda j: sk.roc_auc_score(np.eye(4)[j.labels], j.probabilities, average="micro"),
    "average_precision": lambda j: sk.average_precision_score(j.labels, j.probabilities, average="macro"),
    "average_precision_pooled": lambda j: sk.average_precision_score(j.labels, j.probabilities, average="micro"),
    "top_2_accuracy": lambda j: sk.top_k_accuracy_score(j.labels, j.probabilities, k=2),
    "top_3_accuracy": lambda j: sk.top_k_accuracy_score(j.labels, j.probabilities, k=3),
    "top_5_accuracy": lambda j: 1.0,
    "top_10_accuracy": lambda j: 1.0,
    "brier": lambda j: np.sum((np.eye(4)[j.labels] - j.probabilities) ** 2) / len(j),
    "brier_mean": lambda j: np.mean((np.eye(4)[j.labels] - j.probabilities) ** 2),
}
REGRESSION: dict[str, Callable[[Judged], float]] = {
    "mae": lambda j: sk.mean_absolute_error(j.labels, j.answers),
    "mse": lambda j: sk.mean_squared_error(j.labels, j.answers),
    "rmse": lambda j: sk.root_mean_squared_error(j.labels, j.answers),
    "mape": lambda j: sk.mean_absolute_percentage_error(j.labels, j.answers),
    "mape_percent": lambda j: 100 * sk.mean_absolute_percentage_error(j.labels, j.answers),
    "r2": lambda j: sk.r2_score(j.labels, j.answers),
    "explained_variance": lambda j: sk.explained_variance_score(j.labels, j.answers),
    "pearson": lambda j: stats.pearsonr(j.labels, j.answers)[0],
    "spearman": lambda j: stats.spearmanr(j.labels, j.answers)[0],
}
CASES = [
    *[("binary", name, classified(2), expected) for name, expected in BINARY.items()],
    *[("multiclass", name, classified(4), expected) for name, expected in MULTICLASS.items()],
    *[("regression", name, quantified(), expected) for name, expected in REGRESSION.items()],
]

# ranks, and the weights of the classes, are those of the rows as given
WEIGHTED = [one for one in CASES if one[1] not in {"spearman", "roc_auc_weighted"}]


def test_every_metric_is_held_against_another_implementation():
    held = {(task, name) for task, name, _, _ in CASES}

    assert {(task, name) for name, metric in METRICS.items() for task in metric.tasks} == held


@pytest.mark.parametrize(("task", "name", "judged", "expected"), CASES, ids=lambda v: v if isinstance(v, str) else "")
def test_is_what_scikit_learn_computes(task: str, name: str, judged: Judged, expected: Callable[[Judged], float]):
    assert METRICS[name](judged) == pytest.approx(expected(judged))


@pytest.mark.parametrize(
    ("task", "name", "judged", "expected"), WEIGHTED, ids=lambda v: v if isinstance(v, str) else ""
)
def test_a_row_with_weight_two_is_two_rows(task: str, name: str, judged: Judged, expected: object):
    counts = np.random.default_rng(1).integers(0, 3, (2, len(judged)))

    weighted = METRICS[name].compute(judged, counts.astype(float))

    repeated = [METRICS[name](judged.at(np.repeat(np.arange(len(judged)), c))) for c in counts]
    np.testing.assert_allclose(weighted, repeated, rtol=1e-9)


def test_rows_without_an_answer_do_not_rank():
    judged = classified(2)
    judged.probabilities[:50] = np.nan

    assert METRICS["roc_auc"](judged) == pytest.approx(METRICS["roc_auc"](judged.at(np.arange(50, 200))))
