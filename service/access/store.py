"""Access keys in the database: a new one counts at once, and a revoked one no more, in every process."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import cast

import sqlalchemy as sa

from schemas.problem import RequestError
from service.access.keys import SCOPES, AccessKey, Identity, NewKey, Scope, fits, new_key, split
from service.jobs.database import connect, migrate, unavailable_is_a_problem
from service.jobs.tables import access_key, now_ms
from service.settings import Settings

# How exactly the last use is known: a key that is used all the time costs one write in so long.
LAST_USED_MILLISECONDS = 60_000
NOBODY = b"\0" * 32  # compared with where there is no such key, so that both take the same time
MAX_CALLER_CHARACTERS = 64


class Keys:
    """May be shared by threads. Every method may raise `DatabaseUnavailable`."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._there_are_keys = False

    def any(self) -> bool:
        """Whether a key was ever made, be it expired or revoked by now: then nobody is let in without one."""
        if not self._there_are_keys:
            with unavailable_is_a_problem(), self._engine.connect() as connection:
                query = sa.select(sa.exists().select_from(access_key))
                self._there_are_keys = bool(connection.execute(query).scalar())
        return self._there_are_keys

    def identify(self, key: str) -> Identity | None:
        """Who carries this key; None where it is unknown, expired or revoked."""
        parts = split(key)
        if parts is None:
            return None
        id_, secret = parts
        with unavailable_is_a_problem():
            with self._engine.connect() as connection:
                row = connection.execute(_valid(id_)).one_or_none()
            if not fits(secret, NOBODY if row is None else row.secret_sha256) or row is None:
                return None
            if row.is_stale:
                self._note_use(id_)
        return Identity(row.caller, frozenset(row.scopes.split()))

    def identity_behind(self, id_: str) -> Identity | None:
        """Who carries the key with this id; None where it is unknown, expired or revoked. Proves nothing by itself."""
        with unavailable_is_a_problem(), self._engine.connect() as connection:
            row = connection.execute(_valid(id_)).one_or_none()
        return None if row is None else Identity(row.caller, frozenset(row.scopes.split()))

    def create(
        self, caller: str, scopes: Sequence[str], *, days: float | None = None, note: str | None = None
    ) -> NewKey:
        """Make a key of a caller, who may have others. Its text is told here, and never again.

        Raises:
            RequestError: `caller_malformed`, `scope_unknown`.
        """
        if not caller.isprintable() or not 1 <= len(caller) <= MAX_CALLER_CHARACTERS or caller != caller.strip():
            raise RequestError(
                "caller_malformed",
                f"Name the caller with 1 to {MAX_CALLER_CHARACTERS} printable characters, such as a team or a system.",
                field="caller",
            )
        if unknown := set(scopes) - set(SCOPES):
            raise RequestError(
                "scope_unknown", f"There is no scope {min(unknown)!r}; there are {', '.join(SCOPES)}.", field="scope"
            )
        made = new_key()
        expires_at = None if days is None else now_ms() + round(timedelta(days=days) / timedelta(milliseconds=1))
        row = {"id": made.id, "caller": caller, "secret_sha256": made.digest, "scopes": " ".join(scopes), "note": note}
        with unavailable_is_a_problem(), self._engine.begin() as connection:
            connection.execute(sa.insert(access_key).values(**row, created_at=now_ms(), expires_at=expires_at))
        return made

    def revoke(self, id_: str) -> None:
        """Refuse a key from now on. One that is revoked stays so.

        Raises:
            RequestError: `key_not_found`.
        """
        first = sa.func.coalesce(access_key.c.revoked_at, now_ms())
        revoke = sa.update(access_key).where(access_key.c.id == id_).values(revoked_at=first)
        with unavailable_is_a_problem(), self._engine.begin() as connection:
            if not connection.execute(revoke).rowcount:
                raise _not_found(id_)

    def get(self, id_: str) -> AccessKey:
        """The key with this id.

        Raises:
            RequestError: `key_not_found`.
        """
        with unavailable_is_a_problem(), self._engine.connect() as connection:
            row = connection.execute(sa.select(access_key).where(access_key.c.id == id_)).one_or_none()
        if row is None:
            raise _not_found(id_)
        return _key(row)

    def list(self) -> list[AccessKey]:
        """All keys, oldest first."""
        query = sa.select(access_key).order_by(access_key.c.created_at, access_key.c.id)
        with unavailable_is_a_problem(), self._engine.connect() as connection:
            return [_key(row) for row in connection.execute(query)]

    def _note_use(self, id_: str) -> None:
        with self._engine.begin() as connection:
            connection.execute(sa.update(access_key).where(access_key.c.id == id_).values(last_used_at=now_ms()))


@contextmanager
def open_keys(settings: Settings) -> Iterator[Keys]:
    """The keys of a service that need not run; its tables are created first.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    engine = connect(settings, pool_size=1)
    try:
        migrate(settings, engine)
        yield Keys(engine)
    finally:
        engine.dispose()


def require_safe_bind(settings: Settings) -> None:
    """Raise where the service would listen to others than this machine without asking for a key.

    Raises:
        ValueError: saying what to set.
        DatabaseUnavailable: the database, which may hold keys, does not answer.
    """
    try:
        settings.require_safe_bind()
    except ValueError:
        with open_keys(settings) as keys:
            settings.require_safe_bind(has_keys=keys.any())


def _not_found(id_: str) -> RequestError:
    return RequestError("key_not_found", f"There is no key {id_!r}; see `fitcheck keys list`.", field="id")


def _valid(id_: str) -> sa.Select[tuple[str, bytes, str, bool]]:
    stale = sa.or_(
        access_key.c.last_used_at.is_(None), access_key.c.last_used_at < now_ms() - LAST_USED_MILLISECONDS
    ).label("is_stale")
    return sa.select(access_key.c.caller, access_key.c.secret_sha256, access_key.c.scopes, stale).where(
        access_key.c.id == id_,
        access_key.c.revoked_at.is_(None),
        sa.or_(access_key.c.expires_at.is_(None), access_key.c.expires_at > now_ms()),
    )


def _key(row: sa.Row[tuple[object, ...]]) -> AccessKey:
    values = row._mapping  # noqa: SLF001 - SQLAlchemy's public way to a row's columns
    return AccessKey(
        id=values["id"],
        caller=values["caller"],
        scopes=cast("tuple[Scope, ...]", tuple(values["scopes"].split())),
        note=values["note"],
        created_at=datetime.fromtimestamp(values["created_at"] / 1000, UTC),
        **{name: _time(values[name]) for name in ("expires_at", "last_used_at", "revoked_at")},
    )


def _time(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)
