"""A job: the life of one audit request, from the queue to its report or its problem."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from schemas.base import FiniteFloat, Sent
from schemas.problem import Problem
from schemas.report import Verdict

JobStatus = Literal["queued", "running", "succeeded", "failed", "cancelled"]
Stage = Literal["queued", "opening", "collecting", "checking", "repairing", "diagnosing", "done"]


class Progress(Sent):
    fraction: FiniteFloat = Field(0.0, ge=0, le=1)
    stage: Stage = "queued"
    detail: str | None = None


class Links(Sent):
    self: str
    report: str | None = None
    cancel: str | None = None


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
    links: Links


class JobPage(Sent):
    items: list[Job]
    next_cursor: str | None = Field(None, description="Pass as `cursor` for the next page; null on the last one.")
