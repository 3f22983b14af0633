"""What the API and the command line may ask of the job engine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from schemas.job import Job, JobEvent, JobPage, JobStatus
from schemas.report import Report, Verdict
from schemas.request import AuditRequest
from service.jobs.callbacks import Delivery


@dataclass(frozen=True)
class JobFilter:
    statuses: Sequence[JobStatus] = ()
    verdicts: Sequence[Verdict] = ()
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Statistics:
    """The state of the whole service in numbers.

    Attributes:
        queues: queue -> how many audits wait, and since how many seconds the oldest.
        slots: (queue, `busy` or `idle`) -> live worker slots.
        ended: final status -> audits ever.
        callbacks: `pending`, `delivered`, `dead` -> webhooks of finished audits.
        lease_expiries: queue -> slots ever taken for dead.
        deliveries: `delivered` or `failed` -> webhooks ever sent.
        stages: stage -> cumulative buckets of (upper bound, count), and the sum, in seconds.
    """

    queues: Mapping[str, tuple[int, float]]
    slots: Mapping[tuple[str, str], int]
    ended: Mapping[str, int]
    callbacks: Mapping[str, int]
    lease_expiries: Mapping[str, int]
    deliveries: Mapping[str, int]
    stages: Mapping[str, tuple[Sequence[tuple[str, float]], float]]


@dataclass(frozen=True)
class Pruned:
    """How much was deleted."""

    jobs: int = 0
    reports: int = 0
    uploads: int = 0


class Upkeep(Protocol):
    """What has to be done now and then, by any process. Every method may raise `DatabaseUnavailable`."""

    def claim_callbacks(self, limit: int) -> Sequence[Delivery]:
        """Take webhooks that are due; each must be settled."""
        ...

    def settle_callback(self, delivery: Delivery, error: str | None, *, is_last: bool) -> None:
        """Note how it went; `is_last` gives up after an error."""
        ...

    def prune(self) -> Pruned:
        """Delete what is older than the settings keep it."""
        ...


class Jobs(Protocol):
    """The client's side of the job engine: it submits and reads, it never executes.

    `caller` None, where it is allowed, stands for everyone: operators see all jobs.
    Every method may raise `DatabaseUnavailable` (the API answers 503); those that take an id may raise
    `AuditNotFound` (404). Both are declared in `service.jobs.errors`.
    """

    def submit(
        self,
        request: AuditRequest,
        *,
        caller: str,
        idempotency_key: str | None = None,
        large_model_queue: str | None = None,
    ) -> tuple[Job, bool]:
        """Store the request and queue it, in one transaction. The flag says whether the job is new.

        A request that names neither a queue nor a device goes to `large_model_queue` where that is given.

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

    def events(self, after: Mapping[str, int]) -> Mapping[str, Sequence[JobEvent]]:
        """Audit -> its events with higher ids than this one, oldest first, in a few queries for all of them.

        Audits that are not there are left out. Does not ask whose they are.
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

    def statistics(self) -> Statistics:
        """The whole service in numbers, over all callers."""
        ...
