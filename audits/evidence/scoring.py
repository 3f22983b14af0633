"""The one number per audit in which gaps and gains are measured, and the loss of each row."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from audits.artefacts import Array
from audits.evidence.labels import UNKNOWN, LabelSpace
from audits.evidence.outputs import Predictions
from audits.statistics import metrics, resampling
from audits.statistics.intervals import mean_of_proportions

PrimaryMetric = Literal["balanced_accuracy", "r2"]
# A probability of exactly 0 for the truth would make the loss infinite; Keras clips at the same value.
SMALLEST_PROBABILITY = 1e-7


@dataclass(frozen=True)
class Scorer:
    """Balanced accuracy for classification, R2 for regression; higher is better in both.

    Balanced accuracy does not depend on the class shares, so that a repair is not credited with a change of
    prevalence. A row without a finite answer counts as wrong, and in a regression as answered with the training
    mean: the caller of such a model has nothing better.

    Attributes:
        space: task and classes.
        fallback: mean of the training labels, for regression.
    """

    space: LabelSpace
    fallback: float

    @property
    def metric(self) -> PrimaryMetric:
        return "r2" if self.space.task == "regression" else "balanced_accuracy"

    @property
    def title(self) -> str:
        return {"r2": "R2", "balanced_accuracy": "balanced accuracy"}[self.metric]

    @property
    def chance(self) -> float:
        """What a constant answer scores."""
        return 0.0 if self.metric == "r2" else 1.0 / self.space.n_classes

    @property
    def perfect(self) -> float:
        return 1.0

    def skill(self, score: float) -> float:
        """0 for a constant answer, 1 for perfect ones, below 0 for worse than constant."""
        return (score - self.chance) / (self.perfect - self.chance)

    def answers(self, predictions: Predictions) -> Array:
        """(rows,) decisions, or values with the fallback where there is no answer."""
        if self.metric == "balanced_accuracy":
            assert predictions.decisions is not None  # noqa: S101 - holds for every classification
            return predictions.decisions
        assert predictions.values is not None  # noqa: S101 - holds for every regression
        return np.where(np.isfinite(predictions.values), predictions.values, self.fallback)

    def score(self, labels: Array, predictions: Predictions, weights: Array | None = None) -> float:
        return float(self.score_answers(labels, self.answers(predictions), weights))

    def score_of_answers(self, labels: Array, answers: Array) -> float:
        return float(self.score_answers(labels, answers))

    def score_answers(self, labels: Array, answers: Array, weights: Array | None = None) -> Array:
        """The metric of answers as from `answers`; with weights (resamples, rows), one number a resample."""
        if self.metric == "r2":
            return np.asarray(metrics.r2(labels, answers, weights))
        recalled = np.asarray(metrics.balanced_accuracy(labels, answers, self.space.n_classes, weights))
        unknown = labels == UNKNOWN
        if not unknown.any():
            return recalled
        # rows whose label is no class count as wrong, in proportion
        total = np.ones(len(labels)) if weights is None else weights
        share = (total * unknown).sum(axis=-1) / np.maximum(total.sum(axis=-1), 1e-12)
        return np.asarray(np.where(share == 1, 0.0, np.nan_to_num(recalled) * (1 - share)))

    def interval(
        self, labels: Array, answers: Array, rng: np.random.Generator, groups: Array | None = None
    ) -> tuple[float, float]:
        """95 % interval of the score of answers as from `answers`.

        Of balanced accuracy from the Wilson intervals of the recalls, which have a width where a class is all right
        or all wrong; by bootstrap for R2, and over whole groups where rows depend on each other.
        """
        if self.metric == "r2" or groups is not None:
            return quantile_interval(self.draws(labels, answers, rng, groups))
        known = labels != UNKNOWN
        rows = np.bincount(labels[known], minlength=self.space.n_classes)
        right = np.bincount(labels[known & (labels == answers)], minlength=self.space.n_classes)
        low, high = mean_of_proportions(right, rows)
        return low * float(known.mean()), high * float(known.mean())

    def draws(self, labels: Array, answers: Array, rng: np.random.Generator, groups: Array | None = None) -> Array:
        """(resamples,) bootstrap scores."""
        return self.resample((labels, answers), lambda w, y, a: self.score_answers(y, a, w), rng, groups)

    def contrast_draws(
        self,
        labels: Array,
        answers: Array,
        other_labels: Array,
        other_answers: Array,
        rng: np.random.Generator,
        groups: Array | None = None,
    ) -> Array:
        """(resamples,) score of the other answers minus score of the first ones, on the same resampled rows."""

        def difference(weights: Array, y: Array, a: Array, other_y: Array, other_a: Array) -> Array:
            return np.asarray(self.score_answers(other_y, other_a, weights) - self.score_answers(y, a, weights))

        return self.resample((labels, answers, other_labels, other_answers), difference, rng, groups)

    def resample(
        self,
        columns: tuple[Array, ...],
        statistic: Callable[..., Array],
        rng: np.random.Generator,
        groups: Array | None = None,
        *,
        stratified: bool = True,
    ) -> Array:
        """(resamples,) of a statistic; within classes, or by whole groups where there are any.

        Args:
            columns: each (rows,), all that the statistic looks at; the labels come first.
            statistic: of row weights (resamples, rows) and of the columns, to (resamples,).
            rng: source of the draws.
            groups: (rows,) codes of rows that stand or fall together.
            stratified: whether every class keeps its number of rows.
        """
        if groups is not None or self.metric == "r2":
            chunks = resampling.count_chunks(len(columns[0]), rng, groups=groups)
            return np.concatenate([np.asarray(statistic(counts, *columns)) for counts in chunks])
        # rows that agree in every column are one row with a count: any number of rows at the price of a few
        first, sizes = resampling.collapse(*columns)
        at = tuple(column[first] for column in columns)
        chunk = max(1, resampling.CHUNK_DRAWS // len(first))
        left = resampling.resamples_for(len(first))
        parts = []
        while left > 0:
            counts = resampling.collapsed_counts(
                sizes, rng, n_resamples=min(chunk, left), strata=at[0] if stratified else None
            )
            parts.append(np.asarray(statistic(counts, *at)))
            left -= chunk
        return np.concatenate(parts)

    def standard_error(self, labels: Array, answers: Array) -> float:
        """Of balanced accuracy, with two successes and two failures added to every class (Agresti & Coull, 1998,
        https://doi.org/10.1080/00031305.1998.10480550): a class of three rows that are all found is no certainty,
        although every resample of it says so.
        """
        variances = []
        classes = np.unique(labels[labels != UNKNOWN])
        for k in classes:
            rows = labels == k
            n, right = int(rows.sum()), int((answers[rows] == k).sum())
            share = (right + 2) / (n + 4)
            variances.append(share * (1 - share) / (n + 4))
        return float(np.sqrt(np.sum(variances)) / max(1, len(classes)))

    def losses(self, labels: Array, predictions: Predictions) -> Array:
        """(rows,) cross-entropy, or squared error; NaN where there is no answer or no known label."""
        if predictions.values is not None:
            return np.asarray(np.square(predictions.values - labels))
        assert predictions.probabilities is not None  # noqa: S101 - holds for every classification
        truth = predictions.probabilities[np.arange(len(labels)), np.maximum(labels, 0)]
        losses = -np.log(np.clip(truth, SMALLEST_PROBABILITY, 1.0))
        return np.where(labels == UNKNOWN, np.nan, losses)


def mean_over_groups(values: Array, groups: Array, rng: np.random.Generator) -> tuple[float, float]:
    """95 % bootstrap interval of the mean of (rows,) finite values, whole groups of rows drawn together."""
    draws = [
        counts @ values / counts.sum(axis=-1) for counts in resampling.count_chunks(len(values), rng, groups=groups)
    ]
    return quantile_interval(np.concatenate(draws))


def quantile_interval(draws: Array, confidence: float = 0.95) -> tuple[float, float]:
    """Percentile interval of bootstrap draws."""
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(draws, [tail, 1 - tail])
    return float(low), float(high)
