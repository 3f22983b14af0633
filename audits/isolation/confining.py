"""From a process that was just started to one that is locked in: what it inherited goes first."""

import faulthandler
import importlib
import os
import resource
import signal
import socket
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from audits.isolation import kernel
from audits.isolation.cage import Cage, enter
from schemas.isolation import Isolation

Serve = Callable[[socket.socket, Isolation], None]


def run_spawned(descriptor: int, parent: int, printed: int, cage: str, module: str, function: str) -> NoReturn:
    """What a spawned interpreter does. Libraries that start threads are loaded only after the process is locked in."""
    connection = socket.socket(fileno=descriptor)

    def serve(connection: socket.socket, isolation: Isolation) -> None:
        getattr(importlib.import_module(module), function)(connection, isolation)

    run_confined(connection, parent, printed, Cage.from_json(cage), serve)


def run_confined(connection: socket.socket, parent: int, printed: int, cage: Cage, serve: Serve) -> NoReturn:
    """Lock the process in and serve; never return into the code that was forked.

    Args:
        connection: to the parent, and all that is kept of what it had open.
        parent: its process id.
        printed: a pipe for what is printed as errors.
        cage: what may be reached.
        serve: answers on the connection, told how well it is locked in.
    """
    code = 1
    try:
        _let_go(connection.fileno(), parent, printed)
        isolation = enter(cage)
        connection.settimeout(None)
        serve(connection, isolation)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _let_go(descriptor: int, parent: int, printed: int) -> None:
    """Take from the process what it inherited and does not need."""
    faulthandler.disable()  # its output may be a file of the evaluator's
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    kernel.die_with_parent(parent)
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError):
        # Its own files in /proc are root's while the process is hidden, as its parent is.
        kernel.prctl(kernel.PR_SET_DUMPABLE, 1)
    kernel.sacrifice(1000)
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)  # what the model prints is no output of ours; errors go to the operator's log, within limits
    os.dup2(printed, 2)
    os.closerange(3, descriptor)
    os.closerange(descriptor + 1, os.sysconf("SC_OPEN_MAX"))
