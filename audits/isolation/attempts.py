"""Forbidden acts, tried: a layer that is installed and does not hold would otherwise be believed."""

import errno
import os
import signal
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from audits.isolation import landlock
from audits.isolation.seccomp import Profile

Attempt = Callable[[], None]
NETWORK = frozenset({"open a TCP socket", "open a UDP socket"})
_EVERYWHERE = Path("/etc/passwd")


def parent_memory() -> Path:
    """The parent's environment, by a number that is looked up while it can be."""
    return Path(f"/proc/{os.getppid()}/environ")


def that_succeed(profile: Profile, scratch: Path, parents: Path, *, network: bool) -> list[str]:
    """The forbidden acts that are possible from here.

    Args:
        profile: of the process that this is.
        scratch: the only folder that it may write.
        parents: see `parent_memory`.
        network: whether it may open sockets.
    """
    acts: dict[str, Attempt] = {
        "read a file outside": lambda: _read(_EVERYWHERE),
        "write a file outside": lambda: _write(Path("/var/tmp"), scratch),  # noqa: S108
        "read the parent's environment": lambda: _read(parents),
        "run a program": _run,
        **(_sockets() if not network else {}),
        **({"start a process": _fork} if profile == "model" else {}),
    }
    # An evaluator ends its model's process: an older Landlock cannot tell that one from others.
    if profile == "model" or landlock.abi() >= landlock.SCOPE_ABI:
        acts["signal the parent"] = lambda: os.kill(os.getppid(), 0)
    return [name for name, act in acts.items() if _succeeds(act)]


def _sockets() -> Mapping[str, Attempt]:
    return {
        "open a TCP socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM).close(),
        "open a UDP socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close(),
    }


def _succeeds(act: Attempt) -> bool:
    try:
        act()
    except OSError:
        return False
    return True


def _read(path: Path) -> None:
    with path.open("rb") as file:
        file.read(1)


def _write(folder: Path, scratch: Path) -> None:
    if scratch.is_relative_to(folder):
        folder = scratch.parent
    path = folder / f"fitcheck-{os.getpid()}"
    path.open("xb").close()
    with suppress(OSError):
        path.unlink()


def _run() -> None:
    try:
        os.execv("/nonexistent", ["nonexistent"])  # noqa: S606 - there is no such program
    except OSError as error:
        # What is not refused gets as far as looking for the program.
        if error.errno != errno.ENOENT:
            raise


def _fork() -> None:
    child = os.fork()
    if child == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
