"""A slot's side of one evaluation: orders it from the fork server, follows it, ends it."""

import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from schemas.job import Progress, Stage
from schemas.problem import EvaluatorError, ProblemError
from schemas.report import Report
from service.jobs.claims import Assignment, Superseded
from service.jobs.engine import InfrastructureError
from service.worker.protocol import ConnectionLost, Ended, Frame, Frames, Order, send

log = structlog.get_logger(__name__)

LOOK_SECONDS = 0.1  # how soon a cancel or a deadline is noticed
HELLO_SECONDS = 180.0  # loading TensorFlow on a slow disk
# Signals that a process gets from others, not from what it does itself.
_FROM_OUTSIDE = {signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT}


@dataclass(frozen=True)
class ForkedEvaluation:
    """Evaluates audits in processes that the fork server behind `address` forks.

    Attributes:
        environment: variables of the evaluators, such as the device that is this slot's.
    """

    address: Path
    roots: tuple[Path, ...]
    environment: dict[str, str]

    def __call__(
        self, assignment: Assignment, *, progress: Callable[[Progress], None], stopped: Callable[[], bool]
    ) -> Report:
        """Evaluate in a new process. Leaving this call, however, kills the process.

        Raises:
            ProblemError: why there is no report.
            InfrastructureError: ... and another try may do better.
            Superseded: `stopped` said so.
        """
        order = Order(
            audit_id=assignment.audit_id,
            request=assignment.request,
            roots=[str(root) for root in self.roots],
            environment=self.environment,
        )
        try:
            with connect(self.address) as connection:
                frames = Frames(connection)
                _await_hello(frames, stopped)
                send(connection, order)
                return _follow(frames, progress, stopped)
        except (ConnectionLost, OSError) as error:
            log.warning("fork_server_lost", audit=assignment.audit_id, error=str(error))
            raise InfrastructureError(
                "worker_fault", "The process that starts evaluations went away. Submit the audit again."
            ) from error


def connect(address: Path) -> socket.socket:
    """A connection to the fork server; it waits there while none runs.

    Raises:
        OSError: nobody listens, not even the supervisor.
    """
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(str(address))
    except OSError:
        connection.close()
        raise
    return connection


def is_warm(address: Path, timeout_seconds: float) -> bool:
    """Whether the fork server answers in time: then it has loaded what it has to."""
    try:
        with connect(address) as connection:
            frame = Frames(connection).next(timeout_seconds)
    except (ConnectionLost, OSError):
        return False
    return frame is not None and frame.hello is not None


def _await_hello(frames: Frames, stopped: Callable[[], bool]) -> None:
    deadline = time.monotonic() + HELLO_SECONDS
    while time.monotonic() < deadline:
        if frames.next(LOOK_SECONDS) is not None:
            return
        if stopped():
            raise Superseded
    raise ConnectionLost("no hello")


def _follow(frames: Frames, progress: Callable[[Progress], None], stopped: Callable[[], bool]) -> Report:
    outcome: Report | ProblemError | None = None
    stage: Stage = "opening"
    while True:
        frame = _next(frames, outcome)
        if frame is not None and frame.ended is not None:
            return _conclude(outcome, frame.ended, stage)
        if frame is not None and frame.progress is not None:
            stage = frame.progress.stage
            progress(frame.progress)
        elif frame is not None:
            outcome = _outcome(frame) or outcome
        if stopped():
            raise Superseded


def _next(frames: Frames, outcome: Report | ProblemError | None) -> Frame | None:
    try:
        return frames.next(LOOK_SECONDS)
    except ConnectionLost:
        if outcome is None:
            raise
        # The outcome came whole; how the process ended adds nothing.
        return Frame(ended=Ended(code=0))


def _outcome(frame: Frame) -> Report | ProblemError | None:
    if frame.passing is not None:
        return InfrastructureError.from_problem(frame.passing)
    return ProblemError.from_problem(frame.problem) if frame.problem is not None else frame.report


def _conclude(outcome: Report | ProblemError | None, ended: Ended, stage: Stage) -> Report:
    """The report; a process that ended without a word has crashed, whatever its exit status says."""
    if isinstance(outcome, Report):
        return outcome
    if outcome is not None:
        raise outcome
    if ended.signal in _FROM_OUTSIDE:
        raise InfrastructureError(
            "evaluator_killed",
            f"The evaluation was killed from outside ({signal_name(ended.signal)}), most likely because the "
            "machine ran out of memory. Read fewer rows: resources.max_rows, or run the worker with more memory.",
        )
    how = f"by {signal_name(ended.signal)}" if ended.signal else f"with exit status {ended.code}"
    raise EvaluatorError(
        "evaluator_crashed",
        f"The evaluation ended {how} and without a result in the stage {stage!r}: native code crashed on this model or "
        "these data. A damaged file can do that to its reader: write the data anew, and export the model anew. Other "
        "audits are not affected.",
    )


def signal_name(number: int | None) -> str:
    try:
        return signal.Signals(number or 0).name
    except ValueError:
        return f"signal {number}"
