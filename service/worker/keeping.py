"""Keeps a fork server running for as long as this process does: its socket, its surroundings, its successors."""

import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path

import structlog

from service.machine import cores
from service.settings import SECRETS, Settings
from service.worker.children import Child, Start

log = structlog.get_logger(__name__)

BACKLOG = 512
MAX_ADDRESS_CHARACTERS = 100  # of a Unix socket
# What evaluators may see of our environment; no credential is among them.
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "PYTHONPATH", "VIRTUAL_ENV")
_INHERITED_PREFIXES = ("TF_", "XLA_", "NVIDIA_", "CUDA_", "OMP_")


class KeptForkServer:
    """A fork server that is started again when it ends, behind one socket.

    Args:
        folder: for the socket, and for the scratch folders of what is forked.
        module: which evaluates; see `service.worker.evaluator.Evaluator`.
        environment: of the server, and so of all that it forks.
        recycle_after: forks after which a successor takes over.
        name: in the log.
    """

    def __init__(
        self,
        folder: Path,
        module: str,
        *,
        environment: Mapping[str, str],
        recycle_after: int,
        name: str = "fork-server",
    ) -> None:
        self._folder = folder
        self._module = module
        self._environment = environment
        self._recycle_after = recycle_after
        self.address = _address(folder)
        self._listener = _listen(self.address)
        self._child = Child(name, self._plan, on_exit=self._ended)
        self._serving: int | None = None  # our end of the fork server's pipe
        self._leaving: list[subprocess.Popen[bytes]] = []  # fork servers that finish what they began
        self._is_stopping = False
        self.ends = 0  # that nobody asked for

    @property
    def is_running(self) -> bool:
        """Whether there is a process; it may still be loading."""
        return self._child.process is not None

    def tend(self) -> None:
        """Start it where it does not run; call it often."""
        self._child.tend()
        self._tend_leaving()

    def stop(self, deadline: float) -> None:
        """Kill it and all that it forked; wait for that until the deadline (`time.monotonic`)."""
        self._is_stopping = True
        self._child.signal(signal.SIGKILL)
        self._child.wait(deadline)
        for process in self._leaving:
            process.kill()
            process.wait()
        self._listener.close()
        if self._serving is not None:
            os.close(self._serving)
            self._serving = None
        if self.address.parent != self._folder:
            shutil.rmtree(self.address.parent, ignore_errors=True)

    def _ended(self, status: int) -> None:
        if not self._is_stopping:
            self.ends += 1
            log.error("fork_server_ended", module=self._module, status=status)

    def _tend_leaving(self) -> None:
        """Start a successor of a fork server that takes no more connections: its last audit may take hours."""
        self._leaving = [process for process in self._leaving if process.poll() is None]
        if self._serving is not None and _is_closed(self._serving):
            os.close(self._serving)
            self._serving = None
            process = self._child.process
            # One that has died closed it too; that is followed by a wait.
            if process is not None and process.poll() is None:
                self._leaving.append(process)
                self._child.replace()
                log.info("fork_server_replaced", pid=process.pid)

    def _plan(self) -> Start:
        if self._serving is not None:
            os.close(self._serving)
        self._serving, theirs = os.pipe()
        options = (
            *("--serving", str(theirs)),
            *("--listen", str(self._listener.fileno())),
            *("--scratch", str(self._folder)),
            *("--evaluator", self._module),
            *("--recycle-after", str(self._recycle_after)),
        )
        command = (*python_module("service.worker.forkserver"), *options)
        return Start(command, self._environment, descriptors=(self._listener.fileno(),), handed=(theirs,))


def _is_closed(reading: int) -> bool:
    """Whether nobody holds the other end of a pipe into which nothing is written."""
    poll = select.poll()  # which, other than select, knows no highest descriptor
    poll.register(reading, select.POLLIN)
    return bool(poll.poll(0))


def evaluator_environment(settings: Settings, slots: int) -> dict[str, str]:
    """The environment of the fork server, and so of all evaluators: nothing in it is a secret."""
    kept = {
        name: value for name, value in os.environ.items() if name in _INHERITED or name.startswith(_INHERITED_PREFIXES)
    }
    # So many audits at a time share the cores.
    threads = str(max(1, cores() // max(1, slots)))
    ours = {
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "TF_NUM_INTRAOP_THREADS": threads,
        "OMP_NUM_THREADS": threads,
        # joblib's pools take semaphores from a folder that no cage opens; without them it works in one thread.
        "JOBLIB_MULTIPROCESSING": "0",
        "PYTHONUNBUFFERED": "1",
    }
    return {**ours, **kept, **settings.environment(without=SECRETS)}


@contextmanager
def run_folder(state_dir: Path) -> Iterator[Path]:
    """A folder for as long as this service runs. Those of services that were killed are removed."""
    parent = state_dir / "run"
    parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (parent / "lock").open("w") as one_at_a_time:
        flock(one_at_a_time, LOCK_EX)
        for left in parent.iterdir():
            _remove_if_unused(left)
        folder = Path(tempfile.mkdtemp(dir=parent))
        lock = (folder / "lock").open("w")
        flock(lock, LOCK_EX)
    with lock:
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _remove_if_unused(folder: Path) -> None:
    try:
        with (folder / "lock").open() as lock:
            flock(lock, LOCK_EX | LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
    except OSError:
        return  # in use, or not one of ours


def _address(folder: Path) -> Path:
    """Where to listen: in the folder, unless the kernel's limit for addresses is shorter than its path."""
    address = folder / "evaluate"
    if len(str(address)) <= MAX_ADDRESS_CHARACTERS:
        return address
    return Path(tempfile.mkdtemp(prefix="fitcheck-")) / "evaluate"


def _listen(address: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    try:
        listener.bind(str(address))
    finally:
        os.umask(before)
    listener.listen(BACKLOG)
    return listener


def python_module(module: str) -> tuple[str, ...]:
    # -P: what lies in the folder where the service was started is not ours to import.
    return (sys.executable, "-P", "-m", module)
