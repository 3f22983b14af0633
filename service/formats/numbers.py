"""Numbers as people read them: no more digits than their interval supports."""

import math

from schemas.base import Interval
from schemas.report import Effect, Estimate

NOTHING = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
MAX_DECIMALS = 4
LARGE = 1e6


def number(value: float | None, interval: Interval | None = None) -> str:
    """The value to the first digit of its interval's half width, or to three digits without one."""
    if value is None:
        return NOTHING
    return _fixed(value, _decimals(value, interval))


def bounds(interval: Interval | None) -> str:
    """``0.48 to 0.51``; empty without an interval."""
    if interval is None:
        return ""
    largest = max(map(abs, interval))
    decimals = _decimals(largest, interval)
    # beside a number that can be written out, one of 1e-05 is none
    ends = (0.0 if abs(end) < 10**-MAX_DECIMALS <= largest else end for end in interval)
    return " to ".join(_fixed(end, decimals) for end in ends)


def estimate(value: Estimate | None) -> tuple[str, str]:
    """The number and its interval, as texts."""
    if value is None or value.estimate is None:
        return NOTHING, ""
    return number(value.estimate, value.interval), bounds(value.interval)


def effect(value: Effect) -> str:
    """What a finding measured, in one line."""
    text = f"{value.name.replace('_', ' ')} {number(value.estimate, value.interval)}"
    if value.unit is not None:
        text += f" {value.unit}"
    details = [f"interval {bounds(value.interval)}"] if value.interval else []
    if value.limit is not None:
        details.append(f"limit {number(value.limit)}")
    return text + (f" ({', '.join(details)})" if details else "")


def percent(value: float) -> str:
    return (
        f"{value:.0%}".replace("-", MINUS) if abs(value) >= 0.01 or value == 0 else f"{value:.1%}".replace("-", MINUS)
    )


def signed(value: float, interval: Interval | None = None) -> str:
    """With its sign, also where it is positive."""
    text = number(value, interval)
    return text if text.startswith(MINUS) or float(text.replace(",", "")) == 0 else f"+{text}"


def count(value: int) -> str:
    return f"{value:,}"


def _decimals(value: float, interval: Interval | None) -> int:
    width = abs(interval[1] - interval[0]) if interval is not None else 0.0
    if interval is not None and width == 0 and abs(value) <= 1:
        return 2
    if width > 0:
        places = -math.floor(math.log10(width / 2))
        # proportions and the like keep two decimals, so that 0.5 and 0.50 do not stand side by side
        return min(max(places, 2 if abs(value) <= 1 else 0), MAX_DECIMALS)
    if value == 0 or float(value).is_integer():
        return 0 if abs(value) > 1 else 2
    digits = max(2 - math.floor(math.log10(abs(value))), 0)
    return min(digits, 3) if abs(value) >= 0.01 else min(digits, MAX_DECIMALS)


def _fixed(value: float, decimals: int) -> str:
    if 0 < abs(value) < 10**-MAX_DECIMALS:
        return f"{value:.1g}".replace("-", MINUS)
    if abs(value) >= LARGE:
        return f"{value:.3g}".replace("-", MINUS)
    text = f"{value:,.{decimals}f}"
    return text.lstrip("-") if float(text.replace(",", "")) == 0 else text.replace("-", MINUS)
