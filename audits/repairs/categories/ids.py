"""Ids that the model looks up in an embedding, all moved by one number.

Counting from 1 in one place and from 0 in another, or reserving some ids for padding and unknown words in one place
alone, moves every id. One number is looked for under which the ids, or the words of a sequence, are as frequent as in
training. Other readings of columns of few values are looked for in `codes`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from pydantic import JsonValue

from audits.artefacts import Array, Rows
from audits.evidence.case import Case, Subject
from audits.repairs.protocol import Suspicion
from schemas.report import Effect, Remedy

# How far ids are reserved: padding, start, unknown, and one more.
SHIFTS = (-1, 1, -2, 2, -3, 3, -4, 4)
# Added to every id's count, so that an id that is new to the reference is unlikely and not impossible.
SMOOTHING = 0.5
# In standard errors of the mean over rows, beyond what the best of all shifts reaches by chance.
MIN_Z = 5.0
MIN_ROWS = 10
# That 0 stayed 0 is believed where that is likelier than that it moved, too.
MIN_PADDED_Z = 3.0


@dataclass(frozen=True)
class IdField:
    """The units that one embedding looks up.

    Attributes:
        name: of the layer.
        units: positions among the case's units.
        table_rows: ids 0 to table_rows - 1 have a row.
    """

    name: str
    units: tuple[int, ...]
    table_rows: int

    def ids(self, case: Case, rows: Rows) -> Array:
        """(rows, units) float64; NaN where a value is missing."""
        return np.asarray(np.trunc(np.stack([case.space.values(rows, unit) for unit in self.units], axis=1)))


@dataclass(frozen=True)
class Shift:
    """What was added to every id, but to 0 where that stays what it is (padding)."""

    by: int
    keeps_padding: bool

    def undone(self, ids: Array) -> Array:
        moved = ids - self.by
        return np.where(ids == 0, ids, moved) if self.keeps_padding else moved


def id_fields(case: Case) -> list[IdField]:
    """One for each embedding that is fed with units of the data; none for images."""
    if case.internals is None or case.space.layout == "image":
        return []
    units = {name: unit for unit, name in enumerate(case.space.units)}
    found: dict[tuple[int, ...], IdField] = {}
    for table in case.internals.embeddings:
        fed = tuple(units[place.column] for place in table.places if place.column in units)
        if fed and len(fed) == len(table.places):
            found.setdefault(fed, IdField(table.name, fed, table.rows))
    return list(found.values())


def suspect(code: str, case: Case, reference: Subject, subject: Subject) -> Suspicion | None:
    """Fields of many ids in which another shift makes the subject's ids as frequent as the reference's."""
    found: dict[IdField, Shift] = {}
    for field in id_fields(case):
        ours, theirs = field.ids(case, reference.rows), field.ids(case, subject.rows)
        known = np.isfinite(ours)
        shift = _shift(ours[known].astype(np.int64), theirs, field.table_rows)
        if shift is not None:
            found[field] = shift
    return _suspicion(code, case, subject, found) if found else None


def _shift(reference: Array, subject: Array, table_rows: int) -> Shift | None:
    """The shift under which the subject's ids are by far the likeliest, or None."""
    if not len(reference) or not len(subject):
        return None
    inside = reference[(reference >= 0) & (reference < table_rows)]
    weights = np.bincount(inside, minlength=table_rows) + SMOOTHING
    likelihood = np.log(weights / weights.sum())
    never = float(np.log(SMOOTHING / weights.sum()))

    def of(ids: Array) -> Array:
        """(rows,) mean log-likelihood of a row's ids."""
        whole = np.where(np.isfinite(ids), ids, 0).astype(np.int64)
        held = (whole >= 0) & (whole < table_rows)
        each = np.where(held, likelihood[np.clip(whole, 0, table_rows - 1)], never)
        return np.asarray(np.where(np.isfinite(ids), each, 0.0).mean(axis=1))

    unchanged = of(subject)
    # what moved ids does not only make them likelier: some that training never holds become known
    unknown = np.setdiff1d(np.arange(table_rows), inside)
    strange = _strangers(subject, unknown, table_rows)
    shifts = [Shift(by, keeps) for by in SHIFTS for keeps in (False, True)]
    shifts = [shift for shift in shifts if _strangers(shift.undone(subject), unknown, table_rows) < strange]
    if not shifts:
        return None
    scores = [_z(of(shift.undone(subject)) - unchanged) for shift in shifts]
    best = int(np.argmax(scores))
    if scores[best] <= MIN_Z:
        return None
    every = replace(shifts[best], keeps_padding=False)
    padded = _z(of(shifts[best].undone(subject)) - of(every.undone(subject)))
    return shifts[best] if padded > MIN_PADDED_Z else every


def _strangers(ids: Array, unknown: Array, table_rows: int) -> int:
    """How many ids the reference never holds."""
    known = ids[np.isfinite(ids)]
    return int(((known < 0) | (known >= table_rows) | np.isin(known, unknown)).sum())


def _z(gains: Array) -> float:
    """The mean in its standard errors."""
    if len(gains) < MIN_ROWS or not gains.any():
        return 0.0
    error = float(gains.std(ddof=1) / np.sqrt(len(gains)))
    return float(gains.mean()) / error if error > 0 else float(np.copysign(np.inf, gains.mean()))


def _suspicion(code: str, case: Case, subject: Subject, found: Mapping[IdField, Shift]) -> Suspicion:
    first = next(iter(found.values()))
    return Suspicion(
        code=code,
        intervention=sentence_of(case, found),
        apply=lambda faulty: case.rerun(faulty, moved_back(case, faulty.rows, found)),
        placebo=lambda faulty, rng: replace(faulty, rows=at_random(case, faulty.rows, found, rng)),
        columns=tuple(case.space.units[unit] for field in found for unit in field.units),
        effect=Effect(name="ids_moved_by", estimate=float(first.by), limit=0.0, unit="ids"),
        evidence=evidence_of(case, subject, found),
        remedy=remedy_of(case, found),
    )


def moved_back(case: Case, rows: Rows, found: Mapping[IdField, Shift]) -> Rows:
    """A copy of the rows in which no id is moved any more."""
    return case.space.map_units(rows, {unit: shift.undone for field, shift in found.items() for unit in field.units})


def at_random(case: Case, rows: Rows, found: Mapping[IdField, Shift], rng: np.random.Generator) -> Rows:
    """The same ids moved back, each in some other row: known to the model, and wrong."""

    def shuffled(shift: Shift) -> Callable[[Array], Array]:
        return lambda ids: rng.permutation(shift.undone(ids))

    return case.space.map_units(rows, {unit: shuffled(shift) for field, shift in found.items() for unit in field.units})


def sentence_of(case: Case, found: Mapping[IdField, Shift]) -> str:
    """The rest of "when we ..."."""
    parts = []
    for field, shift in found.items():
        names = [case.space.units[unit] for unit in field.units]
        where = names[0] if len(names) == 1 else f"{len(names)} positions ({names[0]} to {names[-1]})"
        verb = f"take {shift.by} from" if shift.by > 0 else f"add {-shift.by} to"
        parts.append(f"{verb} the ids in {where}{', but not from padding' if shift.keeps_padding else ''}")
    return " and ".join(parts)


def evidence_of(case: Case, subject: Subject, found: Mapping[IdField, Shift]) -> dict[str, JsonValue]:
    """The tables, and what share of the ids has a row, before and after."""
    told: dict[str, JsonValue] = {}
    for field, shift in found.items():
        before = field.ids(case, subject.rows)
        told[field.name] = {
            "table_rows": field.table_rows,
            "moved_by": shift.by,
            "padding_kept": shift.keeps_padding,
            "lowest": float(np.nanmin(before)),
            "highest": float(np.nanmax(before)),
            "share_without_a_row": {
                "as_they_are": unknown_share(before, range(field.table_rows)),
                "moved_back": unknown_share(shift.undone(before), range(field.table_rows)),
            },
        }
    return {"ids": told}


def unknown_share(ids: Array, known: range | frozenset[int]) -> float:
    """Share of the ids that are none of the known ones; a range starts at 0."""
    held = ids[np.isfinite(ids)]
    if not len(held):
        return 0.0
    if isinstance(known, range):
        return float(((held < 0) | (held >= len(known))).mean())
    return float((~np.isin(held, list(known))).mean())


def remedy_of(case: Case, found: Mapping[IdField, Shift]) -> Remedy:
    """Advice, and code that moves the ids back."""
    text = (
        "Make ids in one place, and save the word index or the encoder with the model: ids that are counted from "
        "another start, or that reserve other numbers for padding and unknown words, mean other rows of the embedding."
    )
    is_table = case.space.layout == "table"
    lines = []
    for field, shift in found.items():
        keys = [case.space.units[unit] if is_table else unit for unit in field.units]
        of = f"x[{keys!r}]" if is_table else f"x[:, {keys!r}]" if len(keys) < len(case.space.units) else "x[:]"
        back = f"{of} - {shift.by}" if shift.by > 0 else f"{of} + {-shift.by}"
        lines.append(f"    {of} = {f'np.where({of} == 0, 0, {back})' if shift.keeps_padding else back}\n")
    imports = [*(["import pandas as pd"] if is_table else []), "import numpy as np"]
    kind = "pd.DataFrame" if is_table else "np.ndarray"
    head = "\n".join(sorted(imports))
    return Remedy(
        text=text,
        code=f"{head}\n\ndef move_back(x: {kind}) -> {kind}:\n    x = x.copy()\n{''.join(lines)}    return x\n",
    )
