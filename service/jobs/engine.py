"""The worker's side of the job engine: claims audits, has them evaluated, records what came out.

All that is known of DBOS on this side is here. An evaluation may be started more than once; it is reported once.
"""

import logging
import math
import time
from collections.abc import Callable
from typing import Protocol, TypeVar

import sqlalchemy as sa
import structlog
from dbos import DBOS, DBOSClient, DBOSConfig

from schemas.job import Progress
from schemas.problem import EvaluatorError, ProblemError
from schemas.report import Report
from service.jobs import claims, leases
from service.jobs.claims import Assignment, Superseded
from service.jobs.database import UNREACHABLE, connect, migrate
from service.jobs.heartbeat import Heartbeat
from service.jobs.names import APPLICATION, MAX_CLAIMS, MAX_DEATHS, SCHEMA, STEP, VERSION, WORKFLOW
from service.jobs.recovery import choose_recovery
from service.jobs.serialization import JsonSerializer
from service.jobs.states import timed_out, worker_lost
from service.settings import Settings
from service.tracing import Stages, audit_span

T = TypeVar("T")
log = structlog.get_logger(__name__)

WATCH_SECONDS = 0.5  # how often a running audit looks whether it is still wanted, and shows its progress
STEP_ATTEMPTS = 3
STEP_RETRY_SECONDS = 0.5  # doubled each time
MAX_DATABASE_WAIT_SECONDS = 5.0


class InfrastructureError(EvaluatorError):
    """A fault of the machine, not of the audit: worth another try in the same slot."""


class Evaluate(Protocol):
    """Evaluates one audit.

    Raises:
        ProblemError: why there is no report.
        InfrastructureError: ... and another try may do better.
        Superseded: `stopped` said so.
    """

    def __call__(
        self, assignment: Assignment, *, progress: Callable[[Progress], None], stopped: Callable[[], bool]
    ) -> Report: ...


class Executor:
    """One slot: claims from one queue, one audit at a time.

    Args:
        executor: the name of this slot and boot; never used again.
        on_fenced: called when the slot was declared dead; must end the process.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        queue: str,
        executor: str,
        evaluate: Evaluate,
        on_fenced: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._queue = queue
        self._executor = executor
        self._evaluate = evaluate
        self._engine = connect(settings)
        self._heartbeat = Heartbeat(
            settings, self._engine, executor, on_fenced=on_fenced, recover=choose_recovery(self._engine)
        )

    def start(self) -> None:
        """Register the lease, then begin to claim.

        Raises:
            DatabaseUnavailable: the database does not answer.
        """
        migrate(self._settings, self._engine)
        with self._engine.begin() as connection:
            leases.register(connection, self._executor, self._queue, leases.this_process())
        self._register_queue()
        _silence_expected_failures()
        DBOS(config=self._config())
        DBOS.listen_queues([self._queue])
        self._register_workflow()
        DBOS.launch()
        self._heartbeat.start()

    def stop(self, wait_seconds: float) -> None:
        """Claim no more, wait for the running audit, then give the lease back.

        An audit that still runs is another slot's from here on: the process must end at once.
        """
        # At least the second after which the engine first looks: what was claimed just now is not running yet.
        DBOS.destroy(workflow_completion_timeout_sec=max(1, math.ceil(wait_seconds)))
        self._heartbeat.stop()
        with self._engine.begin() as connection:
            leases.stop(connection, self._executor)

    def _config(self) -> DBOSConfig:
        return DBOSConfig(
            name=APPLICATION,
            system_database_url=self._settings.database_url.render_as_string(hide_password=False),
            system_database_engine=self._engine,
            dbos_system_schema=SCHEMA,
            application_version=VERSION,
            executor_id=self._executor,
            serializer=JsonSerializer(),
            run_migrations=False,
            use_listen_notify=False,  # saves a connection a slot; we use no notifications
            enable_otlp=False,
            log_level="WARNING",
        )

    def _register_queue(self) -> None:
        client = DBOSClient(
            system_database_engine=self._engine, dbos_system_schema=SCHEMA, application_name=APPLICATION
        )
        client.register_queue(self._queue, worker_concurrency=1, polling_interval_sec=self._settings.poll_seconds)

    def _register_workflow(self) -> None:
        @DBOS.step(
            name=STEP,
            retries_allowed=True,
            max_attempts=STEP_ATTEMPTS,
            interval_seconds=STEP_RETRY_SECONDS,
            should_retry=lambda error: isinstance(error, InfrastructureError),
        )
        def evaluate(assignment: Assignment) -> dict[str, str]:
            return self._evaluate_and_store(assignment)

        @DBOS.workflow(name=WORKFLOW, max_recovery_attempts=MAX_CLAIMS - 1)
        def audit(audit_id: str) -> dict[str, str]:
            return evaluate(self._begin(audit_id))

    def _begin(self, audit_id: str) -> Assignment:
        def begin(connection: sa.Connection) -> Assignment:
            assignment = claims.begin(connection, audit_id, self._executor)
            if assignment.deaths >= MAX_DEATHS:
                raise worker_lost()  # which takes back the count of this start
            return assignment

        assignment = self._until_reachable(begin)
        log.info("audit_started", audit=audit_id, attempt=assignment.attempt)
        return assignment

    def _evaluate_and_store(self, assignment: Assignment) -> dict[str, str]:
        if assignment.verdict is not None:
            return {"verdict": assignment.verdict}
        with audit_span(assignment.audit_id, assignment.attempt, assignment.traceparent) as stages:
            verdict = self._evaluate_under(Watch(self._engine, assignment, self._executor, stages), assignment)
        log.info("audit_finished", audit=assignment.audit_id, verdict=verdict)
        return {"verdict": verdict}

    def _evaluate_under(self, watch: "Watch", assignment: Assignment) -> str:
        try:
            report = self._evaluate(assignment, progress=watch.progress, stopped=watch.stopped)
        except ProblemError:
            watch.look()  # so that the job shows the stage in which it failed
            raise

        def store(connection: sa.Connection) -> str:
            watch.write(connection)
            return claims.store_report(connection, assignment.audit_id, self._executor, report)

        return self._until_reachable(store)

    def _until_reachable(self, write: Callable[[sa.Connection], T]) -> T:
        """Write in one transaction, and wait for a database that is away: the work done would be lost."""
        wait_seconds = 0.25
        while True:
            try:
                with self._engine.begin() as connection:
                    return write(connection)
            except UNREACHABLE as error:
                log.warning("database_unreachable", error=type(error).__name__, wait_seconds=wait_seconds)
            time.sleep(wait_seconds)
            wait_seconds = min(2 * wait_seconds, MAX_DATABASE_WAIT_SECONDS)


class Watch:
    """The database's view of one running audit: shows its progress, tells when it is no longer wanted."""

    def __init__(self, engine: sa.Engine, assignment: Assignment, executor: str, stages: Stages) -> None:
        self._engine = engine
        self._assignment = assignment
        self._executor = executor
        self._stages = stages
        self._unwritten: list[Progress] = []
        self._looked_at = 0.0
        self._lost = False

    def progress(self, progress: Progress) -> None:
        """Show this at the next look: some progress within a stage is skipped, no stage and not the last is."""
        self._stages.begin(progress.stage)
        if self._unwritten and self._unwritten[-1].stage == progress.stage:
            self._unwritten[-1] = progress
        else:
            self._unwritten.append(progress)

    def stopped(self) -> bool:
        """Whether to give up: cancelled, or taken over. Cheap: looks into the database now and then.

        Raises:
            EvaluatorError: the deadline has passed.
        """
        deadline = self._assignment.deadline
        if deadline is not None and time.time() > deadline:
            raise timed_out()
        if not self._lost and time.monotonic() - self._looked_at >= WATCH_SECONDS:
            self.look()
            self._looked_at = time.monotonic()
        return self._lost

    def look(self) -> None:
        """See whether the audit is still this worker's, and if so write what is unwritten."""
        try:
            with self._engine.begin() as connection:
                self._lost = not claims.is_owner(connection, self._assignment.audit_id, self._executor)
                if not self._lost:
                    self.write(connection)
        except UNREACHABLE:
            log.warning("database_unreachable", audit=self._assignment.audit_id)
        else:
            self._unwritten.clear()

    def write(self, connection: sa.Connection) -> None:
        """Write what is unwritten; it stays so until `look` has committed it, as a write may have to be repeated."""
        for progress in self._unwritten:
            claims.write_progress(connection, self._assignment, progress)


def _silence_expected_failures() -> None:
    """Keep audits that fail as they should out of the engine's error log; its other warnings stay."""
    logger = logging.getLogger("dbos")
    # The engine adds a handler of its own where there is none, and cuts the logger off from ours.
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    logger.addFilter(_is_unexpected)


def _is_unexpected(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, ProblemError | Superseded)
