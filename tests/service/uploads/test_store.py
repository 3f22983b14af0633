"""Uploads on both databases: what is pruned, what stays, and who wins where an audit and a deletion meet."""

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from schemas.problem import ProblemError
from schemas.request import AuditRequest
from schemas.upload import Upload
from service.jobs.client import DatabaseJobs
from service.jobs.tables import audit_upload, upload
from service.settings import Settings
from service.uploads import files
from service.uploads.errors import UploadInUse, UploadNotFound
from service.uploads.store import Uploads, prune_uploads


@pytest.fixture
def settings(service_settings: Settings, engine: sa.Engine, tmp_path: Path) -> Settings:
    mine = service_settings.model_copy(update={"uploads_dir": tmp_path / "uploads"})
    prune_uploads(mine, engine)  # what the tests before have left in the database
    return mine


@pytest.fixture
def store(settings: Settings, engine: sa.Engine) -> Uploads:
    return Uploads(settings, engine)


@pytest.fixture
def send(store: Uploads, caller: str) -> Callable[[], Upload]:
    def make() -> Upload:
        with store.receive(caller=caller, name="a.csv") as incoming:
            incoming.file.write(b"x,y\n")
            return store.keep(incoming)

    return make


def expire(engine: sa.Engine, sent: Upload) -> None:
    with engine.begin() as connection:
        connection.execute(sa.update(upload).where(upload.c.id == sent.id).values(expires_at=1))


def reading(audit_request: Callable[..., AuditRequest], sent: Upload) -> AuditRequest:
    return audit_request(history={"uri": sent.uri})


def is_there(settings: Settings, sent: Upload) -> bool:
    return (settings.uploads_dir / sent.id / f"{sent.id}.csv").is_file()


def test_what_has_expired_is_pruned_with_its_file(settings, engine, send) -> None:
    old, new = send(), send()
    expire(engine, old)

    assert prune_uploads(settings, engine) == 1
    assert (is_there(settings, old), is_there(settings, new)) == (False, True)
    assert prune_uploads(settings, engine) == 0


def test_what_an_unfinished_audit_reads_stays(
    settings, engine, send, jobs: DatabaseJobs, caller, audit_request
) -> None:
    sent = send()
    job, _ = jobs.submit(reading(audit_request, sent), caller=caller)
    expire(engine, sent)

    assert prune_uploads(settings, engine) == 0
    jobs.cancel(job.id, caller=caller)
    assert prune_uploads(settings, engine) == 1
    with engine.connect() as connection:
        assert not connection.execute(sa.select(audit_upload).where(audit_upload.c.upload_id == sent.id)).all()


def test_an_expired_one_cannot_be_named_any_more(engine, send, jobs: DatabaseJobs, caller, audit_request) -> None:
    sent = send()
    expire(engine, sent)
    with pytest.raises(ProblemError) as caught:
        jobs.submit(reading(audit_request, sent), caller=caller)

    assert (caught.value.code, caught.value.field) == ("upload_not_found", "history.uri")


def test_a_refused_submission_claims_nothing(engine, send, jobs: DatabaseJobs, caller, audit_request, store) -> None:
    sent = send()
    request = audit_request(model="upload://0190c3b4-0000-7000-8000-000000000000", history={"uri": sent.uri})
    with pytest.raises(ProblemError):
        jobs.submit(request, caller=caller)

    store.delete(sent.id, caller=caller)


def test_what_crashes_left_is_removed_when_it_is_old(settings, engine, send) -> None:
    sent = send()
    half, rowless, young = (settings.uploads_dir / name for name in (f"{files.PARTIAL}x", "rowless", "young"))
    for place in (half, rowless, young):
        place.mkdir()
        (place / "a.csv").write_text("x")
    long_ago = time.time() - 2 * files.ABANDONED_SECONDS
    for place in (half, rowless, settings.uploads_dir / sent.id):
        for path in (*place.iterdir(), place):
            os.utime(path, (long_ago, long_ago))

    assert prune_uploads(settings, engine) == 2
    assert sorted(path.name for path in settings.uploads_dir.iterdir()) == sorted([sent.id, "young"])


def test_a_file_that_still_arrives_is_not_taken_for_left_over(settings, engine, store, caller) -> None:
    with store.receive(caller=caller, name="a.csv") as incoming:
        incoming.file.write(b"x")
        assert prune_uploads(settings, engine) == 0
        assert store.keep(incoming).bytes == 1


def test_the_folder_that_is_not_there_yet_is_pruned_too(settings, engine) -> None:
    assert prune_uploads(settings, engine) == 0


def test_an_audit_never_begins_with_a_file_that_is_deleted(
    settings, send, store, jobs: DatabaseJobs, caller, audit_request
) -> None:
    """Whoever comes first wins, and the other one is told."""
    for _ in range(10):
        sent = send()
        request = reading(audit_request, sent)

        def delete(sent: Upload = sent) -> bool:
            try:
                store.delete(sent.id, caller=caller)
            except UploadInUse:
                return False
            return True

        def submit(request: AuditRequest = request) -> bool:
            try:
                jobs.submit(request, caller=caller)
            except ProblemError as problem:
                if problem.code != "upload_not_found":
                    raise
                return False
            return True

        with ThreadPoolExecutor(2) as pool:
            deleted, submitted = pool.submit(delete), pool.submit(submit)
        assert deleted.result() != submitted.result()
        assert is_there(settings, sent) == submitted.result()


def test_anothers_is_not_there(send, store, caller) -> None:
    sent = send()
    for act in (store.get, store.delete):
        with pytest.raises(UploadNotFound):
            act(sent.id, caller="another")

    assert store.get(sent.id, caller=None) == sent
