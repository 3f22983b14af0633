"""The metrics of both splits, each with its interval, and which of them suit the problem."""

from collections.abc import Callable

import numpy as np

from audits.artefacts import Array
from audits.evidence.case import Case, SplitEvidence
from audits.evidence.labels import UNKNOWN
from audits.evidence.problem import fingerprint, recommendations
from audits.evidence.reported.forensics import groups_of, has_scores, interval, weighted
from audits.evidence.reported.table import METRICS
from audits.evidence.scoring import mean_over_groups, quantile_interval
from audits.statistics import metrics, resampling
from audits.statistics.intervals import auc_interval_of, mean_interval, wilson
from schemas.base import finite
from schemas.report import ClassMetrics, Estimate, Metrics, SplitMetrics

# Average precision is sorted anew in every resample.
MAX_RESAMPLED = 2000
RANKING_RESAMPLES = 500
MAX_CLASSES_LISTED = 100
WEIGHTED = ("accuracy", "balanced_accuracy", "f1_macro", "mcc", "roc_auc", "log_loss", "r2", "mae", "rmse")

# As the report names them elsewhere.
NAMES = {"f1_macro": "macro_f1"}

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
            found[NAMES.get(name, name)] = estimate(metric(rows), bounds, len(rows))
    return found


def _regression(case: Case, split: SplitEvidence) -> dict[str, Estimate]:
    y, answers = split.labels, case.scorer.answers(split.predictions)
    errors = answers - y
    squared = _bounds(case, split, "rmse", np.square(errors))
    return {
        "r2": _primary(case, split),
        "mae": _mean_of(case, split, "mae", np.abs(errors)),
        "rmse": estimate(float(metrics.rmse(y, answers)), (max(0.0, squared[0]) ** 0.5, squared[1] ** 0.5), split.n),
        "bias": _mean_of(case, split, "bias", errors),
        "answered": _share(case, split, "answered", split.predictions.answered),
    }


def _classification(case: Case, split: SplitEvidence) -> dict[str, Estimate]:
    labels, answers, classes = split.labels, case.scorer.answers(split.predictions), case.labels.n_classes
    probabilities = split.predictions.probabilities
    assert probabilities is not None  # noqa: S101 - holds for every classification
    values = {
        "accuracy": _share(case, split, "accuracy", (answers == labels) & (labels != UNKNOWN)),
        "balanced_accuracy": _primary(case, split),
        "mcc": _resampled(case, split, "mcc", lambda w, y, a: metrics.mcc(y, a, classes, w)),
        "macro_f1": _resampled(case, split, "macro_f1", lambda w, y, a: metrics.macro_f1(y, a, classes, w)),
        "answered": _share(case, split, "answered", split.predictions.answered),
    }
    if case.meaning.kind != "class":
        values["log_loss"] = _mean_of(case, split, "log loss", case.scorer.losses(labels, split.predictions))
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
    groups = None if split.groups is None else split.groups[usable][::step]

    def bounds(metric: Callable[..., Array], point: float, purpose: str) -> tuple[float, float]:
        chunks = resampling.count_chunks(len(truth), case.rng(purpose), n_resamples=RANKING_RESAMPLES, groups=groups)
        draws = np.concatenate([metric(some, truth, drawn) for drawn in chunks])
        low, high = (point + (end - float(np.nanmedian(draws))) * step**-0.5 for end in quantile_interval(draws))
        return max(0.0, low), min(1.0, high)

    counts = metrics.tied_weights(scores, positives)
    ranking, precision = float(metrics.roc_auc_of(*counts)), float(metrics.average_precision_of(*counts))
    squares = np.full(split.n, np.nan)
    squares[usable] = np.square(scores - positives)
    return {
        "roc_auc": estimate(
            ranking, auc_interval_of(*counts) if groups is None else bounds(metrics.roc_auc, ranking, "ROC AUC"), n
        ),
        "average_precision": estimate(precision, bounds(metrics.average_precision, precision, "average precision"), n),
        "brier": _mean_of(case, split, "brier", squares),
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


def _share(case: Case, split: SplitEvidence, name: str, holds: Array) -> Estimate:
    if split.groups is None:
        return _proportion(int(holds.sum()), len(holds))
    told = _mean_of(case, split, name, holds.astype(np.float64))
    if told.interval is None or told.interval[0] < told.interval[1]:
        return told
    # the same in every group, and of so many groups no more is known
    n = len(np.unique(split.groups))
    return told.model_copy(update={"interval": wilson(n if holds.all() else 0, n)})


def _proportion(hits: int, rows: int) -> Estimate:
    return estimate(hits / rows, wilson(hits, rows), rows) if rows else Estimate(estimate=None, n=0)


def _mean_of(case: Case, split: SplitEvidence, name: str, values: Array) -> Estimate:
    """Of what is finite of (rows,) values."""
    return estimate(finite_mean(values), _bounds(case, split, name, values), int(np.isfinite(values).sum()))


def _bounds(case: Case, split: SplitEvidence, name: str, values: Array) -> tuple[float, float]:
    """The interval of the mean of (rows,) values; over whole groups where there are any."""
    known = np.isfinite(values)
    if split.groups is None or not known.any():
        return mean_interval(values)
    return mean_over_groups(values[known], split.groups[known], case.rng(f"{name} of {split.name}"))


def finite_mean(values: Array) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


def estimate(value: float, interval: tuple[float, float], n: int) -> Estimate:
    """An estimate for the report: null where it is not finite."""
    low, high = (finite(end) for end in interval)
    return Estimate(estimate=finite(value), interval=None if low is None or high is None else (low, high), n=n)
