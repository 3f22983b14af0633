"""The thread by which a slot says that it lives, and takes over the work of those that no longer do."""

import threading
import time
from collections.abc import Callable, Sequence

import sqlalchemy as sa
import structlog
from sqlalchemy.exc import SQLAlchemyError

from service.jobs import leases
from service.settings import Settings

log = structlog.get_logger(__name__)


class Heartbeat(threading.Thread):
    """Renews a lease until stopped.

    Args:
        on_fenced: called once, when the lease turns out to be lost; must end the process.
        recover: queues the work of these executors again; harmless when repeated.
    """

    def __init__(
        self,
        settings: Settings,
        engine: sa.Engine,
        executor: str,
        *,
        on_fenced: Callable[[], None],
        recover: Callable[[Sequence[str]], None],
    ) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self._settings = settings
        self._engine = engine
        self._executor = executor
        self._on_fenced = on_fenced
        self._recover = recover
        self._stopping = threading.Event()
        self._health = Health(settings.lease_seconds)

    def run(self) -> None:
        while not self._stopping.is_set():
            self._tick_whatever_happens()
            self._stopping.wait(self._settings.beat_seconds)

    def stop(self) -> None:
        self._stopping.set()
        self.join(timeout=self._settings.lease_seconds)

    def _tick_whatever_happens(self) -> None:
        try:
            self._tick()
        except SQLAlchemyError as error:
            # Nobody can beat, so nobody is dead: wait for the database, and trust no lease for a while after.
            self._health.failed()
            log.warning("database_unreachable", error=type(error).__name__)
        except Exception:
            # Whatever it is: a slot whose heart stops would lose its work.
            self._health.failed()
            log.exception("heartbeat_failed")

    def _tick(self) -> None:
        with self._engine.begin() as connection:
            alive = leases.beat(connection, self._executor)
        if not alive:
            self._stopping.set()
            self._on_fenced()
            return
        self._health.succeeded()
        if self._health.may_judge():
            with self._engine.begin() as connection:
                leases.reap_overdue(connection, self._settings.lease_seconds)
        with self._engine.connect() as connection:
            orphaned = leases.orphaned(connection)
        if orphaned:
            log.info("work_taken_over", executors=orphaned)
            self._recover(orphaned)


class Health:
    """Whether this slot may declare others dead: only after its own beats have succeeded for a whole lease.

    Without this rule the first slot to reach a database that was away would find every other lease overdue.
    """

    def __init__(self, lease_seconds: float, clock: Callable[[], float] | None = None) -> None:
        self._lease_seconds = lease_seconds
        self._clock = clock or _seconds_awake_or_asleep
        self._since: float | None = None
        self._last = 0.0

    def succeeded(self) -> None:
        now = self._clock()
        # A long gap means that this process, or the machine, slept: so may have the others.
        if self._since is None or now - self._last > self._lease_seconds / 2:
            self._since = now
        self._last = now

    def failed(self) -> None:
        self._since = None

    def may_judge(self) -> bool:
        return self._since is not None and self._clock() - self._since >= self._lease_seconds


def _seconds_awake_or_asleep() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
