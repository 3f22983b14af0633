"""The gap between training and validation that is left when all proven faults are out of the way."""

from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from audits.artefacts import Array
from audits.evidence.case import MIN_TRUSTED, Case, Subject
from audits.evidence.thresholds import best_threshold
from audits.statistics import metrics
from audits.statistics.intervals import auc_interval, difference
from schemas.limits.overfitting import Gap
from schemas.limits.preprocessing import DistributionShift

MIN_CLEAN_ROWS = 20
# Fewer validation rows than this say nothing about a gap.
MIN_GAP_ROWS = 30


@dataclass(frozen=True)
class HonestGap:
    """Training metric minus validation metric, on rows and columns that can be trusted.

    Attributes:
        train, validation: the metric on either side.
        estimate, interval: of the difference, independent samples.
        chance: what a constant answer scores.
        n: validation rows behind it.
        uncut: the difference at the model's own threshold, where the estimate is that at a better one.
    """

    train: float
    validation: float
    estimate: float
    interval: tuple[float, float]
    chance: float
    n: int
    uncut: float

    def margin(self, limits: Gap) -> float:
        """The gap that is still immaterial."""
        return max(limits.min_gap, limits.min_gap_share * (self.train - self.chance))

    @property
    def normalised_low(self) -> float:
        """Lower bound of the gap as a share of the training metric's skill; 0 without skill."""
        skill = self.train - self.chance
        return self.interval[0] / skill if skill > 0 else 0.0

    def explained_by_data(self, case: Case) -> str | None:
        """Why the gap may be the data's and not the model's, or None."""
        shift = shift_auc(case)
        limits = cast(DistributionShift, case.limits["preprocessing.distribution_shift"])
        if shift is not None and shift[1][0] > limits.min_auc:
            return f"the splits come from different populations (two-sample AUC {shift[0]:.2f})"
        home, away = case.control.scores.get("train->train"), case.control.scores.get("train->validation")
        low = (case.control.intervals.get("train->train") or (0.0, 0.0))[0]
        high = (case.control.intervals.get("train->validation") or (0.0, 0.0))[1]
        if home is not None and away is not None and high < low and home - away > self.estimate / 2:
            return (
                f"a control learner falls from {home:.2f} to {away:.2f} between the same splits: the data differ in "
                "a way that no repair has mended"
            )
        return None


def honest_validation(case: Case) -> Subject:
    """The mended validation rows with an answer, without copies of training rows and without guessed values.

    Where too few are left, with less of that. Rows without an answer are told by other checks.
    """
    answered = case.mended.predictions.answered
    for clean in (case.decontaminated & case.untouched & answered, case.decontaminated & answered, case.decontaminated):
        if clean.all():
            return case.mended
        if clean.sum() >= MIN_CLEAN_ROWS and clean.mean() > MIN_TRUSTED:
            return case.mended.at(clean)
    return case.mended


def honest_train(case: Case) -> Subject:
    """The training rows that the model answers, as it sees them without a leaking column."""
    train = case.train.sample if case.train_without_leak is None else case.train_without_leak
    answered = train.predictions.answered
    return train if answered.all() or answered.sum() < MIN_CLEAN_ROWS else train.at(answered)


def honest_gap(case: Case) -> HonestGap:
    """The gap, computed once per case."""
    cached = case.cache.get("honest_gap")
    if isinstance(cached, HonestGap):
        return cached
    train, validation = honest_train(case), honest_validation(case)
    gap = _gap_between(case, train, validation)
    if case.labels.n_classes == 2 and case.meaning.kind != "class" and gap.estimate > 0:
        # a gap that vanishes when both splits are cut where the training rows say is the threshold's, not the model's
        cut = best_threshold(train.labels, cast("Array", train.predictions.probabilities)[:, 1])
        recut = [replace(s, predictions=s.predictions.with_threshold(cut)) for s in (train, validation)]
        gap = replace(min(gap, _gap_between(case, *recut), key=lambda g: g.estimate), uncut=gap.estimate)
    case.cache["honest_gap"] = gap
    return gap


def _gap_between(case: Case, train: Subject, validation: Subject) -> HonestGap:
    ours, theirs = case.score(train), case.score(validation)
    intervals = [
        case.scorer.interval(s.labels, case.scorer.answers(s.predictions), case.rng(f"gap {place}"), s.groups)
        for place, s in enumerate((train, validation))
    ]
    interval = difference(ours, intervals[0], theirs, intervals[1])
    return HonestGap(ours, theirs, ours - theirs, interval, case.scorer.chance, len(validation), ours - theirs)


def shift_auc(case: Case) -> tuple[float, tuple[float, float]] | None:
    """The AUC with which the splits can be told apart, and its interval; None without a control learner."""
    matrix = case.control
    if matrix.reason is not None:
        return None
    scores = np.concatenate([matrix.domain_train, matrix.domain_validation])
    from_validation = np.repeat([False, True], [len(matrix.domain_train), len(matrix.domain_validation)])
    return float(metrics.roc_auc(scores, from_validation)), auc_interval(scores, from_validation)
