"""A database of the release before is brought up to date while audits wait in it and run."""

from collections.abc import Callable

import pytest
import sqlalchemy as sa
from alembic import command

from schemas.request import AuditRequest
from service.jobs.client import open_jobs
from service.jobs.database import _alembic, connect, version_of
from service.jobs.tables import audit_progress, now_ms, workflow
from service.settings import Settings

from .conftest import Slots, User


def downgrade(settings: Settings, to: str) -> None:
    engine = connect(settings, pool_size=1)
    with engine.begin() as connection:
        command.downgrade(_alembic(connection), to)
    engine.dispose()


@pytest.mark.parametrize("before", ["0002", "0001"])
def test_audits_outlive_an_upgrade(
    service_settings: Settings, caller: str, audit_request: Callable[..., AuditRequest], slots: Slots, before: str
) -> None:
    """One waits, with the engine's priority of then; one runs, on a worker that dies during the upgrade."""
    old = open_jobs(service_settings)
    waiting, _ = old.submit(audit_request(tags={"a": "b"}), caller=caller)
    running, _ = old.submit(audit_request(), caller=caller)
    old.close()
    engine = connect(service_settings)
    with engine.begin() as connection:
        row = {"starts": 1, "executor": "old", "fraction": 0.5, "stage": "checking"}
        times = {"started_at": now_ms(), "updated_at": now_ms()}
        connection.execute(sa.insert(audit_progress).values(audit_id=running.id, **row, **times))
        its = sa.update(workflow).where(workflow.c.workflow_uuid == running.id)
        connection.execute(its.values(status="PENDING", executor_id="old"))
        connection.execute(sa.update(workflow).where(workflow.c.workflow_uuid == waiting.id).values(priority=50))
    downgrade(service_settings, before)

    new = open_jobs(service_settings)

    with engine.connect() as connection:
        present, newest = version_of(connection)
    assert present == newest
    assert new.get(running.id, caller=caller).progress.stage == "checking"
    [event] = new.events({running.id: 0})[running.id]
    assert (event.status, event.progress.stage) == ("running", "checking")
    user = User(new, caller)
    slots.start()
    for job in (waiting, running):
        done = user.wait(job)
        assert done.status == "succeeded"
    assert [e.status for e in new.events({running.id: event.id})[running.id]][-1] == "succeeded"
    assert user.get(running).attempt == 2
    new.close()
    engine.dispose()
