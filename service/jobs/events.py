"""What followers of an audit are told: the log of its stages, and its present state.

Nothing but the begin of a stage is logged; every other state is derived from the rows that hold it, so that no event
can contradict the job, and none is lost with the process that caused it. An event's id is made of how often the
progress was written and of what the audit is now: it rises with every change, on every process.
"""

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from schemas.job import JobEvent, JobStatus, Progress
from service.jobs.states import SELECT_JOB, JobRow, job_from, status_of, time_of
from service.jobs.tables import audit, audit_event

# Between two writes of the progress an audit runs, then waits for another worker, then ends; in this order alone.
_PHASES: Mapping[JobStatus, int] = {"running": 0, "queued": 2}
_FINAL_PHASE = 3
_STEP = 4


def event_id(version: int | None, status: JobStatus) -> int:
    """The id of the event that says that the audit has this status at this version of its progress."""
    return _STEP * (version or 0) + _PHASES.get(status, _FINAL_PHASE)


def events_after(connection: sa.Connection, after: Mapping[str, int]) -> dict[str, list[JobEvent]]:
    """Audit -> its events with higher ids than this one, oldest first. Audits that are not there are left out."""
    if not after:
        return {}
    rows = connection.execute(SELECT_JOB.where(audit.c.id.in_(after))).all()
    changed = [row for row in rows if event_id(row.version, status_of(row)) > after[row.id]]
    found: dict[str, list[JobEvent]] = {row.id: [] for row in rows}
    for logged in _logged(connection, {row.id: after[row.id] for row in changed}):
        found[logged.audit_id].append(logged)
    for row in changed:
        latest = _latest(row)
        # What was logged since the row was read is told the next time, in order.
        earlier = [event for event in found[row.id] if event.id < latest.id]
        found[row.id] = [*earlier, latest]
    return found


def _logged(connection: sa.Connection, after: Mapping[str, int]) -> Sequence[JobEvent]:
    later = [
        sa.and_(audit_event.c.audit_id == audit_id, audit_event.c.version > last // _STEP)
        for audit_id, last in after.items()
    ]
    if not later:
        return []
    query = sa.select(audit_event).where(sa.or_(*later)).order_by(audit_event.c.audit_id, audit_event.c.version)
    return [
        JobEvent(
            id=event_id(row.version, "running"),
            audit_id=row.audit_id,
            status="running",
            at=time_of(row.at),
            attempt=row.attempt,
            progress=Progress(fraction=row.fraction, stage=row.stage, detail=row.detail),
        )
        for row in connection.execute(query)
    ]


def _latest(row: JobRow) -> JobEvent:
    job = job_from(row)
    return JobEvent(
        id=event_id(row.version, job.status),
        audit_id=job.id,
        status=job.status,
        at=job.finished_at or time_of(row.updated_at or row.created_at),
        attempt=job.attempt,
        progress=job.progress,
        error=job.error,
        verdict=job.verdict,
    )
