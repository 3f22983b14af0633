"""The rows of uploads, and which audits name them. The files themselves are `service.uploads`' affair.

Whoever deletes an upload and whoever names it in a new audit take the lock of its row first: an audit never begins
with a file that is going away.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

import sqlalchemy as sa

from audits.sources import uploads
from schemas.upload import Upload
from service.jobs.states import ACTIVE
from service.jobs.tables import DAY_MS, audit_upload, now_ms, upload, workflow


def insert(
    connection: sa.Connection, id_: str, *, caller: str, name: str, bytes_: int, sha256: str, days: float
) -> Upload:
    row = {"id": id_, "caller": caller, "name": name, "bytes": bytes_, "sha256": sha256, "created_at": now_ms()}
    expires_at = now_ms() + round(days * DAY_MS)
    statement = sa.insert(upload).values(**row, expires_at=expires_at).returning(upload)
    return _upload(connection.execute(statement).one())


def find(connection: sa.Connection, id_: str, caller: str | None) -> Upload | None:
    """The upload, unless it has expired or is another caller's; None asks for anyone's."""
    row = connection.execute(sa.select(upload).where(upload.c.id == id_, *_of(caller))).one_or_none()
    return None if row is None else _upload(row)


def page(connection: sa.Connection, caller: str | None, *, before: str | None, limit: int) -> Sequence[Upload]:
    """The newest uploads, of those before this id where one is given."""
    query = sa.select(upload).where(*_of(caller)).order_by(upload.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(upload.c.id < before)
    return [_upload(row) for row in connection.execute(query)]


def bytes_of(connection: sa.Connection, caller: str) -> int:
    """What the caller's uploads take together, those that have expired and are not removed yet included."""
    query = sa.select(sa.func.coalesce(sa.func.sum(upload.c.bytes), 0)).where(upload.c.caller == caller)
    return int(connection.execute(query).scalar_one())


def require_own(connection: sa.Connection, wanted: Mapping[str, str], caller: str) -> None:
    """Return if all of them (id -> the field that names it) are the caller's.

    Raises:
        RequestError: `upload_not_found`.
    """
    query = sa.select(upload.c.id).where(upload.c.id.in_(wanted), *_of(caller))
    _require_all(wanted, connection.execute(query).scalars())


def claim(connection: sa.Connection, audit_id: str, wanted: Mapping[str, str], caller: str) -> None:
    """Note that an audit reads these uploads, which therefore stay until it is finished.

    Raises:
        RequestError: as `require_own` does.
    """
    if not wanted:
        return
    # In one order, so that two audits of the same files never wait for each other. SQLite has one writer: us.
    query = sa.select(upload.c.id).where(upload.c.id.in_(wanted), *_of(caller)).order_by(upload.c.id)
    _require_all(wanted, connection.execute(query.with_for_update()).scalars())
    rows = [{"audit_id": audit_id, "upload_id": id_} for id_ in wanted]
    connection.execute(sa.insert(audit_upload), rows)


def lock(connection: sa.Connection, id_: str, caller: str | None) -> bool:
    """Take the row's lock, until the end of the transaction; whether there is such an upload."""
    mine = sa.update(upload).where(upload.c.id == id_, *_of(caller)).values(id=upload.c.id)
    return connection.execute(mine).rowcount == 1


def lock_expired(connection: sa.Connection, id_: str) -> bool:
    """As `lock`, of an upload that is past its time."""
    old = sa.update(upload).where(upload.c.id == id_, upload.c.expires_at <= now_ms()).values(id=upload.c.id)
    return connection.execute(old).rowcount == 1


def is_read(connection: sa.Connection, id_: str) -> bool:
    """Whether an audit that is not finished names it. Asked under its lock."""
    reading = sa.exists().where(audit_upload.c.upload_id == id_, _is_active())
    return bool(connection.execute(sa.select(reading)).scalar())


def delete(connection: sa.Connection, id_: str) -> None:
    connection.execute(sa.delete(upload).where(upload.c.id == id_))


def expired(connection: sa.Connection, limit: int) -> Sequence[str]:
    """Uploads to remove: past their time, and named by no audit that is not finished."""
    reading = sa.exists().where(audit_upload.c.upload_id == upload.c.id, _is_active())
    query = sa.select(upload.c.id).where(upload.c.expires_at <= now_ms(), ~reading).limit(limit)
    return list(connection.execute(query).scalars())


def known(connection: sa.Connection, ids: Iterable[str]) -> set[str]:
    """Those of the ids that have a row."""
    return set(connection.execute(sa.select(upload.c.id).where(upload.c.id.in_(ids))).scalars())


def _is_active() -> sa.ColumnElement[bool]:
    return sa.exists().where(workflow.c.workflow_uuid == audit_upload.c.audit_id, workflow.c.status.in_(ACTIVE))


def _of(caller: str | None) -> Sequence[sa.ColumnElement[bool]]:
    present = upload.c.expires_at > now_ms()
    return (present,) if caller is None else (present, upload.c.caller == caller)


def _require_all(wanted: Mapping[str, str], found: Iterable[str]) -> None:
    there = set(found)
    for id_, field in wanted.items():
        if id_ not in there:
            raise uploads.unknown(id_, field)


def _upload(row: sa.Row[*tuple[object, ...]]) -> Upload:
    values = row._mapping  # noqa: SLF001 - SQLAlchemy's public way to a row's columns
    return Upload(
        id=values["id"],
        uri=uploads.SCHEME + values["id"],
        name=values["name"],
        bytes=values["bytes"],
        sha256=values["sha256"],
        created_at=datetime.fromtimestamp(values["created_at"] / 1000, UTC),
        expires_at=datetime.fromtimestamp(values["expires_at"] / 1000, UTC),
    )
