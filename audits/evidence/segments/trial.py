"""How a segment fares with the model and with a simple learner, on rows that did not choose the segment.

A segment in which everybody fails, such as the rows near the boundary of two classes, says nothing about the model.
It is weak for this model when a simple learner of the same data does materially better there, and not elsewhere:
fitted on the training rows; or on those, out of bag at home, so that the validation rows of the segment are unlike
the training rows of it; or fitted on the validation rows themselves, so that there is something that training missed.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.stats import norm

from audits.artefacts import Array, Rows
from audits.evidence import control
from audits.evidence.case import Case, Subject
from audits.evidence.segments.rules import MAX_GROUPS, Columns, Segment

# Squared errors beyond this many variances count as so many: a few wild rows make no segment.
MAX_SQUARED_ERROR = 4.0
Z = float(norm.ppf(0.975))

Rival = Literal["trained like the model", "at home in training", "fitted on the validation rows"]


@dataclass(frozen=True)
class Measured:
    """An estimate with its standard error."""

    estimate: float
    error: float

    @property
    def interval(self) -> tuple[float, float]:
        return self.estimate - Z * self.error, self.estimate + Z * self.error

    @property
    def p_value(self) -> float:
        """One-sided, against none."""
        return float(norm.sf(self.estimate / self.error)) if self.error > 0 else 1.0

    def minus(self, other: "Measured") -> "Measured":
        """The difference of two estimates of different rows."""
        return Measured(self.estimate - other.estimate, float(np.hypot(self.error, other.error)))


@dataclass(frozen=True)
class Performance:
    """What some rows contribute to the metric: right or wrong, or the squared error in variances of the target.

    Attributes:
        values: (rows,) 1 or 0; or minus the squared error, at least `-MAX_SQUARED_ERROR`.
        classes: (rows,) labels of a classification, None for a regression.
    """

    values: Array
    classes: Array | None

    @classmethod
    def of(cls, case: Case, labels: Array, answers: Array) -> "Performance":
        if case.is_regression:
            spread = max(float(np.var(labels)), 1e-300)
            return cls(-np.minimum(np.square(answers - labels) / spread, MAX_SQUARED_ERROR), None)
        return cls((answers == labels).astype(float), labels)

    @property
    def fair(self) -> Array:
        """(rows,) minus what the class is right on average: a segment full of a rare class is not weak for that."""
        if self.classes is None:
            return self.values
        return self.values - _class_means(self.values, self.classes)

    def minus(self, other: "Performance") -> "Performance":
        """Of two sets of answers to the same rows."""
        return replace(self, values=self.values - other.values)

    def mean(self, inside: Array) -> Measured:
        return self._measured(self.values[inside])

    def fair_mean(self, inside: Array) -> Measured:
        return self._measured(self.fair[inside])

    def _measured(self, values: Array) -> Measured:
        n = len(values)
        if n < 2:
            return Measured(0.0, 1.0)
        error = float(values.std(ddof=1)) / n**0.5
        if self.classes is not None:
            # rows that are all right, or all wrong, are no certainty (Agresti & Coull, 1998; Agresti & Min, 2005)
            error = max(error, (n + 4) ** -0.5 * (2 * (n + 2)) ** 0.5 / (n + 4))
        return Measured(float(values.mean()), error)


def _class_means(values: Array, classes: Array) -> Array:
    """(rows,) the mean of the values of each row's class."""
    _, which, counts = np.unique(classes, return_inverse=True, return_counts=True)
    return np.asarray((np.bincount(which, weights=values) / counts)[which])


@dataclass(frozen=True)
class Arena:
    """The rows of a trial and what the model and the simple learner make of them.

    Attributes:
        columns: that segments are made of.
        validation, train: the rows.
        model: of the model on the validation rows.
        rival: of the simple learner, fitted on the training rows, on the validation rows.
        rival_answers: (validation rows,) its answers.
        at_home: of the same learner on the training rows, out of bag.
        finding, finding_train: masks of the half that finds; the other half confirms.
    """

    columns: Columns
    validation: Subject
    train: Subject
    model: Performance
    rival: Performance
    rival_answers: Array
    at_home: Performance
    finding: Array
    finding_train: Array


def arena(case: Case) -> Arena | str:
    """The rows and learners, or why there are none."""
    few = _few_groups(case)
    fitted = _own_control(case) if few else _shared_control(case)
    if isinstance(fitted, str):
        return fitted
    train, validation, on_train, on_validation = fitted
    if few:
        # segments are named by the groups' own values, which are the same in both splits
        train, validation = (
            replace(one, groups=np.array([str(v) for v in split.roles["group"][one.index]], dtype=object))
            for one, split in ((train, case.train), (validation, case.validation))
        )
    labels = validation.labels
    return Arena(
        Columns(case.space, few),
        validation,
        train,
        Performance.of(case, labels, case.scorer.answers(validation.predictions)),
        Performance.of(case, labels, on_validation),
        on_validation,
        Performance.of(case, train.labels, on_train),
        _half(case, validation, "segments"),
        _half(case, train, "segments at home"),
    )


def _few_groups(case: Case) -> str | None:
    """The group column, where its values are few enough to be segments of their own."""
    groups = case.mended.groups
    few = groups is not None and case.train.sample.groups is not None and len(np.unique(groups)) <= MAX_GROUPS
    return case.request.data.name_of("group") or "group" if few else None


def _shared_control(case: Case) -> tuple[Subject, Subject, Array, Array] | str:
    matrix = case.control
    if matrix.reason is not None or matrix.train is None or matrix.validation is None:
        return matrix.reason or "no control learner"
    return matrix.train, matrix.validation, matrix.on_train, matrix.on_validation


def _own_control(case: Case) -> tuple[Subject, Subject, Array, Array] | str:
    """With few groups, one row of each is too little: a learner of all rows."""
    train, validation = (_known(case, rows) for rows in (case.train.sample, case.mended.at(case.decontaminated)))
    reason = control.usable(train.labels, case.labels.n_classes)
    if reason is not None or not len(validation):
        return reason or "no validation rows that are no copies"
    fitted = control.transfer(
        case.encoder(train.rows),
        train.labels,
        case.encoder(validation.rows),
        classes=case.labels.n_classes,
        score=case.scorer.score_of_answers,
    )
    return train, validation, fitted.home, fitted.away


def _known(case: Case, subject: Subject) -> Subject:
    known = np.flatnonzero(np.isfinite(subject.labels) if case.is_regression else subject.labels >= 0)
    if len(known) > control.MAX_CONTROL_ROWS:
        known = np.sort(case.rng("segment rows").choice(known, control.MAX_CONTROL_ROWS, replace=False))
    return subject.at(known)


def _half(case: Case, subject: Subject, purpose: str) -> Array:
    """(rows,) mask of one half, drawn within each class."""
    rng = case.rng(purpose)
    half = np.zeros(len(subject), dtype=bool)
    strata = np.zeros(len(subject)) if case.is_regression else subject.labels
    for stratum in np.unique(strata):
        rows = rng.permutation(np.flatnonzero(strata == stratum))
        half[rows[: len(rows) // 2]] = True
    return half


@dataclass(frozen=True)
class Trial:
    """One segment against one rival, on the half that confirms.

    Attributes:
        deficit: how much better the model fares elsewhere, classes held equal.
        excess: how much better the rival fares inside.
        contrast: the same minus that elsewhere, classes held equal.
        elsewhere: how much better the rival fares outside.
        inside, outside, rival_inside: what the model and the rival contribute to the metric.
    """

    segment: Segment
    rival: Rival
    deficit: Measured
    excess: Measured
    contrast: Measured
    elsewhere: Measured
    inside: Measured
    outside: Measured
    rival_inside: Measured

    @property
    def p_value(self) -> float:
        """All three must hold: the largest of their p-values."""
        return max(self.deficit.p_value, self.excess.p_value, self.contrast.p_value)

    def is_weak(self, min_deficit: float, min_excess: float) -> bool:
        return (
            self.deficit.interval[0] > min_deficit
            and self.excess.interval[0] > min_excess
            and self.contrast.estimate > min_excess
            # where the rival is better everywhere, the model is weak, and not in a segment
            and self.elsewhere.estimate <= max(min_excess, self.excess.estimate / 3)
        )


def on_same_rows(field: Arena, segment: Segment, rival: Performance, name: Rival, rows: Array) -> Trial:
    """Against answers to the same validation rows.

    Args:
        field: the arena.
        segment: to be tried.
        rival: (validation rows,) of the rival.
        name: of the rival.
        rows: (validation rows,) mask of the half.
    """
    inside = segment.mask(field.columns, field.validation.rows, field.validation.groups)
    within, without = rows & inside, rows & ~inside
    better = rival.minus(field.model)
    return Trial(
        segment,
        name,
        field.model.fair_mean(without).minus(field.model.fair_mean(within)),
        better.mean(within),
        better.fair_mean(within).minus(better.fair_mean(without)),
        better.mean(without),
        field.model.mean(within),
        field.model.mean(without),
        rival.mean(within),
    )


def at_home(field: Arena, segment: Segment, rows: Array, train_rows: Array) -> Trial:
    """Against what a simple learner gets out of the same segment of the training rows."""
    inside = segment.mask(field.columns, field.validation.rows, field.validation.groups)
    home = segment.mask(field.columns, field.train.rows, field.train.groups)
    within, without = rows & inside, rows & ~inside
    home_within, home_without = train_rows & home, train_rows & ~home
    rival, model = field.at_home, field.model
    return Trial(
        segment,
        "at home in training",
        model.fair_mean(without).minus(model.fair_mean(within)),
        rival.mean(home_within).minus(model.mean(within)),
        rival.fair_mean(home_within)
        .minus(model.fair_mean(within))
        .minus(rival.fair_mean(home_without).minus(model.fair_mean(without))),
        rival.mean(home_without).minus(model.mean(without)),
        model.mean(within),
        model.mean(without),
        rival.mean(home_within),
    )


def fitted_on_validation(case: Case, field: Arena) -> Performance | None:
    """Cross-fitted answers of a learner that only knows the validation rows: what there was to learn."""
    labels = field.validation.labels
    if control.usable(labels, case.labels.n_classes) is not None:
        return None
    features = case.encoder(field.validation.rows)
    if not features.shape[1]:
        return None
    fitted = control.transfer(
        features, labels, features[:1], classes=case.labels.n_classes, score=case.scorer.score_of_answers
    )
    return Performance.of(case, labels, fitted.home)


def masks(field: Arena, segments: list[Segment], rows: Rows, groups: Array | None) -> Array:
    """(rows, segments) booleans."""
    if not segments:
        return np.zeros((len(rows), 0), dtype=bool)
    return np.column_stack([segment.mask(field.columns, rows, groups) for segment in segments])
