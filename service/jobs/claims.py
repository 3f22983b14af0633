"""What the owner of a running audit reads and writes. A worker that lost the audit writes nothing."""

from dataclasses import dataclass

import sqlalchemy as sa

from schemas.job import Progress
from schemas.report import Report
from schemas.request import AuditRequest
from service.jobs import tallies
from service.jobs.tables import audit, audit_event, audit_progress, insert, now_ms, report, workflow

OPENING = Progress(stage="opening")


class Superseded(Exception):  # noqa: N818 - no error: somebody else took over, or the user cancelled
    """The audit is no longer this worker's: cancelled, timed out, or given to another one."""


@dataclass(frozen=True)
class Assignment:
    """An audit that this worker owns.

    Attributes:
        attempt: which start of the audit this is, counted from 1.
        handovers: how many of the earlier starts were ended by an orderly stop of their worker.
        deadline: when it has to end, in seconds since 1970; survives a change of the worker.
        traceparent: the trace of the request that submitted it.
        verdict: of the report that an earlier start stored before its worker died.
    """

    audit_id: str
    request: AuditRequest
    attempt: int
    deadline: float | None
    verdict: str | None
    handovers: int = 0
    traceparent: str | None = None

    @property
    def deaths(self) -> int:
        """How many workers died during this audit."""
        return self.attempt - 1 - self.handovers


def begin(connection: sa.Connection, audit_id: str, executor: str) -> Assignment:
    """Count the start, reset the progress, and tell followers.

    Raises:
        Superseded: the audit is not this executor's.
    """
    query = (
        sa.select(audit.c.request, audit.c.traceparent, workflow.c.workflow_deadline_epoch_ms, report.c.verdict)
        .join(workflow, workflow.c.workflow_uuid == audit.c.id)
        .outerjoin(report, report.c.audit_id == audit.c.id)
        .where(audit.c.id == audit_id, _owned_by(executor))
    )
    starts, handovers, version = _count_start(connection, audit_id, executor)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise Superseded(audit_id)
    _log_event(connection, audit_id, version, starts, OPENING)
    deadline = row.workflow_deadline_epoch_ms
    return Assignment(
        audit_id=audit_id,
        request=AuditRequest.model_validate_json(row.request),
        attempt=starts,
        deadline=deadline / 1000 if deadline is not None else None,
        verdict=row.verdict,
        handovers=handovers,
        traceparent=row.traceparent,
    )


def _count_start(connection: sa.Connection, audit_id: str, executor: str) -> tuple[int, int, int]:
    """How many starts there were, this one included, how many of them an orderly stop ended, and the new version."""
    first = {
        "starts": 1,
        "version": 1,
        "executor": executor,
        "started_at": now_ms(),
        "updated_at": now_ms(),
        **OPENING.model_dump(),
    }
    again = {**first, "starts": audit_progress.c.starts + 1, "version": audit_progress.c.version + 1}
    del again["started_at"]
    statement = insert(connection, audit_progress).values(audit_id=audit_id, **first)
    statement = statement.on_conflict_do_update(index_elements=["audit_id"], set_=again)
    counts = statement.returning(audit_progress.c.starts, audit_progress.c.handovers, audit_progress.c.version)
    starts, handovers, version = connection.execute(counts).one()
    return starts, handovers, version


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
    mine = sa.and_(audit_progress.c.audit_id == assignment.audit_id, audit_progress.c.starts == assignment.attempt)
    shown = connection.execute(sa.select(audit_progress.c.stage).where(mine)).scalar()
    shows = {**progress.model_dump(), "updated_at": now_ms(), "version": audit_progress.c.version + 1}
    statement = sa.update(audit_progress).where(mine).values(shows).returning(audit_progress.c.version)
    version = connection.execute(statement).scalar()
    if version is not None and progress.stage != shown:
        _measure_stage(connection, assignment.audit_id)
        _log_event(connection, assignment.audit_id, version, assignment.attempt, progress)


def _log_event(connection: sa.Connection, audit_id: str, version: int, attempt: int, progress: Progress) -> None:
    """Keep the begin of a stage for followers who are away just now."""
    row = {"audit_id": audit_id, "version": version, "attempt": attempt, **progress.model_dump()}
    connection.execute(sa.insert(audit_event).values(**row, at=now_ms()))


def _measure_stage(connection: sa.Connection, audit_id: str) -> None:
    """Count how long the stage that ends now has taken."""
    began = (
        sa.select(audit_event.c.stage, (now_ms() - audit_event.c.at).label("milliseconds"))
        .where(audit_event.c.audit_id == audit_id)
        .order_by(audit_event.c.version.desc())
        .limit(1)
    )
    row = connection.execute(began).one_or_none()
    if row is not None:
        tallies.observe(connection, tallies.STAGE_SECONDS, row.stage, max(0.0, row.milliseconds / 1000))


def store_report(connection: sa.Connection, audit_id: str, executor: str, made: Report) -> str:
    """Keep the report, once; the verdict of the one that is kept.

    Raises:
        Superseded: the audit is not this executor's.
    """
    if not is_owner(connection, audit_id, executor):
        raise Superseded(audit_id)
    statement = insert(connection, report).values(
        audit_id=audit_id, created_at=now_ms(), verdict=made.verdict, body=made.model_dump_json()
    )
    stored = connection.execute(statement.on_conflict_do_nothing(index_elements=["audit_id"]))
    if stored.rowcount:
        _measure_stage(connection, audit_id)
    return str(connection.execute(sa.select(report.c.verdict).where(report.c.audit_id == audit_id)).scalar_one())


def _owned_by(executor: str) -> sa.ColumnElement[bool]:
    return sa.and_(workflow.c.status == "PENDING", workflow.c.executor_id == executor)
