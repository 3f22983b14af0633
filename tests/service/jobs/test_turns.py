"""Who is next, on both databases: the order in which the engine would take what is queued."""

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from schemas.request import AuditRequest
from service.jobs import turns
from service.jobs.client import DatabaseJobs, hash_of, open_jobs
from service.jobs.errors import CallerQueueFull, QueueUnknown
from service.jobs.tables import audit, turn, workflow
from service.settings import Settings

Make = Callable[..., AuditRequest]


@pytest.fixture
def queue(jobs: DatabaseJobs, engine: sa.Engine) -> str:
    """A queue of its own for a test, that a worker has served."""
    name = f"q-{uuid.uuid4().hex[:8]}"
    jobs._client.register_queue(name, worker_concurrency=1)
    return name


def in_order(engine: sa.Engine, queue: str) -> list[str]:
    """The callers of what waits, in the engine's order."""
    query = (
        sa.select(audit.c.caller)
        .join(workflow, workflow.c.workflow_uuid == audit.c.id)
        .where(workflow.c.queue_name == queue, workflow.c.status == "ENQUEUED")
        .order_by(workflow.c.priority, workflow.c.created_at, audit.c.id)
    )
    with engine.connect() as connection:
        return list(connection.execute(query).scalars())


def take(engine: sa.Engine, queue: str) -> None:
    """What a worker does: the first one runs."""
    query = (
        sa.select(workflow.c.workflow_uuid)
        .where(workflow.c.queue_name == queue, workflow.c.status == "ENQUEUED")
        .order_by(workflow.c.priority, workflow.c.created_at, workflow.c.workflow_uuid)
        .limit(1)
    )
    with engine.begin() as connection:
        first = connection.execute(query).scalar_one()
        connection.execute(sa.update(workflow).where(workflow.c.workflow_uuid == first).values(status="PENDING"))


def test_a_backlog_delays_nobody_elses_first(
    jobs: DatabaseJobs, engine: sa.Engine, queue: str, audit_request: Make
) -> None:
    """Twenty of one caller wait; another's first comes second, and from there on each in turn."""
    asked = audit_request(resources={"queue": queue})
    for _ in range(20):
        jobs.submit(asked, caller="busy")
    for _ in range(3):
        jobs.submit(asked, caller="late")

    assert in_order(engine, queue)[:7] == ["busy", "late", "busy", "late", "busy", "late", "busy"]


def test_a_stream_of_single_audits_starves_no_backlog(
    jobs: DatabaseJobs, engine: sa.Engine, queue: str, audit_request: Make
) -> None:
    """A caller who sends the next as soon as the last is taken gets every other turn, not all."""
    asked = audit_request(resources={"queue": queue})
    for _ in range(10):
        jobs.submit(asked, caller="backlog")
    for _ in range(12):
        jobs.submit(asked, caller="eager")
        take(engine, queue)

    assert in_order(engine, queue).count("backlog") in {4, 5}


def test_who_was_idle_has_saved_up_nothing(
    jobs: DatabaseJobs, engine: sa.Engine, queue: str, audit_request: Make
) -> None:
    asked = audit_request(resources={"queue": queue})
    jobs.submit(asked, caller="idle")
    for _ in range(30):
        jobs.submit(asked, caller="steady")
        take(engine, queue)
    for _ in range(5):
        jobs.submit(asked, caller="steady")
    for _ in range(5):
        jobs.submit(asked, caller="idle")

    assert in_order(engine, queue)[-4:].count("idle") == 2


@pytest.mark.parametrize("priority", [-49, 49])
def test_priority_comes_before_turns(
    jobs: DatabaseJobs, engine: sa.Engine, queue: str, audit_request: Make, priority: int
) -> None:
    """The whole range is valid, and in effect."""
    for _ in range(3):
        jobs.submit(audit_request(resources={"queue": queue}), caller="plain")
    jobs.submit(audit_request(resources={"queue": queue}, priority=priority), caller="other")

    assert in_order(engine, queue).index("other") == (0 if priority > 0 else 3)


def test_every_place_fits_into_the_engine(jobs: DatabaseJobs, engine: sa.Engine) -> None:
    """1 to 2^31 - 1; also when the turns are used up, which no caller can cause to fail."""
    with engine.connect() as connection:
        first = turns.next_place(connection, "a queue", 49, "me")
        connection.execute(sa.update(turn).where(turn.c.queue == "a queue").values(next=2**31 - 2))
        worst = turns.next_place(connection, "a queue", -49, "me")
        used_up = turns.next_place(connection, "a queue", 49, "me")
        connection.rollback()

    assert first >= 1
    assert max(worst, used_up) < 2**31
    assert used_up < turns.TURNS


def test_turns_begin_anew_where_nothing_waits(
    jobs: DatabaseJobs, engine: sa.Engine, queue: str, audit_request: Make
) -> None:
    def remembered() -> list[str]:
        with engine.connect() as connection:
            turns.forget(connection)
            found = list(connection.execute(sa.select(turn.c.caller).where(turn.c.queue == queue)).scalars())
            connection.commit()
        return found

    jobs.submit(audit_request(resources={"queue": queue}), caller="me")
    assert remembered() == ["me"]
    take(engine, queue)
    assert remembered() == []


def test_one_caller_cannot_fill_the_queue(
    service_settings: Settings, jobs: DatabaseJobs, caller: str, audit_request: Make
) -> None:
    narrow = open_jobs(service_settings.model_copy(update={"max_queue_per_caller": 2}))
    try:
        for _ in range(2):
            last, _ = narrow.submit(audit_request(), caller=caller)
        with pytest.raises(CallerQueueFull) as refused:
            narrow.submit(audit_request(), caller=caller)
        narrow.submit(audit_request(), caller=f"not {caller}")
        narrow.cancel(last.id, caller=caller)
        narrow.submit(audit_request(), caller=caller)
    finally:
        narrow.close()

    assert refused.value.code == "caller_queue_full"


def test_a_queue_that_no_worker_serves_is_refused(
    jobs: DatabaseJobs, engine: sa.Engine, queue: str, caller: str, audit_request: Make
) -> None:
    """It would wait for ever; the answer names those that there are."""
    with pytest.raises(QueueUnknown) as refused:
        jobs.submit(audit_request(resources={"queue": "gpu-lrage"}), caller=caller)

    assert "cpu" in refused.value.detail
    assert queue in refused.value.detail
    assert refused.value.field == "resources.queue"


def test_old_idempotency_keys_still_count(audit_request: Make) -> None:
    """Requests of before there were queues have the hash that they had: SHA-256 of the canonical request."""
    assert hash_of(audit_request()) != hash_of(audit_request(resources={"queue": "cpu"}))
    assert hash_of(audit_request()) == "2bfdd7ace5d2725c07cd798a3b884cc28d802c9527344d7acc6a0d93cda836e8"


def test_submitting_at_once_gives_everybody_a_place(
    jobs: DatabaseJobs, engine: sa.Engine, queue: str, audit_request: Make
) -> None:
    asked = audit_request(resources={"queue": queue})
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: jobs.submit(asked, caller=f"caller {i % 3}"), range(24)))

    assert len(in_order(engine, queue)) == 24


def test_large_models_have_a_queue_of_their_own(
    jobs: DatabaseJobs, engine: sa.Engine, caller: str, audit_request: Make
) -> None:
    """Unless the request itself chooses."""

    def queue_of(**resources: str) -> str | None:
        made, _ = jobs.submit(audit_request(resources=resources), caller=caller, large_model_queue="large")
        with engine.connect() as connection:
            query = sa.select(workflow.c.queue_name).where(workflow.c.workflow_uuid == made.id)
            return connection.execute(query).scalar_one()

    assert [queue_of(), queue_of(device="gpu"), queue_of(queue="cpu")] == ["large", "gpu", "cpu"]
