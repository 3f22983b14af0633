"""Submitting, listing, reading and cancelling, with no worker about."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from schemas.request import AuditRequest
from service.jobs.client import DatabaseJobs, open_jobs
from service.jobs.errors import (
    AuditNotFound,
    BadCursor,
    DatabaseUnavailable,
    IdempotencyConflict,
    NoReport,
    QueueFull,
)
from service.jobs.interface import JobFilter
from service.jobs.tables import audit, lease, now_ms, workflow
from service.settings import Settings

Make = Callable[..., AuditRequest]
ALL = JobFilter()


def test_a_submitted_audit_is_queued(jobs: DatabaseJobs, caller: str, audit_request: Make) -> None:
    """A new job is queued, has its tags and links, and nothing that only a worker can give."""
    job, is_new = jobs.submit(audit_request(tags={"team": "growth"}), caller=caller)

    assert is_new
    assert (job.status, job.attempt, job.progress.stage) == ("queued", 0, "queued")
    assert (job.started_at, job.finished_at, job.error, job.verdict) == (None, None, None, None)
    assert job.tags == {"team": "growth"}
    assert (job.links.self, job.links.report) == (f"/v1/audits/{job.id}", None)
    assert job.links.cancel == f"/v1/audits/{job.id}/cancel"
    assert jobs.get(job.id, caller=caller) == job


def test_a_submit_that_fails_leaves_nothing(
    jobs: DatabaseJobs, engine: sa.Engine, caller: str, audit_request: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The audit and its place in the queue come in one transaction, or not at all."""

    def rows() -> list[int]:
        with engine.connect() as connection:
            count = sa.func.count()
            return [connection.execute(sa.select(count).select_from(t)).scalar_one() for t in (audit, workflow)]

    before = rows()
    enqueue = jobs._client.enqueue_in_transaction

    def fail_late(*args: object) -> None:
        enqueue(*args)
        raise RuntimeError("power cut")

    monkeypatch.setattr(jobs._client, "enqueue_in_transaction", fail_late)
    with pytest.raises(RuntimeError, match="power cut"):
        jobs.submit(audit_request(tags={"a": "b"}), caller=caller)

    assert rows() == before


def test_one_key_makes_one_audit(jobs: DatabaseJobs, caller: str, audit_request: Make) -> None:
    """The same key and request, however often and however at once, give the same job."""
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: jobs.submit(audit_request(), caller=caller, idempotency_key="k"), range(8)))

    assert len({job.id for job, _ in answers}) == 1
    assert sum(is_new for _, is_new in answers) == 1
    assert len(jobs.list(caller=caller, where=ALL, cursor=None, limit=10).items) == 1


def test_a_key_says_the_same_in_any_order_of_fields(jobs: DatabaseJobs, caller: str, audit_request: Make) -> None:
    """A request is the same when only the order of its keys differs, or a default is spelt out."""
    one, _ = jobs.submit(audit_request(tags={"a": "1", "b": "2"}), caller=caller, idempotency_key="k")
    other, is_new = jobs.submit(
        audit_request(tags={"b": "2", "a": "1"}, priority=0), caller=caller, idempotency_key="k"
    )

    assert other.id == one.id
    assert not is_new


def test_a_key_is_refused_for_another_request(jobs: DatabaseJobs, caller: str, audit_request: Make) -> None:
    job, _ = jobs.submit(audit_request(), caller=caller, idempotency_key="k")

    with pytest.raises(IdempotencyConflict) as refused:
        jobs.submit(audit_request("another"), caller=caller, idempotency_key="k")

    assert refused.value.code == "idempotency_conflict"
    assert job.id in refused.value.detail


def test_a_key_tells_the_job_that_it_made(jobs: DatabaseJobs, caller: str, audit_request: Make) -> None:
    """Without submitting anything; a key that made none tells so."""
    assert jobs.replayed(audit_request(), caller=caller, idempotency_key="k") is None
    job, _ = jobs.submit(audit_request(), caller=caller, idempotency_key="k")

    assert jobs.replayed(audit_request(), caller=caller, idempotency_key="k") == job
    assert jobs.replayed(audit_request(), caller=f"not {caller}", idempotency_key="k") is None
    with pytest.raises(IdempotencyConflict):
        jobs.replayed(audit_request("another"), caller=caller, idempotency_key="k")


def test_keys_belong_to_their_caller(jobs: DatabaseJobs, caller: str, audit_request: Make) -> None:
    """Two callers may happen to choose the same key."""
    mine, _ = jobs.submit(audit_request(), caller=caller, idempotency_key="k")
    theirs, is_new = jobs.submit(audit_request("another"), caller=f"not {caller}", idempotency_key="k")

    assert is_new
    assert mine.id != theirs.id


def test_pages_hold_every_job_once_newest_first(jobs: DatabaseJobs, caller: str, audit_request: Make) -> None:
    """Walking the pages gives all jobs in the reverse order of submission; the last page says that it is."""
    submitted = [jobs.submit(audit_request(), caller=caller)[0].id for _ in range(7)]

    seen: list[str] = []
    cursor = None
    for expected in (3, 3, 1):
        page = jobs.list(caller=caller, where=ALL, cursor=cursor, limit=3)
        assert len(page.items) == expected
        seen += [job.id for job in page.items]
        cursor = page.next_cursor

    assert seen == submitted[::-1]
    assert cursor is None


def test_a_page_that_is_just_full_is_the_last(jobs: DatabaseJobs, caller: str, audit_request: Make) -> None:
    for _ in range(2):
        jobs.submit(audit_request(), caller=caller)

    assert jobs.list(caller=caller, where=ALL, cursor=None, limit=2).next_cursor is None


@pytest.mark.parametrize("cursor", ["", "x", "%%%", "ü", "bm90IGEgY3Vyc29y"])
def test_other_cursors_are_refused(jobs: DatabaseJobs, caller: str, cursor: str) -> None:
    with pytest.raises(BadCursor):
        jobs.list(caller=caller, where=ALL, cursor=cursor, limit=2)


def test_filters_narrow_the_list(jobs: DatabaseJobs, caller: str, audit_request: Make) -> None:
    """Statuses are alternatives; tags must all be there; a queued job has no verdict."""
    red, _ = jobs.submit(audit_request(tags={"colour": "red", "size": "s"}), caller=caller)
    blue, _ = jobs.submit(audit_request(tags={"colour": "blue", "size": "s"}), caller=caller)
    jobs.cancel(blue.id, caller=caller)

    def found(**fields: object) -> list[str]:
        where = JobFilter(**fields)  # type: ignore[arg-type]
        return [job.id for job in jobs.list(caller=caller, where=where, cursor=None, limit=10).items]

    assert found(statuses=["queued"]) == [red.id]
    assert found(statuses=["cancelled"]) == [blue.id]
    assert found(statuses=["queued", "cancelled"]) == [blue.id, red.id]
    assert found(statuses=["running", "succeeded", "failed"]) == []
    assert found(verdicts=["pass"]) == []
    assert found(tags={"size": "s"}) == [blue.id, red.id]
    assert found(tags={"size": "s", "colour": "red"}) == [red.id]
    assert found(tags={"size": "red"}) == []


def test_callers_see_their_own_jobs_alone(jobs: DatabaseJobs, caller: str, audit_request: Make) -> None:
    """To all others a job does not exist: not to read, to list, nor to cancel."""
    job, _ = jobs.submit(audit_request(), caller=caller)

    for call in (jobs.get, jobs.report, jobs.cancel):
        with pytest.raises(AuditNotFound):
            call(job.id, caller="somebody else")
    assert jobs.list(caller="somebody else", where=ALL, cursor=None, limit=10).items == []
    assert jobs.get(job.id, caller=caller).status == "queued"


def test_cancelling_a_queued_audit_ends_it(jobs: DatabaseJobs, caller: str, audit_request: Make) -> None:
    """It is cancelled at once and for good; a second call changes nothing."""
    job, _ = jobs.submit(audit_request(), caller=caller)

    cancelled = jobs.cancel(job.id, caller=caller)

    assert cancelled.status == "cancelled"
    assert cancelled.finished_at is not None
    assert cancelled.finished_at >= cancelled.created_at
    assert cancelled.links.cancel is None
    assert jobs.cancel(job.id, caller=caller) == cancelled


def test_a_cancel_that_was_cut_off_is_completed_by_the_next(
    jobs: DatabaseJobs, engine: sa.Engine, caller: str, audit_request: Make
) -> None:
    """Between its two writes the API may die; the job is then active still, and can be cancelled."""
    job, _ = jobs.submit(audit_request(), caller=caller)
    with engine.begin() as connection:
        connection.execute(sa.update(audit).where(audit.c.id == job.id).values(cancel_requested_at=now_ms()))
    assert jobs.get(job.id, caller=caller).status == "queued"

    assert jobs.cancel(job.id, caller=caller).status == "cancelled"


def test_there_is_no_report_before_success(jobs: DatabaseJobs, caller: str, audit_request: Make) -> None:
    job, _ = jobs.submit(audit_request(), caller=caller)

    with pytest.raises(NoReport) as refused:
        jobs.report(job.id, caller=caller)

    assert refused.value.status == "queued"


def test_a_full_queue_takes_no_more(
    service_settings: Settings, jobs: DatabaseJobs, caller: str, audit_request: Make
) -> None:
    """Beyond the limit new audits are refused; a repeated one is still answered."""
    known, _ = jobs.submit(audit_request(), caller=caller, idempotency_key="k")
    full = open_jobs(service_settings.model_copy(update={"max_queue": 1}))
    try:
        with pytest.raises(QueueFull):
            full.submit(audit_request(), caller=caller)
        assert full.submit(audit_request(), caller=caller, idempotency_key="k")[0].id == known.id
    finally:
        full.close()
    assert len(jobs.list(caller=caller, where=ALL, cursor=None, limit=10).items) == 1


def test_an_audit_that_no_worker_takes_says_so(
    jobs: DatabaseJobs, engine: sa.Engine, caller: str, audit_request: Make
) -> None:
    """A queued audit names the kind of worker that it waits for, until one is alive."""
    job, _ = jobs.submit(audit_request(resources={"device": "gpu"}), caller=caller)
    assert "no live worker takes gpu audits" in str(job.progress.detail)
    assert jobs.get(job.id, caller=caller).progress == job.progress

    with engine.begin() as connection:
        row = {"executor": "another gpu", "queue": "gpu", "place": "", "pid": 1, "pid_started": 1}
        connection.execute(sa.insert(lease).values(**row, started_at=now_ms(), beat_at=now_ms()))
    assert jobs.get(job.id, caller=caller).progress.detail is None
    with engine.begin() as connection:
        connection.execute(sa.delete(lease).where(lease.c.executor == "another gpu"))


def test_gpu_audits_queue_for_gpus(jobs: DatabaseJobs, engine: sa.Engine, caller: str, audit_request: Make) -> None:
    """What asks for a GPU waits for one; what does not care takes one where a worker has it."""

    def queue_of(device: str) -> str | None:
        job, _ = jobs.submit(audit_request(resources={"device": device}), caller=caller)
        with engine.connect() as connection:
            query = sa.select(workflow.c.queue_name).where(workflow.c.workflow_uuid == job.id)
            return connection.execute(query).scalar_one()

    assert [queue_of(device) for device in ("cpu", "gpu", "auto")] == ["cpu", "gpu", "cpu"]
    with engine.begin() as connection:
        row = {"executor": "a gpu", "queue": "gpu", "place": "", "pid": 1, "pid_started": 1}
        connection.execute(sa.insert(lease).values(**row, started_at=now_ms(), beat_at=now_ms()))
    assert jobs.workers() == 1
    assert [queue_of(device) for device in ("cpu", "gpu", "auto")] == ["cpu", "gpu", "gpu"]


def test_a_database_that_is_away_is_said_to_be(tmp_path: object, audit_request: Make) -> None:
    """Nobody listens on the port: the answer is a problem of its own, and soon."""
    with pytest.raises(DatabaseUnavailable):
        open_jobs(Settings(database="postgresql://postgres@127.0.0.1:1/none"))


def test_many_processes_may_migrate_at_once(
    service_settings: Settings, tmp_path: object, request: pytest.FixtureRequest
) -> None:
    """API replicas and workers start together on an empty database."""
    if service_settings.database.startswith("postgresql"):
        empty = sa.make_url(request.getfixturevalue("postgres")())
        _drop_ours(empty)
        settings = service_settings.model_copy(update={"database": empty.render_as_string(hide_password=False)})
    else:
        settings = service_settings.model_copy(update={"database": f"sqlite:///{tmp_path}/empty.sqlite"})

    with ThreadPoolExecutor(4) as pool:
        opened = list(pool.map(lambda _: open_jobs(settings), range(4)))

    for one in opened:
        one.ping()
        one.close()


def _drop_ours(url: sa.URL) -> None:
    engine = sa.create_engine(url.set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        for table in (
            "access_key",
            "audit_upload",
            "upload",
            "tally",
            "callback",
            "turn",
            "audit_event",
            "report",
            "audit_progress",
            "audit_tag",
            "lease",
            "audit",
            "fitcheck_version",
        ):
            connection.execute(sa.text(f"DROP TABLE {table}"))
    engine.dispose()


def test_a_job_is_read_in_one_statement(jobs: DatabaseJobs, caller: str, audit_request) -> None:
    """A queued one with tags as well: clients poll it."""
    job, _ = jobs.submit(audit_request(tags={"b": "2", "a": "1"}), caller=caller)
    statements: list[str] = []
    note = lambda *event: statements.append(event[2])  # noqa: E731 - removed by identity
    sa.event.listen(jobs._engine, "before_cursor_execute", note)
    try:
        read = jobs.get(job.id, caller=caller)
    finally:
        sa.event.remove(jobs._engine, "before_cursor_execute", note)

    assert list(read.tags.items()) == [("a", "1"), ("b", "2")]
    assert len([text for text in statements if text.lstrip().upper().startswith("SELECT")]) == 1
