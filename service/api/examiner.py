"""Has requests examined before they are queued, by processes of their own: what a client wrote is not parsed here.

::

    API ─► fork server                service.worker.forkserver; kept running, and dies with the API
            └ examination ...         service.worker.examination; one a request, locked in

An examination that crashes, or takes too long, refuses nothing: the audit is queued, and its worker says what is wrong.
"""

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager

import structlog
from starlette.concurrency import run_in_threadpool

from audits.isolation import require_isolation
from audits.isolation.cage import DATA_HEADROOM
from audits.sources import Roots
from schemas.problem import RequestError
from schemas.request import AuditRequest
from service.api.unchanged import Unchanged, identity_of
from service.machine import cores, memory_bytes
from service.settings import Settings
from service.worker.evaluation import connect, is_warm, signal_name
from service.worker.examination import MEMORY_BYTES
from service.worker.keeping import KeptForkServer, evaluator_environment, run_folder
from service.worker.protocol import ConnectionLost, Ended, Examined, Frame, Frames, Order, send

log = structlog.get_logger(__name__)

PRODUCTION = "service.worker.examination"
# A sound request takes some hundredths of a second, seconds where storage is slow; longer, nobody waits for an answer.
EXAMINATION_SECONDS = 10.0
# Of the 40 threads that answer requests, those that may wait for examinations: the others read meanwhile.
MAX_WAITING = 20
START_SECONDS = 30.0  # loading the readers from a slow disk
STOP_SECONDS = 5.0
TEND_SECONDS = 0.1
READY_SECONDS = 1.0
RETRY_SECONDS = 5.0
FOR_GOOD = "audits are queued without being examined; mend the cause, and start the service again"
EFFECT = "audits are queued without being examined until it runs; it is tried again by itself"
# What one may hold, as the kernel counts it, and what of the machine's memory all of them together may: slots, the API
# and the page cache want the rest.
EXAMINATION_BYTES = int(MEMORY_BYTES * DATA_HEADROOM)
SHARE_OF_MEMORY = 0.5
RECYCLE_AFTER = 100_000  # it forks and does nothing else, so next to nothing leaks


def places() -> int:
    """Examinations at a time: two a core, as many as half of the memory holds at their worst, and at least one."""
    return max(1, min(2 * cores(), int(SHARE_OF_MEMORY * memory_bytes()) // EXAMINATION_BYTES))


class UnexaminedError(Exception):
    """There is no answer; says why."""


class Examiner:
    """Examines requests while `running`. May be shared by threads.

    Args:
        module: which examines.
        seconds: that a request may take, with all waiting.
    """

    def __init__(self, settings: Settings, *, module: str = PRODUCTION, seconds: float = EXAMINATION_SECONDS) -> None:
        self._settings = settings
        self._module = module
        self._seconds = seconds
        # As locations are resolved here only to be held against what is remembered, nothing is fetched.
        self._roots = Roots(settings.data_roots, uploads=settings.uploads_dir, closed=settings.closed)
        self._unchanged = Unchanged()
        self._waiting = threading.BoundedSemaphore(MAX_WAITING)
        self._places = threading.BoundedSemaphore(places())
        self._fork_server: KeptForkServer | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep the fork server running. Without one, requests are not examined, and the log says so.

        The thread that runs the event loop starts it: it dies with the thread that started it.
        """
        with ExitStack() as resources:
            self._fork_server = self._open(resources)
            tending = asyncio.create_task(_tend_for_ever(self._fork_server))
            try:
                await self._await_start()
                yield
            finally:
                tending.cancel()
                await asyncio.gather(tending, return_exceptions=True)
                self._fork_server = None

    def examine(self, request: AuditRequest) -> None:
        """Return if nothing is seen to be wrong, or nothing could be seen in time.

        Raises:
            RequestError: as `audits.preflight.check` names the problem, whatever its class there.
            IsolationUnavailable: the sandbox is required, and examinations are not locked in.
        """
        identity = identity_of(request, self._roots)
        if identity is not None and identity in self._unchanged:
            return
        try:
            examined = self._ask(request)
        except UnexaminedError as reason:
            log.warning("audit_not_examined", reason=str(reason))
            return
        require_isolation(examined.isolation, self._settings.sandbox)
        if examined.problem is not None:
            raise RequestError.from_problem(examined.problem)
        if identity is not None:
            self._unchanged.add(identity)

    def answers(self) -> bool:
        """Whether requests are examined now."""
        kept = self._fork_server
        return kept is not None and kept.is_running and is_warm(kept.address, READY_SECONDS)

    def _open(self, resources: ExitStack) -> KeptForkServer | None:
        try:
            folder = resources.enter_context(run_folder(self._settings.state_dir))
            kept = KeptForkServer(
                folder,
                self._module,
                # Each examination reads little: threads would cost more than they save.
                environment=evaluator_environment(self._settings, cores()),
                recycle_after=RECYCLE_AFTER,
                name="examiner",
            )
        except OSError as error:
            log.error("examiner_not_started", error=str(error), effect=FOR_GOOD)  # noqa: TRY400 - says all there is
            return None
        resources.callback(lambda: kept.stop(time.monotonic() + STOP_SECONDS))
        return kept

    async def _await_start(self) -> None:
        """Who asks first would otherwise not be examined."""
        deadline = time.monotonic() + START_SECONDS
        kept = self._fork_server
        while kept is not None and not kept.ends and time.monotonic() < deadline:
            if await run_in_threadpool(is_warm, kept.address, TEND_SECONDS):
                return
            await asyncio.sleep(0)
        if kept is not None:
            # One that only takes its time is no fault.
            tell = log.error if kept.ends else log.warning
            tell("examiner_not_started" if kept.ends else "examiner_still_starting", effect=EFFECT)

    def _ask(self, request: AuditRequest) -> Examined:
        deadline = time.monotonic() + self._seconds
        kept = self._fork_server
        if kept is None or not kept.is_running:
            raise UnexaminedError("the examiner does not run")
        with _place(self._waiting, 0), _place(self._places, self._seconds):
            try:
                with connect(kept.address) as connection:
                    connection.settimeout(self._seconds)
                    return self._converse(connection, request, deadline)
            except (ConnectionLost, OSError) as error:
                raise UnexaminedError(f"the examiner went away: {error}") from error

    def _converse(self, connection: socket.socket, request: AuditRequest, deadline: float) -> Examined:
        """Leaving this call ends the examination, however it stands."""
        frames = Frames(connection)
        _next(frames, deadline)  # hello
        roots = [str(root) for root in self._settings.data_roots]
        send(connection, Order(audit_id="", request=request, roots=roots))
        while True:
            frame = _next(frames, deadline)
            if frame.examined is not None:
                return frame.examined
            if frame.ended is not None:
                raise UnexaminedError(_how(frame.ended))
            if failure := frame.problem or frame.passing:
                raise UnexaminedError(failure.code)


def _next(frames: Frames, deadline: float) -> Frame:
    while (left := deadline - time.monotonic()) > 0:
        frame = frames.next(left)
        if frame is not None:
            return frame
    raise UnexaminedError("it took too long")


def _how(ended: Ended) -> str:
    return f"it ended by {signal_name(ended.signal)}" if ended.signal else f"it ended with status {ended.code}"


@contextmanager
def _place(places: threading.BoundedSemaphore, seconds: float) -> Iterator[None]:
    if not places.acquire(blocking=seconds > 0, timeout=seconds or None):
        raise UnexaminedError("too many requests are being examined")
    try:
        yield
    finally:
        places.release()


async def _tend_for_ever(kept: KeptForkServer | None) -> None:
    while kept is not None:
        try:
            kept.tend()
        except OSError as error:
            # No memory, no process, no descriptor: that may pass.
            log.error("examiner_not_started", error=str(error), effect=EFFECT)  # noqa: TRY400 - says all there is
            await asyncio.sleep(RETRY_SECONDS)
        await asyncio.sleep(TEND_SECONDS)
