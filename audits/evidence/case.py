"""The case that the checks look at: both splits, the model as a function, and what has been mended so far."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from audits.artefacts import Array, ModelDescription, ModelInternals, Rows, SplitName
from audits.evidence import control
from audits.evidence.copies import among
from audits.evidence.entities import dependent_rows
from audits.evidence.features import FeatureSpace, take
from audits.evidence.labels import UNKNOWN, LabelSpace
from audits.evidence.outputs import OutputMeaning, Predictions
from audits.evidence.scoring import Scorer
from audits.evidence.tables import ids_out_of_range
from schemas.limits.base import Limits
from schemas.request import AuditRequest

# With fewer rows left than this share, what was repaired must serve too.
MIN_TRUSTED = 0.3


@dataclass(frozen=True)
class Subject:
    """Some rows of a split in one state of repair, with what the model says about them.

    Attributes:
        rows: features.
        labels: (rows,) class indices or quantities.
        raw_labels: (rows,) as read.
        predictions: of the model on `rows`.
        index: (rows,) row numbers in the split.
        groups: (rows,) group codes, where a group column was named.
    """

    rows: Rows
    labels: Array
    raw_labels: Array
    predictions: Predictions
    index: Array
    groups: Array | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def at(self, which: Array) -> "Subject":
        """The rows at positions or where a mask holds."""
        position = np.flatnonzero(which) if which.dtype == bool else which
        return Subject(
            take(self.rows, position),
            self.labels[position],
            self.raw_labels[position],
            self.predictions.at(position),
            self.index[position],
            None if self.groups is None else self.groups[position],
        )

    def with_labels(self, labels: Array) -> "Subject":
        return replace(self, labels=labels)


@dataclass(frozen=True)
class SplitEvidence:
    """All rows of a split by label, prediction and fingerprint, and its sample with features."""

    name: SplitName
    labels: Array
    predictions: Predictions
    fingerprints: Array
    roles: Mapping[str, Array]
    sample: Subject

    @classmethod
    def of(
        cls,
        name: SplitName,
        labels: Array,
        predictions: Predictions,
        fingerprints: Array,
        roles: Mapping[str, Array],
        sample: Subject,
    ) -> "SplitEvidence":
        """The split of a sample that does not know its groups yet."""
        split = cls(name, labels, predictions, fingerprints, roles, sample)
        if split.groups is None:
            return split
        return replace(split, sample=replace(sample, groups=split.groups[sample.index]))

    @cached_property
    def groups(self) -> Array | None:
        """(rows,) whole numbers of rows that stand or fall together, where a group column was named."""
        named = self.roles.get("group")
        return None if named is None else dependent_rows(named)

    @cached_property
    def marks(self) -> Array:
        """The fingerprints, sorted."""
        return np.sort(self.fingerprints)

    @property
    def n(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Case:
    """One audit's evidence.

    Attributes:
        request: what was asked.
        description: the model.
        meaning: how its output is read.
        space: the units of the features.
        scorer: the primary metric.
        train, validation: the splits as submitted.
        predict: the model on features, as predictions.
        history: metric -> values over epochs, where a history was given.
        limits: code -> limits, with the request's overrides.
        seed: of everything random.
        mended: the validation sample after all confirmed repairs; the submitted one until then.
        trials: every repair that was tried, in order.
        leaked: units that were found to know the answer; control learners do without them.
        failed: codes whose detector or repair crashed.
        internals: what the model itself holds about its data, or None where that cannot be read.
        witnessed: code -> what the model proved of its data before the splits were compared.
        leak: the column that was found to know the answer, or None.
        train_without_leak: the training sample without what that column tells, where validation does not have it.
        cache: of what is computed once; a replaced case begins with an empty one.
    """

    request: AuditRequest
    description: ModelDescription
    meaning: OutputMeaning
    space: FeatureSpace
    scorer: Scorer
    train: SplitEvidence
    validation: SplitEvidence
    predict: Callable[[Rows], Predictions]
    history: dict[str, list[float]] | None
    limits: Mapping[str, Limits]
    seed: int
    mended: Subject
    trials: tuple[Any, ...] = ()
    leaked: tuple[str, ...] = ()
    failed: frozenset[str] = frozenset()
    internals: ModelInternals | None = None
    witnessed: Mapping[str, Any] = field(default_factory=dict)
    leak: Any = None
    train_without_leak: Subject | None = None
    cache: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def labels(self) -> LabelSpace:
        return self.meaning.labels

    @property
    def is_regression(self) -> bool:
        return self.labels.task == "regression"

    def rng(self, purpose: str) -> np.random.Generator:
        """A generator of its own for each purpose, so that no check depends on which others ran before it."""
        return np.random.default_rng([self.seed, *purpose.encode()])

    def rerun(self, subject: Subject, rows: Rows) -> Subject:
        """The same rows with other features, and the model run again on them."""
        return replace(subject, rows=rows, predictions=self.predict(rows))

    def score(self, subject: Subject) -> float:
        return self.scorer.score(subject.labels, subject.predictions)

    @cached_property
    def quantities(self) -> tuple[int, ...]:
        """The units that are no ids: numbers that an embedding looks up have no scale, no outliers, no middle."""
        tables = self.internals.embeddings if self.internals is not None else ()
        ids = {place.column for table in tables for place in table.places}
        return tuple(unit for unit, name in enumerate(self.space.units) if name not in ids)

    @cached_property
    def decontaminated(self) -> Array:
        """(mended rows,) False where an exact copy stands among the training rows."""
        return ~self.seen[self.mended.index]

    @cached_property
    def seen(self) -> Array:
        """(validation rows,) True where an exact copy stands among the training rows."""
        return among(self.validation.fingerprints, self.train.marks)

    @property
    def proven(self) -> tuple[Any, ...]:
        """The confirmed trials of validation rows, in the order in which they were made."""
        return tuple(trial for trial in self.trials if trial.confirmed and trial.of == "validation")

    @cached_property
    def untouched(self) -> Array:
        """(mended rows,) False where a value is lost for good: a confirmed repair had to guess it, or it is an id that
        the model has no row for.
        """
        untouched = np.ones(len(self.mended), dtype=bool)
        for ids in ids_out_of_range(self.internals, self.space, self.mended.rows):
            untouched &= ~ids.rows
        for trial in self.proven:
            if trial.suspicion.guesses and trial.suspicion.rows is not None:
                untouched &= ~trial.suspicion.rows
        return untouched

    @cached_property
    def train_score(self) -> tuple[float, tuple[float, float]]:
        """The training metric over all rows, with its interval."""
        return self._scored(self.train, "train score")

    @cached_property
    def validation_score(self) -> tuple[float, tuple[float, float]]:
        """The validation metric over all rows as submitted, with its interval."""
        return self._scored(self.validation, "validation score")

    @cached_property
    def mended_score(self) -> tuple[float, tuple[float, float]]:
        """The validation metric after all confirmed repairs, with its interval."""
        if self.mended is self.validation.sample:
            return self.validation_score
        answers = self.scorer.answers(self.mended.predictions)
        interval = self.scorer.interval(self.mended.labels, answers, self.rng("mended score"), self.mended.groups)
        return self.score(self.mended), interval

    def _scored(self, split: SplitEvidence, purpose: str) -> tuple[float, tuple[float, float]]:
        answers = self.scorer.answers(split.predictions)
        interval = self.scorer.interval(split.labels, answers, self.rng(purpose), split.groups)
        return self.scorer.score_of_answers(split.labels, answers), interval

    @cached_property
    def encoder(self) -> control.ControlEncoder:
        """Features as numbers, fitted on the training sample."""
        return control.ControlEncoder(self.space, self.train.sample.rows)

    @cached_property
    def control(self) -> "ControlMatrix":
        return control_matrix(self)


@dataclass(frozen=True)
class ControlMatrix:
    """How well a control learner does at home and away, and whether the splits can be told apart.

    Attributes:
        reason: why there is none, or None.
        learner: the learner fitted on the training rows.
        train, validation: the rows that were used, as subjects.
        on_train: (rows,) cross-fitted answers on the training rows.
        on_validation: (rows,) answers of the same learner on the validation rows.
        scores: train->train, train->validation, validation->validation, validation->train; None where a
            learner could not be fitted.
        domain_train, domain_validation: (rows,) scores of the two-sample classifier.
        forward, backward: the learners fitted on the training and on the validation rows, with all their outputs;
            None where one could not be fitted.
    """

    reason: str | None
    learner: str = ""
    train: Subject | None = None
    validation: Subject | None = None
    on_train: Array = field(default_factory=lambda: np.empty(0))
    on_validation: Array = field(default_factory=lambda: np.empty(0))
    scores: dict[str, float | None] = field(default_factory=dict)
    intervals: dict[str, tuple[float, float] | None] = field(default_factory=dict)
    domain_train: Array = field(default_factory=lambda: np.empty(0))
    domain_validation: Array = field(default_factory=lambda: np.empty(0))
    forward: control.Transfer | None = None
    backward: control.Transfer | None = None


def control_matrix(case: Case) -> ControlMatrix:
    """Fit the control learners on the training rows and on the mended validation rows.

    Copies of training rows are left out on both sides: out-of-bag scores of copies would be in-bag in truth.
    """
    classes = case.labels.n_classes
    train = _control_rows(case, case.train.sample, ~_repeats(case.train.fingerprints[case.train.sample.index]))
    trusted = case.decontaminated & case.untouched
    validation = _control_rows(case, case.mended, trusted if trusted.mean() > MIN_TRUSTED else case.decontaminated)
    reason = control.usable(train.labels, classes)
    if reason is not None:
        return ControlMatrix(f"training data: {reason}")
    if len(validation) < control.MIN_CLASS_ROWS:
        return ControlMatrix(f"validation data: {len(validation)} rows that are no copies of training rows")
    encode = control_encoder(case, train.rows)
    at_home, away = encode(train.rows), encode(validation.rows)
    if at_home.shape[1] == 0:
        return ControlMatrix("no numeric or text feature")
    forward = control.transfer(at_home, train.labels, away, classes=classes, score=case.scorer.score_of_answers)
    answers = {"train->train": (train, forward.home), "train->validation": (validation, forward.away)}
    backward = None
    if control.usable(validation.labels, classes) is None:
        backward = control.transfer(
            away, validation.labels, at_home, classes=classes, score=case.scorer.score_of_answers
        )
        answers |= {
            "validation->validation": (validation, backward.home),
            "validation->train": (train, backward.away),
        }
    scores: dict[str, float | None] = {}
    intervals: dict[str, tuple[float, float] | None] = {}
    for name, (subject, given) in answers.items():
        scores[name] = case.scorer.score_of_answers(subject.labels, given)
        intervals[name] = case.scorer.interval(subject.labels, given, case.rng("control " + name), subject.groups)
    # a projection fitted on one split alone would tell the splits apart by itself
    raw = [encode.columns(s.rows) for s in (train, validation)]
    domain = control.domain_scores(raw[0], raw[1], *_class_balance(case, train.labels, validation.labels))
    return ControlMatrix(
        None,
        forward.learner,
        train,
        validation,
        forward.home,
        forward.away,
        scores,
        intervals,
        *domain,
        forward,
        backward,
    )


def control_encoder(case: Case, train: Rows) -> control.ControlEncoder:
    """The case's encoder, or one without the columns that know the answer."""
    if not case.leaked or case.space.layout != "table":
        return case.encoder
    units, texts = (_without(names, case.leaked) for names in (case.space.units, case.space.texts))
    return control.ControlEncoder(replace(case.space, units=units, texts=texts), train)


def _without(names: tuple[str, ...], left_out: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in names if name not in left_out)


def _control_rows(case: Case, subject: Subject, usable: Array) -> Subject:
    """Rows with a label, at most so many; one of each group, since out-of-bag rows of a seen group are no news."""
    known = usable & (np.asarray(subject.labels != UNKNOWN) if not case.is_regression else np.isfinite(subject.labels))
    positions = np.flatnonzero(known)
    if subject.groups is not None:
        positions = positions[np.unique(subject.groups[positions], return_index=True)[1]]
    if len(positions) > control.MAX_CONTROL_ROWS:
        positions = case.rng("control rows").choice(positions, control.MAX_CONTROL_ROWS, replace=False)
    return subject.at(np.sort(positions))


def _repeats(marks: Array) -> Array:
    """(rows,) True for every copy but the first."""
    first = np.zeros(len(marks), dtype=bool)
    first[np.unique(marks, return_index=True)[1]] = True
    return ~first


def _class_balance(case: Case, train: Array, validation: Array) -> tuple[Array, Array]:
    """Masks of the rows to keep so that both splits have the same class shares; all rows for a regression."""
    classes = case.labels.n_classes
    if not classes:
        return np.ones(len(train), dtype=bool), np.ones(len(validation), dtype=bool)
    shares = [np.bincount(labels, minlength=classes) / len(labels) for labels in (train, validation)]
    common = np.minimum(*shares)
    if not common.any():
        return np.ones(len(train), dtype=bool), np.ones(len(validation), dtype=bool)
    keep = [
        _thinned(labels, common, share, case.rng(f"class balance {place}"))
        for place, (labels, share) in enumerate(zip((train, validation), shares, strict=True))
    ]
    return keep[0], keep[1]


def _thinned(labels: Array, common: Array, share: Array, rng: np.random.Generator) -> Array:
    """(rows,) a mask under which the classes have the common shares, with as many rows as possible."""
    ratio = np.divide(common, share, out=np.zeros(len(share)), where=share > 0)
    probability = ratio / ratio.max()
    return np.asarray(rng.random(len(labels)) < probability[labels])
