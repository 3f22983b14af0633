"""Connections to the database, and the migrations that bring it up to date."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from dbos import DBOS
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from service.jobs.errors import DatabaseUnavailable
from service.jobs.names import APPLICATION, SCHEMA
from service.settings import Settings

LOCK = 0x666974636865636B  # "fitcheck", the key of our advisory lock
VERSION_TABLE = "fitcheck_version"
CONNECT_SECONDS = 5
BUSY_SECONDS = 30
logging.getLogger("alembic").setLevel(logging.WARNING)  # it tells of every look at the version
UNREACHABLE = (OperationalError, InterfaceError, PoolTimeout)


def connect(settings: Settings, *, pool_size: int = 5) -> sa.Engine:
    """An engine whose `dbos` schema is where the job engine keeps its tables."""
    url = settings.database_url
    if url.get_backend_name() == "sqlite":
        return _connect_sqlite(url, pool_size)
    return sa.create_engine(
        url,
        pool_size=pool_size,
        max_overflow=2,
        pool_timeout=CONNECT_SECONDS,
        pool_pre_ping=True,
        connect_args={
            "application_name": APPLICATION,
            "connect_timeout": CONNECT_SECONDS,
            # A server that vanished without a word is noticed in seconds, not in the kernel's minutes.
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 20_000,
            # A worker that was paused within a transaction must not keep its heirs from its rows for long:
            # while they wait for the rows, their own leases run.
            "options": f"-c idle_in_transaction_session_timeout={round(1000 * max(2, settings.lease_seconds / 3))}",
        },
    )


def _connect_sqlite(url: sa.URL, pool_size: int) -> sa.Engine:
    Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    engine = sa.create_engine(url, pool_size=pool_size, max_overflow=2)
    event.listen(engine, "connect", _prepare_sqlite)
    return engine.execution_options(schema_translate_map={SCHEMA: None})


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # Writers wait for each other at BEGIN; a transaction that reads first and then writes would fail instead.
    connection.isolation_level = "IMMEDIATE"
    connection.execute(f"PRAGMA busy_timeout={BUSY_SECONDS * 1000}")
    connection.execute("PRAGMA foreign_keys=ON")


@contextmanager
def unavailable_is_a_problem() -> Iterator[None]:
    """Turn the driver's ways to say that the database does not answer into ours.

    Raises:
        DatabaseUnavailable: nothing was written.
    """
    try:
        yield
    except UNREACHABLE as error:
        raise DatabaseUnavailable from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise DatabaseUnavailable from error
        raise


def migrate(settings: Settings, engine: sa.Engine) -> None:
    """Create or update all tables. Safe to call from many processes at once.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    with unavailable_is_a_problem():
        if engine.dialect.name == "sqlite":
            # Readers and the one writer do not block each other; stays with the file.
            with engine.connect() as connection:
                connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        DBOS.migrate(settings.database_url.render_as_string(hide_password=False), schema=SCHEMA)
        with engine.begin() as connection:
            _lock(connection)
            command.upgrade(_alembic(connection), "head")


def version_of(connection: sa.Connection) -> tuple[str | None, str]:
    """The version of our tables, None where there are none, and the newest that this release knows."""
    scripts = ScriptDirectory.from_config(_alembic(connection))
    present = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_revision()
    return present, str(scripts.get_current_head())


def _lock(connection: sa.Connection) -> None:
    """Keep other migrations out until the end of the transaction."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK)))


def _alembic(connection: sa.Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config
