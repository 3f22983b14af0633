"""The values of a column in one split against those in the other, and the repair that was proven."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from audits.artefacts import Array
from audits.evidence.case import Case, Subject
from audits.figures.spec import LOST, VALIDATION, Row, Spec, diagonal, figure, short, x
from schemas.report import Figure

MAX_COLUMNS = 3
POINTS = 41
MIN_VALUES = 10


def quantiles(case: Case, columns: Sequence[str], repaired: Subject | None = None) -> Iterator[Figure]:
    """Of the first columns that vary, one figure each.

    Args:
        case: as submitted.
        columns: names of units.
        repaired: the validation sample after the repair that maps these columns.
    """
    drawn = 0
    for name in columns:
        if drawn == MAX_COLUMNS or name not in case.space.units:
            continue
        made = _column(case, case.space.units.index(name), repaired)
        if made is not None:
            drawn += 1
            yield made


def _column(case: Case, unit: int, repaired: Subject | None) -> Figure | None:
    train, validation = (case.space.values(s.sample.rows, unit) for s in (case.train, case.validation))
    home, away = train[np.isfinite(train)], validation[np.isfinite(validation)]
    if min(len(home), len(away)) < MIN_VALUES or np.ptp(home) == 0 or np.ptp(away) == 0:
        return None
    at = np.linspace(0.005, 0.995, POINTS)
    theirs, ours = np.quantile(home, at), np.quantile(away, at)
    rows: list[Row] = [
        {"quantile": float(q), "validation": float(v), "training": float(t), "what": "quantiles"}
        for q, v, t in zip(at, ours, theirs, strict=True)
    ]
    line = [] if repaired is None else _map(case, unit, validation, repaired)
    name = short(case.space.units[unit], 30)
    low, high = float(theirs.min()), float(theirs.max())
    title = f"{name}: the middle half lies in {_range(away)} in validation, in {_range(home)} in training"
    told = f" The repair carries {line[0]['validation']:.3g} to {line[0]['training']:.3g}." if line else ""
    legend = ["quantiles", "repair"] if line else ["quantiles"]
    body = {
        "layer": [
            diagonal(low, high),
            *([_line_layer(line, legend)] if line else []),
            {
                "mark": {"type": "point", "filled": True, "size": 34, "opacity": 1},
                "encoding": {
                    "x": x("validation", "validation values", scale={"zero": False}, axis={"tickCount": 5}),
                    "y": x("training", "training values", scale={"zero": False}, axis={"tickCount": 5}),
                    "color": _by_kind(legend),
                },
            },
        ]
    }
    return figure(
        "quantiles",
        title,
        f"{title}. Where the points lie on the line of equal values, the splits agree.{told}",
        rows,
        body,
    )


def _range(values: Array) -> str:
    low, high = np.quantile(values, [0.25, 0.75])
    return f"{low:.3g} to {high:.3g}".replace("-", "\N{MINUS SIGN}")


def _map(case: Case, unit: int, before: Array, repaired: Subject) -> list[dict[str, float]]:
    """What the repair makes of the values: some pairs along the range, which show any function."""
    if len(repaired) != len(case.validation.sample) or not isinstance(repaired.rows, type(case.validation.sample.rows)):
        return []
    after = case.space.values(repaired.rows, unit)
    if after.shape != before.shape:
        return []
    moved = np.isfinite(before) & np.isfinite(after)
    if not moved.any() or np.array_equal(before[moved], after[moved]):
        return []
    pairs = pd.DataFrame({"validation": before[moved], "training": after[moved]}).sort_values("validation")
    low, high = np.quantile(pairs["validation"], [0.005, 0.995])
    pairs = pairs[pairs["validation"].between(low, high)].drop_duplicates("validation")
    kept = pairs.iloc[np.unique(np.linspace(0, len(pairs) - 1, POINTS).round().astype(int))] if len(pairs) else pairs
    return [{"validation": float(a), "training": float(b)} for a, b in kept.itertuples(index=False)]


def _line_layer(line: list[dict[str, float]], legend: list[str]) -> Spec:
    return {
        "data": {"values": [{**pair, "what": "repair"} for pair in line]},
        "mark": {"type": "line", "strokeWidth": 2},
        "encoding": {"x": x("validation", None), "y": x("training", None), "color": _by_kind(legend)},
    }


def _by_kind(legend: list[str]) -> Spec:
    colours = [VALIDATION, LOST][: len(legend)]
    return {"field": "what", "type": "nominal", "scale": {"domain": legend, "range": colours}}
