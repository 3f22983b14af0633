"""Processes that are kept running: started, watched, started again when they end, stopped in the end."""

import os
import signal
import subprocess
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

from audits.isolation.kernel import die_with_parent

log = structlog.get_logger(__name__)

FIRST_DELAY_SECONDS = 0.1
MAX_DELAY_SECONDS = 15.0
HEALTHY_SECONDS = 15.0  # a process that ran so long is started again at once


@dataclass(frozen=True)
class Start:
    """How to start a process once.

    Attributes:
        descriptors: which it inherits and we keep.
        handed: which it inherits and we close.
    """

    command: Sequence[str]
    environment: Mapping[str, str]
    descriptors: tuple[int, ...] = ()
    handed: tuple[int, ...] = ()


@dataclass
class Child:
    """One process that is to run.

    Attributes:
        plan: called at every start: a name or a token may have to be new each time.
        on_exit: called after every end, before the next start.
    """

    name: str
    plan: Callable[[], Start]
    on_exit: Callable[[int], None] | None = None
    process: "subprocess.Popen[bytes] | None" = field(default=None, init=False)
    started_at: float = field(default=0.0, init=False)
    starts: int = field(default=0, init=False)
    _delay: float = field(default=FIRST_DELAY_SECONDS, init=False)
    _not_before: float = field(default=0.0, init=False)

    def tend(self) -> int | None:
        """Start the process where it does not run; the exit status where it has just ended."""
        if self.process is None:
            if time.monotonic() >= self._not_before:
                self._start()
            return None
        status = self.process.poll()
        if status is not None:
            self._ended(status)
        return status

    def signal(self, number: signal.Signals) -> None:
        if self.process is not None:
            with suppress(ProcessLookupError):
                self.process.send_signal(number)

    def wait(self, deadline: float) -> None:
        """Wait for the end; kill what still runs at the deadline (`time.monotonic`)."""
        if self.process is None:
            return
        try:
            self.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            log.warning("child_killed", child=self.name, reason="did not end in time")
            self.process.kill()
            self.process.wait()
        self._ended(self.process.returncode)

    def replace(self) -> None:
        """Let go of the process, which comes to its end by itself; the next `tend` starts another."""
        self.process = None
        self._delay, self._not_before = FIRST_DELAY_SECONDS, 0.0

    def _start(self) -> None:
        start = self.plan()
        try:
            self.process = _spawn(start)
        finally:
            for descriptor in start.handed:
                os.close(descriptor)
        self.starts += 1
        self.started_at = time.monotonic()
        log.debug("child_started", child=self.name, pid=self.process.pid)

    def _ended(self, status: int) -> None:
        ran_seconds = time.monotonic() - self.started_at
        self._delay = FIRST_DELAY_SECONDS if ran_seconds >= HEALTHY_SECONDS else min(self._delay * 2, MAX_DELAY_SECONDS)
        self._not_before = time.monotonic() + self._delay
        self.process = None
        if self.on_exit is not None:
            self.on_exit(status)


def _spawn(start: Start) -> "subprocess.Popen[bytes]":
    parent = os.getpid()
    with warnings.catch_warnings():
        # Python 3.12 warns of threads, which the API has: what is called here takes no lock.
        warnings.simplefilter("ignore", DeprecationWarning)
        return subprocess.Popen(  # noqa: S603 - our own commands
            start.command,
            env=dict(start.environment),
            stdin=subprocess.DEVNULL,
            pass_fds=(*start.descriptors, *start.handed),
            preexec_fn=lambda: _before_exec(parent),  # noqa: PLW1509 - see above
        )


def _before_exec(parent: int) -> None:
    # A kill -9 of the supervisor must not leave the rest running.
    die_with_parent(parent)
    # Ctrl-C reaches every process of the terminal; the supervisor tells the others what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
