"""Hypotheses of categories that both splits write otherwise than the model learned them: spellings that its
vocabularies lack, and ids that are counted from another start. See `audits.repairs.witness`.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import pandas as pd
from pydantic import JsonValue

from audits.artefacts import Rows
from audits.evidence.case import Case, Subject
from audits.evidence.internals import OutOfVocabulary, out_of_vocabulary
from audits.repairs.categories import ids
from audits.repairs.categories.codes import remapped
from audits.repairs.categories.ids import SHIFTS, IdField, Shift
from audits.repairs.categories.spelling import WordSpelling, respelling
from audits.repairs.categories.texts import Sentences
from audits.repairs.categories.words import remedy_of, sentence_of, vocabulary_of
from audits.repairs.protocol import Suspicion
from audits.repairs.witness import is_poor, most_convincing
from schemas.report import Effect, Remedy

CODE = "preprocessing.category_mismatch"
# Share of a column's values that the model does not know, in both splits, from which the spelling is looked at.
MIN_UNKNOWN = 0.05
# Share of what was unknown that a hypothesis may leave so.
MAX_LEFT = 0.5
# Share of ids without a row that a hypothesis may leave.
MAX_OUTSIDE = 0.01


@dataclass(frozen=True)
class Hypothesis:
    """One way in which both files may differ from what the model learned.

    Attributes:
        intervention: the rest of "when we ...".
        apply: what rows would have been.
        placebo: the same kind of change, aimed at random.
        columns: that change.
        effect: what the model does not know as the files are.
        evidence, remedy: for the finding.
    """

    intervention: str
    apply: Callable[[Rows], Rows]
    placebo: Callable[[Rows, np.random.Generator], Rows]
    columns: tuple[str, ...]
    effect: Effect
    evidence: Mapping[str, JsonValue]
    remedy: Remedy


def suspect(case: Case, reference: Subject, subject: Subject) -> Suspicion | None:
    """The hypothesis under which the model is right about its training rows, if there is one."""
    if case.internals is None or case.space.layout == "image":
        return None
    hypotheses = [*_spellings(case, reference, subject), *_shifts(case, reference, subject)]
    chosen = most_convincing(case, hypotheses, lambda rows, one: case.rerun(rows, one.apply(rows.rows)))
    if chosen is None:
        return None
    return Suspicion(
        code=CODE,
        intervention=chosen.intervention + " in both splits",
        apply=lambda faulty: case.rerun(faulty, chosen.apply(faulty.rows)),
        placebo=lambda faulty, rng: replace(faulty, rows=chosen.placebo(faulty.rows, rng)),
        columns=chosen.columns,
        effect=chosen.effect,
        evidence=chosen.evidence,
        remedy=chosen.remedy,
    )


def _spellings(case: Case, reference: Subject, subject: Subject) -> Iterator[Hypothesis]:
    """All columns of texts at once, as the model's vocabularies spell them."""
    changes: dict[str, dict[Hashable, Any]] = {}
    sentences: dict[str, WordSpelling] = {}
    told = _strange(case, reference, subject)
    for one in told:
        tokens = [str(token) for token in one.vocabulary.tokens]
        if one.vocabulary.is_split:
            sentences[one.column] = WordSpelling(tokens)
            continue
        frames = [cast("pd.DataFrame", s.rows)[one.column].dropna() for s in (reference, subject)]
        present = [str(value) for value in pd.concat(frames, ignore_index=True).unique()]
        unknown = [value for value in present if value not in set(tokens)]
        mapping = respelling(dict.fromkeys(tokens, 1), unknown, present)
        changes[one.column] = cast("dict[Hashable, Any]", mapping)
    respelled = Sentences(sentences).apply(remapped(case, subject.rows, changes))
    left = {one.column: one.unknown for one in out_of_vocabulary(case, replace(subject, rows=respelled))}
    told = [one for one in told if left[one.column] < MAX_LEFT * one.unknown]
    if told:
        columns = [one.column for one in told]
        yield _spelled(
            case,
            told,
            {name: mapping for name, mapping in changes.items() if name in columns},
            Sentences({name: spelling for name, spelling in sentences.items() if name in columns}),
        )


def _strange(case: Case, reference: Subject, subject: Subject) -> list[OutOfVocabulary]:
    """What the model does not know of the subject, for the columns of texts where that is much in both splits."""
    both = zip(out_of_vocabulary(case, reference), out_of_vocabulary(case, subject), strict=True)
    return [
        theirs
        for ours, theirs in both
        if ours.column in case.space.texts and min(ours.share, theirs.share) > MIN_UNKNOWN
    ]


def _spelled(
    case: Case, told: Sequence[OutOfVocabulary], changes: Mapping[str, Mapping[Hashable, Any]], sentences: Sentences
) -> Hypothesis:
    worst = max(told, key=lambda one: one.share)
    return Hypothesis(
        sentence_of(changes, sentences, "the model's vocabulary spells"),
        lambda rows: sentences.apply(remapped(case, rows, changes)),
        lambda rows, rng: sentences.at_random(rng).apply(_tokens_at_random(rows, changes, rng)),
        tuple(one.column for one in told),
        Effect(name="share_of_unknown_values", estimate=worst.share, limit=MIN_UNKNOWN, unit=f"of {worst.column}"),
        {"vocabularies": [vocabulary_of(one) for one in told]},
        remedy_of(case, changes, sentences),
    )


def _tokens_at_random(rows: Rows, changes: Mapping[str, Mapping[Hashable, Any]], rng: np.random.Generator) -> Rows:
    """The rows in which the same cells hold words of the vocabulary, each some other row's."""
    if not changes:
        return rows
    frame = cast("pd.DataFrame", rows)
    changed: dict[str, Any] = {}
    for name, mapping in changes.items():
        values = frame[name].to_numpy(dtype=object).copy()
        hit = np.array([value in mapping for value in values], dtype=bool)
        values[hit] = rng.permutation(np.array([mapping[value] for value in values[hit]], dtype=object))
        changed[name] = values
    return frame.assign(**changed)


def _shifts(case: Case, reference: Subject, subject: Subject) -> Iterator[Hypothesis]:
    """Each field of ids counted from another start."""
    poor = is_poor(case)
    for field, known in _fields(case):
        ours, theirs = (field.ids(case, s.rows) for s in (reference, subject))
        strange = [ids.unknown_share(part, known) for part in (ours, theirs)]
        both = np.concatenate([ours.ravel(), theirs.ravel()])
        both = both[np.isfinite(both)]
        if not len(both) or (min(strange) <= MIN_UNKNOWN and not poor):
            continue
        start = int(both.min() - min(known))
        for by in dict.fromkeys([*([start] if start else []), *SHIFTS]):
            shift = Shift(by, keeps_padding=False)
            if ids.unknown_share(shift.undone(both), known) > MAX_OUTSIDE:
                continue
            found = {field: shift}
            yield Hypothesis(
                ids.sentence_of(case, found),
                lambda rows, found=found: ids.moved_back(case, rows, found),  # type: ignore[misc]
                lambda rows, rng, found=found: ids.at_random(case, rows, found, rng),  # type: ignore[misc]
                tuple(case.space.units[unit] for unit in field.units),
                Effect(name="share_of_unknown_ids", estimate=strange[1], limit=MIN_UNKNOWN),
                ids.evidence_of(case, subject, found),
                ids.remedy_of(case, found),
            )


def _fields(case: Case) -> Iterator[tuple[IdField, range | frozenset[int]]]:
    """Embeddings with the ids that have a row, and vocabularies of whole numbers with those that they hold."""
    for field in ids.id_fields(case):
        yield field, range(field.table_rows)
    units = {name: unit for unit, name in enumerate(case.space.units)}
    for vocabulary in case.internals.vocabularies if case.internals is not None else ():
        whole = vocabulary.size <= len(vocabulary.tokens) and vocabulary.tokens
        for place in vocabulary.places:
            if whole and place.column in units and isinstance(vocabulary.tokens[0], int):
                known = frozenset(int(token) for token in vocabulary.tokens)
                yield IdField(vocabulary.name, (units[place.column],), max(known) + 1), known
