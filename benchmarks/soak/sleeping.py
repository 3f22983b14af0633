"""An evaluator that takes a moment and reports: `benchmarks.soak` is about the processes around it."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from schemas.job import Progress
from schemas.report import Metrics, Report, SplitMetrics
from schemas.request import AuditRequest

STEPS = 10


def preload() -> None:
    """Nothing takes long here."""


def evaluate(
    request: AuditRequest,
    *,
    audit_id: str,
    roots: Sequence[Path],  # noqa: ARG001 - as every evaluator is called
    progress: Callable[[Progress], None],
) -> Report:
    """Take as many seconds as the tag `seconds` says."""
    for step in range(STEPS):
        progress(Progress(fraction=step / STEPS, stage="collecting" if 2 * step < STEPS else "checking"))
        time.sleep(float(request.tags["seconds"]) / STEPS)
    empty = SplitMetrics(n=1, values={})
    return Report(
        audit_id=audit_id,
        verdict="pass",
        summary=request.tags["number"],
        diagnosis=[],
        findings=[],
        checks=[],
        metrics=Metrics(primary="accuracy", train=empty, validation=empty),
        model={},
        data={},
        environment={},
    )
