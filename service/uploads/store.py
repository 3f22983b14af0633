"""Uploads of callers: a row in the database and a file in the folder, kept in step.

A file is there before its row, and goes after it: what a crash leaves is a file without a row, which `prune` removes.
"""

import shutil
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
import structlog

from schemas.upload import Upload, UploadPage
from service.jobs import uploads as rows
from service.jobs.database import unavailable_is_a_problem
from service.jobs.identifiers import cursor_after, new_identifier, read_cursor
from service.settings import Settings
from service.uploads import files
from service.uploads.errors import UploadInUse, UploadNotFound, UploadQuotaExceeded, UploadTooLarge
from service.uploads.files import IncomingFile

PRUNED_AT_ONCE = 500
log = structlog.get_logger(__name__)


@dataclass
class Incoming:
    """An upload that arrives: write its blocks, then hand it to `Uploads.keep`."""

    id: str
    caller: str
    name: str
    file: IncomingFile


class Uploads:
    """May be shared by threads."""

    def __init__(self, settings: Settings, engine: sa.Engine) -> None:
        self._settings = settings
        self._engine = engine
        self._folder = settings.uploads_dir
        self._arriving: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def receive(
        self, *, caller: str, name: str, size: int | None = None, at_most: int | None = None
    ) -> Iterator[Incoming]:
        """Room for a file. Nothing of it stays unless `keep` was called.

        Args:
            caller: to whom it will belong.
            name: as the client calls it.
            size: bytes that will come, where the client says it.
            at_most: bytes that may come, where no more than this is known.

        Raises:
            UploadTooLarge, UploadQuotaExceeded, UploadStorageFull: now, or from writing to the file.
        """
        if size is not None and size > self._settings.max_upload_bytes:
            raise UploadTooLarge(self._settings.max_upload_bytes)
        # What the file may take at most counts as taken until it is there: many at once pass no quota.
        room = self._reserve(caller, size, at_most)
        id_ = new_identifier()
        try:
            with IncomingFile(self._folder, id_, name, limit=room) as file:
                yield Incoming(id_, caller, name, file)
        except UploadTooLarge:
            if room < self._settings.max_upload_bytes:
                raise self._over_quota(caller) from None
            raise
        finally:
            with self._lock:
                self._arriving[caller] -= room
                if not self._arriving[caller]:
                    del self._arriving[caller]

    def keep(self, incoming: Incoming) -> Upload:
        """Store what has arrived.

        Raises:
            UploadStorageFull: the disk is full.
        """
        incoming.file.keep()
        try:
            with unavailable_is_a_problem(), self._engine.begin() as connection:
                return rows.insert(
                    connection,
                    incoming.id,
                    caller=incoming.caller,
                    name=incoming.name,
                    bytes_=incoming.file.bytes,
                    sha256=incoming.file.sha256,
                    days=self._settings.upload_days,
                )
        except BaseException:
            files.remove(self._folder, incoming.id)
            raise

    def get(self, upload_id: str, *, caller: str | None) -> Upload:
        """The upload; `caller` None looks among everybody's.

        Raises:
            UploadNotFound: there is none, or it is another caller's.
        """
        with unavailable_is_a_problem(), self._engine.connect() as connection:
            found = rows.find(connection, upload_id, caller)
        if found is None:
            raise UploadNotFound(upload_id)
        return found

    def list(self, *, caller: str | None, cursor: str | None, limit: int) -> UploadPage:
        """Newest first.

        Raises:
            BadCursor: the cursor is none of ours.
        """
        before = None if cursor is None else read_cursor(cursor)
        with unavailable_is_a_problem(), self._engine.connect() as connection:
            # One more than asked for tells whether there is a next page.
            found = rows.page(connection, caller, before=before, limit=limit + 1)
        items = list(found[:limit])
        return UploadPage(items=items, next_cursor=cursor_after(items[-1].id) if len(found) > limit else None)

    def delete(self, upload_id: str, *, caller: str | None) -> None:
        """Remove an upload.

        Raises:
            UploadNotFound: there is none, or it is another caller's.
            UploadInUse: an audit that is not finished names it.
        """
        with unavailable_is_a_problem(), self._engine.begin() as connection:
            if not rows.lock(connection, upload_id, caller):
                raise UploadNotFound(upload_id)
            if rows.is_read(connection, upload_id):
                raise UploadInUse(upload_id)
            rows.delete(connection, upload_id)
        files.remove(self._folder, upload_id)

    def require_own(self, wanted: Mapping[str, str], *, caller: str) -> None:
        """Return if all of these uploads (id -> the field that names it) are the caller's.

        Raises:
            RequestError: `upload_not_found`.
        """
        if wanted:
            with unavailable_is_a_problem(), self._engine.connect() as connection:
                rows.require_own(connection, wanted, caller)

    def _reserve(self, caller: str, size: int | None, at_most: int | None) -> int:
        """How many bytes the next file of a caller may have."""
        quota = self._settings.upload_quota_bytes
        with unavailable_is_a_problem(), self._engine.connect() as connection:
            stored = rows.bytes_of(connection, caller)
        limits = [self._settings.max_upload_bytes, *(n for n in (size, at_most) if n is not None)]
        with self._lock:
            left = quota - stored - self._arriving[caller]
            if left < (size if size is not None else 1):
                raise UploadQuotaExceeded(quota, quota - left)
            room = min(*limits, left)
            self._arriving[caller] += room
        return room

    def _over_quota(self, caller: str) -> UploadQuotaExceeded:
        with unavailable_is_a_problem(), self._engine.connect() as connection:
            return UploadQuotaExceeded(self._settings.upload_quota_bytes, rows.bytes_of(connection, caller))


def prune_uploads(settings: Settings, engine: sa.Engine) -> int:
    """Remove uploads past their time that no unfinished audit names, and what crashes left; how many went.

    Safe to call from several processes at once, and at any time.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    removed = 0
    with unavailable_is_a_problem():
        while batch := _remove_expired(settings, engine):
            removed += batch
        left = _left_over(settings, engine)
    for place in left:
        shutil.rmtree(place, ignore_errors=True)
    if removed or left:
        log.info("uploads_pruned", expired=removed, left_over=len(left))
    return removed + len(left)


def _remove_expired(settings: Settings, engine: sa.Engine) -> int:
    with engine.connect() as connection:
        candidates = rows.expired(connection, PRUNED_AT_ONCE)
    gone = []
    for id_ in candidates:
        with engine.begin() as connection:
            if rows.lock_expired(connection, id_) and not rows.is_read(connection, id_):
                rows.delete(connection, id_)
                gone.append(id_)
    for id_ in gone:
        files.remove(settings.uploads_dir, id_)
    return len(gone)


def _left_over(settings: Settings, engine: sa.Engine) -> list[Path]:
    old = list(files.abandoned(settings.uploads_dir))
    with engine.connect() as connection:
        known = rows.known(connection, [place.name for place in old])
    return [place for place in old if place.name not in known]
