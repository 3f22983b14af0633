"""The smallest report there is."""

from schemas.report import Metrics, Report, SplitMetrics, Verdict


def report(audit_id: str, *, verdict: Verdict = "pass", summary: str = "All is well.") -> Report:
    empty = SplitMetrics(n=1, values={})
    return Report(
        audit_id=audit_id,
        verdict=verdict,
        summary=summary,
        diagnosis=[],
        findings=[],
        checks=[],
        metrics=Metrics(primary="accuracy", train=empty, validation=empty),
        model={},
        data={},
        environment={},
    )
