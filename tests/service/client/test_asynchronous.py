"""The client for coroutines does what the other does."""

import asyncio
import shutil
from collections.abc import Coroutine
from pathlib import Path

import httpx
import pytest

from fitcheck import AsyncClient, RefusedError, WaitTimeoutError
from service.access.store import Keys
from service.api.app import create_app
from service.client.asynchronous import AsyncCalls
from service.client.blocking import Calls
from service.jobs.database import connect, migrate
from service.settings import Settings
from service.uploads.store import Uploads
from tests.service.client.test_blocking import EXAMPLES, FIELDS, JOB, busy
from tests.service.fakes import FakeJobs


@pytest.fixture
def jobs() -> FakeJobs:
    return FakeJobs()


def run(what: Coroutine) -> object:
    return asyncio.run(what)


def client_of(app) -> AsyncClient:
    return AsyncClient("http://fitcheck.test", transport=httpx.ASGITransport(app, client=("127.0.0.1", 50_000)))


def test_it_has_every_call_of_the_other():
    def public(of: type) -> set[str]:
        return {name for name in vars(of) if not name.startswith("_")}

    # The command line's own.
    assert public(Calls) - public(AsyncCalls) == {"report", "poll"}


def test_an_audit_from_submission_to_report(jobs: FakeJobs):
    async def main() -> None:
        async with client_of(create_app(Settings(data_roots=(EXAMPLES,)), jobs)) as client:
            audit = await client.submit(**FIELDS)
            jobs.succeed(audit.id, "warn")
            seen = []
            report = await audit.wait(progress=seen.append, timeout=60)
            assert (report.verdict, audit.status) == ("warn", "succeeded")
            assert seen[-1].stage == "done"
            assert [event.status async for event in audit.events()] == ["succeeded"]
            assert [found.id async for found in client.audits()] == [audit.id]
            assert len(await client.catalogue()) > 30

    run(main())


def test_what_is_refused_and_what_takes_too_long(jobs: FakeJobs):
    async def main() -> None:
        async with client_of(create_app(Settings(data_roots=(EXAMPLES,)), jobs)) as client:
            audit = await client.submit(**FIELDS)
            with pytest.raises(RefusedError):
                await audit.report()
            with pytest.raises(WaitTimeoutError):
                await audit.wait(timeout=0.2)
            assert (await audit.cancel()).status == "cancelled"

    run(main())


def test_it_tries_again(monkeypatch):
    requests = []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return busy(503, "0") if len(requests) < 3 else httpx.Response(202, json=JOB)

    async def main() -> None:
        async with AsyncClient("http://x.test", transport=httpx.MockTransport(answer)) as client:
            await client.submit(**FIELDS)

    run(main())

    assert len(requests) == 3
    assert len({request.headers["Idempotency-Key"] for request in requests}) == 1


def test_files_are_sent(jobs: FakeJobs, tmp_path: Path):
    """Nothing but uploads can be read by this service."""
    (tmp_path / "roots").mkdir()
    settings = Settings(state_dir=tmp_path, data_roots=(tmp_path / "roots",))
    engine = connect(settings)
    migrate(settings, engine)
    shutil.copytree(EXAMPLES / "wrong_scaling", tmp_path / "mine")
    files = {name: tmp_path / "mine" / Path(FIELDS[name]).name for name in ("model", "train", "validation")}

    async def main() -> None:
        app = create_app(settings, jobs, uploads=Uploads(settings, engine), keys=Keys(engine))
        async with client_of(app) as client:
            first = await client.submit(upload=True, label="benign", **files)
            second = await client.submit(upload=True, label="benign", **files)
            assert jobs.requests[first.id] == jobs.requests[second.id]
            assert jobs.requests[first.id].model.uri.startswith("upload://")

    run(main())
    engine.dispose()
