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
    ticks,
    x,
)
from audits.figures.waterfall import metric_name
from schemas.base import Interval
from schemas.report import Confirmation, Figure


def proof(confirmation: Confirmation) -> Figure | None:
    """The metric before and after; None where nothing was repaired and run again."""
    if confirmation.by_exclusion or confirmation.gain_interval is None or confirmation.before == confirmation.after:
        return None
    metric = metric_name(confirmation.metric)
    rows = _rows(confirmation, confirmation.gain_interval)
    spread = [float(row[name]) for row in rows for name in ("value", "low", "high") if name in row]
    axis = x("value", metric, scale={"zero": False, "padding": 24, "nice": False}, axis={"values": ticks(spread)})
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
    on = "" if confirmation.n is None else f" on {confirmation.n:,} rows"
    words = f"{metric[:1].upper()}{metric[1:]} goes from {before} to {after}{on}"
    low, high = _ends(confirmation, confirmation.gain_interval)
    told = f", interval {metric_number(low)} to {metric_number(high)}"
    if confirmation.placebo_gain is not None:
        reached = confirmation.before + _signed(confirmation, confirmation.placebo_gain)
        told += f"; the best placebo reaches {metric_number(reached)}"
    title = f"{words} when we {confirmation.intervention}"
    if len(title) > 110:
        title = f"{words} with the repair"
    return figure("proof", title, f"{words}{told}.", rows, body)


def _rows(confirmation: Confirmation, gain: Interval) -> list[Row]:
    before = confirmation.before
    low, high = _ends(confirmation, gain)
    after: Row = {"state": "repaired", "value": confirmation.after, "low": low, "high": high}
    rows: list[Row] = [{"state": "as it was", "value": before}]
    if confirmation.placebo_gain is not None:
        rows.append({"state": "best placebo", "value": before + _signed(confirmation, confirmation.placebo_gain)})
    return [*rows, after]


def _ends(confirmation: Confirmation, gain: Interval) -> Interval:
    """Between which values the repaired metric lies."""
    first, last = sorted(confirmation.before + _signed(confirmation, end) for end in gain)
    return first, last


def _signed(confirmation: Confirmation, gain: float) -> float:
    """A gain in the metric's own direction: of a loss, a gain is a fall."""
    return gain if confirmation.higher_is_better else -gain
