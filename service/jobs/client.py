"""The API's side of the job engine: submits and reads, never executes."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

import sqlalchemy as sa
from dbos import DBOSClient, EnqueueOptions

from audits.sources.uploads import ids_in
from schemas.job import Job, JobEvent, JobPage
from schemas.report import Report
from schemas.request import AuditRequest
from service.jobs import callbacks, leases, retention, statistics, turns, uploads
from service.jobs.callbacks import Delivery
from service.jobs.database import connect, migrate, unavailable_is_a_problem
from service.jobs.errors import (
    AuditNotFound,
    CallerQueueFull,
    IdempotencyConflict,
    NoReport,
    QueueFull,
    QueueUnknown,
    ReportExpired,
)
from service.jobs.events import events_after
from service.jobs.identifiers import cursor_after, new_identifier, read_cursor
from service.jobs.interface import JobFilter, Pruned, Statistics
from service.jobs.names import APPLICATION, QUEUES, SCHEMA, VERSION, WORKFLOW
from service.jobs.serialization import JsonSerializer
from service.jobs.states import ACTIVE, IS, SELECT_JOB, JobRow, job_from, status_of
from service.jobs.tables import audit, audit_tag, insert, lease, now_ms, queues, report, workflow
from service.settings import Settings
from service.tracing import traceparent
from service.uploads.store import prune_uploads

# Fields with their defaults that requests did not have when the first idempotency keys were stored.
YOUNGER_RESOURCES = {"queue": None, "engine": "local"}


def open_jobs(settings: Settings) -> "DatabaseJobs":
    """Connect to the job engine, creating or updating its tables first.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    engine = connect(settings)
    migrate(settings, engine)
    return DatabaseJobs(settings, engine)


class DatabaseJobs:
    """`service.jobs.interface.Jobs` on SQLite or PostgreSQL. May be shared by threads."""

    def __init__(self, settings: Settings, engine: sa.Engine) -> None:
        self._settings = settings
        self._engine = engine
        self._client = DBOSClient(
            system_database_engine=engine,
            dbos_system_schema=SCHEMA,
            serializer=JsonSerializer(),
            application_name=APPLICATION,
            lazy=True,
            # A dead database is an answer at once, not a request that hangs.
            retry_connection_errors=False,
        )
        served = sa.exists().where(leases.live(settings.lease_seconds), lease.c.queue == workflow.c.queue_name)
        self._is_served = served.label("is_served")

    def close(self) -> None:
        """Give all connections back."""
        self._client.destroy()
        self._engine.dispose()

    def submit(
        self,
        request: AuditRequest,
        *,
        caller: str,
        idempotency_key: str | None = None,
        large_model_queue: str | None = None,
    ) -> tuple[Job, bool]:
        with unavailable_is_a_problem(), self._engine.begin() as connection:
            audit_id = new_identifier()
            if not _insert_audit(connection, audit_id, request, caller, idempotency_key):
                return self._job_of_key(connection, request, caller, str(idempotency_key)), False
            _insert_tags(connection, audit_id, request.tags)
            uploads.claim(connection, audit_id, ids_in(request.addresses), caller)
            if request.callback is not None:
                callbacks.register(connection, audit_id, request.callback.url)
            queue = self._queue_for(connection, request, large_model_queue)
            self._require_room(connection, caller)
            place = turns.next_place(connection, queue, request.priority, caller)
            self._client.enqueue_in_transaction(connection, _options(audit_id, request, queue, place), audit_id)
            return self._job(connection, audit_id, caller), True

    def replayed(self, request: AuditRequest, *, caller: str, idempotency_key: str) -> Job | None:
        with unavailable_is_a_problem(), self._engine.connect() as connection:
            try:
                return self._job_of_key(connection, request, caller, idempotency_key)
            except sa.exc.NoResultFound:
                return None

    def get(self, audit_id: str, *, caller: str | None) -> Job:
        with unavailable_is_a_problem(), self._engine.connect() as connection:
            return self._job(connection, audit_id, caller)

    def list(self, *, caller: str | None, where: JobFilter, cursor: str | None, limit: int) -> JobPage:
        query = SELECT_JOB.where(_of(caller), *_conditions(where))
        if cursor is not None:
            query = query.where(audit.c.id < read_cursor(cursor))
        # One more than asked for tells whether there is a next page.
        query = query.order_by(audit.c.id.desc()).limit(limit + 1)
        with unavailable_is_a_problem(), self._engine.connect() as connection:
            rows = connection.execute(query).all()
        jobs = [job_from(row) for row in rows[:limit]]
        return JobPage(items=jobs, next_cursor=cursor_after(jobs[-1].id) if len(rows) > limit else None)

    def report(self, audit_id: str, *, caller: str | None) -> Report:
        with unavailable_is_a_problem(), self._engine.connect() as connection:
            row = _read_row(connection, audit_id, caller)
            # A report may be stored by a worker that then lost the audit: the outcome decides.
            if status_of(row) != "succeeded":
                raise NoReport(audit_id, status_of(row))
            body = connection.execute(sa.select(report.c.body).where(report.c.audit_id == audit_id)).scalar_one()
        if not body:
            raise ReportExpired(audit_id)
        return Report.model_validate_json(body)

    def events(self, after: Mapping[str, int]) -> Mapping[str, Sequence[JobEvent]]:
        with unavailable_is_a_problem(), self._engine.connect() as connection:
            return events_after(connection, after)

    def cancel(self, audit_id: str, *, caller: str | None) -> Job:
        with unavailable_is_a_problem():
            with self._engine.begin() as connection:
                _mark_cancelled(connection, audit_id, caller)
            # The mark comes first: after a crash in between, the next call ends what this one began.
            if self.get(audit_id, caller=caller).links.cancel:
                self._client.cancel_workflow(audit_id)
            return self.get(audit_id, caller=caller)

    def ping(self) -> None:
        with unavailable_is_a_problem(), self._engine.connect() as connection:
            connection.execute(sa.select(1))

    def workers(self) -> int:
        with unavailable_is_a_problem(), self._engine.connect() as connection:
            return leases.count_live(connection, self._settings.lease_seconds)

    def statistics(self) -> Statistics:
        with unavailable_is_a_problem(), self._engine.connect() as connection:
            return statistics.read(connection, self._settings.lease_seconds)

    def claim_callbacks(self, limit: int) -> Sequence[Delivery]:
        with unavailable_is_a_problem(), self._engine.begin() as connection:
            return callbacks.claim(connection, limit)

    def settle_callback(self, delivery: Delivery, error: str | None, *, is_last: bool) -> None:
        with unavailable_is_a_problem(), self._engine.begin() as connection:
            callbacks.settle(connection, delivery, error, is_last=is_last)

    def prune(self) -> Pruned:
        with unavailable_is_a_problem():
            pruned = retention.prune(self._settings, self._engine, self._client.delete_workflows)
            return replace(pruned, uploads=prune_uploads(self._settings, self._engine))

    def _job_of_key(self, connection: sa.Connection, request: AuditRequest, caller: str, key: str) -> Job:
        query = sa.select(audit.c.id, audit.c.request_hash).where(
            audit.c.caller == caller, audit.c.idempotency_key == key
        )
        row = connection.execute(query).one()
        if row.request_hash != hash_of(request):
            raise IdempotencyConflict(row.id)
        return self._job(connection, row.id, caller)

    def _job(self, connection: sa.Connection, audit_id: str, caller: str | None) -> Job:
        """The job; a queued one that no worker will take says so, instead of waiting in silence."""
        row = _read_row(connection, audit_id, caller, self._is_served)
        job = job_from(row)
        if job.status != "queued" or row.queue_name is None or row.is_served:
            return job
        detail = f"no live worker takes {row.queue_name} audits: start `fitcheck worker` on such a machine, or cancel"
        return job.model_copy(update={"progress": job.progress.model_copy(update={"detail": detail})})

    def _queue_for(self, connection: sa.Connection, request: AuditRequest, large_model_queue: str | None) -> str:
        if request.resources.queue is not None:
            return _known_queue(connection, request.resources.queue)
        if request.resources.device != "auto":
            return request.resources.device
        if large_model_queue is not None:
            return large_model_queue
        has_gpu = leases.count_live(connection, self._settings.lease_seconds, queue="gpu") > 0
        return "gpu" if has_gpu else "cpu"

    def _require_room(self, connection: sa.Connection, caller: str) -> None:
        waiting = sa.select(sa.func.count()).where(
            workflow.c.status == "ENQUEUED", workflow.c.application_name == APPLICATION
        )
        own = waiting.where(workflow.c.workflow_uuid == audit.c.id, audit.c.caller == caller)
        of_all, of_caller = connection.execute(sa.select(waiting.scalar_subquery(), own.scalar_subquery())).one()
        if of_all >= self._settings.max_queue:
            raise QueueFull(self._settings.max_queue)
        if of_caller >= self._settings.max_queue_per_caller:
            raise CallerQueueFull(self._settings.max_queue_per_caller)


def _known_queue(connection: sa.Connection, queue: str) -> str:
    """The queue, where a worker serves it or once did: such workers may be started when there is work.

    Raises:
        QueueUnknown: nothing would ever happen in it.
    """
    known = sorted({*QUEUES, *connection.execute(sa.select(queues.c.name)).scalars()})
    if queue not in known:
        raise QueueUnknown(queue, known)
    return queue


def hash_of(request: AuditRequest) -> str:
    """Equal for requests that mean the same: defaults filled in, order of keys aside."""
    content = request.model_dump(mode="json")
    for name, default in YOUNGER_RESOURCES.items():
        if content["resources"][name] == default:
            del content["resources"][name]
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _options(audit_id: str, request: AuditRequest, queue: str, place: int) -> EnqueueOptions:
    return EnqueueOptions(
        workflow_name=WORKFLOW,
        queue_name=queue,
        workflow_id=audit_id,
        app_version=VERSION,
        application_name=APPLICATION,
        priority=place,
        workflow_timeout=request.resources.timeout_seconds,
    )


def _insert_audit(
    connection: sa.Connection, audit_id: str, request: AuditRequest, caller: str, key: str | None
) -> bool:
    """Whether the audit is new; not so where the caller's key was used before."""
    statement = insert(connection, audit).values(
        id=audit_id,
        caller=caller,
        created_at=now_ms(),
        request=request.model_dump_json(),
        request_hash=hash_of(request),
        idempotency_key=key,
        traceparent=traceparent(),
    )
    statement = statement.on_conflict_do_nothing(index_elements=["caller", "idempotency_key"])
    return connection.execute(statement.returning(audit.c.id)).first() is not None


def _insert_tags(connection: sa.Connection, audit_id: str, tags: dict[str, str]) -> None:
    if tags:
        rows = [{"audit_id": audit_id, "key": key, "value": value} for key, value in tags.items()]
        connection.execute(sa.insert(audit_tag), rows)


def _mark_cancelled(connection: sa.Connection, audit_id: str, caller: str | None) -> None:
    """Leave the user's mark on an active audit. A finished one keeps its end: it may have timed out."""
    active = sa.exists().where(workflow.c.workflow_uuid == audit.c.id, workflow.c.status.in_(ACTIVE))
    connection.execute(
        sa.update(audit)
        .where(audit.c.id == audit_id, _of(caller), audit.c.cancel_requested_at.is_(None), active)
        .values(cancel_requested_at=now_ms())
    )


def _of(caller: str | None) -> sa.ColumnElement[bool]:
    return sa.true() if caller is None else audit.c.caller == caller


def _conditions(where: JobFilter) -> Sequence[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = []
    if where.statuses:
        conditions.append(sa.or_(*(IS[status] for status in where.statuses)))
    if where.verdicts:
        conditions += [IS["succeeded"], report.c.verdict.in_(where.verdicts)]
    for key, value in where.tags.items():
        conditions.append(
            sa.exists().where(audit_tag.c.audit_id == audit.c.id, audit_tag.c.key == key, audit_tag.c.value == value)
        )
    return conditions


def _read_row(connection: sa.Connection, audit_id: str, caller: str | None, *more: sa.ColumnElement[bool]) -> JobRow:
    """The row of `SELECT_JOB`, with more columns."""
    query = SELECT_JOB.add_columns(*more).where(audit.c.id == audit_id, _of(caller))
    row = connection.execute(query).one_or_none()
    if row is None:
        raise AuditNotFound(audit_id)
    return row
