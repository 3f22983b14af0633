"""The page of one report: what it shows, in the order in which it is read."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from pydantic import JsonValue

from schemas.report import (
    Cause,
    ClassMetrics,
    Confirmation,
    Estimate,
    Figure,
    Finding,
    Gap,
    Outcome,
    Remedy,
    Report,
    Severity,
    SplitMetrics,
    TestedRepair,
)
from service.formats.numbers import NOTHING, count, effect, estimate, number, percent
from service.formats.words import (
    VERDICTS,
    answer,
    check_name,
    metric,
    outcome_counts,
    proof_numbers,
    proof_word,
    titles,
)
from service.pages.facts import facts, plural, told
from service.pages.rendering import DRAWING, Page, render

MAX_TABLE_ROWS = 100
MAX_CLASSES = 50
MAX_COLUMNS = 1_500
MAX_NAMED = 12
MAX_NAME = 120
# Of all figures and all code together, in characters; those of the first findings say most, the JSON has all.
MAX_FIGURES, MAX_SPECIFICATIONS = 30, 400_000
MAX_CODE = 200_000
Context = dict[str, Any]
# Facts that stand elsewhere on the page, or are numbers for programs.
ELSEWHERE = {"columns", "mapping", "changed_by_cast", "weights", "weights_note", "metrics"}


def report_page(report: Report, site: Context | None = None) -> Page:
    """The report as one HTML file that needs nothing else; with `site`, as one of the service's pages."""
    return render("report.html", _context(report), scripts=DRAWING, site=site)


def _context(report: Report) -> Context:
    figures, codes = _Figures(), _Codes()
    said, shown_by = answer(report)
    waterfall = next((one for one in report.figures if one.kind == "waterfall"), None)
    shown: Context = {
        "audit_id": report.audit_id,
        "answer": said,
        "shown_by": shown_by,
        "verdict": {"word": report.verdict, "kind": report.verdict, "meaning": VERDICTS[report.verdict]},
        "headline": [*_headline(report)],
        "waterfall": None if waterfall is None else figures.one(waterfall),
        "gap_words": _gap_words(report.gap) if report.gap else "",
        "causes": _causes(report, figures, codes),
        "findings": _other_findings(report, figures, codes),
        "metrics": _metrics(report),
        "figures": figures.all([one for one in report.figures if one is not waterfall]),
        "refuted": [_refuted(one) for one in report.tested_not_a_cause],
        "checks": _checks(report),
        "about": [*_about(report)],
        "columns": _columns(report.data),
        "version": report.environment.get("fitcheck", ""),
    }
    shown["contents"] = [*_contents(shown)]
    return shown


def _contents(shown: Context) -> Iterator[tuple[str, str]]:
    for part, id_, name in (
        ("causes", "causes", "Why"),
        ("findings", "findings", "Also found"),
        ("metrics", "metrics", "Metrics"),
        ("checks", "checks", "Checks"),
        ("about", "about", "What was audited"),
    ):
        if shown[part]:
            yield id_, name


def _headline(report: Report) -> Iterator[tuple[str, str, str]]:
    """The numbers of the answer: name, value, note."""
    primary = report.metrics.primary
    for name, split in (("training", report.metrics.train), ("validation", report.metrics.validation)):
        value, interval = estimate(split.values.get(primary))
        if value != NOTHING:
            yield f"{metric(primary)}, {name}", value, f"{interval}, {count(split.n)} rows" if interval else ""
    gap = report.gap
    if gap is not None and gap.unexplained_share is not None:
        yield (
            "of the gap explained",
            percent(1 - gap.unexplained_share),
            f"{percent(gap.unexplained_share)} unexplained",
        )
    loud = [one for one in report.findings if one.severity is not Severity.INFO]
    if report.checks:
        yield "checks", count(len(report.checks)), plural(len(loud), "finding")


def _gap_words(gap: Gap) -> str:
    text = (
        f"From the {metric(gap.metric)} that training promised to the one that validation delivers. The parts add up; "
        "a blue part hides some of the gap."
    )
    if gap.interaction is not None and gap.interaction.estimate is not None:
        value, interval = estimate(gap.interaction)
        text += f" The repairs interact: together they gain {value} more than each alone ({interval})."
    return text


class _Codes:
    """Code of remedies, so much and no more."""

    def __init__(self) -> None:
        self._left = MAX_CODE

    def text(self, remedy: Remedy) -> str:
        code = (remedy.code or "").strip()
        if len(code) > self._left:
            return f"# {count(len(code))} characters, which the JSON report holds"
        self._left -= len(code)
        return code


class _Figures:
    """Figures with an id each, so many and no more."""

    def __init__(self) -> None:
        self._count = 0
        self._left = MAX_SPECIFICATIONS

    def all(self, figures: Sequence[Figure]) -> list[Context]:
        return [self.one(one) for one in figures if self._fits(one)]

    def _fits(self, figure: Figure) -> bool:
        return self._count < MAX_FIGURES and len(str(figure.vega_lite)) <= self._left

    def one(self, figure: Figure) -> Context:
        self._count += 1
        self._left -= len(str(figure.vega_lite))
        rows = _values(figure)
        columns = list(dict.fromkeys(name for row in rows for name in row if name != "image"))
        return {
            "id": f"figure-{self._count}",
            "title": figure.title,
            "alternative": figure.alternative or figure.title,
            "spec": figure.vega_lite,
            "columns": columns,
            "rows": [[told(row.get(name)) for name in columns] for row in rows[:MAX_TABLE_ROWS]],
            "more": max(0, len(rows) - MAX_TABLE_ROWS),
        }


def _values(figure: Figure) -> list[dict[str, Any]]:
    """The rows that the figure draws."""
    data = figure.vega_lite.get("data")
    values = data.get("values") if isinstance(data, dict) else None
    return [row for row in values if isinstance(row, dict)] if isinstance(values, list) else []


def _causes(report: Report, figures: _Figures, codes: _Codes) -> list[Context]:
    found = {finding.code: finding for finding in report.findings}
    said: list[Remedy] = []
    shown = []
    for rank, cause in enumerate(report.diagnosis, 1):
        one = _cause(cause, rank, found.get(cause.code), figures)
        # the answer on top of the page says it already
        repeated = report.summary.startswith(cause.explanation)
        shown.append(one | _remedy(cause.remedy, said, codes) | ({"explanation": ""} if repeated else {}))
        said.append(cause.remedy)
    return shown


def _cause(cause: Cause, rank: int, finding: Finding | None, figures: _Figures) -> Context:
    share = cause.share_of_gap
    known = share is not None and share.estimate is not None
    return {
        "id": f"cause-{rank}",
        "rank": rank,
        "code": cause.code,
        "title": finding.title if finding else check_name(cause.code),
        "severity": finding.severity.value if finding else "",
        "share": percent(cast(float, cast(Estimate, share).estimate)) if known else "",
        "share_interval": _percents(cast(Estimate, share)) if known else "",
        "explanation": cause.explanation,
        "proof": _proof(cause.confirmation) if cause.confirmation else None,
        "figures": figures.all(finding.figures) if finding else [],
        "affected": _affected(finding) if finding else "",
        "evidence": _evidence(finding) if finding else None,
    }


def _percents(share: Estimate) -> str:
    return "" if share.interval is None else f"{percent(share.interval[0])} to {percent(share.interval[1])}"


def _proof(proof: Confirmation) -> Context:
    return {
        "confirmed": proof.confirmed,
        "word": proof_word(proof),
        "intervention": proof.intervention,
        "numbers": proof_numbers(proof),
    }


def _remedy(remedy: Remedy, said: Sequence[Remedy], codes: _Codes) -> Context:
    if remedy in said:
        return {"same_remedy": f"The same as for {said.index(remedy) + 1}."}
    return {"same_remedy": "", "remedy": remedy.text, "remedy_code": codes.text(remedy)}


def _affected(finding: Finding) -> str:
    """Columns and rows, as far as they can be read."""
    affected, parts = finding.affected, []
    split = {"train": "Training", "validation": "Validation"}[affected.split]
    if affected.columns:
        parts.append(f"Columns: {_listed(affected.columns)}.")
    if affected.rows:
        parts.append(f"{split} rows, counted from 0: {_listed([str(row) for row in affected.rows])}.")
    return " ".join(parts)


def _listed(names: Sequence[str]) -> str:
    more = len(names) - MAX_NAMED
    return ", ".join(names[:MAX_NAMED]) + (f" and {more} more" if more > 0 else "")


def _evidence(finding: Finding) -> Context | None:
    measured: dict[str, JsonValue] = {}
    if finding.effect is not None:
        measured["measured"] = effect(finding.effect)
    if finding.p_value is not None:
        measured["p"] = number(finding.p_value)
    if finding.q_value is not None:
        measured["q (after multiplicity)"] = number(finding.q_value)
    measured["rows"] = finding.n
    return facts(measured | finding.evidence, "Evidence")


def _other_findings(report: Report, figures: _Figures, codes: _Codes) -> list[Context]:
    causes = {cause.code for cause in report.diagnosis}
    said = [cause.remedy for cause in report.diagnosis]
    return [
        {
            "id": f"finding-{place}",
            "code": finding.code,
            "title": finding.title,
            "severity": finding.severity.value,
            "explanation": finding.summary,
            "figures": figures.all(finding.figures),
            "affected": _affected(finding),
            "evidence": _evidence(finding),
            **_remedy(finding.remedy, said, codes),
        }
        for place, finding in enumerate((one for one in report.findings if one.code not in causes), 1)
    ]


def _metrics(report: Report) -> Context:
    splits = (report.metrics.train, report.metrics.validation)
    names = dict.fromkeys([report.metrics.primary, *(name for split in splits for name in split.values)])
    return {
        "train_rows": count(splits[0].n),
        "validation_rows": count(splits[1].n),
        "rows": [
            {
                "name": metric(name),
                "primary": name == report.metrics.primary,
                "cells": [estimate(split.values.get(name)) for split in splits],
            }
            for name in names
            if any(name in split.values for split in splits)
        ],
        "recommendations": [(metric(one.name), one.reason) for one in report.metrics.recommendations],
        "classes": [
            _classes(name, split)
            for name, split in (("validation", splits[1]), ("training", splits[0]))
            if split.per_class
        ],
    }


def _classes(name: str, split: SplitMetrics) -> Context:
    return {
        "split": name,
        "rows": [_class(one) for one in split.per_class[:MAX_CLASSES]],
        "more": max(0, len(split.per_class) - MAX_CLASSES),
    }


def _class(one: ClassMetrics) -> Context:
    return {
        "label": one.label,
        "precision": estimate(one.precision),
        "recall": estimate(one.recall),
        "f1": number(one.f1),
        "rows": count(one.support),
    }


def _refuted(one: TestedRepair) -> Context:
    numbers = "; ".join(f"{name} {value}" for name, value in proof_numbers(one.confirmation))
    return {
        "code": one.code,
        "title": check_name(one.code),
        "reason": one.reason,
        "tried": f"Tried: {one.confirmation.intervention} ({numbers}).",
    }


def _checks(report: Report) -> Context:
    kinds = {Outcome.PASS: "pass", Outcome.FAIL: "fail", Outcome.ERROR: "error"}
    named = titles(report)
    order = [Outcome.FAIL, Outcome.ERROR, Outcome.INCONCLUSIVE, Outcome.PASS, Outcome.NOT_APPLICABLE]
    return {
        "counts": outcome_counts(report.checks),
        "rows": [
            {
                "code": check.code,
                "name": check_name(check.code),
                "outcome": check.outcome.value.replace("_", " "),
                "kind": kinds.get(check.outcome, ""),
                "smallest": "" if check.smallest_visible_effect is None else number(check.smallest_visible_effect),
                "reason": check.reason or (named.get(check.code, "") if check.outcome is Outcome.FAIL else ""),
            }
            for check in sorted(report.checks, key=lambda one: order.index(one.outcome))
        ],
    }


def _about(report: Report) -> Iterator[tuple[str, Context]]:
    data = report.data
    if report.model:
        yield "Model", facts(_without(report.model), "Model")
    for name in ("train", "validation"):
        section = data.get(name)
        if isinstance(section, dict):
            yield f"{'Training' if name == 'train' else 'Validation'} data", facts(_without(section), f"Data: {name}")
    rest = {name: value for name, value in _without(data).items() if name not in {"train", "validation"}}
    if rest:
        yield "Method", facts(rest, "Method")
    if report.history is not None:
        yield "History", facts(_without(report.history), "History")
    if report.environment:
        yield "Environment", facts(report.environment, "Environment")


def _without(section: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """The section without what is shown elsewhere, and without what is empty."""
    kept: dict[str, JsonValue] = {}
    for name, value in section.items():
        inner: JsonValue = _without(value) if isinstance(value, dict) else value
        if name not in ELSEWHERE and inner not in (None, [], {}, ""):
            kept[name] = inner
    return kept


def _columns(data: Mapping[str, JsonValue]) -> Context:
    """Every column: what it is in each split, and where it goes."""
    kinds = {split: _kinds(data.get(split)) for split in ("train", "validation")}
    sent = _inputs(data.get("mapping"))
    names = list(dict.fromkeys([*kinds["train"], *kinds["validation"]]))
    return {
        "names": ["column", "in training", "in validation", "fed to", "as"],
        "count": len(names),
        "rows": [
            [name[:MAX_NAME], *(kinds[split].get(name, "absent") for split in kinds), *sent.get(name, ("not used", ""))]
            for name in names[:MAX_COLUMNS]
        ],
        "more": max(0, len(names) - MAX_COLUMNS),
    }


def _kinds(section: JsonValue) -> dict[str, str]:
    """Column -> its type, of one split."""
    columns = section.get("columns") if isinstance(section, dict) else None
    if not isinstance(columns, list):
        return {}
    return {str(one.get("name")): str(one.get("kind", "")) for one in columns if isinstance(one, dict)}


def _inputs(mapping: JsonValue) -> dict[str, tuple[str, str]]:
    """Column -> the model's input that it goes to, and the type that it is sent as."""
    inputs = mapping.get("inputs") if isinstance(mapping, dict) else None
    found: dict[str, tuple[str, str]] = {}
    for one in inputs if isinstance(inputs, list) else ():
        columns = one.get("columns") if isinstance(one, dict) else None
        if isinstance(one, dict) and isinstance(columns, list):
            place = len(columns) > 1
            for index, name in enumerate(columns):
                fed = f"{one.get('input')}[{index}]" if place else str(one.get("input"))
                found[str(name)] = (fed, str(one.get("sent_as") or ""))
    return found
