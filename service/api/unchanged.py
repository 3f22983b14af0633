"""What was examined and found sound need not be examined anew, for as long as its files stay as they are.

Whether they do is told by `stat` alone: nothing is opened here. A file that is written without a trace in inode, size
and times is taken for the same; the worker, which reads it, sees what it is.
"""

import hashlib
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from audits.sources.graph.files import PB
from audits.sources.locations import Roots, resolve
from audits.sources.remote import is_remote
from schemas.problem import ProblemError
from schemas.request import AuditRequest

MAX_REMEMBERED = 4096
MAX_FILES = 1000  # of one request: looking at more takes as long as examining it
# Times of files are as coarse as this on some file systems: what was changed later may be changed again unseen.
SETTLED_NANOSECONDS = 2 * 10**9
# Fields that no examination looks at; all others, those to come included, are part of what was examined.
_IRRELEVANT = {"tags", "priority", "callback", "gate"}


class Unchanged:
    """The identities that were used last. May be shared by threads."""

    def __init__(self, most: int = MAX_REMEMBERED) -> None:
        self._most = most
        self._known: OrderedDict[bytes, None] = OrderedDict()
        self._lock = threading.Lock()

    def __contains__(self, identity: bytes) -> bool:
        with self._lock:
            if identity not in self._known:
                return False
            self._known.move_to_end(identity)
            return True

    def add(self, identity: bytes) -> None:
        with self._lock:
            self._known[identity] = None
            self._known.move_to_end(identity)
            if len(self._known) > self._most:
                self._known.popitem(last=False)


class _UnknowableError(Exception):
    """A file has no identity that is cheap to tell, or none that lasts."""


def identity_of(request: AuditRequest, roots: Roots) -> bytes | None:
    """A digest of what an examination would look at; None where that cannot be told, or may change unseen.

    Call it before the examination: what is changed meanwhile is then another.
    """
    digest = hashlib.sha256(request.model_dump_json(exclude=_IRRELEVANT).encode())
    newest = 0
    try:
        for count, (path, seen) in enumerate(_files(request, roots)):
            if count >= MAX_FILES:
                return None
            newest = max(newest, seen.st_mtime_ns, seen.st_ctime_ns)
            identity = (seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)
            digest.update(repr((str(path), identity)).encode(errors="surrogateescape"))
    except (_UnknowableError, ProblemError, OSError):
        return None
    return digest.digest() if newest < time.time_ns() - SETTLED_NANOSECONDS else None


def _files(request: AuditRequest, roots: Roots) -> Iterator[tuple[Path, os.stat_result]]:
    for field, addresses in request.addresses.items():
        for address in addresses:
            # What a glob matches takes a walk to tell.
            if is_remote(address) or set(address) & set("*?["):
                raise _UnknowableError
            for path in resolve(address, roots, field=field):
                # A model may be named by the file in the middle of its folder.
                yield from _walk(path.parent if path.name == PB else path)


def _walk(path: Path) -> Iterator[tuple[Path, os.stat_result]]:
    yield path, path.stat()
    folders = [path] if path.is_dir() else []
    while folders:
        with os.scandir(folders.pop()) as entries:
            found = sorted(islice(entries, MAX_FILES), key=lambda entry: entry.name)
        for entry in found:
            if entry.is_symlink():
                raise _UnknowableError
            if entry.is_dir(follow_symlinks=False):
                folders.append(Path(entry.path))
            yield Path(entry.path), entry.stat(follow_symlinks=False)
