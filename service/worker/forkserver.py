"""A process that has loaded what audits need and never touched a device; forks one evaluator an audit.

Loading TensorFlow takes seconds and hundreds of megabytes; a fork of a process that has it takes milliseconds and
shares them. Started by exec with a clean environment, because an environment can be read by what is run in it.

The supervisor owns the listening socket, so that connections wait, rather than fail, while this process is replaced.
It holds the other end of a pipe that closes when this process takes no more of them: a successor then does, while
what began here comes to its end.
"""

import argparse
import gc
import importlib
import os
import select
import shutil
import signal
import socket
import sys
import tempfile
import time
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, cast

import structlog

from audits.isolation.kernel import hide
from service.logs import configure_logging
from service.settings import get_settings
from service.worker import evaluator as child
from service.worker.evaluator import Evaluator
from service.worker.processes import kill_group
from service.worker.protocol import ConnectionLost, Ended, Frame, send

log = structlog.get_logger(__name__)

PRODUCTION = "service.worker.audit"
PAUSE_SECONDS = 0.1


@dataclass
class Audit:
    """A connection, and the evaluator that was forked for it."""

    connection: socket.socket
    pid: int | None = None
    exit_fd: int | None = None
    scratch: Path | None = None


class ForkServer:
    """Serves slots until it has forked `recycle_after` evaluators, or is told to stop.

    Args:
        listener: where slots connect.
        scratch: folder in which each evaluator gets one of its own, deleted with it.
        serving: descriptor that is closed when no more connections are taken.
    """

    def __init__(
        self,
        listener: socket.socket,
        evaluator: Evaluator,
        scratch: Path,
        recycle_after: int,
        serving: int | None = None,
    ) -> None:
        self._listener = listener
        self._evaluator = evaluator
        self._scratch = scratch
        self._left = recycle_after
        self._serving = serving
        self._told_to_stop = False
        self._poll = select.poll()
        self._audits: dict[int, Audit] = {}  # by every descriptor that is polled for the audit
        self._stopping = False

    def run(self) -> None:
        """Serve. Returns when there is nothing left to do."""
        self._listener.setblocking(False)
        self._poll.register(self._listener, select.POLLIN)
        while self._audits or not self._stopping:
            self._handle_all(self._poll.poll(1000))
            if not self._stopping and (self._told_to_stop or self._left <= 0):
                self._stop()

    def stop(self) -> None:
        """Take no new connection; those that have an evaluator come to their end. For signal handlers too."""
        self._told_to_stop = True

    def _stop(self) -> None:
        self._stopping = True
        self._poll.unregister(self._listener)
        self._close_serving()
        for audit in self._distinct():
            if audit.pid is None:
                self._forget(audit)

    def _close_serving(self) -> None:
        if self._serving is not None:
            os.close(self._serving)
            self._serving = None

    def _handle_all(self, batch: list[tuple[int, int]]) -> None:
        # Whose events they are is settled first: what one closes, the next may open under the same number.
        for descriptor, audit, events in [(known, self._audits.get(known), events) for known, events in batch]:
            if descriptor == self._listener.fileno():
                self._accept()
            elif audit is not None and self._audits.get(descriptor) is audit:
                self._handle(audit, descriptor, events)

    def _handle(self, audit: Audit, descriptor: int, events: int) -> None:
        if descriptor == audit.exit_fd:
            self._finish(audit)
        elif events & (select.POLLHUP | select.POLLRDHUP | select.POLLERR):
            self._abandon(audit)
        elif self._left > 0:
            try:
                self._fork(audit)
            except OSError as error:
                self._refuse(audit, error)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, ConnectionError):
            return
        except OSError as error:
            # No descriptor or no memory. Who connects waits, and those that are evaluated come to their end.
            log.warning("connection_not_accepted", error=str(error))
            time.sleep(PAUSE_SECONDS)
            return
        connection.setblocking(True)
        audit = Audit(connection)
        self._audits[connection.fileno()] = audit
        self._poll.register(connection, select.POLLIN | select.POLLRDHUP)
        with suppress(OSError):
            send(connection, Frame(hello=os.getpid()))

    def _fork(self, audit: Audit) -> None:
        audit.scratch = Path(tempfile.mkdtemp(prefix="audit-", dir=self._scratch))
        server = os.getpid()
        with warnings.catch_warnings():
            # Python 3.12 warns of threads: those that TensorFlow starts when it is loaded, and that idle.
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if pid == 0:
            self._become_evaluator(audit, server)
        self._left -= 1
        audit.pid = pid
        audit.exit_fd = os.pidfd_open(pid)
        self._audits[audit.exit_fd] = audit
        self._poll.register(audit.exit_fd, select.POLLIN)
        # What the slot sends is the evaluator's to read; here, only its end matters.
        self._poll.modify(audit.connection, select.POLLRDHUP)

    def _become_evaluator(self, audit: Audit, server: int) -> NoReturn:
        status = 1
        try:
            self._listener.close()
            self._close_serving()
            for other in self._distinct():
                if other is not audit:
                    _close(other)
            child.isolate(server, cast("Path", audit.scratch))
            child.serve_one(audit.connection, self._evaluator)
            status = 0
        except (ConnectionLost, OSError) as error:
            log.warning("evaluator_without_slot", error=str(error))
        except BaseException:
            log.exception("evaluator_failed")
        finally:
            # No clean-up of libraries that were set up in another process.
            sys.stderr.flush()
            os._exit(status)

    def _refuse(self, audit: Audit, error: OSError) -> None:
        """The machine has no place for it now: the others, which would die with this process, go on."""
        log.warning("evaluator_not_started", error=str(error))
        if audit.pid is not None:
            kill_group(audit.pid)
            os.waitpid(audit.pid, 0)
        with suppress(OSError):
            send(audit.connection, Frame(passing=child.machine_fault(error)))
        self._forget(audit)

    def _abandon(self, audit: Audit) -> None:
        """The slot is gone, or wants no more of it."""
        if audit.pid is None:
            self._forget(audit)
        else:
            kill_group(audit.pid)
            self._poll.unregister(audit.connection)
            del self._audits[audit.connection.fileno()]

    def _finish(self, audit: Audit) -> None:
        """The evaluator has ended."""
        pid = cast("int", audit.pid)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        kill_group(pid)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        ended = Ended(code=code) if code >= 0 else Ended(signal=-code)
        with suppress(OSError):
            # An evaluator that was killed may have left half a line.
            audit.connection.setblocking(False)
            audit.connection.send(b"\n")
            send(audit.connection, Frame(ended=ended))
        self._forget(audit)

    def _forget(self, audit: Audit) -> None:
        for descriptor in [known for known, other in self._audits.items() if other is audit]:
            self._poll.unregister(descriptor)
            del self._audits[descriptor]
        _close(audit)
        if audit.scratch is not None:
            shutil.rmtree(audit.scratch, ignore_errors=True)

    def _distinct(self) -> list[Audit]:
        return list({id(audit): audit for audit in self._audits.values()}.values())


def _close(audit: Audit) -> None:
    audit.connection.close()
    if audit.exit_fd is not None:
        os.close(audit.exit_fd)


def main() -> None:
    arguments = _arguments()
    hide()
    configure_logging(get_settings())
    listener = socket.socket(fileno=arguments.listen)
    evaluator = cast("Evaluator", importlib.import_module(arguments.evaluator))
    evaluator.preload()
    # What is loaded stays: the collector need not look at it again, and so not copy its pages in every child.
    gc.collect()
    gc.freeze()
    server = ForkServer(listener, evaluator, arguments.scratch, arguments.recycle_after, arguments.serving)
    signal.signal(signal.SIGTERM, lambda *_: server.stop())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    log.info("fork_server_ready", evaluator=arguments.evaluator)
    server.run()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m service.worker.forkserver")
    parser.add_argument("--listen", type=int, required=True, help="descriptor of the listening socket")
    parser.add_argument("--serving", type=int, help="descriptor to close when no more connections are taken")
    parser.add_argument("--scratch", type=Path, required=True, help="folder for the evaluators' files")
    parser.add_argument("--evaluator", default=PRODUCTION, help="module that evaluates")
    parser.add_argument("--recycle-after", type=int, default=500, help="evaluators after which to end")
    return parser.parse_args()


if __name__ == "__main__":
    main()
