"""The parent's eye on a caged process: time, memory, disk and what it prints."""

import logging
import os
import select
import socket
import time
from pathlib import Path
from typing import Literal

from audits.isolation.memory import held_by

LOOK_SECONDS = 0.05
LOGGED_BYTES, MAX_PRINTED_BYTES = 2**16, 50 * 2**20
MAX_SCRATCH_BYTES = 2**30
_DISK_SECONDS = 1.0

log = logging.getLogger(__name__)

Limit = Literal["time", "memory", "output", "disk"]


class LimitError(Exception):
    """A process went beyond a limit.

    Attributes:
        limit: which.
    """

    def __init__(self, limit: Limit) -> None:
        super().__init__(limit)
        self.limit = limit


class Watch:
    """Looks after one process whenever its parent waits for it.

    Args:
        pid: of the process.
        printed: the end of a pipe into which it prints; closed with the watch.
        scratch: the folder that it may write.
        memory_bytes: that it may hold.
        scratch_bytes: that the folder may hold.
    """

    def __init__(
        self, pid: int, printed: int, scratch: Path, *, memory_bytes: int | None, scratch_bytes: int | None
    ) -> None:
        self._pid = pid
        self._scratch = scratch
        self._memory_bytes, self._scratch_bytes = memory_bytes, scratch_bytes
        self._printed: int | None = printed
        self._printed_bytes = 0
        self._looked_at = self._looked_at_disk = 0.0
        self.deadline: float | None = None
        self.ran_out_of_memory = False  # as its last words say; C++ aborts with them
        os.set_blocking(printed, False)

    def look(self) -> None:
        """Hold the process against its limits; often asked, it does so now and then.

        Raises:
            LimitError: it is beyond one.
        """
        now = time.monotonic()
        if self.deadline is not None and now > self.deadline:
            raise LimitError("time")
        if now - self._looked_at < LOOK_SECONDS:
            return
        self._looked_at = now
        if self._memory_bytes is not None and held_by(self._pid) > self._memory_bytes:
            raise LimitError("memory")
        if self._scratch_bytes is not None and now - self._looked_at_disk > _DISK_SECONDS:
            self._looked_at_disk = now
            if _size(self._scratch) > self._scratch_bytes:
                raise LimitError("disk")
        self.drain()

    def drain(self) -> None:
        """Take what was printed: the first of it goes to the operator's log, the rest nowhere.

        Raises:
            LimitError: it prints without end.
        """
        while self._printed is not None:
            try:
                block = os.read(self._printed, 2**16)
            except BlockingIOError:
                return
            if not block:
                self.close()
                return
            self._keep(block)

    def close(self) -> None:
        if self._printed is not None:
            os.close(self._printed)
            self._printed = None

    def _keep(self, block: bytes) -> None:
        room = max(0, LOGGED_BYTES - self._printed_bytes)
        self._printed_bytes += len(block)
        self.ran_out_of_memory |= b"bad_alloc" in block
        for line in block[:room].decode("utf-8", "replace").splitlines():
            log.info("the model's process %d prints: %s", self._pid, _escaped(line))
        if self._printed_bytes > MAX_PRINTED_BYTES:
            raise LimitError("output")


class WatchedConnection:
    """A socket whose other end is watched while we wait for it."""

    def __init__(self, connection: socket.socket, watch: Watch) -> None:
        self._connection, self._watch = connection, watch
        connection.setblocking(False)

    def recv_into(self, view: memoryview) -> int:
        while True:
            try:
                return self._connection.recv_into(view)
            except BlockingIOError:
                self._wait_for(select.POLLIN)

    def sendall(self, data: bytes | memoryview) -> None:
        view = memoryview(data).cast("B")
        while view:
            try:
                view = view[self._connection.send(view) :]
            except BlockingIOError:
                self._wait_for(select.POLLOUT)

    def close(self) -> None:
        self._connection.close()
        self._watch.close()

    def _wait_for(self, event: int) -> None:
        poll = select.poll()  # which, other than select, knows no highest descriptor
        poll.register(self._connection, event)
        poll.poll(1000 * LOOK_SECONDS)
        self._watch.look()


def _size(folder: Path) -> int:
    total = 0
    for place, _, files in os.walk(folder):
        for name in files:
            try:
                total += os.lstat(os.path.join(place, name)).st_blocks * 512  # noqa: PTH118 - in a loop
            except OSError:
                continue
    return total


def _escaped(line: str) -> str:
    """One line of a log stays one line of a log."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line[:2000])
