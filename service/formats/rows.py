"""The rows that findings name, with the reasons: to filter the data by them, or to look at them one by one."""

import csv
import io
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.report import Report

HEAD = ("split", "row", "code", "severity", "reason")
# Spreadsheets take a cell that begins so for a formula; some read the wide forms of the signs alike.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_SCHEMA = pa.schema([(name, pa.int64() if name == "row" else pa.string()) for name in HEAD])
Row = tuple[str, int, str, str, str]


def rows_csv(report: Report) -> str:
    """One line a row and finding; rows are counted from 0, in the split that is named."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(HEAD)
    writer.writerows((*told, _plain(reason)) for *told, reason in _flagged(report))
    return text.getvalue()


def rows_parquet(report: Report) -> bytes:
    """The same as a Parquet file, its texts as they are."""
    rows = _flagged(report)
    columns = [pa.array([row[place] for row in rows], field.type) for place, field in enumerate(_SCHEMA)]
    table = pa.Table.from_arrays(columns, schema=_SCHEMA)
    file = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({"fitcheck.audit_id": report.audit_id}), file)
    return file.getvalue()


def _flagged(report: Report) -> list[Row]:
    return sorted(_named(report))


def _named(report: Report) -> Iterator[Row]:
    for finding in report.findings:
        for row in finding.affected.rows:
            yield finding.affected.split, row, finding.code, finding.severity.value, finding.title


def _plain(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text
