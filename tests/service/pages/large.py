"""A report over a thousand columns with long names, as large as one gets."""

from schemas.report import CheckRecord, Outcome, Report
from tests.audits.figures.cases import CASES, figures_of
from tests.service.cli.reports import finding, whole_report

COLUMNS = [f"sensor_{i:04d}_mean_of_the_last_{i % 97}_minutes_before_the_event" for i in range(1_000)]


def large_report() -> Report:
    """Every kind of figure, thirty findings of a thousand columns, and long code."""
    report = whole_report()
    figures = [figure for name in CASES for figure in figures_of(name)]
    findings = []
    for place in range(30):
        one = finding(f"preprocessing.finding_{place}")
        code = "MAPS = {\n" + "".join(f"    {name!r}: (1.25, {i}),\n" for i, name in enumerate(COLUMNS[:300])) + "}\n"
        findings.append(
            one.model_copy(
                update={
                    "affected": one.affected.model_copy(update={"columns": COLUMNS, "rows": list(range(100))}),
                    "evidence": {"maps": {name: {"scale": 1.5, "offset": i} for i, name in enumerate(COLUMNS)}},
                    "figures": figures[place : place + 1],
                    "remedy": one.remedy.model_copy(update={"code": code}),
                }
            )
        )
    columns = [{"name": name, "kind": "number"} for name in COLUMNS]
    section = {"rows": 10_000_000, "files": ["/data/part.parquet"] * 400, "columns": columns}
    return report.model_copy(
        update={
            "findings": findings,
            "figures": figures[30:],
            "checks": [CheckRecord(code=f"a.check_{i}", outcome=Outcome.PASS, seconds=1.0) for i in range(60)],
            "data": {
                "train": section,
                "validation": section,
                "mapping": {"inputs": [{"input": "x", "columns": COLUMNS, "sent_as": "float32"}]},
            },
            "history": {"epochs": 5_000, "metrics": {"loss": [0.1] * 5_000}},
        }
    )
