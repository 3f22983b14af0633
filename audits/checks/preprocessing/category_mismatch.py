"""Categories are spelled or coded otherwise in the validation data, or were never seen.

What it measures: texts that the training data never hold, once case, blanks, punctuation, accents, markup, a wrong
    decoding, another frame ("cat_3" for "3"), abbreviations and slips are set aside (whole values of columns of
    categories, single words of sentences); and the reading of a column of few values (codes moved by one, counted
    from the other end, given by another encoder) under which its categories are as frequent, and stand in rows as
    alike, as in training, where the codes as they are do worse than in every random halving of the training rows.
    Categories that stay unseen are counted, and what they cost is measured on training rows that get them. The
    vocabularies and embeddings inside the model are held against both splits: words that it does not know, ids without
    a row, and files that agree with each other and not with the model.
Why it matters: to a lookup or an embedding another spelling is another word, and another number is another word's
    meaning. Nothing fails; the model answers for another category.
When it is inconclusive: fewer than `min_rows` validation rows; unseen spellings are found at any size.
How to fix: fit the encoder once, on the training data, and save it with the model; best as a lookup layer inside it.
Reference: Kuhn, 1955, https://doi.org/10.1002/nav.3800020109; Damerau, 1964, https://doi.org/10.1145/363958.363994
"""

from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import pandas as pd
from pydantic import JsonValue

from audits.artefacts import Array, Rows
from audits.evidence.case import Case, Subject
from audits.evidence.features import concatenate, take
from audits.repairs.categories import codes, ids, texts
from audits.repairs.categories.codes import Coded, Reading, remapped
from audits.repairs.categories.unanswered import ids_without_a_row
from audits.repairs.categories.unseen import unseen_categories
from audits.repairs.categories.words import listed, remedy_of, sentence_of
from audits.repairs.judgement import judge
from audits.repairs.protocol import Suspicion
from audits.repairs.witness import Witnessed, judge_witnessed
from audits.results import CheckResult
from schemas.limits.preprocessing import CategoryMismatch
from schemas.report import Effect, Outcome

CODE = "preprocessing.category_mismatch"
TITLE = "Categories are spelled or coded otherwise in the validation data"
WITNESSED = (
    "Both splits write categories otherwise than the model learned them",
    "The training file writes categories otherwise than the data that the model was trained on",
)
OF_TRAINING = (
    "The validation data write categories as the model learned them, the training file does not. When we "
    "{intervention}, in the training rows, and run the same model again, their {metric} goes from {before} to {after}."
)
FOLDS = 5
PLACEBO_PARTS = 3
Changes = dict[str, dict[Hashable, Any]]


def category_mismatch(case: Case) -> CheckResult:
    """Judge the trial of respelling and recoding; categories that stay unseen are a finding of their own."""
    limits = cast(CategoryMismatch, case.limits[CODE])
    if case.space.layout == "image":
        return CheckResult.not_applicable("pixels are no categories")
    n = len(case.mended)
    witnessed = case.witnessed.get(CODE)
    if isinstance(witnessed, Witnessed):
        return judge_witnessed(case, CODE, witnessed, titles=WITNESSED, training_summary=OF_TRAINING)
    result = judge(
        case,
        CODE,
        title=TITLE,
        summary="When we {intervention} and run the same model again, {metric} goes from {before} to {after}.",
        too_few=f"{n} of {limits.min_rows} validation rows" if n < limits.min_rows else None,
    )
    if result.outcome is Outcome.FAIL:
        return result
    return ids_without_a_row(case, CODE) or unseen_categories(case, CODE, limits) or result


def suspect(case: Case, reference: Subject, subject: Subject) -> Suspicion | None:
    """Spellings and codes under which the validation categories are the training's."""
    limits = cast(CategoryMismatch, case.limits[CODE])
    if case.space.layout == "image":
        return None
    moved = ids.suspect(CODE, case, reference, subject)
    if moved is not None:
        return moved
    respelled = texts.respelled_columns(case, reference, subject)
    sentences = texts.respelled_sentences(case, reference, subject, limits.max_unknown_words)
    spelled = sentences.apply(remapped(case, subject.rows, respelled))
    recoded = _recoded(case, reference, replace(subject, rows=spelled), limits)
    if not respelled and not sentences and not recoded.columns:
        return None
    changes: Changes = respelled | recoded.changes
    touched = _touched(case, subject, spelled, recoded.changes)
    how: dict[str, JsonValue] = {column.name: reading.kind for column, reading in recoded.columns}
    how |= dict.fromkeys(respelled, "spelled otherwise") | dict.fromkeys(sentences.columns, "words spelled otherwise")

    def apply(faulty: Subject) -> Subject:
        rows = sentences.apply(remapped(case, faulty.rows, respelled))
        return case.rerun(faulty, recoded.out_of_fold(case, rows))

    def placebo(faulty: Subject, rng: np.random.Generator) -> Subject:
        rows = sentences.at_random(rng).apply(texts.at_random(reference, faulty.rows, respelled, rng))
        return replace(faulty, rows=recoded.at_random(case, rows, rng))

    names = tuple(dict.fromkeys([*changes, *sentences.columns]))
    return Suspicion(
        code=CODE,
        intervention=sentence_of(changes, sentences),
        apply=apply,
        placebo=placebo if respelled or sentences or recoded.has_another else None,
        columns=names,
        rows=touched,
        effect=Effect(name="share_of_rows_with_other_categories", estimate=float(touched.mean()), limit=0.0),
        evidence={
            "read_as": {name: listed(mapping) for name, mapping in changes.items()},
            "how": how,
            "unknown_words": dict(sentences.unknown),
        },
        remedy=remedy_of(case, changes, sentences),
    )


@dataclass(frozen=True)
class _Recoded:
    """Columns whose codes are to be read otherwise.

    Attributes:
        columns: each with its reading from all rows.
        others: coded columns that are left as they are.
        reference, subject: (rows, features) of what stands beside the categories.
        fold: (rows,) of the subject.
    """

    columns: list[tuple[Coded, Reading]]
    others: list[Coded]
    reference: Array
    subject: Array
    fold: Array

    @property
    def changes(self) -> Changes:
        return {column.name: column.mapping(reading.order) for column, reading in self.columns}

    @property
    def has_another(self) -> bool:
        """Whether there is any other way to recode as much."""
        return bool(self.others) or any(len(column.levels) > 2 for column, _ in self.columns)

    def out_of_fold(self, case: Case, rows: Rows) -> Rows:
        """The rows recoded, each fold as the other folds are read: the labels had a say in it."""
        if not self.columns:
            return rows
        if len(rows) != len(self.fold):
            return remapped(case, rows, self.changes)
        parts, positions = [], []
        for fold in range(FOLDS):
            held, fit = np.flatnonzero(self.fold == fold), self.fold != fold
            if not len(held):
                continue
            orders = [(c, codes.read(c, self.reference, self.subject, fit).order) for c, _ in self.columns]
            parts.append(remapped(case, take(rows, held), {c.name: c.mapping(order) for c, order in orders}))
            positions.append(held)
        return take(concatenate(parts), np.argsort(np.concatenate(positions)))

    def at_random(self, case: Case, rows: Rows, rng: np.random.Generator) -> Rows:
        """As many columns recoded at random, no category as the repair reads it.

        Each part of the rows in another way: among few categories one wrong order may serve a model as well.
        """
        if not self.columns:
            return rows
        part_of = rng.integers(0, PLACEBO_PARTS, len(rows))
        positions = [np.flatnonzero(part_of == part) for part in range(PLACEBO_PARTS)]
        parts = [remapped(case, take(rows, held), self._wrong(rng)) for held in positions]
        return take(concatenate(parts), np.argsort(np.concatenate(positions)))

    def _wrong(self, rng: np.random.Generator) -> Changes:
        free = [*self.others]
        changes: Changes = {}
        for column, reading in self.columns:
            other = _another_order(column, reading.order, rng)
            if other is not None:
                changes[column.name] = column.mapping(other)
            elif free:
                chosen = free.pop(int(rng.integers(len(free))))
                order = _another_order(chosen, np.arange(len(chosen.levels)), rng)
                changes |= {} if order is None else {chosen.name: chosen.mapping(order)}
        return {name: mapping for name, mapping in changes.items() if mapping}


def _recoded(case: Case, reference: Subject, subject: Subject, limits: CategoryMismatch) -> _Recoded:
    """The coded columns, and those among them whose codes mean something else in the subject."""
    coded = [] if len(subject) < limits.min_rows else codes.coded_columns(case, reference, subject, limits)
    beside = [
        codes.describe_rows(case, s, [c.name for c in coded]) if coded else np.empty((0, 0))
        for s in (reference, subject)
    ]
    rng = case.rng("recoded")
    fold = rng.integers(0, FOLDS, len(subject))
    columns, others = [], []
    for column in coded:
        reading = codes.read(column, *beside)
        if reading.kind != "none" and codes.is_news(column, reading, beside[0], rng, len(subject), limits.splits):
            columns.append((column, reading))
        else:
            others.append(column)
    return _Recoded(columns, others, beside[0], beside[1], fold)


def _another_order(column: Coded, right: Array, rng: np.random.Generator) -> Array | None:
    """A random permutation of the training's levels that moves something, and nothing to where it belongs."""
    present = np.bincount(column.subject[column.subject >= 0], minlength=len(column.levels)) > 0
    held = np.flatnonzero(column.known)
    for _ in range(20):
        order = np.arange(len(column.levels))
        order[held] = rng.permutation(held)
        # a code that the training does not know is sent anywhere
        order[present & ~column.known] = rng.choice(held, int((present & ~column.known).sum()))
        moved = present & (right != np.arange(len(right)))
        wrong = (order[moved] != right[moved]).all() if moved.any() else True
        if wrong and (order[present] != np.flatnonzero(present)).any():
            return order
    return None


def _touched(case: Case, subject: Subject, spelled: Rows, changes: Changes) -> Array:
    """(rows,) whose features the repair changes."""
    touched = np.zeros(len(subject), dtype=bool)
    for name in case.space.texts:
        before, after = (codes.column_values(case, rows, name) for rows in (subject.rows, spelled))
        touched |= np.array([a != b for a, b in zip(before, after, strict=True)], dtype=bool)
    for name, mapping in changes.items():
        touched |= np.asarray(pd.Series(codes.column_values(case, spelled, name)).isin(list(mapping)))
    return touched
