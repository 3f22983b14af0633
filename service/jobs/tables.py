"""Every table that we read or write.

Ours are created by the migrations next to this module. The engine's own are declared with the columns that we
read, all of them documented (https://docs.dbos.dev/explanations/system-tables); only the engine writes them.
Times are milliseconds since 1970 by the clock of the database, as the engine keeps them.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from service.jobs.names import SCHEMA

DAY_MS = 24 * 3600 * 1000
metadata = sa.MetaData()

# What was asked for. Holds no state: the engine's row of the same id does.
audit = sa.Table(
    "audit",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),  # sorts by time of submission
    sa.Column("caller", sa.Text, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("request", sa.Text, nullable=False),
    sa.Column("request_hash", sa.Text, nullable=False),
    sa.Column("idempotency_key", sa.Text),
    sa.Column("cancel_requested_at", sa.BigInteger),
    sa.Column("traceparent", sa.Text),  # of the request, as W3C's trace context writes it
    sa.UniqueConstraint("caller", "idempotency_key", name="audit_idempotency"),
    sa.Index("audit_of_caller", "caller", "id"),
)

audit_tag = sa.Table(
    "audit_tag",
    metadata,
    sa.Column("audit_id", sa.Text, sa.ForeignKey("audit.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
    sa.Index("audit_tag_value", "key", "value"),
)

# How far the present start of an audit has come.
audit_progress = sa.Table(
    "audit_progress",
    metadata,
    sa.Column("audit_id", sa.Text, sa.ForeignKey("audit.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("starts", sa.Integer, nullable=False),
    sa.Column("handovers", sa.Integer, nullable=False, server_default="0"),  # starts that an orderly stop ended
    sa.Column("version", sa.Integer, nullable=False, server_default="1"),  # counts what has been shown, up alone
    sa.Column("executor", sa.Text, nullable=False),
    sa.Column("started_at", sa.BigInteger, nullable=False),  # of the first start
    sa.Column("updated_at", sa.BigInteger, nullable=False),
    sa.Column("fraction", sa.Float, nullable=False),
    sa.Column("stage", sa.Text, nullable=False),
    sa.Column("detail", sa.Text),
)

report = sa.Table(
    "report",
    metadata,
    sa.Column("audit_id", sa.Text, sa.ForeignKey("audit.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("verdict", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),  # empty once it is pruned
)

# The begin of every stage of every start: what a follower who was away is told. `version` is that of `audit_progress`.
audit_event = sa.Table(
    "audit_event",
    metadata,
    sa.Column("audit_id", sa.Text, sa.ForeignKey("audit.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("fraction", sa.Float, nullable=False),
    sa.Column("stage", sa.Text, nullable=False),
    sa.Column("detail", sa.Text),
)

# The place in a queue that a caller's next audit of this priority gets at the earliest.
turn = sa.Table(
    "turn",
    metadata,
    sa.Column("queue", sa.Text, primary_key=True),
    sa.Column("priority", sa.Integer, primary_key=True),
    sa.Column("caller", sa.Text, primary_key=True),
    sa.Column("next", sa.Integer, nullable=False),
)

# A webhook, from the submission of its audit on; due once the audit is final.
callback = sa.Table(
    "callback",
    metadata,
    sa.Column("audit_id", sa.Text, sa.ForeignKey("audit.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),  # `pending`, `delivered` or `dead`
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("due_at", sa.BigInteger, nullable=False),  # not before; while one is under way, when it is taken for lost
    sa.Column("last_error", sa.Text),
    sa.Column("ended_at", sa.BigInteger),
    sa.Index("callback_due", "state", "due_at"),
)

# Counters that must not fall when the rows which they counted are pruned.
tally = sa.Table(
    "tally",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("label", sa.Text, primary_key=True),
    sa.Column("bucket", sa.Text, primary_key=True),
    sa.Column("count", sa.BigInteger, nullable=False),
    sa.Column("total", sa.Float, nullable=False),  # of what was measured, such as seconds
)

# One row a worker slot and boot. Alive while `reaped_at` is null.
lease = sa.Table(
    "lease",
    metadata,
    sa.Column("executor", sa.Text, primary_key=True),
    sa.Column("queue", sa.Text, nullable=False),
    sa.Column("place", sa.Text, nullable=False),  # the kernel and process namespace in which `pid` counts
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("pid_started", sa.BigInteger, nullable=False),
    sa.Column("started_at", sa.BigInteger, nullable=False),
    sa.Column("beat_at", sa.BigInteger, nullable=False),
    sa.Column("reaped_at", sa.BigInteger),
)

# A file that a client sent. Its content lies in the uploads folder, under its id.
upload = sa.Table(
    "upload",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),  # sorts by time
    sa.Column("caller", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("sha256", sa.Text, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    sa.Index("upload_of_caller", "caller", "id"),
    sa.Index("upload_expiry", "expires_at"),
)

# Which audits name which uploads: while one of them is not finished, the file stays.
audit_upload = sa.Table(
    "audit_upload",
    metadata,
    sa.Column("audit_id", sa.Text, sa.ForeignKey("audit.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("upload_id", sa.Text, sa.ForeignKey("upload.id", ondelete="CASCADE"), primary_key=True),
    sa.Index("audit_upload_upload", "upload_id"),
)

# An access key. The secret is not here: its SHA-256 is.
access_key = sa.Table(
    "access_key",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("caller", sa.Text, nullable=False),
    sa.Column("secret_sha256", sa.LargeBinary, nullable=False),
    sa.Column("scopes", sa.Text, nullable=False),  # separated by blanks
    sa.Column("note", sa.Text),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger),
    sa.Column("last_used_at", sa.BigInteger),
    sa.Column("revoked_at", sa.BigInteger),
)

_of_the_engine = sa.MetaData(schema=SCHEMA)

workflow = sa.Table(
    "workflow_status",
    _of_the_engine,
    sa.Column("workflow_uuid", sa.Text, primary_key=True),
    sa.Column("status", sa.Text),
    sa.Column("name", sa.Text),
    sa.Column("application_name", sa.Text),
    sa.Column("executor_id", sa.Text),
    sa.Column("queue_name", sa.Text),
    sa.Column("priority", sa.Integer),
    sa.Column("created_at", sa.BigInteger),
    sa.Column("workflow_deadline_epoch_ms", sa.BigInteger),
    sa.Column("completed_at", sa.BigInteger),
)

workflow_output = sa.Table(
    "workflow_output",
    _of_the_engine,
    sa.Column("workflow_uuid", sa.Text, primary_key=True),
    sa.Column("error", sa.Text),
)

# Every queue that a worker has ever served.
queues = sa.Table("queues", _of_the_engine, sa.Column("name", sa.Text))


class now_ms(FunctionElement[int]):  # noqa: N801 - a function of SQL
    """Milliseconds since 1970 by the clock of the database."""

    type = sa.BigInteger()
    inherit_cache = True


class json_of(FunctionElement[dict[str, str]]):  # noqa: N801 - a function of SQL
    """A JSON object of the first argument's values, which name those of the second; NULL or empty without rows."""

    type = sa.JSON()
    inherit_cache = True


@compiles(json_of, "sqlite")
def _json_sqlite(element: json_of, compiler: SQLCompiler, **options: Any) -> str:
    return f"json_group_object({compiler.process(element.clauses, **options)})"


@compiles(json_of, "postgresql")
def _json_postgresql(element: json_of, compiler: SQLCompiler, **options: Any) -> str:
    return f"json_object_agg({compiler.process(element.clauses, **options)})"


@compiles(now_ms, "sqlite")
def _now_sqlite(*_: Any, **__: Any) -> str:
    return "CAST(ROUND((julianday('now') - 2440587.5) * 86400000) AS INTEGER)"


@compiles(now_ms, "postgresql")
def _now_postgresql(*_: Any, **__: Any) -> str:
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)"


def insert(connection: sa.Connection, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
    """An insertion that can say what becomes of a row that is there already."""
    return sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)
