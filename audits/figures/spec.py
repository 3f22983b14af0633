"""What all figures have in common: the frame of a specification, its colours, and numbers that are never NaN.

Column names, class names and texts of the data only ever stand in `data.values` and in literal titles, never in the
name of a field or in an expression, where Vega would read a dot, a bracket or a function into them.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from audits.artefacts import Array
from schemas.report import Figure

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
Row = dict[str, Any]
Spec = dict[str, Any]

# Colours that the three common kinds of colour blindness tell apart. A page may map them, one by one, to others.
INK, MUTED, GRID = "#24292f", "#59636e", "#d8dee4"
REST = "#afb8c1"
TRAIN, VALIDATION, LOST = "#6e7781", "#0969da", "#bc4c00"
SPLITS: Spec = {"domain": ["training", "validation"], "range": [TRAIN, VALIDATION]}

MAX_POINTS = 200
MAX_CELLS = 2_000
MAX_NAME = 40
HEIGHT = 220
ROW_HEIGHT = 26

CONFIG: Spec = {
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": MUTED,
        "titleColor": MUTED,
        "gridColor": GRID,
        "domainColor": GRID,
        "tickColor": GRID,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "labelFlush": False,
        "labelOverlap": "greedy",
        "labelSeparation": 4,
    },
    "legend": {
        "orient": "top",
        "title": None,
        "labelColor": MUTED,
        "labelFontSize": 12,
        "offset": 4,
    },
    "text": {"color": INK, "fontSize": 12},
}


def figure(kind: str, title: str, alternative: str, rows: Iterable[Row], body: Mapping[str, Any]) -> Figure:
    """A figure of rows of data.

    Args:
        kind: what is drawn; clients may choose by it.
        title: a sentence that says what to see.
        alternative: the same for who cannot see it, with the numbers that matter.
        rows: the data; floats are rounded to five digits, and what is not finite becomes null.
        body: marks, encodings and height.
    """
    return Figure(
        kind=kind,
        title=title,
        alternative=alternative,
        vega_lite={
            "$schema": SCHEMA,
            "description": alternative,
            "background": "transparent",
            "width": "container",
            "height": HEIGHT,
            "autosize": {"type": "fit-x", "contains": "padding"},
            "config": CONFIG,
            "data": {"values": [{name: plain(value) for name, value in row.items()} for row in rows]},
            **_titled(body),
        },
    )


def _titled(body: Mapping[str, Any]) -> Spec:
    """The body with one title an axis: layers that name none would take it from those that do."""
    layers = body.get("layer")
    if layers is None:
        return dict(body)
    titles = {}
    for axis in ("x", "y"):
        named = (layer.get("encoding", {}).get(axis, {}).get("title") for layer in layers)
        titles[axis] = next((title for title in named if title is not None), None)
    return {**body, "layer": [_layer_titled(layer, titles) for layer in layers]}


def _layer_titled(layer: Spec, titles: Mapping[str, str | None]) -> Spec:
    if "layer" in layer:
        inner = [_layer_titled(one, titles) for one in layer["layer"]]
        layer = {**layer, "layer": inner}
    encoding = {
        channel: {**one, "title": titles[channel]} if channel in titles and "field" in one else one
        for channel, one in layer.get("encoding", {}).items()
    }
    return {**layer, "encoding": encoding} if encoding else layer


def plain(value: Any) -> Any:
    """As JSON has it."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else None
    return value


def metric_number(value: float, decimals: int = 2) -> str:
    """A metric in a sentence."""
    text = f"{value:.{decimals}f}" if abs(value) < 10 else f"{value:.4g}"
    return text.replace("-", "\N{MINUS SIGN}")


def short(name: object, length: int = MAX_NAME) -> str:
    """A name that fits beside an axis: its beginning and its end, where names of one table differ."""
    text = str(name)
    if len(text) <= length:
        return text
    tail = length // 3
    return f"{text[: length - tail - 1]}…{text[-tail:]}"


def of_class(name: object, length: int = 20) -> str:
    """A class in a sentence, where a bare 0 would be read as a number."""
    return f"class {short(name, length)}"


def told_apart(names: Iterable[object], length: int = MAX_NAME) -> list[str]:
    """Short names, of which no two are the same: an axis would draw those upon each other."""
    seen: dict[str, int] = {}
    result = []
    for name in names:
        text = short(name, length)
        seen[text] = seen.get(text, 0) + 1
        result.append(text if seen[text] == 1 else f"{text} ({seen[text]})")
    return result


def at_most(values: Array, count: int) -> Array:
    """Positions of at most so many of (n,) values, evenly spaced, with both ends."""
    n = len(values)
    return np.arange(n) if n <= count else np.unique(np.linspace(0, n - 1, count).round().astype(np.int64))


def ticks(values: Iterable[float], count: int = 6) -> list[float]:
    """Round numbers around the values and no further: an axis with room for words would go on to a share of 1.2."""
    known = list(values)
    low, high = min(known), max(known)
    if not high > low:
        return [plain(low)]
    power = 10.0 ** math.floor(math.log10((high - low) / count))
    step = next(power * factor for factor in (1, 2, 5, 10) if (high - low) / (power * factor) <= count)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [plain(place * step) for place in range(first, last + 1)]


def x(field: str, title: str | None, **more: Any) -> Spec:
    return {"field": field, "type": "quantitative", "title": title, **more}


def nominal(field: str, title: str | None = None, **more: Any) -> Spec:
    """A channel of names in the order of the data."""
    return {"field": field, "type": "nominal", "title": title, "sort": None, **more}


def by_split(**more: Any) -> Spec:
    return {"field": "split", "type": "nominal", "scale": SPLITS, **more}


def shares_by_split(kind: str, title: str, rows: Sequence[Row], field: str, axis: str) -> Figure:
    """A bar for each name and split.

    Args:
        kind: of the figure.
        title: of the figure.
        rows: each with the name in `field`, a `split` and its `share`.
        field: what is named.
        axis: title of the axis of shares.
    """
    body = {
        "height": {"step": 11},
        "mark": {"type": "bar"},
        "encoding": {
            "y": nominal(field, axis=names_axis()),
            "yOffset": {"field": "split", "type": "nominal"},
            "x": x("share", axis, axis={"format": "%", "tickCount": 4}),
            "color": by_split(),
        },
    }
    told = "; ".join(f"{row[field]}, {row['split']}: {row['share']:.1%}" for row in rows)
    return figure(kind, title, f"{title}. {told}.", rows, body)


def names_axis(limit: int = 150) -> Spec:
    """Names on the y axis."""
    return {"labelLimit": limit, "ticks": False, "domain": False, "labelColor": INK, "labelPadding": 8}


def line_at(axis: str, value: float, colour: str = GRID, **more: Any) -> Spec:
    """A line across the figure."""
    return {"mark": {"type": "rule", "color": colour, **more}, "encoding": {axis: {"datum": plain(value)}}}


def diagonal(low: float, high: float) -> Spec:
    """Where both axes have the same value."""
    ends = [{"a": plain(end), "b": plain(end)} for end in (low, high)]
    return {
        "data": {"values": ends},
        "mark": {"type": "line", "color": GRID, "strokeWidth": 1.5},
        "encoding": {"x": x("a", None), "y": x("b", None)},
    }
