"""A report as coloured text for a terminal. Colours follow rich's rules: none off a terminal or with NO_COLOR."""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from pydantic_core import to_json
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from schemas.base import Interval
from schemas.catalogue import CatalogueEntry
from schemas.comparison import ComparedFinding, ComparedMetric, Comparison
from schemas.job import Job
from schemas.problem import Problem
from schemas.report import (
    Cause,
    CheckRecord,
    Confirmation,
    Estimate,
    Finding,
    Gap,
    Metrics,
    Outcome,
    Remedy,
    Report,
    Severity,
)
from service.access.keys import AccessKey
from service.cli.printable import printable
from service.formats.comparison import METRIC_WORDS, compared_effects, compared_pair, compared_word
from service.formats.words import metric as metric_name

VERDICT_STYLES = {"pass": "bold white on green", "warn": "bold black on yellow", "fail": "bold white on red"}
VERDICT_STYLES["inconclusive"] = "bold black on cyan"
SEVERITY_STYLES = {Severity.CRITICAL: "bold red", Severity.WARNING: "yellow", Severity.INFO: "cyan"}
STATUS_STYLES = {"succeeded": "green", "failed": "red", "running": "cyan", "queued": "dim", "cancelled": "yellow"}
CHANGE_STYLES = {
    "new": "bold red",
    "not_tested_before": "red",
    "remaining": "yellow",
    "unanswered": "dim",
    "mended": "green",
}
UNANSWERED = (Outcome.INCONCLUSIVE, Outcome.ERROR)
MAX_CLASSES = 20
INDENT = 4
VISIBLE = 0.0005  # what three decimals can show


def print_json(what: object) -> None:
    """Print anything of ours as JSON, to standard output."""
    sys.stdout.write(to_json(what, indent=2).decode() + "\n")


def render_report(report: Report, console: Console) -> None:
    """Print the whole report: the verdict and its sentence first, what to do about it next, the numbers last."""
    report = printable(report)
    console.print()
    console.print(_headline(report))
    for part in (_diagnosis(report), _findings(report), _metrics(report.metrics), _checks(report.checks)):
        for renderable in part:
            console.print(renderable)
    console.print()


def render_problem(problem: Problem, console: Console) -> None:
    """Print why something was refused or failed, and where it lies."""
    problem = printable(problem)
    console.print(Text.assemble(("error", "bold red"), f": {problem.detail}", (f"  [{problem.code}]", "dim")))
    for error in problem.errors or ():
        console.print(Text.assemble("  ", (error.field, "bold"), f": {error.detail}"))
    places = {
        "field": problem.field,
        "file": problem.file,
        "row": problem.row,
        "column": problem.column,
        "op": problem.op,
    }
    located = [f"{name} {value}" for name, value in places.items() if value is not None]
    if located and not problem.errors:
        console.print(Text("  " + ", ".join(located), "dim"))


def render_comparison(comparison: Comparison, console: Console) -> None:
    """Print what a change of the model or its data did: findings first, then every metric of both splits."""
    comparison = printable(comparison)
    verdicts = (comparison.verdict_before, comparison.verdict_after)
    told = Text(" → ").join(Text(f" {one.upper()} ", VERDICT_STYLES[one]) for one in verdicts)
    console.print(Text.assemble(told, "  ", (comparison.summary, "bold")))
    for note in comparison.notes:
        console.print(Text(f"  {note}", "yellow"))
    for part in (_compared_findings(comparison.findings), _compared_metrics(comparison.metrics)):
        if part.row_count:
            console.print(Padding(part, (1, 0, 0, 2)))


def _compared_findings(findings: Sequence[ComparedFinding]) -> Table:
    table = Table.grid(padding=(0, 2))
    for one in findings:
        name = Text.assemble(one.title, "\n", (one.code, "dim"))
        table.add_row(Text(compared_word(one), CHANGE_STYLES[one.change]), name, compared_effects(one))
    return table


def _compared_metrics(metrics: Sequence[ComparedMetric]) -> Table:
    table = Table(box=None, padding=(0, 2), header_style="dim")
    for name in ("metric", "split", "before", "after", ""):
        table.add_column(name)
    for one in metrics:
        cells = [
            " ".join(filter(None, (value, interval and f"({interval})"))) for value, interval in compared_pair(one)
        ]
        table.add_row(
            metric_name(one.name), one.split, *cells, METRIC_WORDS[one.change], style="bold" if one.is_primary else ""
        )
    return table


def render_job(job: Job, console: Console) -> None:
    """Print where one audit stands."""
    job = printable(job)
    console.print(Text.assemble((job.id, "bold"), "  ", (job.status, STATUS_STYLES[job.status])))
    grid = Table.grid(padding=(0, 2))
    if job.status == "running":
        grid.add_row(
            "progress", f"{job.progress.fraction:.0%} {job.progress.stage} {job.progress.detail or ''}".rstrip()
        )
    if job.verdict:
        grid.add_row("verdict", Text(job.verdict, VERDICT_STYLES[job.verdict]))
    for name, moment in (("created", job.created_at), ("started", job.started_at), ("finished", job.finished_at)):
        if moment:
            grid.add_row(name, f"{moment:%Y-%m-%d %H:%M:%S} UTC")
    for key, value in job.tags.items():
        grid.add_row("tag", Text(f"{key}:{value}"))
    console.print(Padding(grid, (0, 0, 0, 2)))
    if job.error:
        render_problem(job.error, console)


def render_jobs(jobs: Sequence[Job], console: Console) -> None:
    """Print audits, one a line."""
    jobs = [printable(one) for one in jobs]
    table = _plain_table()
    for name in ("id", "status", "verdict", "created (UTC)", "tags"):
        table.add_column(name, no_wrap=name == "id")
    for job in jobs:
        verdict = Text(job.verdict or "-", VERDICT_STYLES.get(job.verdict or "", ""))
        tags = Text(" ".join(f"{key}:{value}" for key, value in job.tags.items()))
        status = Text(job.status, STATUS_STYLES[job.status])
        table.add_row(Text(job.id), status, verdict, f"{job.created_at:%Y-%m-%d %H:%M:%S}", tags)
    console.print(table if jobs else Text("No audits.", "dim"))


def render_keys(keys: Sequence[AccessKey], console: Console) -> None:
    """Print access keys, one a line."""
    table = _plain_table()
    for name in ("id", "caller", "scopes", "state", "created (UTC)", "last used", "note"):
        table.add_column(name, no_wrap=name == "id")
    now = datetime.now(UTC)
    for key in keys:
        state = "revoked" if key.revoked_at else _expiry(key.expires_at, now)
        used = f"{key.last_used_at:%Y-%m-%d %H:%M}" if key.last_used_at else "never"
        created = f"{key.created_at:%Y-%m-%d %H:%M}"
        table.add_row(*map(Text, (key.id, key.caller, " ".join(key.scopes), state, created, used, key.note or "")))
    console.print(table if keys else Text("No keys.", "dim"))


def _expiry(expires_at: datetime | None, now: datetime) -> str:
    if expires_at is None:
        return "valid"
    return "expired" if expires_at <= now else f"until {expires_at:%Y-%m-%d %H:%M}"


def render_catalogue(entries: Sequence[CatalogueEntry], console: Console) -> None:
    """Print all findings, one a line."""
    table = _plain_table(show_header=False)
    table.add_column(no_wrap=True)
    table.add_column()
    for entry in entries:
        table.add_row(Text(entry.code, "cyan"), Text(entry.title))
    console.print(table)


def render_entry(entry: CatalogueEntry, console: Console) -> None:
    """Print the documentation of one finding."""
    console.print(Text(entry.code, "bold cyan"))
    console.print(Text(entry.title, "bold"))
    parts = {
        "What it measures": entry.measures,
        "Why it matters": entry.why,
        "When it is inconclusive": entry.inconclusive,
        "How to fix": entry.fix,
        "Reference": entry.reference,
    }
    for heading, text in parts.items():
        console.print()
        console.print(Text(heading, "bold"))
        console.print(Padding(Text(text), (0, 0, 0, 2)))
    if entry.limits:
        console.print()
        console.print(Text("Limits", "bold"))
        table = _plain_table()
        for name in ("name", "default", "meaning"):
            table.add_column(name)
        for limit in entry.limits:
            table.add_row(limit.name, str(limit.default), Text(limit.description or ""))
        console.print(Padding(table, (0, 0, 0, 2)))


def _headline(report: Report) -> RenderableType:
    verdict = Text(f" {report.verdict.upper()} ", VERDICT_STYLES[report.verdict])
    return Group(Text.assemble(verdict, "  ", Text(report.summary, "bold")))


def _heading(title: str) -> Iterator[RenderableType]:
    yield Text()
    yield Rule(Text(title, "bold"), align="left", style="dim")


def _diagnosis(report: Report) -> Iterator[RenderableType]:
    if report.diagnosis:
        yield from _heading("Why, most likely cause first")
    said: list[Remedy] = []
    for rank, cause in enumerate(report.diagnosis, 1):
        yield Text.assemble((f"{rank:>2}  ", "bold"), (cause.code, "bold cyan"), _share(cause))
        yield _indented(Text(cause.explanation))
        if cause.confirmation:
            yield _indented(_proof(cause.confirmation))
        yield _indented(_remedy(cause.remedy, said))
        said.append(cause.remedy)
    if report.diagnosis and report.gap:
        yield from _unexplained(report.gap)


def _share(cause: Cause) -> Text:
    if cause.share_of_gap is None or cause.share_of_gap.estimate is None:
        return Text()
    interval = cause.share_of_gap.interval
    bounds = f" ({interval[0]:.0%} to {interval[1]:.0%})" if interval else ""
    return Text(f"  explains {cause.share_of_gap.estimate:.0%} of the gap{bounds}", "dim")


def _proof(proof: Confirmation) -> Text:
    """What was repaired, and what came back."""
    label = ("Confirmed ", "bold green") if proof.confirmed else ("Not confirmed ", "bold yellow")
    if proof.by_exclusion:
        return Text.assemble(label, ("by exclusion: ", ""), proof.intervention)
    details = [f"gain {_bounds(proof.gain_interval)}"] if proof.gain_interval else []
    if proof.placebo_gain is not None:
        details.append(f"best placebo {proof.placebo_gain:+.2f}")
    if proof.n is not None:
        details.append(f"{proof.n:,} rows")
    numbers = (f"{metric_name(proof.metric)} {_number(proof.before)} -> {_number(proof.after)}", "bold")
    return Text.assemble(label, numbers, (f" ({', '.join(details)})" if details else ""), f": {proof.intervention}")


def _remedy(remedy: Remedy, said: Sequence[Remedy]) -> RenderableType:
    """The remedy with its code, or the rank of the cause that has the same."""
    if remedy in said:
        return Text.assemble(("Remedy ", "bold"), f"the same as for {said.index(remedy) + 1}")
    text = Text.assemble(("Remedy ", "bold"), remedy.text)
    if remedy.code is None:
        return text
    code = Syntax(remedy.code.strip(), "python", background_color="default", word_wrap=True)
    return Group(text, Padding(code, (0, 0, 0, 2)))


def _unexplained(gap: Gap) -> Iterator[RenderableType]:
    if gap.unexplained is None or abs(gap.unexplained) < VISIBLE:
        return
    share = f" ({gap.unexplained_share:.0%} of the gap)" if gap.unexplained_share is not None else ""
    yield _indented(Text(f"Unexplained: {gap.unexplained:+.3f} {metric_name(gap.metric)}{share}", "dim"))


def _findings(report: Report) -> Iterator[RenderableType]:
    """What the diagnosis has not said already."""
    causes = {cause.code for cause in report.diagnosis}
    others = [finding for finding in report.findings if finding.code not in causes]
    if others:
        yield from _heading("Also found" if causes else "Found")
    for finding in others:
        yield from _finding(finding)
    if report.tested_not_a_cause:
        yield from _heading("Tested, and not the cause")
    for repair in report.tested_not_a_cause:
        yield Text.assemble("  ", (repair.code, "cyan"), f"  {repair.reason}")


def _finding(finding: Finding) -> Iterator[RenderableType]:
    severity = (f"{finding.severity.value:<9}", SEVERITY_STYLES[finding.severity])
    yield Text.assemble("  ", severity, (finding.code, "cyan"), f"  {finding.title}")
    yield _indented(Text(finding.summary))
    # Its code stands in the report; here it would bury the causes.
    where = "" if finding.remedy.code is None else " (The code stands in the report that --output or --html writes.)"
    yield _indented(Text.assemble(("Remedy ", "bold"), finding.remedy.text, (where, "dim")))


def _metrics(metrics: Metrics) -> Iterator[RenderableType]:
    if not metrics.train.values and not metrics.validation.values:
        return
    yield from _heading("Metrics, with 95 % intervals")
    table = _plain_table()
    table.add_column("")
    table.add_column(f"train (n={metrics.train.n:,})")
    table.add_column(f"validation (n={metrics.validation.n:,})")
    for name in dict.fromkeys((*metrics.validation.values, *metrics.train.values)):
        style = "bold" if name == metrics.primary or name in metrics.recommended else ""
        cells = [_estimate(split.values.get(name)) for split in (metrics.train, metrics.validation)]
        table.add_row(metric_name(name), *cells, style=style)
    yield Padding(table, (0, 0, 0, 2))
    yield from _classes(metrics)


def _classes(metrics: Metrics) -> Iterator[RenderableType]:
    """The classification report of both splits."""
    for title, split in (("train", metrics.train), ("validation", metrics.validation)):
        if not split.per_class:
            continue
        table = _plain_table()
        for name in (f"{title}, by class", "precision", "recall", "f1", "rows"):
            table.add_column(name)
        for row in split.per_class[:MAX_CLASSES]:
            cells = (_estimate(row.precision), _estimate(row.recall), _number(row.f1), f"{row.support:,}")
            table.add_row(Text(row.label), *cells)
        yield Text()
        yield Padding(table, (0, 0, 0, 2))
        if len(split.per_class) > MAX_CLASSES:
            yield Text(f"  and {len(split.per_class) - MAX_CLASSES} more classes", "dim")


def _checks(checks: Sequence[CheckRecord]) -> Iterator[RenderableType]:
    if not checks:
        return
    yield from _heading("Checks")
    counts = Counter(check.outcome for check in checks)
    words = [f"{counts[outcome]} {outcome.value.replace('_', ' ')}" for outcome in Outcome if counts[outcome]]
    yield Text("  " + ", ".join(words))
    for check in checks:
        if check.outcome in UNANSWERED:
            yield Text(f"  {check.outcome.value}: {check.code}: {check.reason or 'no reason given'}", "dim")


def _plain_table(*, show_header: bool = True) -> Table:
    return Table(box=None, pad_edge=False, show_header=show_header, header_style="dim", padding=(0, 2, 0, 0))


def _indented(renderable: RenderableType) -> Padding:
    return Padding(renderable, (0, 0, 0, INDENT))


def _estimate(value: Estimate | None) -> str:
    if value is None or value.estimate is None:
        return "-"
    if value.interval is None:
        return _number(value.estimate)
    return f"{_number(value.estimate)} [{_number(value.interval[0])}, {_number(value.interval[1])}]"


def _bounds(interval: Interval) -> str:
    return f"{_number(interval[0])} to {_number(interval[1])}"


def _number(value: float | None) -> str:
    """Three decimals for what lies near 1, four significant digits for what does not."""
    if value is None:
        return "-"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.4g}"
