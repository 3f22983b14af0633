"""Following an audit over HTTP, and the one look for all followers behind it."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence

import pytest

from schemas.job import JobEvent, Progress
from service.api import following
from service.api.following import HEARTBEAT, Following
from service.jobs.errors import DatabaseUnavailable
from tests.service.fakes import FakeJobs

from .test_audits import submit


def parse(stream: str) -> list[tuple[int, str, dict]]:
    """(id, event, data) of each event."""
    found = []
    for block in stream.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "data" in fields:
            found.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
    return found


def test_a_finished_audit_is_told_and_the_stream_ends(client, body, jobs):
    job = submit(client, body).json()
    jobs.succeed(job["id"], "warn")

    answer = client.get(job["links"]["events"])

    assert answer.headers["Content-Type"].startswith("text/event-stream")
    assert answer.headers["Cache-Control"] == "no-store"
    [(number, event, data)] = parse(answer.text)
    assert (event, data["id"], data["status"], data["verdict"]) == ("state", number, "succeeded", "warn")
    JobEvent.model_validate(data)


def test_who_has_the_last_event_is_told_not_to_come_back(client, body, jobs):
    """204 ends an EventSource, which would reconnect for ever otherwise."""
    job = submit(client, body).json()
    jobs.succeed(job["id"])
    [(last, _, _)] = parse(client.get(job["links"]["events"]).text)

    assert client.get(job["links"]["events"], headers={"Last-Event-ID": str(last)}).status_code == 204
    assert parse(client.get(job["links"]["events"], headers={"Last-Event-ID": str(last - 1)}).text)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Last-Event-ID": "x"}, 422),
        ({"Last-Event-ID": "-1"}, 422),
        ({"Last-Event-ID": "+0.0"}, 422),
        ({"Accept": "text/html"}, 406),
    ],
)
def test_what_makes_no_sense_is_refused(client, body, headers, status):
    job = submit(client, body).json()

    assert client.get(job["links"]["events"], headers=headers).status_code == status


def test_events_belong_to_their_caller(client_of, body):
    client = client_of(api_keys=("mine", "theirs"))
    job = client.post("/v1/audits", json=body, headers={"Authorization": "Bearer mine"}).json()

    answer = client.get(job["links"]["events"], headers={"Authorization": "Bearer theirs"})

    assert (answer.status_code, answer.json()["code"]) == (404, "audit_not_found")


def test_head_begins_no_stream(client, body):
    """The audit is not finished: a stream would not end."""
    job = submit(client, body).json()

    answer = client.head(job["links"]["events"])

    assert (answer.status_code, answer.content) == (200, b"")


def test_a_process_takes_so_many_followers(client, body, monkeypatch):
    monkeypatch.setattr(following, "MAX_FOLLOWERS", 0)
    job = submit(client, body).json()

    answer = client.get(job["links"]["events"])

    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_followers")
    assert int(answer.headers["Retry-After"]) > 0


class CountedJobs(FakeJobs):
    def __init__(self) -> None:
        super().__init__()
        self.looks: list[int] = []

    def events(self, after: Mapping[str, int]) -> Mapping[str, Sequence[JobEvent]]:
        self.looks.append(len(after))
        return super().events(after)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> CountedJobs:
    monkeypatch.setattr(following, "LOOK_SECONDS", 0.02)
    return CountedJobs()


async def read(stream: AsyncIterator[bytes]) -> list[str]:
    return [data["status"] for _, _, data in parse(b"".join([part async for part in stream]).decode())]


def submitted(jobs: FakeJobs, audit_request) -> str:
    return jobs.submit(audit_request(), caller="me")[0].id


def test_a_hundred_followers_cost_one_look(counted, audit_request):
    """All of them see every state; the database is asked as often as for one."""

    async def follow() -> list[list[str]]:
        audits = [submitted(counted, audit_request) for _ in range(4)]
        hub = Following(counted)
        readers = [asyncio.create_task(read(hub.stream(audit, 0))) for audit in audits * 25]
        await asyncio.sleep(0.5)
        for audit in audits:
            counted.start(audit)
        await asyncio.sleep(0.5)
        for audit in audits:
            counted.succeed(audit)
        return await asyncio.gather(*readers)

    seen = asyncio.run(follow())

    assert seen == [["queued", "running", "succeeded"]] * 100
    assert len(counted.looks) < 60
    assert max(counted.looks) == 4


def test_nobody_followed_is_nothing_looked_at(counted, audit_request):
    async def follow() -> None:
        hub = Following(counted)
        stream = hub.stream(submitted(counted, audit_request), 0)
        await anext(stream)
        await anext(stream)
        await stream.aclose()
        await asyncio.sleep(0.1)
        looks = len(counted.looks)
        await asyncio.sleep(0.1)
        assert len(counted.looks) == looks

    asyncio.run(follow())


def test_progress_that_nobody_read_is_not_piled_up(counted, audit_request):
    """A follower that is slow gets the newest progress of each stage, not all that there was."""

    async def follow() -> list[str]:
        audit = submitted(counted, audit_request)
        hub = Following(counted)
        fast = asyncio.create_task(read(hub.stream(audit, 0)))
        for done in range(20):
            counted.start(audit, Progress(fraction=done / 20, stage="checking"))
            await asyncio.sleep(0.03)
        assert len(hub._feeds[audit].events) <= 3
        late = asyncio.create_task(read(hub.stream(audit, 0)))
        counted.succeed(audit)
        assert len(await fast) > 4
        return await late

    told = asyncio.run(follow())
    assert told[-1] == "succeeded"
    assert len(told) <= 4


def test_silence_is_broken_by_comments(counted, audit_request, monkeypatch):
    monkeypatch.setattr(following, "HEARTBEAT_SECONDS", 0.01)

    async def follow() -> list[bytes]:
        stream = Following(counted).stream(submitted(counted, audit_request), 0)
        return [await anext(stream) for _ in range(6)]

    assert asyncio.run(follow()).count(HEARTBEAT) >= 3


def test_an_outage_of_the_database_ends_no_stream(counted, audit_request):
    async def follow() -> list[str]:
        audit = submitted(counted, audit_request)
        reader = asyncio.create_task(read(Following(counted).stream(audit, 0)))
        counted.broken = DatabaseUnavailable()
        await asyncio.sleep(0.1)
        counted.broken = None
        counted.succeed(audit)
        return await reader

    assert asyncio.run(follow())[-1] == "succeeded"


def test_streams_end_with_the_service_and_with_the_audit(counted, audit_request):
    async def follow() -> None:
        kept, deleted = (submitted(counted, audit_request) for _ in range(2))
        hub = Following(counted)
        readers = [asyncio.create_task(read(hub.stream(audit, 0))) for audit in (kept, deleted)]
        await asyncio.sleep(0.1)
        counted.stored.pop()
        assert await asyncio.wait_for(readers[1], 2) == ["queued"]
        hub.close()
        assert await asyncio.wait_for(readers[0], 2) == ["queued"]

    asyncio.run(follow())
