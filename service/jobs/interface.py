"""What the API and the command line may ask of the job engine."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from schemas.job import Job, JobPage, JobStatus
from schemas.report import Report, Verdict
from schemas.request import AuditRequest


@dataclass(frozen=True)
class JobFilter:
    statuses: Sequence[JobStatus] = ()
    verdicts: Sequence[Verdict] = ()
    tags: dict[str, str] = field(default_factory=dict)


class Jobs(Protocol):
    """The client's side of the job engine: it submits and reads, it never executes.

    `caller` None, where it is allowed, stands for everyone: operators see all jobs.
    Every method may raise `DatabaseUnavailable` (the API answers 503); those that take an id may raise
    `AuditNotFound` (404). Both are declared in `service.jobs.errors`.
    """

    def submit(self, request: AuditRequest, *, caller: str, idempotency_key: str | None = None) -> tuple[Job, bool]:
        """Store the request and queue it, in one transaction. The flag says whether the job is new.

        Raises:
            IdempotencyConflict: the key was used with another body (409).
        """
        ...

    def replayed(self, request: AuditRequest, *, caller: str, idempotency_key: str) -> Job | None:
        """The job that this key has made before, or None. Asked before a request is examined: its files may have gone.

        Raises:
            IdempotencyConflict: the key was used with another body (409).
        """
        ...

    def get(self, audit_id: str, *, caller: str | None) -> Job: ...

    def list(self, *, caller: str | None, where: JobFilter, cursor: str | None, limit: int) -> JobPage:
        """Newest first.

        Raises:
            BadCursor: the cursor is none of ours (400).
        """
        ...

    def report(self, audit_id: str, *, caller: str | None) -> Report:
        """The report of a succeeded audit.

        Raises:
            NoReport: the audit has not succeeded (409); says its status.
        """
        ...

    def cancel(self, audit_id: str, *, caller: str | None) -> Job:
        """Ask for the end of a queued or running audit. A finished one stays as it is."""
        ...

    def ping(self) -> None:
        """Return when the database answers."""
        ...

    def workers(self) -> int:
        """How many slots hold a live lease."""
        ...
