"""The state of the whole service in numbers."""

from collections.abc import Mapping

import sqlalchemy as sa

from schemas.job import FINAL
from service.jobs import tallies
from service.jobs.interface import Statistics
from service.jobs.leases import live
from service.jobs.names import APPLICATION
from service.jobs.states import IS
from service.jobs.tables import audit, callback, lease, now_ms, workflow


def read(connection: sa.Connection, lease_seconds: float) -> Statistics:
    """A few aggregates over indexed columns."""
    return Statistics(
        queues=_queues(connection),
        slots=_slots(connection, lease_seconds),
        ended=_ended(connection),
        callbacks=_callbacks(connection),
        lease_expiries=tallies.counts(connection, tallies.EXPIRED),
        deliveries={**dict.fromkeys(("delivered", "failed"), 0), **tallies.counts(connection, tallies.DELIVERIES)},
        stages=tallies.histograms(connection, tallies.STAGE_SECONDS),
    )


def _queues(connection: sa.Connection) -> Mapping[str, tuple[int, float]]:
    """Queue -> how many wait, and since how many seconds the oldest; also for queues that are served and empty."""
    oldest = (now_ms() - sa.func.min(audit.c.created_at)) / 1000.0
    query = (
        sa.select(workflow.c.queue_name, sa.func.count(), oldest)
        .join(audit, audit.c.id == workflow.c.workflow_uuid)
        .where(workflow.c.status == "ENQUEUED", workflow.c.application_name == APPLICATION)
        .group_by(workflow.c.queue_name)
    )
    served = connection.execute(sa.select(lease.c.queue).where(lease.c.reaped_at.is_(None)).distinct()).scalars()
    waiting = {name: (count, max(0.0, float(seconds))) for name, count, seconds in connection.execute(query)}
    return {**dict.fromkeys(served, (0, 0.0)), **waiting}


def _slots(connection: sa.Connection, lease_seconds: float) -> Mapping[tuple[str, str], int]:
    """(Queue, `busy` or `idle`) -> live slots."""
    busy = sa.exists().where(workflow.c.status == "PENDING", workflow.c.executor_id == lease.c.executor)
    query = sa.select(lease.c.queue, busy).where(live(lease_seconds))
    found: dict[tuple[str, str], int] = {}
    for queue, is_busy in connection.execute(query):
        for state, counts in (("busy", bool(is_busy)), ("idle", not is_busy)):
            found[queue, state] = found.get((queue, state), 0) + counts
    return found


def _ended(connection: sa.Connection) -> Mapping[str, int]:
    """Status -> audits, those included that were pruned."""
    pruned = tallies.counts(connection, tallies.PRUNED)
    counts = [sa.func.count().filter(IS[status]).label(status) for status in FINAL]
    query = sa.select(*counts).select_from(audit).join(workflow, workflow.c.workflow_uuid == audit.c.id)
    row = connection.execute(query).one()
    return {status: row[i] + pruned.get(status, 0) for i, status in enumerate(FINAL)}


def _callbacks(connection: sa.Connection) -> Mapping[str, int]:
    query = (
        sa.select(callback.c.state, sa.func.count())
        .join(workflow, workflow.c.workflow_uuid == callback.c.audit_id)
        .where(workflow.c.completed_at.is_not(None))
        .group_by(callback.c.state)
    )
    return {"pending": 0, "dead": 0, **{row.state: row[1] for row in connection.execute(query)}}
