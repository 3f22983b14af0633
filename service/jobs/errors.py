"""What can go wrong between a client and the job engine.

ProblemError
  └ JobError
      ├ AuditNotFound         no such audit, or it is another caller's
      ├ NoReport              the audit has not succeeded
      ├ ReportExpired         its report was deleted after the time that reports are kept
      ├ IdempotencyConflict   the key was used with another request
      ├ BadCursor             not a cursor that we gave
      ├ QueueFull             too many audits wait
      ├ CallerQueueFull       too many audits of this caller wait
      ├ QueueUnknown          no worker has ever taken audits from this queue
      └ DatabaseUnavailable   the database does not answer
"""

from collections.abc import Sequence

from schemas.job import JobStatus
from schemas.problem import ProblemError


class JobError(ProblemError):
    """The job engine cannot do what it was asked."""


class AuditNotFound(JobError):  # noqa: N818 - named for what it says
    def __init__(self, audit_id: str) -> None:
        super().__init__(
            "audit_not_found", f"There is no audit {audit_id[:100]!r} of yours. List yours: GET /v1/audits."
        )


class NoReport(JobError):  # noqa: N818 - named for what it says
    def __init__(self, audit_id: str, status: JobStatus) -> None:
        self.status = status
        super().__init__(
            "no_report", f"Audit {audit_id} has no report: it {HOW_IT_STANDS[status]}. {WHAT_TO_DO[status]}", field="id"
        )


class ReportExpired(JobError):  # noqa: N818 - named for what it says
    def __init__(self, audit_id: str) -> None:
        super().__init__(
            "report_expired",
            f"The report of audit {audit_id} is not kept any more. Submit the audit again.",
            field="id",
        )


class IdempotencyConflict(JobError):  # noqa: N818 - named for what it says
    def __init__(self, audit_id: str) -> None:
        super().__init__(
            "idempotency_conflict",
            f"This Idempotency-Key was used for audit {audit_id} with another request. "
            "Send the same request again, or take a new key.",
            field="Idempotency-Key",
        )


class BadCursor(JobError):  # noqa: N818 - named for what it says
    def __init__(self) -> None:
        super().__init__(
            "bad_cursor",
            "The cursor is not one that this service gave. Take `next_cursor` of the page before, unchanged.",
            field="cursor",
        )


class QueueFull(JobError):  # noqa: N818 - named for what it says
    def __init__(self, limit: int) -> None:
        super().__init__("queue_full", f"{limit} audits are waiting already. Try again later, or start more workers.")


class CallerQueueFull(JobError):  # noqa: N818 - named for what it says
    def __init__(self, limit: int) -> None:
        super().__init__(
            "caller_queue_full", f"{limit} audits of yours are waiting already. Wait for some of them, or cancel some."
        )


class QueueUnknown(JobError):  # noqa: N818 - named for what it says
    def __init__(self, queue: str, known: Sequence[str]) -> None:
        super().__init__(
            "queue_unknown",
            f"No worker takes audits from the queue {queue!r}. Name one of {', '.join(known)}, or leave it out.",
            field="resources.queue",
        )


class DatabaseUnavailable(JobError):  # noqa: N818 - named for what it says
    def __init__(self) -> None:
        super().__init__("database_unavailable", "The database does not answer. Nothing was lost; try again.")


HOW_IT_STANDS: dict[JobStatus, str] = {
    "queued": "waits in the queue",
    "running": "is running",
    "succeeded": "has just succeeded",
    "failed": "failed",
    "cancelled": "was cancelled",
}
WHAT_TO_DO: dict[JobStatus, str] = {
    "queued": "Wait until its status is succeeded.",
    "running": "Wait until its status is succeeded.",
    "succeeded": "Ask again.",
    "failed": "The job's `error` says why; submit a new audit when that is mended.",
    "cancelled": "Submit a new audit.",
}
