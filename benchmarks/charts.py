"""Line charts of shares as SVG, drawn without a library: the same numbers make the same bytes, and git can tell."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from benchmarks.shares import Share

WIDTH, HEIGHT = 640, 340
LEFT, RIGHT, TOP, BOTTOM = 52, 150, 40, 52
COLOURS = ("#0b6e99", "#c2571a", "#5b8c2a", "#8a4fa3")
STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#333}.title{font-size:14px;font-weight:600}"
    ".axis{stroke:#888}.grid{stroke:#8883}"
    "@media(prefers-color-scheme:dark){text{fill:#ddd}.axis{stroke:#999}}"
)


@dataclass(frozen=True)
class Line:
    """A share for each place on the horizontal axis; places without trials are left out."""

    name: str
    shares: Sequence[Share]


def draw(title: str, across: str, places: Sequence[str], lines: Sequence[Line]) -> str:
    """An SVG of shares in per cent with their intervals as whiskers."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'role="img" aria-label="{escape(title)}">',
        f"<style>{STYLE}</style>",
        f'<text class="title" x="{LEFT}" y="22">{escape(title)}</text>',
        *_axes(across, places),
    ]
    for order, line in enumerate(lines):
        parts += _line(line, order, len(lines), len(places))
    return "\n".join([*parts, "</svg>", ""])


def save(path: Path, title: str, across: str, places: Sequence[str], lines: Sequence[Line]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(draw(title, across, places, lines), encoding="utf-8")


def _x(place: int, places: int) -> float:
    room = WIDTH - LEFT - RIGHT
    return LEFT + room * (place + 0.5) / places


def _y(share: float) -> float:
    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - share)


def _axes(across: str, places: Sequence[str]) -> list[str]:
    parts = []
    for per_cent in (0, 25, 50, 75, 100):
        y = _y(per_cent / 100)
        kind = "axis" if per_cent == 0 else "grid"
        parts.append(f'<line class="{kind}" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{per_cent} %</text>')
    for place, name in enumerate(places):
        x = _x(place, len(places))
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{escape(name)}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle:.1f}" y="{HEIGHT - 12}" text-anchor="middle">{escape(across)}</text>')
    return parts


def _line(line: Line, order: int, lines: int, places: int) -> list[str]:
    colour = COLOURS[order % len(COLOURS)]
    beside = (order - (lines - 1) / 2) * 5  # so that whiskers do not hide each other
    dots = [(_x(i, places) + beside, share) for i, share in enumerate(line.shares) if share.trials]
    points = " ".join(f"{x:.1f},{_y(share.estimate):.1f}" for x, share in dots)
    parts = [f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{points}"/>']
    for x, share in dots:
        low, high = share.interval()
        parts.append(
            f'<line stroke="{colour}" stroke-opacity=".5" x1="{x:.1f}" x2="{x:.1f}" '
            f'y1="{_y(low):.1f}" y2="{_y(high):.1f}"/>'
        )
        parts.append(
            f'<circle fill="{colour}" cx="{x:.1f}" cy="{_y(share.estimate):.1f}" r="3.5">'
            f"<title>{escape(line.name)}: {share} of {share.trials}</title></circle>"
        )
    y = TOP + 14 + 20 * order
    parts.append(f'<rect fill="{colour}" x="{WIDTH - RIGHT + 14}" y="{y - 9}" width="10" height="10"/>')
    parts.append(f'<text x="{WIDTH - RIGHT + 30}" y="{y}">{escape(line.name)}</text>')
    return parts
