"""The rows that findings name, as CSV: to filter the data by them, or to look at them one by one."""

import csv
import io
from collections.abc import Iterator

from schemas.report import Report

HEAD = ("split", "row", "code", "severity", "reason")
# Spreadsheets take a cell that begins so for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def rows_csv(report: Report) -> str:
    """One line a row and finding; rows are counted from 0, in the split that is named."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(HEAD)
    writer.writerows(sorted(_flagged(report)))
    return text.getvalue()


def _flagged(report: Report) -> Iterator[tuple[str, int, str, str, str]]:
    for finding in report.findings:
        for row in finding.affected.rows:
            yield finding.affected.split, row, finding.code, finding.severity.value, _plain(finding.title)


def _plain(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text
