"""How well the scores of a binary model rank, and where they are cut."""

import numpy as np

from audits.artefacts import Array
from audits.evidence.case import Case
from audits.figures.judged import Scored, scored
from audits.figures.spec import INK, Row, Spec, at_most, by_split, diagonal, figure, line_at, of_class, x
from audits.statistics import metrics
from schemas.report import Figure

MAX_CURVE_POINTS = 80
UNIT: Spec = {"domain": [0, 1]}


def roc(case: Case) -> Figure | None:
    """The receiver operating characteristic of both splits; None where there is no score of two classes."""
    splits = _splits(case)
    if not splits:
        return None
    rows = [
        {"split": name, "false": false, "true": true}
        for name, one in splits.items()
        for _, false, true, _ in _curve(one)
    ]
    areas = {name: float(metrics.roc_auc(one.probabilities[:, 1], one.labels == 1)) for name, one in splits.items()}
    told = ", ".join(f"{area:.2f} in {name}" for name, area in areas.items())
    title = f"ROC: the area is {told}; the ring is where decisions are cut"
    body = {
        "layer": [
            diagonal(0, 1),
            _line("false", "false positive rate", "true", "true positive rate (recall)"),
            _operating_point(case, splits["validation"], "roc"),
        ]
    }
    return figure("roc", title, f"{title}. {_cut_words(case, splits['validation'])}", rows, body)


def precision_recall(case: Case) -> Figure | None:
    """Precision against recall of both splits, with the base rate, which a blind answer reaches."""
    splits = _splits(case)
    if not splits:
        return None
    rows = [
        {"split": name, "recall": true, "precision": precision}
        for name, one in splits.items()
        for _, _, true, precision in _curve(one)
        if precision is not None
    ]
    mine = splits["validation"]
    rate = float((mine.labels == 1).mean())
    average = float(metrics.average_precision(mine.probabilities[:, 1], mine.labels == 1))
    positive = of_class(case.labels.names[1])
    title = f"Precision against recall of {positive}: {average:.2f} on average, base rate {rate:.2f}"
    body = {
        "layer": [
            line_at("y", rate, strokeDash=[2, 3], strokeWidth=1.5),
            _line("recall", "recall", "precision", "precision"),
            _operating_point(case, mine, "precision_recall"),
        ]
    }
    return figure("precision_recall", title, f"{title}. {_cut_words(case, mine)}", rows, body)


def _splits(case: Case) -> dict[str, Scored]:
    """Both splits, or validation alone; nothing where a class is missing there."""
    if case.labels.n_classes != 2:
        return {}
    found = {"training": scored(case, case.train), "validation": scored(case, case.validation)}
    usable = {name: one for name, one in found.items() if one is not None and len(np.unique(one.labels)) == 2}
    return usable if "validation" in usable else {}


def _curve(rows: Scored) -> list[tuple[float, float, float, float | None]]:
    """(threshold, false positive rate, true positive rate, precision) from the highest threshold down."""
    scores, positive = rows.probabilities[:, 1], rows.labels == 1
    order = np.argsort(-scores, kind="stable")
    scores, positive = scores[order], positive[order]
    ends = np.flatnonzero(np.append(np.diff(scores) != 0, True))
    true, false = np.cumsum(positive)[ends], np.cumsum(~positive)[ends]
    kept = _even(true / max(positive.sum(), 1), false / max((~positive).sum(), 1))
    start: list[tuple[float, float, float, float | None]] = [(1.0, 0.0, 0.0, None)]
    return start + [
        (
            float(scores[ends[i]]),
            float(false[i] / (~positive).sum()),
            float(true[i] / positive.sum()),
            float(true[i] / (true[i] + false[i])),
        )
        for i in kept
    ]


def _even(true: Array, false: Array) -> Array:
    """Positions along the curve at even distances, so that a steep beginning is not lost."""
    if len(true) <= MAX_CURVE_POINTS:
        return at_most(true, MAX_CURVE_POINTS)
    way = np.cumsum(np.abs(np.diff(true, prepend=0)) + np.abs(np.diff(false, prepend=0)))
    places = np.searchsorted(way, np.linspace(way[0], way[-1], MAX_CURVE_POINTS))
    return np.unique(np.append(places, len(true) - 1).clip(max=len(true) - 1))


def _line(across: str, across_title: str, up: str, up_title: str) -> Spec:
    return {
        "mark": {"type": "line", "strokeWidth": 2, "interpolate": "linear", "clip": True},
        "encoding": {
            "x": x(across, across_title, scale=UNIT, axis={"tickCount": 5}),
            "y": x(up, up_title, scale=UNIT, axis={"tickCount": 5}),
            "order": {"field": across, "type": "quantitative"},
            "color": by_split(),
        },
    }


def _cut(case: Case, rows: Scored) -> dict[str, float | None]:
    """What the threshold makes of the rows."""
    positive, alarm = rows.labels == 1, rows.probabilities[:, 1] >= case.meaning.threshold
    return {
        "false": float(alarm[~positive].mean()),
        "true": float(alarm[positive].mean()),
        "precision": float(positive[alarm].mean()) if alarm.any() else None,
    }


def _operating_point(case: Case, rows: Scored, kind: str) -> Spec:
    cut = _cut(case, rows)
    across, up = ("false", "true") if kind == "roc" else ("true", "precision")
    points: list[Row] = [] if cut[up] is None else [{"a": cut[across], "b": cut[up]}]
    return {
        "data": {"values": points},
        "mark": {"type": "point", "size": 120, "strokeWidth": 2, "color": INK, "filled": False, "opacity": 1},
        "encoding": {"x": x("a", None), "y": x("b", None)},
    }


def _cut_words(case: Case, rows: Scored) -> str:
    cut = _cut(case, rows)
    precision = "no alarm" if cut["precision"] is None else f"precision {cut['precision']:.2f}"
    return f"Cut at {case.meaning.threshold:g}: recall {cut['true']:.2f}, {precision}, false alarms {cut['false']:.2f}."
