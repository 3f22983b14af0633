"""The metrics of both splits, each with its interval, and which of them suit the problem."""

from collections.abc import Callable

import numpy as np

from audits.artefacts import Array
from audits.evidence.case import Case, SplitEvidence
from audits.evidence.labels import UNKNOWN
from audits.evidence.problem import fingerprint, recommendations
from audits.evidence.reported.forensics import groups_of, has_scores, interval, weighted
from audits.evidence.reported.table import METRICS
from audits.evidence.scoring import quantile_interval
from audits.statistics import metrics, resampling
from audits.statistics.intervals import auc_interval_of, mean_interval, wilson
from schemas.base import finite
from schemas.report import ClassMetrics, Estimate, Metrics, SplitMetrics

# Average precision is sorted anew in every resample.
MAX_RESAMPLED = 2000
RANKING_RESAMPLES = 500
MAX_CLASSES_LISTED = 100
WEIGHTED = ("accuracy", "balanced_accuracy", "f1_macro", "mcc", "roc_auc", "log_loss", "r2", "mae", "rmse")

Statistic = Callable[[Array | None, Array, Array], Array]


def summarise_metrics(case: Case) -> Metrics:
    """Every usual metric of both splits as submitted."""
    seen = fingerprint(case)
    suitable = recommendations(seen)
    return Metrics(
        primary=case.scorer.metric,
        recommended=[one.name for one in suitable],
        recommendations=suitable,
        fingerprint=seen.describe(),
        train=_split(case, case.train),
        validation=_split(case, case.validation),
    )


def _split(case: Case, split: SplitEvidence) -> SplitMetrics:
    weighted = _weighted(case, split) if "weight" in split.roles else {}
    if case.is_regression:
        return SplitMetrics(n=split.n, values=_regression(case, split), weighted=weighted)
    values = _classification(case, split)
    return SplitMetrics(n=split.n, values=values, weighted=weighted, per_class=_per_class(case, split))


def _weighted(case: Case, split: SplitEvidence) -> dict[str, Estimate]:
    """The metrics that a row's weight enters, with the weights that the request names."""
    rows, groups = weighted(case, split), groups_of(case, split)
    found = {}
    for name in WEIGHTED:
        metric = METRICS[name]
        if metric.applies(case.labels.task, scores=has_scores(case)) and len(rows):
            bounds = interval(metric, rows, case.rng(f"weighted {name} of {split.name}"), groups)
            found[name] = estimate(metric(rows), bounds, len(rows))
    return found


def _regression(case: Case, split: SplitEvidence) -> dict[str, Estimate]:
    y, answers = split.labels, case.scorer.answers(split.predictions)
    errors = answers - y
    squared = mean_interval(np.square(errors))
    return {
        "r2": _primary(case, split),
        "mae": estimate(float(metrics.mae(y, answers)), mean_interval(np.abs(errors)), split.n),
        "rmse": estimate(float(metrics.rmse(y, answers)), (max(0.0, squared[0]) ** 0.5, squared[1] ** 0.5), split.n),
        "bias": estimate(float(errors.mean()), mean_interval(errors), split.n),
        "answered": _share(split.predictions.answered),
    }


def _classification(case: Case, split: SplitEvidence) -> dict[str, Estimate]:
    labels, answers, classes = split.labels, case.scorer.answers(split.predictions), case.labels.n_classes
    probabilities = split.predictions.probabilities
    assert probabilities is not None  # noqa: S101 - holds for every classification
    values = {
        "accuracy": _share((answers == labels) & (labels != UNKNOWN)),
        "balanced_accuracy": _primary(case, split),
        "mcc": _resampled(case, split, "mcc", lambda w, y, a: metrics.mcc(y, a, classes, w)),
        "macro_f1": _resampled(case, split, "macro_f1", lambda w, y, a: metrics.macro_f1(y, a, classes, w)),
        "answered": _share(split.predictions.answered),
    }
    if case.meaning.kind != "class":
        values["log_loss"] = _mean_of(case.scorer.losses(labels, split.predictions))
        values |= _ranking(case, split) if classes == 2 else {}
    return values


def _ranking(case: Case, split: SplitEvidence) -> dict[str, Estimate]:
    """ROC AUC and average precision of a binary model, over the rows that it answers."""
    probabilities = split.predictions.probabilities
    assert probabilities is not None  # noqa: S101 - the caller has looked
    usable = split.predictions.answered & (split.labels != UNKNOWN)
    scores, positives = probabilities[usable, 1], split.labels[usable] == 1
    if not positives.any() or positives.all():
        return {}
    n = int(usable.sum())
    # of many rows, an even subsample gives the interval, narrowed to what all of them would give
    step = max(1, n // MAX_RESAMPLED)
    some, truth = scores[::step], positives[::step]
    draws = np.concatenate(
        [
            metrics.average_precision(some, truth, drawn)
            for drawn in resampling.count_chunks(
                len(truth), case.rng("average precision"), n_resamples=RANKING_RESAMPLES
            )
        ]
    )
    shrink = step**-0.5
    brier = _mean_of(np.square(scores - positives))
    counts = metrics.tied_weights(scores, positives)
    point = float(metrics.average_precision_of(*counts))
    low, high = (point + (end - float(np.nanmedian(draws))) * shrink for end in quantile_interval(draws))
    return {
        "roc_auc": estimate(float(metrics.roc_auc_of(*counts)), auc_interval_of(*counts), n),
        "average_precision": estimate(point, (max(0.0, low), min(1.0, high)), n),
        "brier": brier,
    }


def _per_class(case: Case, split: SplitEvidence) -> list[ClassMetrics]:
    """The classification report: precision, recall and F1 of each class, with Wilson intervals."""
    answers = case.scorer.answers(split.predictions)
    lines = []
    for code, name in list(enumerate(case.labels.names))[:MAX_CLASSES_LISTED]:
        truth, answered = split.labels == code, answers == code
        hits = int((truth & answered).sum())
        rows, named = int(truth.sum()), int(answered.sum())
        lines.append(
            ClassMetrics(
                label=name,
                precision=_proportion(hits, named),
                recall=_proportion(hits, rows),
                f1=2 * hits / (rows + named) if rows + named else None,
                support=rows,
            )
        )
    return lines


def _primary(case: Case, split: SplitEvidence) -> Estimate:
    score, interval = case.train_score if split is case.train else case.validation_score
    return estimate(score, interval, split.n)


def _resampled(case: Case, split: SplitEvidence, name: str, statistic: Statistic) -> Estimate:
    columns = (split.labels, case.scorer.answers(split.predictions))
    rng, groups = case.rng(f"{name} of {split.name}"), split.groups
    # these depend on the class shares, which another sample would not repeat
    draws = case.scorer.resample(columns, statistic, rng, groups, stratified=False)
    return estimate(float(statistic(None, *columns)), quantile_interval(draws), split.n)


def _share(holds: Array) -> Estimate:
    return _proportion(int(holds.sum()), len(holds))


def _proportion(hits: int, rows: int) -> Estimate:
    return estimate(hits / rows, wilson(hits, rows), rows) if rows else Estimate(estimate=None, n=0)


def _mean_of(values: Array) -> Estimate:
    """Of what is finite."""
    return estimate(finite_mean(values), mean_interval(values), int(np.isfinite(values).sum()))


def finite_mean(values: Array) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


def estimate(value: float, interval: tuple[float, float], n: int) -> Estimate:
    """An estimate for the report: null where it is not finite."""
    low, high = (finite(end) for end in interval)
    return Estimate(estimate=finite(value), interval=None if low is None or high is None else (low, high), n=n)
