"""How a segment fares beside the other rows, and with a simple learner."""

from collections.abc import Iterator, Mapping
from typing import Any

from audits.figures.spec import LOST, MUTED, ROW_HEIGHT, VALIDATION, Row, figure, names_axis, nominal, short, x
from schemas.report import Figure, Finding

MAX_SEGMENTS = 4
WHO = {"inside": "model, in it", "outside": "model, elsewhere", "simple_learner_inside": "simple learner, in it"}


def segments(finding: Finding) -> Figure | None:
    """The segments that the finding names, with their intervals."""
    evidence: Mapping[str, Any] = finding.evidence
    if "segment" not in evidence:
        return None
    others = [one for one in evidence.get("other_segments", ()) if isinstance(one, dict)]
    rows = [row for one in [evidence, *others][:MAX_SEGMENTS] for row in _rows(one)]
    if not rows:
        return None
    inside, outside = (float(evidence[name]["estimate"]) for name in ("inside", "outside"))
    name = short(evidence["segment"], 60)
    title = f"Where {name}, the model reaches {inside:.2f}; elsewhere {outside:.2f}"
    body = {
        "height": {"step": ROW_HEIGHT},
        "encoding": {
            "y": nominal("what", axis=names_axis(170)),
            "color": {
                "field": "who",
                "type": "nominal",
                "legend": None,
                "scale": {"domain": list(WHO.values()), "range": [LOST, VALIDATION, MUTED]},
            },
        },
        "layer": [
            {
                "mark": {"type": "rule", "strokeWidth": 3, "opacity": 0.45},
                "encoding": {"x": x("low", str(evidence["measure"]), scale={"zero": False}), "x2": {"field": "high"}},
            },
            {
                "mark": {"type": "point", "filled": True, "size": 80, "opacity": 1},
                "encoding": {"x": x("estimate", str(evidence["measure"]), scale={"zero": False})},
            },
        ],
    }
    told = "; ".join(f"{row['what']}: {row['estimate']:.2f} ({row['low']:.2f} to {row['high']:.2f})" for row in rows)
    return figure("segments", title, f"{title}. {told}.", rows, body)


def _rows(one: Mapping[str, Any]) -> Iterator[Row]:
    name = short(one["segment"], 26)
    for key, who in WHO.items():
        if key in one:
            low, high = one[key]["interval"]
            what = who.replace("in it", name)
            yield {"what": what, "who": who, "estimate": one[key]["estimate"], "low": low, "high": high}
