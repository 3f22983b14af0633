"""What the owner of a running audit reads and writes. A worker that lost the audit writes nothing."""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from schemas.job import Progress
from schemas.report import Report
from schemas.request import AuditRequest
from service.jobs.tables import audit, audit_progress, now_ms, report, workflow


class Superseded(Exception):  # noqa: N818 - no error: somebody else took over, or the user cancelled
    """The audit is no longer this worker's: cancelled, timed out, or given to another one."""


@dataclass(frozen=True)
class Assignment:
    """An audit that this worker owns.

    Attributes:
        attempt: which start of the audit this is, counted from 1.
        handovers: how many of the earlier starts were ended by an orderly stop of their worker.
        deadline: when it has to end, in seconds since 1970; survives a change of the worker.
        verdict: of the report that an earlier start stored before its worker died.
    """

    audit_id: str
    request: AuditRequest
    attempt: int
    deadline: float | None
    verdict: str | None
    handovers: int = 0

    @property
    def deaths(self) -> int:
        """How many workers died during this audit."""
        return self.attempt - 1 - self.handovers


def begin(connection: sa.Connection, audit_id: str, executor: str) -> Assignment:
    """Count the start, and reset the progress.

    Raises:
        Superseded: the audit is not this executor's.
    """
    query = (
        sa.select(audit.c.request, workflow.c.workflow_deadline_epoch_ms, report.c.verdict)
        .join(workflow, workflow.c.workflow_uuid == audit.c.id)
        .outerjoin(report, report.c.audit_id == audit.c.id)
        .where(audit.c.id == audit_id, _owned_by(executor))
    )
    starts, handovers = _count_start(connection, audit_id, executor)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise Superseded(audit_id)
    deadline = row.workflow_deadline_epoch_ms
    return Assignment(
        audit_id=audit_id,
        request=AuditRequest.model_validate_json(row.request),
        attempt=starts,
        deadline=deadline / 1000 if deadline is not None else None,
        verdict=row.verdict,
        handovers=handovers,
    )


def _count_start(connection: sa.Connection, audit_id: str, executor: str) -> tuple[int, int]:
    """How many starts there were, this one included, and how many of them an orderly stop ended."""
    first = {
        "starts": 1,
        "executor": executor,
        "started_at": now_ms(),
        "updated_at": now_ms(),
        "fraction": 0.0,
        "stage": "opening",
        "detail": None,
    }
    again = {**first, "starts": audit_progress.c.starts + 1}
    del again["started_at"]
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    statement = dialect.insert(audit_progress).values(audit_id=audit_id, **first)
    statement = statement.on_conflict_do_update(index_elements=["audit_id"], set_=again)
    counts = statement.returning(audit_progress.c.starts, audit_progress.c.handovers)
    starts, handovers = connection.execute(counts).one()
    return starts, handovers


def hand_over(connection: sa.Connection, executor: str) -> None:
    """Note that what this executor runs ends with its orderly stop, which is no fault of the audit."""
    running = sa.select(workflow.c.workflow_uuid).where(_owned_by(executor))
    connection.execute(
        sa.update(audit_progress)
        .where(audit_progress.c.executor == executor, audit_progress.c.audit_id.in_(running))
        .values(handovers=audit_progress.c.handovers + 1)
    )


def is_owner(connection: sa.Connection, audit_id: str, executor: str) -> bool:
    query = sa.select(sa.exists().where(workflow.c.workflow_uuid == audit_id, _owned_by(executor)))
    return bool(connection.execute(query).scalar())


def write_progress(connection: sa.Connection, assignment: Assignment, progress: Progress) -> None:
    """Show how far it is. Says nothing where a later start has begun."""
    connection.execute(
        sa.update(audit_progress)
        .where(audit_progress.c.audit_id == assignment.audit_id, audit_progress.c.starts == assignment.attempt)
        .values(fraction=progress.fraction, stage=progress.stage, detail=progress.detail, updated_at=now_ms())
    )


def store_report(connection: sa.Connection, audit_id: str, executor: str, made: Report) -> str:
    """Keep the report, once; the verdict of the one that is kept.

    Raises:
        Superseded: the audit is not this executor's.
    """
    if not is_owner(connection, audit_id, executor):
        raise Superseded(audit_id)
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    statement = dialect.insert(report).values(
        audit_id=audit_id, created_at=now_ms(), verdict=made.verdict, body=made.model_dump_json()
    )
    connection.execute(statement.on_conflict_do_nothing(index_elements=["audit_id"]))
    return str(connection.execute(sa.select(report.c.verdict).where(report.c.audit_id == audit_id)).scalar_one())


def _owned_by(executor: str) -> sa.ColumnElement[bool]:
    return sa.and_(workflow.c.status == "PENDING", workflow.c.executor_id == executor)
