"""Webhooks in the database: due when the audit is final, one process at a time, until they are taken or given up."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from service.jobs.callbacks import delay_seconds
from service.jobs.client import DatabaseJobs
from service.jobs.tables import callback, now_ms

from .conftest import User

URL = "https://ci.example/hook"


@pytest.fixture(autouse=True)
def nothing_else_is_due(engine: sa.Engine, jobs: DatabaseJobs) -> None:
    with engine.begin() as connection:
        connection.execute(sa.delete(callback))


def finished(user: User) -> str:
    job = user.submit(callback={"url": URL}, tags={"team": "growth"})
    user.cancel(job)
    return job.id


def hurry(engine: sa.Engine) -> None:
    """Let the time pass after which the next attempt is due."""
    with engine.begin() as connection:
        connection.execute(sa.update(callback).values(due_at=now_ms()))


def test_it_is_due_when_the_audit_ends(user: User, jobs: DatabaseJobs) -> None:
    job = user.submit(callback={"url": URL})
    assert jobs.claim_callbacks(10) == []
    waiting = user.get(job).callback
    assert waiting is not None
    assert (waiting.status, waiting.url, waiting.attempts) == ("waiting", URL, 0)

    user.cancel(job)

    [delivery] = jobs.claim_callbacks(10)
    assert (delivery.job.id, delivery.job.status, delivery.url, delivery.attempt) == (job.id, "cancelled", URL, 1)
    assert user.get(user.submit()).callback is None


def test_one_process_has_it_at_a_time(user: User, jobs: DatabaseJobs) -> None:
    made = {finished(user) for _ in range(5)}
    with ThreadPoolExecutor(6) as pool:
        claimed = [d.job.id for found in pool.map(lambda _: jobs.claim_callbacks(10), range(6)) for d in found]

    assert sorted(claimed) == sorted(made)


def test_one_whose_process_died_is_tried_again(user: User, jobs: DatabaseJobs, engine: sa.Engine) -> None:
    """At least once: what was not settled is due again, and who comes too late changes nothing."""
    finished(user)
    [lost] = jobs.claim_callbacks(10)
    assert jobs.claim_callbacks(10) == []
    hurry(engine)

    [again] = jobs.claim_callbacks(10)
    assert again.attempt == 2
    jobs.settle_callback(lost, "too late", is_last=True)
    jobs.settle_callback(again, None, is_last=False)

    told = user.jobs.get(again.job.id, caller=user.name).callback
    assert told is not None
    assert (told.status, told.attempts, told.last_error) == ("delivered", 2, None)
    hurry(engine)
    assert jobs.claim_callbacks(10) == []


def test_a_failure_is_shown_and_tried_later(user: User, jobs: DatabaseJobs, engine: sa.Engine) -> None:
    audit_id = finished(user)
    [delivery] = jobs.claim_callbacks(10)
    jobs.settle_callback(delivery, "The host answered 500.", is_last=False)

    told = jobs.get(audit_id, caller=user.name).callback
    assert told is not None
    assert (told.status, told.attempts, told.last_error) == ("pending", 1, "The host answered 500.")
    assert told.next_attempt_at is not None
    assert jobs.claim_callbacks(10) == []

    hurry(engine)
    [delivery] = jobs.claim_callbacks(10)
    jobs.settle_callback(delivery, "The host answered 500.", is_last=True)
    dead = jobs.get(audit_id, caller=user.name).callback
    assert dead is not None
    assert (dead.status, dead.next_attempt_at) == ("dead", None)
    hurry(engine)
    assert jobs.claim_callbacks(10) == []


def test_deliveries_are_counted(user: User, jobs: DatabaseJobs) -> None:
    before = jobs.statistics()
    finished(user)
    [delivery] = jobs.claim_callbacks(10)
    jobs.settle_callback(delivery, "no", is_last=True)

    after = jobs.statistics()
    assert after.deliveries["failed"] == before.deliveries["failed"] + 1
    assert after.callbacks["dead"] == 1


def test_a_refused_submit_leaves_no_webhook(
    user: User, jobs: DatabaseJobs, engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("power cut")

    monkeypatch.setattr(jobs._client, "enqueue_in_transaction", fail)
    with pytest.raises(RuntimeError, match="power cut"):
        user.submit(callback={"url": URL})

    with engine.connect() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(callback)).scalar_one() == 0


def test_delays_grow_and_spread() -> None:
    """Doubled from five seconds up to an hour, and no two the same."""
    assert 2.5 <= delay_seconds(1) <= 5
    assert 40 <= delay_seconds(5) <= 80
    assert 1800 <= delay_seconds(30) <= 3600
    assert len({delay_seconds(4) for _ in range(20)}) > 10
