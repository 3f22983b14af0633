"""Processes that run models: forked or spawned, locked in before they read anything, killed at the end."""

import os
import signal
import socket
import sys
import time
import warnings
from pathlib import Path

from audits.isolation.cage import Cage
from audits.isolation.confining import Serve, run_confined
from audits.isolation.runtime import without_secrets
from audits.models import preload

KIBIBYTE = 1024


class Child:
    """A child process by its id.

    Attributes:
        pid: of the process.
        peak_bytes: the most memory that it held, known once it has ended.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.peak_bytes = 0
        self._status: int | None = None
        self._is_reaped = False

    def kill(self) -> None:
        if not self._reaped(os.WNOHANG):
            os.kill(self.pid, signal.SIGKILL)
            self._reaped(0)

    def wait(self, seconds: float) -> int | None:
        """The exit code, or minus the signal that ended it; it is killed if it outlives the time."""
        deadline = time.monotonic() + seconds
        while not self._reaped(os.WNOHANG) and time.monotonic() < deadline:
            time.sleep(0.005)
        self.kill()
        return self._status

    def _reaped(self, options: int) -> bool:
        if not self._is_reaped:
            try:
                pid, status, usage = os.wait4(self.pid, options)
            except ChildProcessError:  # somebody else has taken the exit code
                pid, status, usage = self.pid, None, None
            if pid == self.pid:
                self._is_reaped = True
                self.peak_bytes = 0 if usage is None else KIBIBYTE * usage.ru_maxrss
                self._status = None if status is None else os.waitstatus_to_exitcode(status)
        return self._is_reaped


def start_child(theirs: socket.socket, serve: Serve, cage: Cage, printed: int) -> Child:
    """A process that serves the connection from inside the cage.

    It is forked where TensorFlow has touched no device here; otherwise a fresh interpreter is started. Either way it
    has loaded no model before.

    Args:
        theirs: its end of the connection.
        serve: what it does, a function of a module.
        cage: what it may reach.
        printed: its end of a pipe for what it prints as errors.
    """
    return (_fork if preload.can_fork() else _spawn)(theirs, serve, cage, printed)


def _fork(theirs: socket.socket, serve: Serve, cage: Cage, printed: int) -> Child:
    parent = os.getpid()
    with warnings.catch_warnings():
        # Python 3.12 warns of threads; the child takes no lock that one of them might hold
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        run_confined(theirs, parent, printed, cage, serve)
    return Child(pid)


def _spawn(theirs: socket.socket, serve: Serve, cage: Cage, printed: int) -> Child:
    """A fresh interpreter, which finds our code where this one does."""
    arguments = (theirs.fileno(), os.getpid(), printed, cage.to_json(), serve.__module__, serve.__name__)
    code = f"from audits.isolation.confining import run_spawned; run_spawned{arguments!r}"
    for descriptor in (theirs.fileno(), printed):
        os.set_inheritable(descriptor, True)
    path = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
    environment = {**without_secrets(os.environ, cage.scratch), "PYTHONPATH": path}
    return Child(os.posix_spawn(sys.executable, [sys.executable, "-c", code], environment))
