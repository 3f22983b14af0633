"""Alarms held against the truth, and the table of it."""

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.auditing import Outcome
from benchmarks.cases import Truth
from benchmarks.document import rows_of
from benchmarks.peers.mapping import MEANINGS
from benchmarks.shares import Share

# Tools whose users see alarms at more than one level: (name in the table, which alarms count).
LEVELS: dict[str, tuple[tuple[str, Callable[[str], bool]], ...]] = {
    "evidently": (
        ("evidently, any column", lambda name: name != "Share of Drifted Columns"),
        ("evidently, half of the columns", lambda name: name == "Share of Drifted Columns"),
    ),
    "cleanlab": (
        ("cleanlab, any row", lambda name: not name.endswith("(5 %)")),
        ("cleanlab, one row in twenty", lambda name: name.endswith("(5 %)")),
    ),
}


LEGEND = """*Noticed*: an alarm that the fault may have set off. *Named*: an alarm that says what is wrong; for
fitcheck, the first cause. What an alarm names and may notice stands in `benchmarks/peers/mapping.py`, read in the
tool's favour. In brackets: 95 % intervals by Wilson."""


@dataclass
class Line:
    """Attributes:
    noticed, named: of each faulty case that the tool serves, whether an alarm may come from the fault, and names it.
    healthy: of each healthy case that it serves, whether there was an alarm.
    false: of each case, how many alarms neither come from the fault nor are tolerated.
    """

    tool: str
    noticed: list[bool] = field(default_factory=list)
    named: list[bool] = field(default_factory=list)
    healthy: list[bool] = field(default_factory=list)
    false: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    not_served: int = 0
    errors: int = 0


def lines_of(tool: str, answers: Mapping[str, Any], truths: Mapping[str, Truth]) -> list[Line]:
    """One line a level of the tool."""
    lines = []
    for name, counts in LEVELS.get(tool, ((tool, lambda _: True),)):
        line = Line(name)
        for case, answer in answers.items():
            if isinstance(answer, Outcome):
                _add_ours(line, answer, truths[case])
            else:
                _add(line, tool, answer, truths[case], counts)
        lines.append(line)
    return lines


def _add_ours(line: Line, outcome: Outcome, truth: Truth) -> None:
    if outcome.error:
        line.errors += 1
        return
    line.seconds.append(outcome.seconds)
    false = {*outcome.loud, *outcome.causes} - truth.right - set(truth.tolerated)
    line.false.append(len(false))
    if truth.primary is None:
        line.healthy.append(bool(false))
    else:
        line.noticed.append(bool(truth.right & {*outcome.loud, *outcome.causes}))
        line.named.append(bool(truth.right & set(outcome.causes[:1])))


def _add(line: Line, tool: str, answer: Mapping[str, Any], truth: Truth, counts: Callable[[str], bool]) -> None:
    if not answer["served"]:
        line.not_served += 1
        return
    if answer["error"]:
        line.errors += 1
        return
    line.seconds.append(answer["seconds"])
    alarms = [name for name in answer["alarms"] if counts(name)]
    known = [MEANINGS[tool].get(name.removesuffix(" (5 %)")) for name in alarms]
    meanings = [meaning for meaning in known if meaning is not None]
    right, tolerated = truth.right, set(truth.tolerated)
    false = [m for m in meanings if not right & {*m.names, *m.notices} and not tolerated & set(m.names)]
    line.false.append(len(false))
    if truth.primary is None:
        line.healthy.append(bool(false))
    else:
        line.noticed.append(any(right & {*m.names, *m.notices} for m in meanings))
        line.named.append(any(right & set(m.names) for m in meanings))


def table(lines: list[Line]) -> str:
    header = (
        "tool",
        "faulty",
        "noticed",
        "named",
        "healthy",
        "healthy with an alarm",
        "false alarms a case",
        "s a case",
        "not served",
        "errors",
    )
    rows = [
        (
            line.tool,
            len(line.noticed),
            Share.of(line.noticed),
            Share.of(line.named),
            len(line.healthy),
            Share.of(line.healthy),
            f"{statistics.mean(line.false):.2f}" if line.false else "-",
            f"{statistics.median(line.seconds):.1f}" if line.seconds else "-",
            line.not_served,
            line.errors,
        )
        for line in lines
    ]
    return f"{rows_of(header, rows)}\n\n{LEGEND}"
