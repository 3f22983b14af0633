"""The report as JUnit XML, which every continuous integration shows: one test case a check, by family.

An observation (severity info) is no failure of the build; it is told in the output of its case.
"""

import re
from collections import Counter
from itertools import groupby
from xml.etree import ElementTree as ET

from schemas.report import CheckRecord, Finding, Outcome, Report, Severity

# XML 1.0 knows no such characters, not even escaped.
_UNKNOWN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(report: Report) -> str:
    """The report as one `testsuites` document."""
    root = ET.Element("testsuites", name="fitcheck")
    findings = {finding.code: finding for finding in report.findings}
    families = groupby(sorted(report.checks, key=_family), _family)
    totals: Counter[str] = Counter()
    for family, checks in families:
        totals += _suite(root, family, list(checks), findings, report)
    for name in ("tests", "failures", "errors", "skipped"):
        root.set(name, str(totals[name]))
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _family(check: CheckRecord) -> str:
    return check.code.partition(".")[0]


def _suite(
    root: ET.Element, family: str, checks: list[CheckRecord], findings: dict[str, Finding], report: Report
) -> Counter[str]:
    suite = ET.SubElement(root, "testsuite", name=f"fitcheck.{family}")
    properties = ET.SubElement(suite, "properties")
    for name, value in (("audit_id", report.audit_id), ("verdict", report.verdict), ("summary", report.summary)):
        ET.SubElement(properties, "property", name=name, value=_text(value))
    counts: Counter[str] = Counter(tests=len(checks))
    for check in checks:
        counts[_case(suite, check, findings.get(check.code))] += 1
    for name in ("tests", "failures", "errors", "skipped"):
        suite.set(name, str(counts[name]))
    suite.set("time", f"{sum(check.seconds for check in checks):.4f}")
    return counts


def _case(suite: ET.Element, check: CheckRecord, finding: Finding | None) -> str:
    """Adds the case; in which total it counts."""
    family, _, name = check.code.partition(".")
    case = ET.SubElement(
        suite, "testcase", classname=f"fitcheck.{family}", name=name or check.code, time=f"{check.seconds:.4f}"
    )
    reason = _text(check.reason or "")
    if check.outcome is Outcome.ERROR:
        ET.SubElement(case, "error", message=reason, type=check.code)
        return "errors"
    if check.outcome in {Outcome.INCONCLUSIVE, Outcome.NOT_APPLICABLE}:
        words = check.outcome.value.replace("_", " ")
        ET.SubElement(case, "skipped", message=f"{words}: {reason}")
        return "skipped"
    if check.outcome is Outcome.FAIL and finding is not None and finding.severity is not Severity.INFO:
        failure = ET.SubElement(case, "failure", message=_text(finding.title), type=finding.severity.value)
        failure.text = _text(f"{finding.summary}\n\n{finding.remedy.text}")
        return "failures"
    told = finding.summary if finding is not None else reason
    if told:
        ET.SubElement(case, "system-out").text = _text(told)
    return "passed"


def _text(text: str) -> str:
    return _UNKNOWN.sub("\N{REPLACEMENT CHARACTER}", text)
