"""What a repair brought back: before, after with its interval, and what the best placebo reached."""

from audits.figures.spec import (
    GRID,
    LOST,
    MUTED,
    ROW_HEIGHT,
    VALIDATION,
    Row,
    figure,
    metric_number,
    names_axis,
    nominal,
    x,
)
from audits.figures.waterfall import metric_name
from schemas.report import Confirmation, Figure


def proof(confirmation: Confirmation) -> Figure | None:
    """The metric before and after; None where nothing was run again."""
    if confirmation.by_exclusion or confirmation.before == confirmation.after:
        return None
    metric = metric_name(confirmation.metric)
    rows = _rows(confirmation)
    axis = x("value", metric, scale={"zero": False, "padding": 24}, axis={"tickCount": 5})
    body = {
        "height": {"step": ROW_HEIGHT},
        "encoding": {"y": nominal("state", axis=names_axis())},
        "layer": [
            {
                "mark": {"type": "rule", "color": GRID, "strokeDash": [2, 3]},
                "encoding": {"x": {"datum": confirmation.before}},
            },
            {
                "transform": [{"filter": "isValid(datum.low)"}],
                "mark": {"type": "rule", "strokeWidth": 3, "color": VALIDATION, "opacity": 0.45},
                "encoding": {"x": x("low", metric), "x2": {"field": "high"}},
            },
            {
                "mark": {"type": "point", "filled": True, "size": 90, "opacity": 1},
                "encoding": {
                    "x": axis,
                    "color": {
                        "field": "state",
                        "type": "nominal",
                        "legend": None,
                        "scale": {
                            "domain": ["as it was", "best placebo", "repaired"],
                            "range": [LOST, MUTED, VALIDATION],
                        },
                    },
                },
            },
        ],
    }
    before, after = metric_number(confirmation.before), metric_number(confirmation.after)
    words = f"{metric[:1].upper()}{metric[1:]} goes from {before} to {after}"
    told = ""
    if confirmation.gain_interval is not None:
        low, high = (confirmation.before + _signed(confirmation, end) for end in confirmation.gain_interval)
        told += f", interval {metric_number(min(low, high))} to {metric_number(max(low, high))}"
    if confirmation.placebo_gain is not None:
        reached = confirmation.before + _signed(confirmation, confirmation.placebo_gain)
        told += f"; the best placebo reaches {metric_number(reached)}"
    title = f"{words} when we {confirmation.intervention}"
    if len(title) > 110:
        title = f"{words} with the repair"
    return figure("proof", title, f"{words}{told}.", rows, body)


def _rows(confirmation: Confirmation) -> list[Row]:
    before = confirmation.before
    after: Row = {"state": "repaired", "value": confirmation.after}
    if confirmation.gain_interval is not None:
        ends = sorted(before + _signed(confirmation, end) for end in confirmation.gain_interval)
        after |= {"low": ends[0], "high": ends[1]}
    rows: list[Row] = [{"state": "as it was", "value": before}]
    if confirmation.placebo_gain is not None:
        rows.append({"state": "best placebo", "value": before + _signed(confirmation, confirmation.placebo_gain)})
    return [*rows, after]


def _signed(confirmation: Confirmation, gain: float) -> float:
    """A gain in the metric's own direction: of a loss, a gain is a fall."""
    return gain if confirmation.higher_is_better else -gain
