"""Processes that run models: forked or spawned, confined before they read anything, killed at the end."""

import contextlib
import ctypes
import faulthandler
import os
import resource
import signal
import socket
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from audits.models import preload
from audits.models.frames import ClosedError

Serve = Callable[[socket.socket], None]
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38  # linux/prctl.h


class Child:
    """A child process by its id."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
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
                pid, status = os.waitpid(self.pid, options)
            except ChildProcessError:  # somebody else has taken the exit code
                pid, status = self.pid, None
            if pid == self.pid:
                self._is_reaped = True
                self._status = None if status is None else os.waitstatus_to_exitcode(status)
        return self._is_reaped


def start_child(theirs: socket.socket, serve: Serve) -> Child:
    """A process that serves the connection.

    It is forked where TensorFlow has touched no device here; otherwise a fresh interpreter is started. Either way it
    has loaded no model before.
    """
    return _fork(theirs, serve) if preload.can_fork() else _spawn(theirs, serve)


def _fork(theirs: socket.socket, serve: Serve) -> Child:
    parent = os.getpid()
    with warnings.catch_warnings():
        # Python 3.12 warns of threads; the child takes no lock that one of them might hold
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        run_child(theirs, parent, serve)
    return Child(pid)


def _spawn(theirs: socket.socket, serve: Serve) -> Child:
    """A fresh interpreter, which finds our code where this one does."""
    code = (
        f"from {serve.__module__} import {serve.__name__}; from audits.models.children import run_spawned; "
        f"run_spawned({theirs.fileno()}, {os.getpid()}, {serve.__name__})"
    )
    theirs.set_inheritable(True)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)}
    return Child(os.posix_spawn(sys.executable, [sys.executable, "-c", code], environment))


def run_spawned(file_descriptor: int, parent: int, serve: Serve) -> NoReturn:
    """What a spawned interpreter does."""
    run_child(socket.socket(fileno=file_descriptor), parent, serve)


def run_child(connection: socket.socket, parent: int, serve: Serve) -> NoReturn:
    """Serve, and never return into the code that was forked."""
    code = 1
    try:
        _confine(connection.fileno(), parent)
        connection.settimeout(None)
        serve(connection)
        code = 0
    except ClosedError:
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _confine(file_descriptor: int, parent: int) -> None:
    """Take from the child what it does not need. Everything that limits it stands here, before the model is read."""
    faulthandler.disable()  # its output may be a file of the evaluator's
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if os.getppid() != parent:  # it died before the line above
        os._exit(1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):
        # when memory runs out, the kernel takes the model and not the evaluator
        Path("/proc/self/oom_score_adj").write_text("1000")
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)  # what the model prints is no output of ours; errors stay in the log
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - numbers, not paths
        if int(name) not in {1, 2, file_descriptor} and int(name) > 0:
            with contextlib.suppress(OSError):
                os.close(int(name))
