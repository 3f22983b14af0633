"""A whole report whose texts try everything: names from models and data reach every place of the page."""

from schemas.report import Figure, Report
from tests.service.cli.reports import whole_report

HOSTILE = "</script></style><script>alert('x')</script><img src=https://evil.example/x onerror=alert(1)>\"'`|*_]]>"


def hostile_report() -> Report:
    """The whole report with the hostile text in place of every text that it can stand in."""
    report = whole_report(summary=HOSTILE)
    spec = {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "width": "container",
        "data": {"values": [{"class": HOSTILE, "rows": 3}, {"class": "\u2028", "rows": 2}]},
        "mark": "bar",
        "encoding": {"y": {"field": "class", "type": "nominal"}, "x": {"field": "rows", "type": "quantitative"}},
    }
    figure = Figure(kind="confusion", title=HOSTILE, alternative=HOSTILE, vega_lite=spec)
    findings = [
        one.model_copy(
            update={
                "title": HOSTILE,
                "summary": HOSTILE,
                "figures": [figure],
                "evidence": {
                    HOSTILE: {HOSTILE: [HOSTILE]},
                    "rows": [{HOSTILE: 1, "b": HOSTILE}, {HOSTILE: 2, "b": ""}],
                },
                "affected": one.affected.model_copy(update={"columns": [HOSTILE], "rows": [3]}),
                "remedy": one.remedy.model_copy(update={"text": HOSTILE, "code": f"x = '''{HOSTILE}'''\n```\n"}),
            }
        )
        for one in report.findings
    ]
    causes = [
        one.model_copy(
            update={
                "explanation": HOSTILE,
                "remedy": findings[0].remedy,
                "confirmation": one.confirmation.model_copy(update={"intervention": HOSTILE}),
            }
        )
        for one in report.diagnosis
    ]
    section = {"files": [f"/data/{HOSTILE}.csv"], "columns": [{"name": HOSTILE, "kind": HOSTILE}]}
    return report.model_copy(
        update={
            "audit_id": HOSTILE,
            "findings": findings,
            "diagnosis": causes,
            "figures": [figure],
            "checks": [one.model_copy(update={"reason": HOSTILE}) for one in report.checks],
            "tested_not_a_cause": [one.model_copy(update={"reason": HOSTILE}) for one in report.tested_not_a_cause],
            "metrics": report.metrics.model_copy(
                update={
                    "validation": report.metrics.validation.model_copy(
                        update={
                            "per_class": [
                                one.model_copy(update={"label": HOSTILE}) for one in report.metrics.validation.per_class
                            ]
                        }
                    )
                }
            ),
            "model": {"classes": [HOSTILE], HOSTILE: {"a": HOSTILE}},
            "data": {
                "train": section,
                "validation": section,
                "mapping": {"inputs": [{"input": HOSTILE, "columns": [HOSTILE]}]},
            },
            "environment": {"fitcheck": HOSTILE},
        }
    )
