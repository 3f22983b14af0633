"""Deleting what has been kept long enough: reports, and finished audits with all that belongs to them.

The engine's rows go last: an audit without them is no longer shown, and rows of the engine whose audit is gone are
found again, so that a process that dies in between leaves nothing for ever.
"""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from service.jobs import tallies, turns
from service.jobs.interface import Pruned
from service.jobs.names import APPLICATION, WORKFLOW
from service.jobs.states import ACTIVE, SELECT_JOB, status_of
from service.jobs.tables import DAY_MS, audit, callback, now_ms, report, workflow
from service.settings import Settings

BATCH = 200
CALLBACK_DAYS = 7
LOCK = 0x6669747072756E65  # "fitprune", the key of our advisory lock


def prune(settings: Settings, engine: sa.Engine, delete_workflows: Callable[[list[str]], None]) -> Pruned:
    """Delete what is older than the settings keep it; nothing where another process does so just now."""
    with _alone(engine) as is_mine:
        if not is_mine:
            return Pruned()
        jobs = _prune_jobs(settings, engine, delete_workflows)
        reports = _prune_reports(settings, engine)
        with engine.begin() as connection:
            turns.forget(connection)
    return Pruned(jobs=jobs, reports=reports)


def _prune_jobs(settings: Settings, engine: sa.Engine, delete_workflows: Callable[[list[str]], None]) -> int:
    pruned = 0
    if settings.keep_jobs_days is not None:
        while ids := _delete_batch(engine, settings.keep_jobs_days):
            delete_workflows(ids)
            pruned += len(ids)
    while orphans := _orphans(engine):
        delete_workflows(orphans)
    return pruned


def _delete_batch(engine: sa.Engine, days: float) -> list[str]:
    """Delete some finished audits, and count their ends, which the metrics go on to tell."""
    # A webhook that is still on its way needs the job that it tells of; but not for ever: they may be switched off.
    told = sa.or_(
        callback.c.state.is_distinct_from("pending"), workflow.c.completed_at < now_ms() - CALLBACK_DAYS * DAY_MS
    )
    old = SELECT_JOB.where(
        workflow.c.status.not_in(ACTIVE), workflow.c.completed_at < now_ms() - round(days * DAY_MS), told
    )
    with engine.begin() as connection:
        rows = connection.execute(old.limit(BATCH)).all()
        ids = [row.id for row in rows]
        connection.execute(sa.delete(audit).where(audit.c.id.in_(ids)))
        statuses = [status_of(row) for row in rows]
        for status in sorted(set(statuses)):
            tallies.add(connection, tallies.PRUNED, status, statuses.count(status))
    return ids


def _orphans(engine: sa.Engine) -> list[str]:
    """Finished workflows whose audit is gone."""
    query = (
        sa.select(workflow.c.workflow_uuid)
        .outerjoin(audit, audit.c.id == workflow.c.workflow_uuid)
        .where(
            audit.c.id.is_(None),
            workflow.c.application_name == APPLICATION,
            workflow.c.name == WORKFLOW,
            workflow.c.status.not_in(ACTIVE),
        )
        .limit(BATCH)
    )
    with engine.connect() as connection:
        return list(connection.execute(query).scalars())


def _prune_reports(settings: Settings, engine: sa.Engine) -> int:
    if settings.keep_reports_days is None:
        return 0
    finished = sa.select(workflow.c.workflow_uuid).where(
        workflow.c.status == "SUCCESS",
        workflow.c.completed_at < now_ms() - round(settings.keep_reports_days * DAY_MS),
    )
    old = sa.and_(report.c.audit_id.in_(finished), report.c.body != "")
    with engine.begin() as connection:
        # The verdict stays with the job.
        return connection.execute(sa.update(report).where(old).values(body="")).rowcount


@contextmanager
def _alone(engine: sa.Engine) -> Iterator[bool]:
    """Whether this process holds the lock, while it is in here."""
    if engine.dialect.name == "sqlite":
        with Path(f"{engine.url.database}.prune-lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True
        return
    # Of the session: the work is many transactions, and none may be open for long.
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if not connection.execute(sa.select(sa.func.pg_try_advisory_lock(LOCK))).scalar():
            yield False
            return
        try:
            yield True
        finally:
            connection.execute(sa.select(sa.func.pg_advisory_unlock(LOCK)))
