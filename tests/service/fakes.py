"""The job engine's interface in memory: what the API and the command line are tested against."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from schemas.job import Job, JobEvent, JobPage, Links, Progress
from schemas.problem import Problem
from schemas.report import Metrics, Report, SplitMetrics, Verdict
from schemas.request import AuditRequest
from service.jobs.errors import AuditNotFound, BadCursor, IdempotencyConflict, NoReport
from service.jobs.interface import JobFilter, Statistics

BEGIN = datetime(2030, 1, 1, tzinfo=UTC)
FINAL = {"succeeded", "failed", "cancelled"}


def report(audit_id: str, verdict: Verdict = "pass", **parts: object) -> Report:
    nothing = SplitMetrics(n=0, values={})
    whole = {
        "summary": "Nothing is wrong with this model.",
        "diagnosis": [],
        "findings": [],
        "checks": [],
        "metrics": Metrics(primary="balanced_accuracy", train=nothing, validation=nothing),
        "model": {},
        "data": {},
        "environment": {},
    }
    return Report(audit_id=audit_id, verdict=verdict, **{**whole, **parts})


@dataclass
class Stored:
    job: Job
    caller: str
    fingerprint: str
    changes: int = 1


class FakeJobs:
    """`service.jobs.interface.Jobs` without a database.

    Tests move jobs on with `start`, `succeed` and `fail`, and set `broken` to an exception that every call then raises.
    """

    def __init__(self, *, slots: int = 1) -> None:
        self.stored: list[Stored] = []
        self.keys: dict[tuple[str, str], Stored] = {}
        self.reports: dict[str, Report] = {}
        self.requests: dict[str, AuditRequest] = {}
        self.slots = slots
        self.broken: Exception | None = None
        self.large_model_queue: str | None = None
        self.numbers = Statistics({}, {}, {}, {}, {}, {}, {})

    def submit(
        self,
        request: AuditRequest,
        *,
        caller: str,
        idempotency_key: str | None = None,
        large_model_queue: str | None = None,
    ) -> tuple[Job, bool]:
        self.large_model_queue = large_model_queue
        known = self.replayed(request, caller=caller, idempotency_key=idempotency_key or "")
        if known is not None:
            return known, False
        stored = Stored(self._new_job(request), caller, _fingerprint(request))
        self.stored.append(stored)
        self.requests[stored.job.id] = request
        if idempotency_key is not None:
            self.keys[caller, idempotency_key] = stored
        return stored.job, True

    def replayed(self, request: AuditRequest, *, caller: str, idempotency_key: str) -> Job | None:
        self._answer()
        known = self.keys.get((caller, idempotency_key))
        if known is not None and known.fingerprint != _fingerprint(request):
            raise IdempotencyConflict(known.job.id)
        return known.job if known else None

    def get(self, audit_id: str, *, caller: str) -> Job:
        return self._find(audit_id, caller).job

    def list(self, *, caller: str | None, where: JobFilter, cursor: str | None, limit: int) -> JobPage:
        self._answer()
        mine = [s.job for s in reversed(self.stored) if caller in {None, s.caller} and _matches(s.job, where)]
        begin = _decode(cursor)
        rest = begin + limit < len(mine)
        return JobPage(items=mine[begin : begin + limit], next_cursor=_encode(begin + limit) if rest else None)

    def report(self, audit_id: str, *, caller: str) -> Report:
        job = self._find(audit_id, caller).job
        if audit_id not in self.reports:
            raise NoReport(audit_id, job.status)
        return self.reports[audit_id]

    def events(self, after: Mapping[str, int]) -> Mapping[str, Sequence[JobEvent]]:
        """The present state alone; its id counts the changes."""
        self._answer()
        found = {stored.job.id: stored for stored in self.stored if stored.job.id in after}
        return {name: [_event(stored)] if stored.changes > after[name] else [] for name, stored in found.items()}

    def cancel(self, audit_id: str, *, caller: str) -> Job:
        stored = self._find(audit_id, caller)
        if stored.job.status not in FINAL:
            self._change(audit_id, status="cancelled", finished_at=BEGIN)
        return stored.job

    def ping(self) -> None:
        self._answer()

    def workers(self) -> int:
        self._answer()
        return self.slots

    def statistics(self) -> Statistics:
        self._answer()
        return self.numbers

    def start(self, audit_id: str, progress: Progress | None = None) -> None:
        progress = progress or Progress(fraction=0.5, stage="checking", detail="metrics")
        self._change(audit_id, status="running", started_at=BEGIN, attempt=1, progress=progress)

    def succeed(self, audit_id: str, verdict: Verdict = "pass", **parts: object) -> None:
        self.reports[audit_id] = report(audit_id, verdict, **parts)
        done = Progress(fraction=1, stage="done")
        self._change(audit_id, status="succeeded", verdict=verdict, finished_at=BEGIN, progress=done)

    def fail(self, audit_id: str, problem: Problem) -> None:
        self._change(audit_id, status="failed", error=problem, finished_at=BEGIN)

    def _new_job(self, request: AuditRequest) -> Job:
        audit_id = f"audit-{len(self.stored) + 1:04}"
        address = f"/v1/audits/{audit_id}"
        return Job(
            id=audit_id,
            status="queued",
            progress=Progress(),
            created_at=BEGIN + timedelta(seconds=len(self.stored)),
            tags=request.tags,
            links=Links(
                self=address, report=f"{address}/report", cancel=f"{address}/cancel", events=f"{address}/events"
            ),
        )

    def _find(self, audit_id: str, caller: str | None) -> Stored:
        self._answer()
        for stored in self.stored:
            if stored.job.id == audit_id and caller in {None, stored.caller}:
                return stored
        raise AuditNotFound(audit_id)

    def _change(self, audit_id: str, **changes: object) -> None:
        stored = self._find(audit_id, None)
        stored.job = stored.job.model_copy(update=changes)
        stored.changes += 1

    def _answer(self) -> None:
        if self.broken is not None:
            raise self.broken


def _event(stored: Stored) -> JobEvent:
    job = stored.job
    shown = {"status": job.status, "attempt": job.attempt, "progress": job.progress}
    return JobEvent(id=stored.changes, audit_id=job.id, at=BEGIN, error=job.error, verdict=job.verdict, **shown)


def _fingerprint(request: AuditRequest) -> str:
    return hashlib.sha256(request.model_dump_json().encode()).hexdigest()


def _matches(job: Job, where: JobFilter) -> bool:
    return (
        (not where.statuses or job.status in where.statuses)
        and (not where.verdicts or job.verdict in where.verdicts)
        and all(job.tags.get(key) == value for key, value in where.tags.items())
    )


def _encode(place: int) -> str:
    return base64.urlsafe_b64encode(str(place).encode()).decode()


def _decode(cursor: str | None) -> int:
    if cursor is None:
        return 0
    try:
        return int(base64.urlsafe_b64decode(cursor.encode()))
    except ValueError:
        raise BadCursor from None
