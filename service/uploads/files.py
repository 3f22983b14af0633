"""The uploads folder: a file is written under a passing name, and appears whole or not at all.

::

    <folder>/.partial-<id>/<id>.csv    while it arrives
    <folder>/<id>/<id>.csv             from then on, never written again

Names come from our ids; the client's name decides the suffix alone. Folders are readable by the service's user alone.
"""

import errno
import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from audits.sources.uploads import file_name
from service.uploads.errors import UploadStorageFull, UploadTooLarge

PARTIAL = ".partial-"
# So long nothing is written to a file that still arrives: its sender is hung up on much earlier.
ABANDONED_SECONDS = 3600.0
# Below this much room nothing more is taken: the database may lie on the same disk.
RESERVE_BYTES = 256 * 2**20
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class IncomingFile:
    """A file that arrives. Leaving the context without `keep` removes all of it.

    Raises:
        UploadTooLarge: `write`, of more than `limit` bytes.
        UploadStorageFull: entering, `write` or `keep`, where the disk is full.
    """

    def __init__(self, folder: Path, id_: str, name: str, *, limit: int) -> None:
        self._folder = folder
        self._id = id_
        self._partial = folder / f"{PARTIAL}{id_}"
        self._path = self._partial / file_name(id_, name)
        self._limit = limit
        self._digest = hashlib.sha256()
        self.bytes = 0

    def __enter__(self) -> Self:
        with _full_is_a_problem():
            prepare(self._folder)
            if shutil.disk_usage(self._folder).free < RESERVE_BYTES:
                raise UploadStorageFull
            self._partial.mkdir(mode=0o700)
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        self._file = os.fdopen(descriptor, "wb", buffering=0)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._file.close()
        shutil.rmtree(self._partial, ignore_errors=True)

    @property
    def sha256(self) -> str:
        """Of what was written so far, in hexadecimal digits."""
        return self._digest.hexdigest()

    def write(self, block: bytes) -> None:
        if self.bytes + len(block) > self._limit:
            raise UploadTooLarge(self._limit)
        with _full_is_a_problem():
            rest = memoryview(block)
            while rest:
                rest = rest[self._file.write(rest) :]
        self.bytes += len(block)
        self._digest.update(block)

    def keep(self) -> None:
        """Give the file its place. It is on the disk before anyone is told of it."""
        with _full_is_a_problem():
            os.fsync(self._file.fileno())
            self._file.close()
            self._partial.rename(self._folder / self._id)
            _sync(self._folder)


def prepare(folder: Path) -> None:
    """Make the folder, for the service's user alone."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)


def remove(folder: Path, id_: str) -> None:
    """Remove the file of an upload, if it is there."""
    shutil.rmtree(folder / id_, ignore_errors=True)


def abandoned(folder: Path) -> Iterator[Path]:
    """What was written to long ago: half files of a process that was killed, and files that may have no row."""
    if not folder.is_dir():
        return
    before = time.time() - ABANDONED_SECONDS
    for place in folder.iterdir():
        if place.is_dir() and not place.is_symlink() and _last_written(place) < before:
            yield place


def _last_written(place: Path) -> float:
    try:
        return max([place.stat().st_mtime, *(file.stat().st_mtime for file in place.iterdir())])
    except OSError:  # it goes away while we look
        return time.time()


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _full_is_a_problem() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise UploadStorageFull from None
        raise
