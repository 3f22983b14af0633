"""A segment among all rows, as the tree of the conditions that lead to it, with a simple learner."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from audits.figures.spec import (
    LOST,
    MUTED,
    ROW_HEIGHT,
    VALIDATION,
    Row,
    figure,
    metric_number,
    names_axis,
    nominal,
    short,
    told_apart,
    x,
)
from schemas.report import Figure, Finding

LABEL = 34
COLOURS = {"model, in a segment": LOST, "model, in other rows": VALIDATION, "simple learner": MUTED}
IN_SEGMENT, IN_OTHERS, LEARNER = COLOURS


def segments(finding: Finding) -> Figure | None:
    """The tree of the segments that the finding names, each node with its rows and its interval."""
    evidence: Mapping[str, Any] = finding.evidence
    if not evidence.get("tree"):
        return None
    rows = [*_rows(evidence)]
    inside, outside = (metric_number(float(evidence[name]["estimate"])) for name in ("inside", "outside"))
    title = f"Where {short(evidence['segment'], 60)}, the model reaches {inside}; elsewhere {outside}"
    encoding = {
        "y": nominal("where", axis={**names_axis(), "labelAlign": "left", "labelLimit": 205, "labelPadding": 210}),
        "color": {"field": "who", "type": "nominal", "scale": {"domain": [*COLOURS], "range": [*COLOURS.values()]}},
    }
    axis = str(evidence["measure"])
    body = {
        "height": {"step": ROW_HEIGHT},
        "encoding": encoding,
        "layer": [
            {
                "mark": {"type": "rule", "strokeWidth": 3, "opacity": 0.45},
                "encoding": {"x": x("low", axis, scale={"zero": False}), "x2": {"field": "high"}},
            },
            {
                "mark": {"type": "point", "filled": True, "size": 80, "opacity": 1},
                "encoding": {"x": x("estimate", axis, scale={"zero": False})},
            },
        ],
    }
    told = "; ".join(
        f"{row['rule']}, {row['who']}: {metric_number(row['estimate'])} "
        f"({metric_number(row['low'])} to {metric_number(row['high'])}), {row['rows']} rows"
        for row in rows
    )
    return figure("segments", title, f"{title}. {told}.", rows, body)


def _rows(evidence: Mapping[str, Any]) -> Iterator[Row]:
    """A line a node; the learner stands on the line of the worst segment."""
    nodes: list[Mapping[str, Any]] = list(evidence["tree"])
    count = nodes[0]["rows"] - next(node["rows"] for node in nodes if node["rank"] == 1)
    outside = {"rule": "elsewhere", "depth": 1, "rows": count, "rank": None, **evidence["outside"]}
    nodes.append(outside)
    names = told_apart((f"{branch}{node['rule']}" for branch, node in zip(_branches(nodes), nodes, strict=True)), LABEL)
    learner = evidence.get("simple_learner_inside")
    for name, node in zip(names, nodes, strict=True):
        where = f"{name} (n {node['rows']:,})"
        yield _row(where, node, IN_SEGMENT if node["rank"] else IN_OTHERS, node)
        if node["rank"] == 1 and learner:
            yield _row(where, node, LEARNER, learner)


def _row(where: str, node: Mapping[str, Any], who: str, measured: Mapping[str, Any]) -> Row:
    low, high = measured["interval"]
    return {
        "where": where,
        "rule": node["rule"],
        "who": who,
        "rows": node["rows"],
        "estimate": measured["estimate"],
        "low": low,
        "high": high,
    }


def _branches(nodes: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What leads to each node, drawn before its name."""
    depths = [int(node["depth"]) for node in nodes]
    for place, depth in enumerate(depths):
        lines = [_goes_on(depths[place + 1 :], level) for level in range(1, depth + 1)]
        if lines:
            *passed, last = lines
            yield "".join("\u2502 " if one else "\u2003" for one in passed) + ("\u251c " if last else "\u2514 ")
        else:
            yield ""


def _goes_on(later: Sequence[int], level: int) -> bool:
    """Whether a further branch of the same level follows."""
    first = next((depth for depth in later if depth <= level), 0)
    return first == level
