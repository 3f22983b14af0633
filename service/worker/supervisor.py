"""The one process that an operator starts: keeps the fork server, the slots and, to serve, the API running.

::

    supervisor
     ├ uvicorn          the API, in `serve`
     ├ fork server      has TensorFlow loaded
     │   └ evaluator    one an audit
     └ slot, slot ...    claims audits
"""

import os
import secrets
import signal
import socket
import threading
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import sqlalchemy as sa
import structlog
from sqlalchemy.exc import SQLAlchemyError

from audits.isolation import probe, require_isolation
from audits.isolation.kernel import hide
from schemas.problem import ProblemError
from service.access.store import require_safe_bind
from service.jobs import leases
from service.jobs.database import connect, migrate
from service.jobs.errors import DatabaseUnavailable
from service.logs import configure_logging
from service.settings import PREFIX, SECRETS, Settings
from service.worker.children import Child, Start
from service.worker.devices import gpus
from service.worker.forkserver import PRODUCTION
from service.worker.keeping import KeptForkServer, evaluator_environment, python_module, run_folder

log = structlog.get_logger(__name__)

CANNOT_START = 3  # as every command without a result ends; 1 is a verdict
TEND_SECONDS = 0.1
KILL_SECONDS = 5.0  # beyond the time that the slots were given to finish
FIRST_API_SECONDS = 15.0  # an API that fails so early has nothing to listen on


def run_worker(settings: Settings, *, evaluator: str = PRODUCTION) -> int:
    """Evaluate audits until told to stop; the exit status."""
    return _run(settings, evaluator, with_api=False)


def run_serve(settings: Settings, *, evaluator: str = PRODUCTION) -> int:
    """Take, evaluate and answer audits until told to stop; the exit status.

    Raises:
        ValueError: others than this machine would reach the API without a key; or webhooks would not be signed.
    """
    require_safe_bind(settings)
    settings.require_signed_callbacks()
    configure_logging(settings)
    if (reason := _cannot_listen(settings)) is not None:
        log.error("port_unusable", host=settings.host, port=settings.port, reason=reason)
        return CANNOT_START
    return _run(settings, evaluator, with_api=True)


def _run(settings: Settings, evaluator: str, *, with_api: bool) -> int:
    configure_logging(settings)
    if evaluator == PRODUCTION and find_spec("tensorflow") is None:
        log.error("tensorflow_missing", remedy="install fitcheck[cpu] or fitcheck[gpu]")
        return CANNOT_START
    isolation = probe(settings.sandbox)
    log.info("isolation_probed", isolation=isolation.model_dump())
    try:
        require_isolation(isolation, settings.sandbox)
    except ProblemError as error:
        log.error(error.code, detail=error.detail)  # noqa: TRY400 - says all there is
        return CANNOT_START
    try:
        engine = connect(settings, pool_size=1)
        migrate(settings, engine)
        # After a crash of everything, work need not wait for leases to run out.
        with engine.begin() as connection:
            leases.release_dead_here(connection)
    except DatabaseUnavailable as error:
        log.error("database_unavailable", detail=error.detail)  # noqa: TRY400 - says all there is
        return CANNOT_START
    hide()
    with run_folder(settings.state_dir) as folder:
        return Supervisor(settings, engine, folder, evaluator, with_api=with_api).run()


class Supervisor:
    """Keeps the processes of one host running, from `run` until a signal."""

    def __init__(self, settings: Settings, engine: sa.Engine, folder: Path, evaluator: str, *, with_api: bool) -> None:
        self._settings = settings
        self._engine = engine
        self._stopping = threading.Event()
        self._hurry = False
        self._status = 0
        self._slots = self._plan_slots()
        self._fork_server = KeptForkServer(
            folder,
            evaluator,
            environment=evaluator_environment(settings, len(self._slots)),
            recycle_after=settings.recycle_after,
        )
        self._api = [Child("api", self._plan_api, on_exit=self._api_ended)] if with_api else []

    def run(self) -> int:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        log.info("service_started", slots=len(self._slots), api=bool(self._api))
        while not self._stopping.is_set():
            self._fork_server.tend()
            for child in (*self._api, *self._slots):
                child.tend()
            self._stopping.wait(TEND_SECONDS)
        self._shut_down()
        return self._status

    def _on_signal(self, *_: object) -> None:
        self._hurry = self._stopping.is_set()
        self._stopping.set()

    def _shut_down(self) -> None:
        log.info("service_stopping", wait_seconds=self._settings.shutdown_seconds)
        deadline = time.monotonic() + self._settings.shutdown_seconds + KILL_SECONDS
        for child in (*self._api, *self._slots):
            child.signal(signal.SIGTERM)
        for child in (*self._slots, *self._api):
            self._wait(child, deadline)
        # Evaluators that still run belong to slots that are gone.
        self._fork_server.stop(deadline)
        self._engine.dispose()
        log.info("service_stopped")

    def _wait(self, child: Child, deadline: float) -> None:
        while child.process is not None and child.process.poll() is None and not self._hurry:
            if time.monotonic() >= deadline:
                break
            time.sleep(TEND_SECONDS)
        child.wait(time.monotonic() if self._hurry else deadline)

    def _plan_slots(self) -> list[Child]:
        placed: list[tuple[str, str, str]] = [
            (f"cpu.{i}", self._settings.cpu_queue, "-1") for i in range(self._settings.slots)
        ]
        for device in gpus():
            placed += [(f"gpu{device}.{i}", self._settings.gpu_queue, device) for i in range(self._settings.gpu_slots)]
        return [self._slot(name, queue, device) for name, queue, device in placed]

    def _slot(self, name: str, queue: str, device: str) -> Child:
        executor = ""

        def plan() -> Start:
            nonlocal executor
            # A new name at every start: the work of the old one must never look like this one's.
            executor = f"{socket.gethostname()}:{name}:{secrets.token_hex(4)}"
            options = ("--queue", queue, "--executor", executor, "--device", device)
            command = (*python_module("service.worker.slot"), *options, "--address", str(self._fork_server.address))
            return Start(command, self._environment(without=SECRETS - {"database"}))

        def on_exit(status: int) -> None:
            if not self._stopping.is_set():
                log.warning("slot_ended", slot=executor, status=status)
            self._release(executor)

        return Child(name, plan, on_exit)

    def _release(self, executor: str) -> None:
        """Let others take over at once; without a database the lease does so when it runs out."""
        with suppress(SQLAlchemyError), self._engine.begin() as connection:
            # A slot that had to be killed to stop it is no death either.
            (leases.stop if self._stopping.is_set() else leases.release)(connection, executor)

    def _plan_api(self) -> Start:
        return Start((*python_module("service"), "api"), self._environment())

    def _environment(self, *, without: frozenset[str] = frozenset()) -> dict[str, str]:
        others = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        return {**others, **self._settings.environment(without=without)}

    def _api_ended(self, status: int) -> None:
        if self._stopping.is_set():
            return
        log.error("api_ended", status=status)
        api = self._api[0]
        if api.starts == 1 and time.monotonic() - api.started_at < FIRST_API_SECONDS:
            self._status = CANNOT_START
            self._stopping.set()


def _cannot_listen(settings: Settings) -> str | None:
    """Why the API could not listen: said at once, rather than after everything else has been started."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[
            0
        ]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        return error.strerror or str(error)
    return None
