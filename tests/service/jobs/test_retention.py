"""Deleting what was kept long enough, on both databases, with all that belongs to it and nothing else."""

import pytest
import sqlalchemy as sa

from schemas.job import Job
from service.jobs import retention
from service.jobs.client import DatabaseJobs, open_jobs
from service.jobs.errors import AuditNotFound, ReportExpired
from service.jobs.interface import Pruned
from service.jobs.tables import audit, audit_event, audit_tag, callback, report, workflow
from service.settings import Settings

from .conftest import User

DAY_MS = 24 * 3600 * 1000


def pruner(settings: Settings, **kept: float) -> Pruned:
    jobs = open_jobs(settings.model_copy(update=kept))
    try:
        return jobs.prune()
    finally:
        jobs.close()


@pytest.fixture(autouse=True)
def nothing_old(service_settings: Settings, jobs: DatabaseJobs) -> None:
    """What the tests before have finished would be pruned too."""
    pruner(service_settings, keep_jobs_days=1e-9)


def age(engine: sa.Engine, job: Job, days: float) -> None:
    with engine.begin() as connection:
        connection.execute(
            sa.update(workflow)
            .where(workflow.c.workflow_uuid == job.id)
            .values(completed_at=workflow.c.completed_at - round(days * DAY_MS))
        )


def rows_of(engine: sa.Engine, job: Job) -> dict[str, int]:
    """Table -> rows that name the audit; over all tables there are, so that none is forgotten."""
    names = {
        **dict.fromkeys((audit_event, audit_tag, callback, report), "audit_id"),
        audit: "id",
        workflow: "workflow_uuid",
    }
    with engine.connect() as connection:
        return {
            table.name: connection.execute(
                sa.select(sa.func.count()).select_from(table).where(table.c[column] == job.id)
            ).scalar_one()
            for table, column in names.items()
        }


def done(user: User, **fields: object) -> Job:
    return user.wait(user.submit(tags={"a": "b"}, **fields), "succeeded")


def test_an_old_audit_goes_with_all_that_is_its(
    service_settings: Settings, user: User, engine: sa.Engine, slot: object
) -> None:
    old, young = done(user), done(user)
    running = user.submit("sleep:60")
    age(engine, old, days=10)
    age(engine, young, days=8)
    assert min(rows_of(engine, old)[table] for table in ("audit", "workflow_status", "report", "audit_event")) > 0
    before = user.jobs.statistics().ended["succeeded"]

    pruned = pruner(service_settings, keep_jobs_days=9)

    assert pruned.jobs == 1
    assert set(rows_of(engine, old).values()) == {0}
    with pytest.raises(AuditNotFound):
        user.get(old)
    assert user.get(young).status == "succeeded"
    assert user.get(running).status in {"queued", "running"}
    assert user.jobs.statistics().ended["succeeded"] == before
    user.cancel(running)


def test_a_report_may_go_before_its_audit(
    service_settings: Settings, user: User, engine: sa.Engine, slot: object
) -> None:
    """The job and its verdict stay; the report says that it is gone."""
    job = done(user)
    age(engine, job, days=3)

    assert pruner(service_settings, keep_reports_days=2) == Pruned(reports=1)
    assert pruner(service_settings, keep_reports_days=2) == Pruned()

    assert user.get(job).verdict == "warn"
    with pytest.raises(ReportExpired):
        user.jobs.report(job.id, caller=user.name)


def test_nothing_goes_without_a_setting(
    service_settings: Settings, user: User, engine: sa.Engine, slot: object
) -> None:
    job = done(user)
    age(engine, job, days=10_000)

    assert pruner(service_settings) == Pruned()
    assert user.jobs.report(job.id, caller=user.name)


def test_an_audit_whose_webhook_is_on_its_way_stays(
    service_settings: Settings, user: User, engine: sa.Engine, slot: object
) -> None:
    job = done(user, callback={"url": "https://ci.example/"})
    age(engine, job, days=2)

    assert pruner(service_settings, keep_jobs_days=1).jobs == 0
    age(engine, job, days=retention.CALLBACK_DAYS)
    assert pruner(service_settings, keep_jobs_days=1).jobs == 1


def test_what_a_dead_pruner_left_is_found(
    service_settings: Settings, user: User, engine: sa.Engine, slot: object
) -> None:
    """It died after our rows, and before the engine's."""
    job = done(user)
    with engine.begin() as connection:
        connection.execute(sa.delete(audit).where(audit.c.id == job.id))
    assert rows_of(engine, job)["workflow_status"] == 1

    pruner(service_settings)

    assert rows_of(engine, job)["workflow_status"] == 0


def test_one_process_prunes_at_a_time(
    service_settings: Settings, jobs: DatabaseJobs, user: User, engine: sa.Engine, slot: object
) -> None:
    job = done(user)
    age(engine, job, days=2)
    with retention._alone(engine) as is_mine:
        assert is_mine
        assert pruner(service_settings, keep_jobs_days=1) == Pruned()

    assert pruner(service_settings, keep_jobs_days=1).jobs == 1
