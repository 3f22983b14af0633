"""An examination without readers, for tests of the API around it.

The model's address says what happens, ``verb:argument``.
"""

import ctypes
import os
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from schemas.isolation import Isolation
from schemas.job import Progress
from schemas.problem import DataError, Problem
from schemas.request import AuditRequest
from service.settings import get_settings
from service.worker import examination
from service.worker.protocol import Examined

LOCKED_IN = Isolation(level="full")


def preload() -> None:
    """Nothing takes long here."""


def evaluate(
    request: AuditRequest, *, audit_id: str, roots: Sequence[Path], progress: Callable[[Progress], None]
) -> Examined:
    verb, _, argument = request.model.uri.partition(":")
    if verb in CAGED:
        isolation = examination._lock_in(request, roots, get_settings())
        return Examined(isolation=isolation, problem=CAGED[verb](argument))
    return Examined(isolation=Isolation() if verb == "loose" else LOCKED_IN, problem=BEHAVIOUR[verb](argument))


def problem(_: str) -> Problem:
    return DataError(
        "label_missing", "There is no column 'y'.", field="data.label", file="train.csv", row=3, column="y"
    ).problem


def bloat(_: str) -> None:
    raise MemoryError


def count(journal: str) -> None:
    """Note that there was an examination."""
    with Path(journal).open("a") as file:
        file.write(f"{os.getpid()}\n")


BEHAVIOUR: dict[str, Callable[[str], Problem | None]] = {
    "sound": lambda _: None,
    "loose": lambda _: None,
    "problem": problem,
    "bloat": bloat,
    "segfault": lambda _: ctypes.string_at(0) and None,
    "leave": lambda argument: os._exit(int(argument)),
    "sleep": lambda argument: time.sleep(float(argument)),
    "count": count,
}


def attempt(act: Callable[[], object]) -> Problem:
    """The answer as the detail of a problem."""
    try:
        act()
    except PermissionError:
        return DataError("attempted", "denied").problem
    return DataError("attempted", "done").problem


def hold(argument: str) -> None:
    """Use so many megabytes for a moment."""
    assert bytearray(b"x") * (int(argument) * 2**20)


# In the cage of production.
CAGED: dict[str, Callable[[str], Problem | None]] = {
    "read_inside": lambda path: attempt(Path(path).read_bytes),
    "read_outside": lambda path: attempt(Path(path).read_bytes),
    "socket": lambda _: attempt(socket.socket),
    "fork": lambda _: attempt(os.fork),
    "hold": hold,
}
