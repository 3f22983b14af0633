"""What the records say, as tables and charts."""

import os
import statistics
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path

from benchmarks import charts
from benchmarks.acceptance import plans
from benchmarks.acceptance.records import Record
from benchmarks.cases.faults import FAULTS, SIZES
from benchmarks.document import rows_of
from benchmarks.shares import Share

ROWS = plans.VALIDATION_ROWS
DAMAGE = (("under 0.02", 0.02), ("0.02-0.05", 0.05), ("0.05-0.1", 0.1), ("0.1-0.2", 0.2), ("over 0.2", float("inf")))


def counted(records: Iterable[Record], audits: int, seed: int) -> list[Record]:
    """The first audits of the plan, healthy and faulty, and what was left out among them."""
    known = {record.plan.name: record for record in records}
    chosen: list[Record] = []
    for source in (plans.healthy(seed), plans.faulty(seed)):
        good = 0
        for plan in islice(source, 10 * audits):
            record = known.get(plan.name)
            if record is None:
                continue
            chosen.append(record)
            good += record.is_audit
            if good == audits:
                break
    return chosen


def written(records: Sequence[Record], seed: int) -> str:
    healthy = [r for r in records if r.is_audit and r.plan.fault is None]
    faulty = [r for r in records if r.is_audit and r.plan.fault is not None]
    refused = [r for r in records if r.outcome is not None and r.outcome.error]
    left_out = [r for r in records if r.outcome is None]
    if not healthy or not faulty:
        return "Too few audits for a table."
    seconds = [r.outcome.seconds for r in healthy + faulty if r.outcome]
    parts = [
        f"{len(healthy)} healthy audits and {len(faulty)} with one injected fault, seed {seed}; {len(refused)} were "
        f"refused or crashed, {len(left_out)} networks were left out as no healthy control. Median audit "
        f"{statistics.median(seconds):.1f} s on {os.cpu_count()} cores. In brackets: 95 % intervals by Wilson.",
        _summary(healthy, faulty),
        "By rows of the validation set:",
        _by_rows(healthy, faulty),
        "By size of the fault:",
        rows_of(
            ("size", "audits", "found", "first cause right", "among the first three"),
            [(size, *_rates([r for r in faulty if r.plan.size == size])) for size in SIZES],
        ),
        "By fault, over all sizes and rows; *harm* is what the fault costs in balanced accuracy or R2 (median):",
        _by_fault(faulty),
    ]
    wrong = sorted({code for r in healthy for code in r.false_findings})
    if wrong:
        counts = [(code, sum(code in r.false_findings for r in healthy)) for code in wrong]
        parts += ["False findings in healthy audits:", rows_of(("code", "audits"), counts)]
    return "\n\n".join(parts)


def _summary(healthy: list[Record], faulty: list[Record]) -> str:
    def per_audit(records: list[Record], name: str) -> str:
        return f"{sum(len(getattr(r, name)) for r in records) / len(records):.3f}"

    some = [
        (
            "healthy: false findings per audit",
            per_audit(healthy, "false_findings"),
            Share.of([bool(r.false_findings) for r in healthy]),
            "< 0.2",
        ),
        (
            "healthy: false causes per audit",
            per_audit(healthy, "false_causes"),
            Share.of([bool(r.false_causes) for r in healthy]),
            "< 0.02",
        ),
        (
            "faulty: false findings per audit",
            per_audit(faulty, "false_findings"),
            Share.of([bool(r.false_findings) for r in faulty]),
            "",
        ),
    ]
    confirmed = Share.of([bool(r.truth and r.outcome and r.truth.right & set(r.outcome.confirmed)) for r in faulty])
    some += [
        ("faulty: found", "", Share.of([r.is_found for r in faulty]), ""),
        ("faulty: first cause right", "", Share.of([r.found_in_first(1) for r in faulty]), ""),
        ("faulty: right cause among the first three", "", Share.of([r.found_in_first(3) for r in faulty]), ""),
        ("faulty: right cause confirmed by intervention", "", confirmed, ""),
    ]
    return rows_of(("measure", "mean", "share of audits", "wanted"), some)


def _rates(records: list[Record]) -> tuple[object, ...]:
    return (
        len(records),
        Share.of([r.is_found for r in records]),
        Share.of([r.found_in_first(1) for r in records]),
        Share.of([r.found_in_first(3) for r in records]),
    )


def _by_rows(healthy: list[Record], faulty: list[Record]) -> str:
    rows = []
    for n in ROWS:
        sound = [r for r in healthy if _place(r) == n]
        rows.append(
            (
                f"{n:,}",
                len(sound),
                Share.of([bool(r.false_findings) for r in sound]),
                Share.of([bool(r.false_causes) for r in sound]),
                *_rates([r for r in faulty if _place(r) == n]),
            )
        )
    header = (
        "rows",
        "healthy",
        "with a false finding",
        "with a false cause",
        "faulty",
        "found",
        "first",
        "first three",
    )
    return rows_of(header, rows)


def _place(record: Record) -> int:
    """The size of validation set that a record counts for."""
    return min(ROWS, key=lambda n: abs(n - record.plan.n_validation))


def _by_fault(faulty: list[Record]) -> str:
    rows = []
    for name, fault in sorted(FAULTS.items(), key=lambda item: (item[1].code, item[0])):
        of_it = [r for r in faulty if r.plan.fault == name]
        if of_it:
            harm = statistics.median(r.truth.damage for r in of_it if r.truth)
            shown = f"{harm:.2f}" if fault.at == "after" else "-"
            rows.append((f"`{fault.code}`", name.replace("_", " "), shown, *_rates(of_it)))
    return rows_of(("code", "fault", "harm", "audits", "found", "first", "first three"), rows)


def write_charts(records: Sequence[Record], folder: Path) -> str:
    """Writes SVG files; returns Markdown that shows them, as seen from the folder's parent."""
    healthy = [r for r in records if r.is_audit and r.plan.fault is None]
    faulty = [r for r in records if r.is_audit and r.plan.fault is not None]
    spoiled = [r for r in faulty if FAULTS[r.plan.fault or ""].at == "after"]
    by_size = [(size, [r for r in faulty if r.plan.size == size]) for size in SIZES]
    places = [f"{n:,}" for n in ROWS]
    rows = "rows of the validation set"
    found: Callable[[Record], bool] = lambda r: r.is_found  # noqa: E731 - one of several measures
    measures: list[tuple[str, list[Record], Callable[[Record], bool]]] = [
        ("found", faulty, found),
        ("first cause", faulty, lambda r: r.found_in_first(1)),
        ("first three", faulty, lambda r: r.found_in_first(3)),
    ]
    alarms: list[tuple[str, list[Record], Callable[[Record], bool]]] = [
        ("false finding", healthy, lambda r: bool(r.false_findings)),
        ("false cause", healthy, lambda r: bool(r.false_causes)),
    ]
    drawn = {
        "false_alarms": ("Healthy audits with a false alarm", rows, places, _over_rows(alarms)),
        "found_by_size": ("Faults found, by their size", rows, places, _over_rows([(s, r, found) for s, r in by_size])),
        "causes": ("The injected fault in the diagnosis", rows, places, _over_rows(measures)),
        "found_by_harm": (
            "Faults of the data found, by the harm they do",
            "lost balanced accuracy or R2",
            [name for name, _ in DAMAGE],
            _over_damage(spoiled),
        ),
    }
    for name, chart in drawn.items():
        charts.save(folder / f"{name}.svg", *chart)
    return "\n".join(f"![{title}]({folder.name}/{name}.svg)" for name, (title, *_) in drawn.items())


def _over_rows(lines: Sequence[tuple[str, list[Record], Callable[[Record], bool]]]) -> list[charts.Line]:
    return [
        charts.Line(name, [Share.of([said(r) for r in records if _place(r) == n]) for n in ROWS])
        for name, records, said in lines
    ]


def _over_damage(spoiled: list[Record]) -> list[charts.Line]:
    split = (("up to 200 rows", lambda n: n <= 200), ("500 and more", lambda n: n > 200))
    lines = []
    for name, is_in in split:
        of_it = [r for r in spoiled if is_in(r.plan.n_validation)]
        lines.append(
            charts.Line(name, [Share.of([r.is_found for r in of_it if _bin(r) == i]) for i in range(len(DAMAGE))])
        )
    return lines


def _bin(record: Record) -> int:
    damage = record.truth.damage if record.truth else 0.0
    return next(i for i, (_, limit) in enumerate(DAMAGE) if damage < limit)
