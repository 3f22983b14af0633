"""JSON of any shape as something to read: text, pairs, or a table, each cut where nobody reads on."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import JsonValue

from service.formats.numbers import NOTHING, bounds, number

MAX_LIST = 12
MAX_ROWS = 30
MAX_PAIRS = 40
MAX_TEXT = 400
MAX_DEPTH = 2


def facts(value: JsonValue, label: str, depth: int = 0) -> dict[str, Any]:
    """What the macro `facts` shows.

    Args:
        value: any JSON.
        label: names a table to who cannot see it.
        depth: of the value in what is shown; what lies deeper is told in a word.
    """
    if isinstance(value, dict) and value and depth < MAX_DEPTH:
        shown = list(value.items())[:MAX_PAIRS]
        pairs = [
            # a seed is a name made of digits
            (_name(key), facts(str(inner) if key == "seed" else inner, f"{label}: {_name(key)}", depth + 1))
            for key, inner in shown
        ]
        return {"kind": "pairs", "pairs": pairs, "more": len(value) - len(shown)}
    if isinstance(value, list) and _is_table(value):
        return _table([row for row in value if isinstance(row, dict)], label)
    return {"kind": "text", "text": told(value)}


def told(value: JsonValue) -> str:
    """One value in a few words."""
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return _digits(value)
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, str):
        return _cut(value)
    return _cut(_list(value) if isinstance(value, list) else _pairs(value))


def _pairs(value: Mapping[str, JsonValue]) -> str:
    if set(value) == {"estimate", "interval"}:
        return _estimate(value["estimate"], value["interval"])
    if set(value) == {"name", "dtype", "shape"}:
        return f"{value['name']}, {value['dtype']}, {_shape(value['shape'])}"
    return "; ".join(f"{_name(key)}: {told(inner)}" for key, inner in list(value.items())[:MAX_LIST])


def plural(n: int, word: str) -> str:
    return f"{n:,} {word}{'' if n == 1 else 's'}"


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"


def _digits(value: float) -> str:
    text = number(value)
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text


def _estimate(estimate: JsonValue, interval: JsonValue) -> str:
    ends = [one for one in interval if isinstance(one, int | float)] if isinstance(interval, list) else []
    if not isinstance(estimate, int | float) or len(ends) != 2:
        return told(estimate)
    low, high = ends
    return f"{number(estimate, (low, high))} ({bounds((low, high))})"


def _shape(shape: JsonValue) -> str:
    return " by ".join("any" if one is None else str(one) for one in shape) if isinstance(shape, list) else "any shape"


def _list(values: Sequence[JsonValue]) -> str:
    if not values:
        return "none"
    more = len(values) - MAX_LIST
    between = "; " if any(isinstance(one, dict | list) for one in values) else ", "
    listed = between.join(told(one) for one in values[:MAX_LIST])
    return listed + (f" and {more:,} more" if more > 0 else "")


def _is_table(values: Sequence[JsonValue]) -> bool:
    """Rows of the same names, and more than one."""
    names = {tuple(one) if isinstance(one, dict) else None for one in values}
    return len(values) > 1 and len(names) == 1 and names != {None}


def _table(rows: Sequence[Mapping[str, JsonValue]], label: str) -> dict[str, Any]:
    columns = list(rows[0])
    cells = [[told(row.get(name)) for name in columns] for row in rows[:MAX_ROWS]]
    more = max(0, len(rows) - MAX_ROWS)
    return {"kind": "table", "columns": [_name(c) for c in columns], "rows": cells, "more": more, "label": label}


def _name(key: str) -> str:
    return key.replace("_", " ").replace("->", " → ")
