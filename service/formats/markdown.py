"""The report as Markdown: short enough for a comment on a pull request, with details that fold.

Texts of models and data are escaped, so that a class named `<script>` or `| x |` is shown as it is.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

from audits.figures.waterfall import VISIBLE, term_name
from schemas.report import Cause, Confirmation, Finding, Gap, Outcome, Remedy, Report, Severity
from service.formats.numbers import NOTHING, bounds, count, estimate, number, percent
from service.formats.words import answer, check_name, metric, outcome_counts, proof_numbers, proof_word, titles, visible

MARKS = {"pass": "✅", "warn": "⚠️", "fail": "❌", "inconclusive": "❔"}
# A comment on GitHub holds 65,536 characters; code of so many columns is better read in the report itself.
MAX_CODE = 4_000
MAX_REASON = 300
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~$&])")


def markdown(report: Report) -> str:
    """The report as GitHub reads Markdown."""
    return "\n".join(_lines(report)).rstrip() + "\n"


def escaped(text: str) -> str:
    """One line in which nothing is markup, and nothing an order to a terminal that shows it."""
    return _SPECIAL.sub(r"\\\1", visible(" ".join(text.split())))


def _lines(report: Report) -> Iterator[str]:
    yield f"## {MARKS[report.verdict]} fitcheck: {report.verdict}"
    yield ""
    sentence, shown_by = answer(report)
    yield f"**{escaped(sentence)}** {escaped(shown_by)}".rstrip()
    yield ""
    yield from metrics_table(report)
    if report.gap is not None:
        yield from _gap(report.gap)
    said: list[Remedy] = []
    named = titles(report)
    for rank, cause in enumerate(report.diagnosis, 1):
        yield from _cause(cause, rank, named.get(cause.code, check_name(cause.code)), said)
        said.append(cause.remedy)
    yield from _others(report)
    yield from _refuted(report)
    yield from _checks(report)
    version = str(report.environment.get("fitcheck", ""))
    yield f"<sub>audit {escaped(report.audit_id)}, fitcheck {escaped(version)}</sub>"


def metrics_table(report: Report) -> Iterator[str]:
    """The metrics that suit the problem, in both splits, with their intervals; nothing where there are none."""
    splits = (report.metrics.train, report.metrics.validation)
    shown = [report.metrics.primary, *report.metrics.recommended]
    rows = [name for name in dict.fromkeys(shown) if any(name in split.values for split in splits)]
    if not rows:
        return
    heads = (f"{name} ({count(split.n)} rows)" for name, split in zip(("training", "validation"), splits, strict=True))
    yield from _table(
        ("", *heads), ((metric(name), *(_cell(*estimate(s.values.get(name))) for s in splits)) for name in rows)
    )


def _cell(value: str, interval: str) -> str:
    return f"{value} ({interval})" if interval else value


def _gap(gap: Gap) -> Iterator[str]:
    terms = [term for term in gap.terms if abs(term.estimate) >= VISIBLE]
    if gap.reference is None or gap.validation is None or not terms:
        return
    yield f"Where the {escaped(metric(gap.metric))} went, from {number(gap.reference)} to {number(gap.validation)}:"
    yield ""
    yield from _table(
        ("part", "lost", "95 % interval"),
        ((term_name(term), number(term.estimate, term.interval), bounds(term.interval) or NOTHING) for term in terms),
    )


def _cause(cause: Cause, rank: int, title: str, said: Sequence[Remedy]) -> Iterator[str]:
    share = cause.share_of_gap
    told = f": {percent(share.estimate)} of the gap" if share is not None and share.estimate is not None else ""
    yield f"### {rank}. {escaped(title)}{told}"
    yield ""
    yield f"`{cause.code}` {escaped(cause.explanation)}"
    yield ""
    if cause.confirmation is not None:
        yield _proof(cause.confirmation)
        yield ""
    yield from _remedy(cause.remedy, said)


def _proof(proof: Confirmation) -> str:
    numbers = ", ".join(f"{escaped(name)} {value}" for name, value in proof_numbers(proof))
    told = f" ({numbers})" if numbers else ""
    return f"**{proof_word(proof).capitalize()}**: {escaped(proof.intervention)}{told}"


def _remedy(remedy: Remedy, said: Sequence[Remedy]) -> Iterator[str]:
    if remedy in said:
        yield f"**Remedy**: the same as for {said.index(remedy) + 1}"
        yield ""
        return
    yield f"**Remedy**: {escaped(remedy.text)}"
    yield ""
    if remedy.code is None:
        return
    yield from _folded("Code", _fenced(remedy.code))


def _fenced(code: str) -> Iterator[str]:
    """A block of code whose fence is longer than any in it."""
    if len(code) > MAX_CODE:
        yield f"The code has {count(len(code))} characters; it stands in the report."
        return
    longest = max((len(run) for run in re.findall(r"`+", code)), default=0)
    fence = "`" * max(3, longest + 1)
    yield f"{fence}python"
    yield code.strip("\n")
    yield fence


def _folded(summary: str, lines: Iterable[str]) -> Iterator[str]:
    yield f"<details><summary>{summary}</summary>"
    yield ""
    yield from lines
    yield ""
    yield "</details>"
    yield ""


def _others(report: Report) -> Iterator[str]:
    causes = {cause.code for cause in report.diagnosis}
    others = [finding for finding in report.findings if finding.code not in causes]
    if others:
        yield "### Also found" if causes else "### Found"
        yield ""
        yield from (_other(finding) for finding in others)
        yield ""


def _other(finding: Finding) -> str:
    severity = f"**{finding.severity.value}** " if finding.severity is not Severity.INFO else ""
    return f"- {severity}{escaped(finding.title)} (`{finding.code}`): {escaped(finding.summary)}"


def _refuted(report: Report) -> Iterator[str]:
    if report.tested_not_a_cause:
        lines = [f"- {check_name(one.code)} (`{one.code}`): {escaped(one.reason)}" for one in report.tested_not_a_cause]
        yield from _folded("Tested, not a cause", lines)


def _checks(report: Report) -> Iterator[str]:
    if not report.checks:
        return
    rows = (
        (
            f"`{check.code}`",
            check.outcome.value.replace("_", " "),
            NOTHING if check.smallest_visible_effect is None else number(check.smallest_visible_effect),
            (check.reason or "")[:MAX_REASON],
        )
        for check in report.checks
        if check.outcome is not Outcome.NOT_APPLICABLE
    )
    yield from _folded(
        f"Checks: {outcome_counts(report.checks)}", _table(("check", "outcome", "would have seen", "reason"), rows)
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(cell if cell.startswith('`') else escaped(cell) for cell in row)} |"
    yield ""
