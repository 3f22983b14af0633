"""Categories by what they are, not by what they are called: codes that another encoder gave.

A coded column holds few values: texts, or numbers on an even grid. Its categories are found again by their shares
and by the rows that they stand in (ranks of the other columns, and labels), so that neither another scale of the
other columns nor a drift of all of them matters. Labels take part, so that what is found on some rows must be judged
on others.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from math import lgamma, log
from typing import Any, Literal, cast

import numpy as np
import pandas as pd
from scipy.special import ndtri
from scipy.stats import rankdata

from audits.artefacts import Array, Rows
from audits.evidence.case import Case, Subject
from audits.repairs.categories import padding
from audits.statistics.matching import IMPOSSIBLE, Levels, best_matching, cost_of, matching_costs, whitener
from schemas.limits.preprocessing import CategoryMismatch

Kind = Literal["none", "shifted", "reversed", "permuted"]
# A category needs some rows to be known by.
MIN_ROWS_PER_LEVEL = 5
MAX_FEATURES = 40
MAX_CLASSES = 10
MAX_SHIFT = 2
MAX_ROWS = 4_000
# Differences of the log-likelihood below this (in nats) are not worth a second look.
WORTH_A_LOOK = 3.0
GRID_TOLERANCE = 0.01


@dataclass(frozen=True)
class Coded:
    """A column of categories in both splits.

    Attributes:
        name: of the column or unit.
        levels: every value that occurs in either split, ascending.
        step: between neighbouring numbers; 0 for texts.
        reference, subject: (rows,) positions within `levels`, -1 where a value is missing.
    """

    name: str
    levels: tuple[Any, ...]
    step: float
    reference: Array
    subject: Array

    @property
    def known(self) -> Array:
        """(levels,) whether the reference holds the level."""
        return np.bincount(self.reference[self.reference >= 0], minlength=len(self.levels)) > 0

    def mapping(self, order: Array) -> dict[Hashable, Any]:
        """Value -> what it means, for the levels that occur and change."""
        present = np.unique(self.subject[self.subject >= 0])
        return {self.levels[v]: self.levels[order[v]] for v in present if order[v] != v}


def column_values(case: Case, rows: Rows, name: str) -> Array:
    """(rows,) float64, or objects (None for missing) of a column of texts."""
    if name in case.space.texts:
        return cast("pd.DataFrame", rows)[name].to_numpy(dtype=object)
    return case.space.values(rows, case.space.units.index(name))


def coded_columns(case: Case, reference: Subject, subject: Subject, limits: CategoryMismatch) -> list[Coded]:
    """The columns that hold few values in the reference, on one grid where they are numbers."""
    too_wide = len(case.space.units) > limits.max_columns
    if case.space.layout == "image" or too_wide or padding.padded_end(case, reference) is not None:
        return []
    names = [*case.space.units, *case.space.texts]
    pairs = ((n, column_values(case, reference.rows, n), column_values(case, subject.rows, n)) for n in names)
    return [one for one in (_coded(name, a, b, limits) for name, a, b in pairs) if one is not None]


def _coded(name: str, reference: Array, subject: Array, limits: CategoryMismatch) -> Coded | None:
    known_a, known_b = ~pd.isna(reference), ~pd.isna(subject)
    if not known_a.any() or not known_b.any():
        return None
    step, keys = 0.0, np.concatenate([reference[known_a], subject[known_b]])
    values = keys
    if reference.dtype != object:
        ours, theirs = np.unique(reference[known_a]), np.unique(subject[known_b])
        if not 2 <= len(ours) <= limits.max_levels or len(theirs) > 2 * limits.max_levels:
            return None
        step = float(np.diff(ours).min())
        if not _on_grid(ours, ours[0], step) or not _on_grid(theirs, ours[0], step):
            return None
        # what scaling left of whole numbers counts by its place; a level is written as the reference writes it
        keys = np.round((keys - ours[0]) / step).astype(int)
    _, at, codes = np.unique(keys, return_index=True, return_inverse=True)
    levels = values[at]
    first = np.full(len(reference), -1)
    first[known_a] = codes[: int(known_a.sum())]
    second = np.full(len(subject), -1)
    second[known_b] = codes[int(known_a.sum()) :]
    coded = Coded(name, tuple(levels.tolist()), step, first, second)
    held = int(coded.known.sum())
    enough = int(known_a.sum()) >= MIN_ROWS_PER_LEVEL * held
    return coded if enough and 2 <= held <= limits.max_levels and len(levels) <= 2 * limits.max_levels else None


def _on_grid(values: Array, start: float, step: float) -> bool:
    if not np.isfinite(values).all() or step <= 0:
        return False
    steps = (values - start) / step
    return bool(np.abs(steps - np.round(steps)).max() < GRID_TOLERANCE and np.abs(steps).max() < 1e6)


@dataclass(frozen=True)
class Reading:
    """How a column is to be read.

    Attributes:
        order: (levels,) what each level means.
        kind: of the change.
        fall: how much likelier the data are when it is read so, in nats.
    """

    order: Array
    kind: Kind
    fall: float


def describe_rows(case: Case, subject: Subject, left_out: Sequence[str]) -> Array:
    """(rows, features) of what stands beside the categories: normal scores of the numbers, and the labels."""
    units = [u for u, name in enumerate(case.space.units) if name not in set(left_out)][:MAX_FEATURES]
    numbers = [_normal_scores(case.space.values(subject.rows, u)) for u in units]
    if case.is_regression:
        labels = [_normal_scores(np.asarray(subject.labels, dtype=np.float64))]
    else:
        labels = [(subject.labels == k).astype(float) for k in range(min(case.labels.n_classes - 1, MAX_CLASSES))]
    features = np.column_stack([*numbers, *labels])
    return np.asarray(features - features.mean(axis=0))


def _normal_scores(values: Array) -> Array:
    """Ranks as normal deviates within the sample; 0, the middle, where a value is missing."""
    scores, known = np.zeros(len(values)), np.isfinite(values)
    if known.any():
        scores[known] = ndtri((rankdata(values[known]) - 0.5) / known.sum())
    return scores


def read(column: Coded, reference: Array, subject: Array, rows: Array | None = None) -> Reading:
    """The likeliest reading of the column, judged on the given rows of the subject (all where None).

    A shift or a turn of all codes is one of a handful of readings, a permutation one of many: it must be likelier by
    as much as there are more of them.
    """
    codes = column.subject if rows is None else column.subject[rows]
    beside = subject if rows is None else subject[rows]
    return _read(column, column.reference, reference, codes, beside)


def _read(column: Coded, codes: Array, features: Array, other_codes: Array, other_features: Array) -> Reading:
    levels = len(column.levels)
    white = whitener(codes, features, levels)
    held = Levels.of(codes, features @ white, levels)
    seen = Levels.of(other_codes, other_features @ white, levels)
    costs = matching_costs(seen, held)
    unchanged = cost_of(costs, np.arange(levels))
    free = best_matching(costs)
    moved = int((free != np.arange(levels)).sum())
    if not moved:
        return Reading(free, "none", 0.0)
    candidates: list[tuple[float, Kind, Array]] = [(cost_of(costs, free) + lgamma(moved + 1), "permuted", free)]
    for kind, order in _simple_readings(column, seen.counts > 0, held.counts > 0):
        candidates.append((cost_of(costs, order) + log(2 * MAX_SHIFT + 1), kind, order))
    cost, kind, order = min(candidates, key=lambda candidate: candidate[0])
    return Reading(order, kind, unchanged - cost) if cost < unchanged else Reading(np.arange(levels), "none", 0.0)


def _simple_readings(column: Coded, present: Array, held: Array) -> list[tuple[Kind, Array]]:
    """All codes moved by the same number, or counted from the other end."""
    if not column.step:
        return []
    place = np.round((np.asarray(column.levels) - column.levels[0]) / column.step).astype(int)
    at = {int(p): level for level, p in enumerate(place)}
    targets: list[tuple[Kind, Array]] = [("shifted", place - s) for s in range(-MAX_SHIFT, MAX_SHIFT + 1) if s]
    if present.sum() > 2:
        targets.append(("reversed", place[held].min() + place[held].max() - place))
    readings = []
    for kind, wanted in targets:
        order = np.array([at.get(int(w), -1) for w in wanted])
        if (order[present] >= 0).all() and held[order[present]].all():
            readings.append((kind, _completed(order, present)))
    return readings


def _completed(order: Array, present: Array) -> Array:
    """A permutation that does to the levels that occur what the order says."""
    completed = np.where(present, order, -1)
    completed[~present] = np.setdiff1d(np.arange(len(order)), order[present])
    return completed


def is_news(column: Coded, reading: Reading, features: Array, rng: np.random.Generator, size: int, splits: int) -> bool:
    """Whether no random halving of the reference rows is read otherwise with as much conviction."""
    if reading.fall < WORTH_A_LOOK or reading.fall >= IMPOSSIBLE / 2:
        return reading.fall >= WORTH_A_LOOK
    size = min(size, len(features) // 2)
    for _ in range(splits):
        drawn = rng.permutation(len(features))
        one, other = drawn[size:], drawn[:size]
        chance = _read(column, column.reference[one], features[one], column.reference[other], features[other])
        if chance.fall >= reading.fall:
            return False
    return True


def remapped(case: Case, rows: Rows, changes: Mapping[str, Mapping[Hashable, Any]]) -> Rows:
    """A copy of the rows in which each named column's values are read as its mapping says."""
    changes = {name: mapping for name, mapping in changes.items() if mapping}
    texts = {name: mapping for name, mapping in changes.items() if name in case.space.texts}
    numbers = {case.space.units.index(n): _number_map(m) for n, m in changes.items() if n not in texts}
    mended = case.space.map_units(rows, numbers)
    if not texts:
        return mended
    frame = cast("pd.DataFrame", mended)
    return frame.assign(**{n: [m.get(value, value) for value in frame[n]] for n, m in texts.items()})


def _number_map(mapping: Mapping[Hashable, Any]) -> Any:
    found, meant = (np.array([float(cast("float", x)) for x in side]) for side in (mapping.keys(), mapping.values()))
    tolerance = 2 * GRID_TOLERANCE * float(np.diff(np.unique([*found, *meant])).min())

    def change(values: Array) -> Array:
        result = values.copy()
        for old, new in zip(found, meant, strict=True):
            result[np.abs(values - old) <= tolerance] = new
        return result

    return change
