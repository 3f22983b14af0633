"""Following audits: one look into the database for all followers of this process, however many there are.

Every follower keeps its own place in the list of its audit's events, so that a slow one costs no memory and delays
nobody. No process tells another: all of them look at the same rows.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field

import structlog
from starlette.concurrency import run_in_threadpool

from schemas.job import FINAL, JobEvent
from service.api.problems import TooManyFollowersError
from service.jobs.errors import DatabaseUnavailable
from service.jobs.interface import Jobs

LOOK_SECONDS = 0.5
HEARTBEAT_SECONDS = 15.0  # proxies close connections on which nothing comes for a minute
MAX_FOLLOWERS = 1000
MAX_EVENTS = 1000  # an audit has a few dozen
RECONNECT_MILLISECONDS = 2000
HEARTBEAT = b": still here\n\n"

log = structlog.get_logger(__name__)


@dataclass
class _Feed:
    """The events of one audit while somebody follows it."""

    last: int
    events: list[JobEvent] = field(default_factory=list)
    followers: int = 0
    is_closed: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, events: Iterable[JobEvent]) -> None:
        for event in events:
            if len(self.events) > 1 and _is_passing(self.events[-1], self.events[-2]):
                self.events.pop()
            self.events.append(event)
            self.last = event.id
        del self.events[:-MAX_EVENTS]
        self._wake()

    def close(self) -> None:
        self.is_closed = True
        self._wake()

    def _wake(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()


def _is_passing(event: JobEvent, before: JobEvent) -> bool:
    """Whether it only says how far the same stage has come: the next one says it better."""
    return (event.status, event.attempt, event.progress.stage) == (before.status, before.attempt, before.progress.stage)


class Following:
    """The followers of this process; all its methods belong to one event loop."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._feeds: dict[str, _Feed] = {}
        self._looking: asyncio.Task[None] | None = None
        self._is_closed = False

    def count(self) -> int:
        """How many streams are open."""
        return sum(feed.followers for feed in tuple(self._feeds.values()))

    def require_room(self, wanted: int = 1) -> None:
        """Refuse more followers than this process can serve.

        Raises:
            TooManyFollowersError: there are as many.
        """
        if self.count() + wanted > MAX_FOLLOWERS:
            raise TooManyFollowersError(MAX_FOLLOWERS)

    def close(self) -> None:
        """End all streams, as for a stop of the service: their followers come back to another process."""
        self._is_closed = True
        for feed in self._feeds.values():
            feed.close()

    async def stream(self, audit_id: str, after: int) -> AsyncIterator[bytes]:
        """The events with higher ids than `after` as text/event-stream, up to the one with a final status."""
        yield f"retry: {RECONNECT_MILLISECONDS}\n\n".encode()
        feed = self._join(audit_id)
        status = None
        try:
            while not self._is_closed:
                changed = feed.changed
                for event in [event for event in feed.events if event.id > after]:
                    yield _message(event, "progress" if event.status == status else "state")
                    after, status = event.id, event.status
                if status in FINAL or feed.is_closed:
                    return
                try:
                    await asyncio.wait_for(changed.wait(), HEARTBEAT_SECONDS)
                except TimeoutError:
                    yield HEARTBEAT
        finally:
            self._leave(audit_id, feed)

    def _join(self, audit_id: str) -> _Feed:
        # A feed begins with the first event, for its followers may have seen more and less.
        feed = self._feeds.setdefault(audit_id, _Feed(last=0))
        feed.followers += 1
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look_while_followed())
        return feed

    def _leave(self, audit_id: str, feed: _Feed) -> None:
        feed.followers -= 1
        if not feed.followers and self._feeds.get(audit_id) is feed:
            del self._feeds[audit_id]

    async def _look_while_followed(self) -> None:
        while self._feeds and not self._is_closed:
            try:
                await self._look()
            except DatabaseUnavailable:
                log.warning("database_unavailable", followers=len(self._feeds))
            except Exception:
                log.exception("following_failed")  # and its followers still wait
            await asyncio.sleep(LOOK_SECONDS)

    async def _look(self) -> None:
        followed = dict(self._feeds)
        found = await run_in_threadpool(self._jobs.events, {name: feed.last for name, feed in followed.items()})
        for audit_id, feed in followed.items():
            if audit_id not in found:
                feed.close()  # it was deleted
            elif found[audit_id]:
                feed.add(found[audit_id])


def _message(event: JobEvent, kind: str) -> bytes:
    return f"id: {event.id}\nevent: {kind}\ndata: {event.model_dump_json()}\n\n".encode()
