"""The life of a job, as the engine's row tells it.

::

    POST ─► ENQUEUED ──claim──► PENDING ──outcome, by its owner alone──► SUCCESS | ERROR
                │  ▲               │  │
                │  └─ owner dead ──┘  └─ dead too often ─► MAX_RECOVERY_ATTEMPTS_EXCEEDED
                └───── cancel, or deadline (from either) ─► CANCELLED

A final state stays: a new try is a new audit.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from schemas.job import CallbackState, Job, JobStatus, Links, Progress
from schemas.problem import EvaluatorError, Problem
from service.jobs.names import MAX_DEATHS
from service.jobs.serialization import internal_error, stored_problem
from service.jobs.tables import (
    audit,
    audit_progress,
    audit_tag,
    callback,
    json_of,
    report,
    workflow,
    workflow_output,
)

JobRow = sa.Row[*tuple[Any, ...]]  # of `SELECT_JOB`
ACTIVE = ("ENQUEUED", "DELAYED", "PENDING")

# One row a job, for `job_from`.
SELECT_JOB = (
    sa.select(
        audit.c.id,
        audit.c.created_at,
        audit.c.cancel_requested_at,
        workflow.c.status,
        workflow.c.queue_name,
        workflow.c.completed_at,
        workflow_output.c.error,
        audit_progress.c.starts,
        audit_progress.c.version,
        audit_progress.c.started_at,
        audit_progress.c.updated_at,
        audit_progress.c.fraction,
        audit_progress.c.stage,
        audit_progress.c.detail,
        report.c.verdict,
        callback.c.url.label("callback_url"),
        callback.c.state.label("callback_state"),
        callback.c.attempts.label("callback_attempts"),
        callback.c.due_at.label("callback_due_at"),
        callback.c.last_error.label("callback_error"),
        sa.select(json_of(audit_tag.c.key, audit_tag.c.value))
        .where(audit_tag.c.audit_id == audit.c.id)
        .scalar_subquery()
        .label("tags"),
    )
    .select_from(audit)
    .join(workflow, workflow.c.workflow_uuid == audit.c.id)
    .outerjoin(workflow_output, workflow_output.c.workflow_uuid == audit.c.id)
    .outerjoin(audit_progress, audit_progress.c.audit_id == audit.c.id)
    .outerjoin(report, report.c.audit_id == audit.c.id)
    .outerjoin(callback, callback.c.audit_id == audit.c.id)
)

# The deadline cancels a workflow as a user does; only a user leaves a mark.
_timed_out = sa.and_(workflow.c.status == "CANCELLED", audit.c.cancel_requested_at.is_(None))
IS: Mapping[JobStatus, sa.ColumnElement[bool]] = {
    "queued": workflow.c.status.in_(("ENQUEUED", "DELAYED")),
    "running": workflow.c.status == "PENDING",
    "succeeded": workflow.c.status == "SUCCESS",
    "failed": sa.or_(workflow.c.status.in_(("ERROR", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")), _timed_out),
    "cancelled": sa.and_(workflow.c.status == "CANCELLED", audit.c.cancel_requested_at.is_not(None)),
}


def status_of(row: JobRow) -> JobStatus:
    """The state in the API's words."""
    if row.status == "CANCELLED":
        return "cancelled" if row.cancel_requested_at is not None else "failed"
    known: dict[str, JobStatus] = {"PENDING": "running", "SUCCESS": "succeeded"}
    return "queued" if row.status in {"ENQUEUED", "DELAYED"} else known.get(row.status, "failed")


def job_from(row: JobRow) -> Job:
    """The job of a row of `SELECT_JOB`."""
    status = status_of(row)
    address = f"/v1/audits/{row.id}"
    return Job(
        id=row.id,
        status=status,
        progress=_progress(row, status),
        created_at=time_of(row.created_at),
        started_at=time_of(row.started_at) if row.started_at is not None else None,
        finished_at=_finished_at(row, status),
        attempt=row.starts or 0,
        error=_error(row) if status == "failed" else None,
        verdict=row.verdict if status == "succeeded" else None,
        tags=dict(sorted((row.tags or {}).items())),
        callback=_callback(row, status),
        links=Links(
            self=address,
            report=f"{address}/report" if status == "succeeded" else None,
            cancel=f"{address}/cancel" if row.status in ACTIVE else None,
            events=f"{address}/events",
        ),
    )


def _callback(row: JobRow, status: JobStatus) -> CallbackState | None:
    if row.callback_url is None:
        return None
    waits = status in {"queued", "running"}
    pending = row.callback_state == "pending"
    return CallbackState(
        url=row.callback_url,
        status="waiting" if waits else row.callback_state,
        attempts=row.callback_attempts,
        next_attempt_at=time_of(row.callback_due_at) if pending and not waits and row.callback_attempts else None,
        last_error=row.callback_error,
    )


def _progress(row: JobRow, status: JobStatus) -> Progress:
    if status == "succeeded":
        return Progress(fraction=1.0, stage="done")
    if status == "queued" or row.stage is None:
        return Progress()
    return Progress(fraction=row.fraction, stage=row.stage, detail=row.detail)


def _finished_at(row: JobRow, status: JobStatus) -> datetime | None:
    if status in {"queued", "running"} or row.completed_at is None:
        return None
    # On SQLite the engine counts whole seconds: without this a job could end before it began.
    return time_of(max(row.completed_at, row.updated_at or 0, row.created_at))


def time_of(milliseconds: int) -> datetime:
    """A time of the tables."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _error(row: JobRow) -> Problem:
    causes: dict[str, Callable[[], Problem]] = {
        "ERROR": lambda: stored_problem(row.error),
        "CANCELLED": lambda: timed_out().problem,
        "MAX_RECOVERY_ATTEMPTS_EXCEEDED": lambda: worker_lost().problem,
    }
    return causes.get(row.status, internal_error)()


def timed_out() -> EvaluatorError:
    return EvaluatorError(
        "audit_timeout",
        "The audit ran longer than resources.timeout_seconds and was stopped. "
        "Allow more time, or read fewer rows: resources.max_rows.",
        field="resources.timeout_seconds",
    )


def worker_lost() -> EvaluatorError:
    return EvaluatorError(
        "worker_lost",
        f"The worker died {MAX_DEATHS} times during this audit, which is not started again. "
        "The usual cause is too little memory: read fewer rows, or run the worker with more.",
    )
