"""Ids that an embedding of the model has no row for: a CPU refuses them, a GPU answers with zeros."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from audits.artefacts import Array, ModelInternals, Rows
from audits.evidence.features import FeatureSpace
from audits.evidence.outputs import NO_ANSWER
from schemas.problem import ModelError

REFUSED = "model_refused_input"

Inputs = Mapping[str, Array]
Predict = Callable[[Inputs], dict[str, Array]]


@dataclass(frozen=True)
class _Ids:
    """Ids of one input that one embedding looks up; `positions` along the last axis, empty for all values."""

    input: str
    positions: tuple[int, ...]
    rows: int

    def of(self, inputs: Inputs) -> Array:
        """(rows, ids)"""
        values = inputs[self.input]
        return (values[..., list(self.positions)] if self.positions else values).reshape(len(values), -1)


@dataclass(frozen=True)
class IdsOutOfRange:
    """Ids of a column for which an embedding has no row of its own.

    Attributes:
        column: of the ids.
        table_rows: rows of the embedding: ids 0 to table_rows - 1 have one.
        lowest, highest: finite id.
        rows: (rows,) where the id has none. Keras counts negative ones from the end.
    """

    column: str
    table_rows: int
    lowest: float
    highest: float
    rows: Array

    @property
    def share(self) -> float:
        return float(self.rows.mean()) if len(self.rows) else 0.0


def ids_out_of_range(internals: ModelInternals | None, space: FeatureSpace, rows: Rows) -> list[IdsOutOfRange]:
    """Per column that feeds an embedding: the ids without a row. Tables and vectors."""
    if internals is None or space.layout == "image":
        return []
    units = {name: unit for unit, name in enumerate(space.units)}
    found = []
    for table in internals.embeddings:
        for place in table.places:
            if place.column not in units:
                continue
            ids = space.values(rows, units[place.column])
            finite = ids[np.isfinite(ids)]
            if len(finite):
                out = np.isfinite(ids) & _have_no_row(ids, table.rows)
                found.append(IdsOutOfRange(place.column, table.rows, float(finite.min()), float(finite.max()), out))
    return found


def _have_no_row(ids: Array, table_rows: int, lowest: int = 0) -> Array:
    """Whether each id lies outside the table; a missing one does not. Fractions are cut off on the way to an id."""
    with np.errstate(invalid="ignore"):
        whole = np.trunc(ids)
        return np.asarray((whole < lowest) | (whole >= table_rows))


class TableGuard:
    """Runs the model where some rows hold ids without a row in its embeddings: those get no answer.

    Negative ids are counted from the end by Keras, and refused by plain lookups: they are tried once.

    Args:
        internals: of the model, or None where they could not be read.
    """

    def __init__(self, internals: ModelInternals | None) -> None:
        grouped: dict[tuple[str, int], list[int]] = {}
        for table in internals.embeddings if internals is not None else ():
            for place in table.places:
                positions = grouped.setdefault((place.input, table.rows), [])
                positions += [] if place.position is None else [place.position]
        self._ids = [_Ids(name, tuple(positions), rows) for (name, rows), positions in grouped.items()]
        self._negatives_refused = False

    def predict(self, inputs: Inputs, predict: Predict) -> dict[str, Array]:
        """As the model's `predict`, with no answer (NaN, class -1, no text) for rows that it cannot look up."""
        ids = [one for one in self._ids if one.input in inputs and inputs[one.input].dtype.kind in "iuf"]
        try:
            return self._predict(ids, inputs, predict)
        except ModelError as problem:
            has_negative = any((one.of(inputs) < 0).any() for one in ids)
            if self._negatives_refused or problem.code != REFUSED or not has_negative:
                raise
        self._negatives_refused = True
        return self._predict(ids, inputs, predict)

    def _predict(self, ids: list[_Ids], inputs: Inputs, predict: Predict) -> dict[str, Array]:
        beyond = [_beyond(one, inputs, allow_negative=not self._negatives_refused) for one in ids]
        unanswered = np.any(beyond, axis=0) if beyond else np.zeros(0, dtype=bool)
        if not unanswered.any():
            return predict(inputs)
        answers = predict(_within(ids, inputs, unanswered))
        return {name: _without(answer, unanswered) for name, answer in answers.items()}


def _beyond(ids: _Ids, inputs: Inputs, *, allow_negative: bool) -> Array:
    """(rows,) whether an id has no row, counted from the end or not."""
    lowest = -ids.rows if allow_negative else 0
    return np.asarray(_have_no_row(ids.of(inputs), ids.rows, lowest).any(axis=1))


def _within(ids: list[_Ids], inputs: Inputs, unanswered: Array) -> dict[str, Array]:
    """The inputs with id 0 throughout the rows that will get no answer."""
    changed = dict(inputs)
    for one in ids:
        values = changed[one.input].copy()
        if one.positions:
            part = values[unanswered]
            part[..., list(one.positions)] = 0
            values[unanswered] = part
        else:
            values[unanswered] = 0
        changed[one.input] = values
    return changed


def _without(answer: Array, unanswered: Array) -> Array:
    if len(answer) != len(unanswered):
        return answer  # whoever asked refuses it
    kind = answer.dtype.kind
    result = answer.astype({"u": np.int64, "b": np.float32}.get(kind, answer.dtype))
    result[unanswered] = "" if kind in "OUS" else NO_ANSWER if kind in "iu" else np.nan
    return result
