"""Queueing the work of dead executors again.

The engine has the right call for it under a private name. Should a release drop that, the public calls do the same,
at the price of the engine's count of starts and its deadline; `claims.begin` and the worker keep their own.
"""

import fcntl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import sqlalchemy as sa
import structlog
from dbos import DBOS

from service.jobs.names import APPLICATION

log = structlog.get_logger(__name__)

LOCK = 0x7265636F76657279  # "recovery", the key of our advisory lock


def choose_recovery(engine: sa.Engine) -> Callable[[Sequence[str]], None]:
    """The way to recover that this release of the engine offers."""
    if callable(getattr(DBOS, "_recover_pending_workflows", None)):
        return _recover
    log.warning("recovery_by_public_calls", reason="this release of dbos has no _recover_pending_workflows")
    return lambda executors: _resume(engine, executors)


def _recover(executors: Sequence[str]) -> None:
    # Guarded by the dead executor's id, so that repeats and rivals do no harm.
    DBOS._recover_pending_workflows(list(executors))  # noqa: SLF001 - no public call keeps the count of starts


def _resume(engine: sa.Engine, executors: Sequence[str]) -> None:
    # Unguarded: a rival that reads before we write could queue again what has just been claimed.
    with _alone(engine):
        pending = DBOS.list_workflows(
            status="PENDING", executor_id=list(executors), application_name=APPLICATION, load_input=False
        )
        for workflow in pending:
            DBOS.resume_workflows([workflow.workflow_id], queue_name=workflow.queue_name)


@contextmanager
def _alone(engine: sa.Engine) -> Iterator[None]:
    """Hold a lock that one process at a time may hold."""
    if engine.dialect.name == "sqlite":
        # Not the database's own lock, which the calls inside need.
        with open(f"{engine.url.database}.recovery-lock", "w") as file:  # noqa: PTH123 - not a Path
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
    else:
        with engine.begin() as connection:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK)))
            yield
