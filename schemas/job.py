"""A job: the life of one audit request, from the queue to its report or its problem."""

from datetime import datetime
from typing import Literal, get_args

from pydantic import Field

from schemas.base import FiniteFloat, Sent
from schemas.problem import Problem
from schemas.report import Verdict

JobStatus = Literal["queued", "running", "succeeded", "failed", "cancelled"]
FINAL: tuple[JobStatus, ...] = ("succeeded", "failed", "cancelled")
Stage = Literal["queued", "opening", "collecting", "repairing", "checking", "diagnosing", "done"]
STAGES: tuple[Stage, ...] = get_args(Stage)  # in the order in which an audit passes through them


class Progress(Sent):
    fraction: FiniteFloat = Field(0.0, ge=0, le=1)
    stage: Stage = "queued"
    detail: str | None = None


class Links(Sent):
    self: str
    report: str | None = None
    cancel: str | None = None
    events: str | None = None


class CallbackState(Sent):
    """How far the delivery of the webhook has come."""

    url: str
    status: Literal["waiting", "pending", "delivered", "dead"] = Field(
        description="`waiting` for the end of the audit, `pending` until it is taken, `dead` when given up."
    )
    attempts: int = Field(0, ge=0, description="Deliveries tried.")
    next_attempt_at: datetime | None = None
    last_error: str | None = Field(None, description="Why the last try failed.")


class Job(Sent):
    id: str
    status: JobStatus
    progress: Progress
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    attempt: int = Field(0, ge=0, description="How often a worker has begun this audit.")
    error: Problem | None = None
    verdict: Verdict | None = None
    tags: dict[str, str] = {}
    callback: CallbackState | None = Field(None, description="The webhook, where the request names one.")
    links: Links


class JobEvent(Sent):
    """The data of one server-sent event: where the audit stood. Ids rise; the last event has a final status."""

    id: int = Field(ge=0, description="Send it as `Last-Event-ID` to go on after this event.")
    audit_id: str
    status: JobStatus
    at: datetime
    attempt: int = Field(0, ge=0, description="How often a worker has begun this audit.")
    progress: Progress
    error: Problem | None = None
    verdict: Verdict | None = None


class JobPage(Sent):
    items: list[Job]
    next_cursor: str | None = Field(None, description="Pass as `cursor` for the next page; null on the last one.")
