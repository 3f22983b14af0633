"""How much the model relies on a column: what its metric loses without it."""

from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
import pandas as pd

from audits.artefacts import Array, Rows
from audits.evidence.case import Case, Subject
from audits.repairs.protocol import gain_of
from schemas.report import Estimate

SHUFFLES = 3


def replaced(case: Case, rows: Rows, columns: Mapping[str, Callable[[Array], Array]]) -> Rows:
    """A copy of the rows in which each named column's values went through its function."""
    units = {case.space.units.index(n): f for n, f in columns.items() if n not in case.space.texts}
    texts = {n: f for n, f in columns.items() if n in case.space.texts}
    changed = case.space.map_units(rows, units)
    if not texts:
        return changed
    frame = cast("pd.DataFrame", changed)
    return frame.assign(**{n: f(frame[n].to_numpy(dtype=object)) for n, f in texts.items()})


def loss_from(
    case: Case, subject: Subject, columns: Mapping[str, Callable[[Array], Array]], purpose: str
) -> tuple[Estimate, Subject]:
    """What the metric loses on these rows when the columns are changed (paired interval), and the changed rows."""
    spoilt = case.rerun(subject, replaced(case, subject.rows, columns))
    return gain_of(case, spoilt, subject, purpose), spoilt


def reliance(case: Case, subject: Subject, column: str) -> Estimate:
    """What the metric loses when the column is shuffled: the median shuffle, with its paired interval."""
    falls = []
    for shuffle in range(SHUFFLES):
        order = case.rng(f"shuffle {shuffle}").permutation(len(subject))
        falls.append(loss_from(case, subject, {column: _taken(order)}, "reliance")[0])
    falls.sort(key=lambda fall: cast(float, fall.estimate))
    return falls[len(falls) // 2]


def _taken(order: Array) -> Callable[[Array], Array]:
    return lambda values: values[order]


def set_to(value: Any) -> Callable[[Array], Array]:
    def change(values: Array) -> Array:
        return np.full(len(values), value, dtype=values.dtype)

    return change
