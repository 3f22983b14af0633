"""Webhooks to deliver: stored with the audit, due once it is final.

That an audit is final is read from the engine's row, in which it is decided, so that no webhook can be lost between
the outcome and a note to tell it.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from schemas.job import Job
from service.jobs import tallies
from service.jobs.states import ACTIVE, SELECT_JOB, job_from
from service.jobs.tables import callback, now_ms, workflow

CLAIM_SECONDS = 60  # a delivery that is not settled by then was lost with its process
FIRST_DELAY_SECONDS = 5.0
MAX_DELAY_SECONDS = 3600.0


@dataclass(frozen=True)
class Delivery:
    """One try to deliver a webhook.

    Attributes:
        attempt: counted from 1.
    """

    job: Job
    url: str
    attempt: int


def register(connection: sa.Connection, audit_id: str, url: str) -> None:
    """Have the end of this audit told."""
    connection.execute(
        sa.insert(callback).values(audit_id=audit_id, url=url, state="pending", attempts=0, due_at=now_ms())
    )


def claim(connection: sa.Connection, limit: int) -> Sequence[Delivery]:
    """Take deliveries that are due, each by one process alone until it is settled or taken for lost."""
    due = (
        sa.select(callback)
        .join(workflow, workflow.c.workflow_uuid == callback.c.audit_id)
        .where(callback.c.state == "pending", callback.c.due_at <= now_ms(), workflow.c.status.not_in(ACTIVE))
        .order_by(callback.c.due_at)
        .limit(limit)
    )
    rows = connection.execute(due).all()
    return [_delivery(connection, row) for row in rows if _take(connection, row)]


def _take(connection: sa.Connection, row: sa.Row[*tuple[object, ...]]) -> bool:
    # The number of attempts tells whether another process was faster.
    mine = sa.and_(
        callback.c.audit_id == row.audit_id, callback.c.attempts == row.attempts, callback.c.state == "pending"
    )
    values = {"attempts": row.attempts + 1, "due_at": now_ms() + CLAIM_SECONDS * 1000}
    return connection.execute(sa.update(callback).where(mine).values(values)).rowcount == 1


def _delivery(connection: sa.Connection, row: sa.Row[*tuple[object, ...]]) -> Delivery:
    found = connection.execute(SELECT_JOB.where(callback.c.audit_id == row.audit_id)).one()
    return Delivery(job_from(found).model_copy(update={"callback": None}), row.url, row.attempts + 1)


def settle(connection: sa.Connection, delivery: Delivery, error: str | None, *, is_last: bool) -> None:
    """Note how a delivery went; says nothing where it was taken for lost and tried again meanwhile."""
    if error is None:
        values: dict[str, Any] = {"state": "delivered", "last_error": None, "ended_at": now_ms()}
    elif is_last:
        values = {"state": "dead", "last_error": error, "ended_at": now_ms()}
    else:
        values = {"last_error": error, "due_at": now_ms() + round(1000 * delay_seconds(delivery.attempt))}
    mine = sa.and_(
        callback.c.audit_id == delivery.job.id,
        callback.c.attempts == delivery.attempt,
        callback.c.state == "pending",
    )
    connection.execute(sa.update(callback).where(mine).values(values))
    tallies.add(connection, tallies.DELIVERIES, "failed" if error else "delivered")


def delay_seconds(attempt: int) -> float:
    """How long to wait after this attempt: doubled each time, and spread so that receivers are not hit all at once."""
    most = min(MAX_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2 ** (attempt - 1))
    return random.uniform(most / 2, most)  # noqa: S311 - no secret
