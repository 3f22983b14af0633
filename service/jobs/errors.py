"""What can go wrong between a client and the job engine.

ProblemError
  └ JobError
      ├ AuditNotFound         no such audit, or it is another caller's
      ├ NoReport              the audit has not succeeded
      ├ IdempotencyConflict   the key was used with another request
      ├ BadCursor             not a cursor that we gave
      ├ QueueFull             too many audits wait
      └ DatabaseUnavailable   the database does not answer
"""

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
            "no_report", f"Audit {audit_id} has no report: it is {status}. {WHAT_TO_DO[status]}", field="id"
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


class DatabaseUnavailable(JobError):  # noqa: N818 - named for what it says
    def __init__(self) -> None:
        super().__init__("database_unavailable", "The database does not answer. Nothing was lost; try again.")


WHAT_TO_DO: dict[JobStatus, str] = {
    "queued": "Wait until its status is succeeded.",
    "running": "Wait until its status is succeeded.",
    "succeeded": "Ask again.",
    "failed": "The job's `error` says why; submit a new audit when that is mended.",
    "cancelled": "Submit a new audit.",
}
