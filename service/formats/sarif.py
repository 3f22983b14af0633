"""The report as SARIF 2.1.0, which code hosts show beside the code: one rule a check, one result a finding.

A finding lies in a data file or in the model, not in a line of code; its location is the file that it speaks of, and
its logical locations are the columns.

Reference: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from pydantic import JsonValue

from audits.catalogue import entries
from schemas.report import Cause, Finding, Outcome, Report, Severity

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
LEVELS: Mapping[Severity, str] = {Severity.CRITICAL: "error", Severity.WARNING: "warning", Severity.INFO: "note"}
MAX_COLUMNS = 50
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
Part = dict[str, Any]


def sarif(report: Report) -> str:
    """The report as one run of one tool."""
    order = {code: place for place, code in enumerate(_rule_codes(report))}
    run: Part = {
        "tool": {
            "driver": {
                "name": "fitcheck",
                "version": str(report.environment.get("fitcheck") or "0"),
                "rules": [*_rules(order)],
            }
        },
        "automationDetails": {"id": f"fitcheck/{report.audit_id}"},
        "invocations": [{"executionSuccessful": True, "toolExecutionNotifications": [*_crashes(report)]}],
        "columnKind": "unicodeCodePoints",
        "results": [*_results(report, order)],
        "properties": {"verdict": report.verdict, "summary": report.summary},
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2, ensure_ascii=False) + "\n"


def _rule_codes(report: Report) -> list[str]:
    codes = [check.code for check in report.checks] + [finding.code for finding in report.findings]
    return list(dict.fromkeys(codes))


def _rules(order: Mapping[str, int]) -> Iterator[Part]:
    known = {entry.code: entry for entry in entries()}
    for code in order:
        rule: Part = {"id": code}
        entry = known.get(code)
        if entry is not None:
            rule |= {
                "name": "".join(word.capitalize() for word in code.rpartition(".")[2].split("_")),
                "shortDescription": {"text": entry.title},
                "fullDescription": {"text": entry.measures},
                "help": {"text": f"{entry.why}\n\n{entry.fix}"},
                "properties": {"tags": [code.partition(".")[0]]},
            }
        yield rule


def _results(report: Report, order: Mapping[str, int]) -> Iterator[Part]:
    causes = {cause.code: (rank, cause) for rank, cause in enumerate(report.diagnosis, 1)}
    for finding in report.findings:
        rank, cause = causes.get(finding.code, (None, None))
        yield {
            "ruleId": finding.code,
            "ruleIndex": order[finding.code],
            "level": LEVELS[finding.severity],
            "message": {"text": f"{finding.title}. {cause.explanation if cause else finding.summary}"},
            "locations": [_location(report, finding)],
            # the same finding about the same files is the same alert, whatever its numbers
            "partialFingerprints": {"finding/v1": _fingerprint(report, finding)},
            "properties": _properties(finding, rank, cause),
        }


def _properties(finding: Finding, rank: int | None, cause: Cause | None) -> Part:
    told: Part = {"remedy": finding.remedy.text, "rows": finding.n}
    if finding.effect is not None:
        told["effect"] = finding.effect.model_dump()
    if cause is not None:
        told["diagnosisRank"] = rank
        if cause.share_of_gap is not None:
            told["shareOfGap"] = cause.share_of_gap.model_dump()
        if cause.confirmation is not None:
            told["confirmed"] = cause.confirmation.confirmed
    return told


def _location(report: Report, finding: Finding) -> Part:
    place: Part = {"physicalLocation": {"artifactLocation": {"uri": _artifact(report, finding)}}}
    columns = finding.affected.columns[:MAX_COLUMNS]
    if columns:
        place["logicalLocations"] = [{"name": column, "kind": "column"} for column in columns]
    return place


def _artifact(report: Report, finding: Finding) -> str:
    """The validation file, or the training file where the finding speaks of that one; the model without either."""
    split = "train" if finding.family == "overfitting" else finding.affected.split
    section = report.data.get(split)
    files = section.get("files") if isinstance(section, dict) else None
    first: JsonValue = files[0] if isinstance(files, list) and files else None
    return _uri(str(first)) if first else "model"


def _uri(file: str) -> str:
    if _SCHEME.match(file):
        return quote(file, safe=":/?&=%+,;@~")
    if file.startswith("/"):
        return f"file://{quote(str(PurePosixPath(file)))}"
    return quote(file)


def _fingerprint(report: Report, finding: Finding) -> str:
    return hashlib.sha256(f"{finding.code}\n{_artifact(report, finding)}".encode()).hexdigest()


def _crashes(report: Report) -> Iterator[Part]:
    for check in report.checks:
        if check.outcome is Outcome.ERROR:
            text = check.reason or "the check crashed"
            yield {"level": "error", "message": {"text": text}, "associatedRule": {"id": check.code}}
