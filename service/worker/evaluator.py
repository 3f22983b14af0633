"""What an evaluator process does: takes one order, evaluates, says how it went, ends.

Started by the fork server for one audit alone, so that memory goes back, a cancel is a kill and a crash in native
code costs one audit.
"""

import errno
import os
import resource
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import structlog

from audits.isolation.kernel import PR_SET_DUMPABLE, die_with_parent, hide, prctl, sacrifice
from schemas.job import Progress
from schemas.problem import EvaluatorError, Problem, ProblemError
from schemas.report import Report
from schemas.request import AuditRequest
from service.worker.protocol import Examined, Frame, Order, receive_order, send

log = structlog.get_logger(__name__)

ORDER_SECONDS = 30.0
PROGRESS_SECONDS = 0.1
KIBIBYTE = 1024  # in which Linux counts resident memory
_OF_THE_MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE}


class Evaluator(Protocol):
    """A module that evaluates audits, or examines requests."""

    def preload(self) -> None:
        """Load what every audit needs, without touching a device: this is done once, before forking."""
        ...

    def evaluate(
        self,
        request: AuditRequest,
        *,
        audit_id: str,
        roots: Sequence[Path],
        progress: Callable[[Progress], None],
    ) -> Report | Examined: ...


def isolate(server: int, scratch: Path) -> None:
    """Become a process group of one's own that dies with the fork server and writes to `scratch`."""
    os.setsid()
    die_with_parent(server)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    # The files of a hidden process in /proc are root's: it is shown for as long as it writes to one.
    prctl(PR_SET_DUMPABLE, 1)
    sacrifice(500)
    hide()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.umask(0o077)
    os.chdir(scratch)
    os.environ["TMPDIR"] = tempfile.tempdir = str(scratch)


def serve_one(connection: socket.socket, evaluator: Evaluator) -> None:
    """Take the order that is on its way, and answer with one report or problem.

    Raises:
        ConnectionLost: there is no order.
    """
    order = receive_order(connection, ORDER_SECONDS)
    os.environ.update(order.environment)
    send(connection, _outcome(connection, evaluator, order))


def _outcome(connection: socket.socket, evaluator: Evaluator, order: Order) -> Frame:
    try:
        result = evaluator.evaluate(
            order.request,
            audit_id=order.audit_id,
            roots=[Path(root) for root in order.roots],
            progress=_Reporter(connection),
        )
    except ProblemError as error:
        return Frame(problem=error.problem)
    except MemoryError:
        return Frame(problem=_out_of_memory())
    except Exception as error:
        # The text may quote rows, paths or keys: it is for the operator.
        log.exception("evaluator_failed", audit=order.audit_id)
        if isinstance(error, OSError) and error.errno in _OF_THE_MACHINE:
            return Frame(passing=machine_fault(error))
        return Frame(problem=_unexpected())
    return Frame(examined=result) if isinstance(result, Examined) else Frame(report=_with_memory(result))


def _with_memory(report: Report) -> Report:
    """The report with what this audit needed at most: here, and in the largest process of the model."""
    peaks = {"evaluator": resource.RUSAGE_SELF, "model": resource.RUSAGE_CHILDREN}
    used = {name: KIBIBYTE * resource.getrusage(whose).ru_maxrss for name, whose in peaks.items()}
    return report.model_copy(update={"environment": {**report.environment, "peak_memory_bytes": used}})


class _Reporter:
    """Sends progress, but not more often than anyone can look; a new stage at once."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._stage = ""
        self._sent_at = 0.0

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if progress.stage != self._stage or now - self._sent_at >= PROGRESS_SECONDS:
            send(self._connection, Frame(progress=progress))
            self._stage, self._sent_at = progress.stage, now


def _unexpected() -> Problem:
    return EvaluatorError(
        "internal_error",
        "The evaluation failed by a fault of ours. The operator's log has the details under the audit's id.",
    ).problem


def _out_of_memory() -> Problem:
    return EvaluatorError(
        "out_of_memory",
        "The evaluation needs more memory than the worker has. Read fewer rows: resources.max_rows.",
        field="resources.max_rows",
    ).problem


def machine_fault(error: OSError) -> Problem:
    """What the machine refuses, as a problem that may pass."""
    reason = os.strerror(error.errno or 0).lower()
    return EvaluatorError(
        "worker_fault", f"The worker cannot go on: {reason}. The operator has to mend that; then try again."
    ).problem
