"""The lost performance, cause by cause: from what training promised to what validation delivers."""

from collections.abc import Iterator, Mapping

from audits.figures.spec import (
    INK,
    LOST,
    MUTED,
    REST,
    ROW_HEIGHT,
    VALIDATION,
    Row,
    figure,
    metric_number,
    names_axis,
    nominal,
    ticks,
    told_apart,
    x,
)
from schemas.report import Figure, Gap, GapTerm, TermKind

NAMES: Mapping[TermKind, str] = {
    "leakage": "Leaking column",
    "repaired_fault": "Repaired fault",
    "contamination": "Copies of training rows",
    "lost_values": "Lost values",
    "threshold": "Threshold",
    "input_shift": "Input shift",
    "label_shift": "Label shift",
    "label_or_concept": "Label or concept change",
    "overfitting": "Overfitting",
    "unexplained": "Unexplained",
}
# In the metric's units; what is smaller is not seen.
VISIBLE = 0.0005
MIN_GAP = 0.01
SCALE = {"zero": False, "nice": False}


def waterfall(gap: Gap) -> Figure | None:
    """The terms of the gap, one below the other; None where nothing was lost."""
    if gap.reference is None or gap.validation is None:
        return None
    terms = [term for term in gap.terms if abs(term.estimate) >= VISIBLE]
    if not terms or (abs(gap.gap or 0.0) < MIN_GAP and len(terms) < 2):
        return None
    metric = metric_name(gap.metric)
    rows = [*_rows(gap, terms)]
    for row, name in zip(rows, told_apart(row["cause"] for row in rows), strict=True):
        row["cause"] = name
    told = "; ".join(f"{row['cause']}: {row['change']}" for row in rows if row["role"] != "total")
    levels = [float(row[end]) for row in rows for end in ("from", "to")]
    body = {
        "height": {"step": ROW_HEIGHT},
        "encoding": {"y": nominal("cause", axis=names_axis(), scale={"domain": [row["cause"] for row in rows]})},
        "layer": [
            {
                "transform": [{"filter": "datum.role != 'total'"}],
                "mark": {"type": "bar", "height": {"band": 0.62}},
                "encoding": {
                    "x": x("from", metric, scale=SCALE, axis={"values": ticks(levels)}),
                    "x2": {"field": "to"},
                    "color": {
                        "field": "role",
                        "type": "nominal",
                        "legend": None,
                        "scale": {"domain": ["lost", "hidden", "unexplained"], "range": [LOST, VALIDATION, REST]},
                    },
                },
            },
            {
                "transform": [{"filter": "datum.role == 'total'"}],
                "mark": {"type": "tick", "thickness": 3, "color": INK, "height": 17},
                "encoding": {"x": x("to", metric, scale=SCALE)},
            },
            {
                "mark": {"type": "text", "align": "left", "dx": 6, "fontWeight": 600},
                "encoding": {
                    "x": x("right", metric, scale={**SCALE, "padding": 44}),
                    "text": {"field": "change", "type": "nominal"},
                    "color": {
                        "condition": {"test": "datum.role == 'total'", "value": INK},
                        "value": MUTED,
                    },
                },
            },
        ],
    }
    verb = "falls" if gap.reference >= gap.validation else "goes"
    reference, validation = metric_number(gap.reference), metric_number(gap.validation)
    title = f"How {metric} {verb} from {reference} in training to {validation} in validation"
    return figure("waterfall", title, f"{title}. {told}.", rows, body)


def metric_name(metric: str) -> str:
    return {"r2": "R²", "balanced_accuracy": "balanced accuracy"}.get(metric, metric.replace("_", " "))


def term_name(term: GapTerm) -> str:
    """Of the cause, where one is known: its code says more than its kind."""
    if term.kind == "repaired_fault" and term.code is not None:
        return term.code.partition(".")[2].replace("_", " ").capitalize()
    return NAMES[term.kind]


def _rows(gap: Gap, terms: list[GapTerm]) -> Iterator[Row]:
    assert gap.reference is not None  # noqa: S101 - the caller has looked
    assert gap.validation is not None  # noqa: S101 - likewise
    level = gap.reference
    yield _total("Training", level)
    for term in terms:
        after = level - term.estimate
        role = "unexplained" if term.kind == "unexplained" else "lost" if term.estimate > 0 else "hidden"
        yield {
            "cause": term_name(term),
            "from": level,
            "to": after,
            "right": max(level, after),
            "role": role,
            "change": ("+" if term.estimate < 0 else "") + metric_number(-term.estimate, 3),
        }
        level = after
    yield _total("Validation", gap.validation)


def _total(name: str, level: float) -> Row:
    return {
        "cause": name,
        "from": level,
        "to": level,
        "right": level,
        "role": "total",
        "change": metric_number(level, 3),
    }
