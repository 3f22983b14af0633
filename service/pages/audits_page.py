"""The pages of audits: the list, one that is under way, and one that ended without a report."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, get_args

from schemas.job import STAGES, Job, JobEvent, JobPage, JobStatus, Stage
from schemas.problem import Problem
from schemas.report import Verdict

ACTIVE = frozenset({"queued", "running"})
STATUSES, WORDS_OF_VERDICTS = get_args(JobStatus), get_args(Verdict)
TITLES: Mapping[Stage, str] = {
    "opening": "Open the model and the data",
    "collecting": "Run the model on both splits",
    "repairing": "Repair, and run the model again",
    "checking": "Check",
    "diagnosing": "Find the causes",
}
# "failed" beside the verdict "fail" would read as the same.
WORDS = {"failed": "could not run"}
MARKS = {"succeeded": "pass", "failed": "error"}
# Before this much is done, the pace says nothing about the end.
MIN_FRACTION = 0.05
Context = dict[str, Any]


def list_context(page: JobPage, chosen: Mapping[str, str], problems: Mapping[str, str], base: str) -> Context:
    """The list.

    Args:
        page: what is listed.
        chosen: the filters `status`, `verdict` and `tag`, as they were sent, and the `cursor`.
        problems: what is wrong with which of them.
        base: the service's own address, for the example.
    """
    return {
        "rows": [row(job) for job in page.items],
        "older": page.next_cursor,
        "chosen": chosen,
        "is_filtered": any(chosen[name] for name in ("status", "verdict", "tag")),
        "problems": problems,
        "statuses": STATUSES,
        "verdicts": WORDS_OF_VERDICTS,
        "base": base,
    }


def row(job: Job) -> Context:
    """One line of the list."""
    return {
        "id": job.id,
        "is_active": job.status in ACTIVE,
        "is_comparable": job.status == "succeeded",
        "word": job.verdict or WORDS.get(job.status, job.status),
        "kind": job.verdict or MARKS.get(job.status, ""),
        "tags": [f"{key}:{value}" for key, value in job.tags.items()],
        "created": moment(job.created_at),
        "took": duration(job.started_at, job.finished_at),
        "percent": round(job.progress.fraction * 100),
        "stage": stage_name(job.progress.stage),
        "problem": job.error.title if job.error else "",
    }


def audit_context(job: Job, events: Sequence[JobEvent], now: datetime) -> Context:
    """One audit that has no report, or none yet."""
    begun = _begun(events)
    order = [stage for stage in STAGES if stage in TITLES]
    reached = order.index(job.progress.stage) if job.progress.stage in order else -1
    return {
        **row(job),
        "status": job.status,
        "detail": job.progress.detail or "",
        "attempt": job.attempt,
        "stages": [
            {
                "name": name,
                "title": TITLES[name],
                "state": "done" if place < reached else "current" if place == reached else "",
                "begun": _epoch(begun.get(name)),
            }
            for place, name in enumerate(order)
        ],
        "now": _epoch(now),
        "started": _epoch(job.started_at),
        "elapsed": duration(job.started_at, now),
        "left": _left(job, now),
        "finished": moment(job.finished_at),
        "error": _error(job.error) if job.error else None,
    }


def moment(at: datetime | None) -> Context | None:
    """A time, for people and for programs."""
    return None if at is None else {"iso": at.isoformat(), "text": f"{at:%Y-%m-%d %H:%M} UTC"}


def duration(begin: datetime | None, end: datetime | None) -> str:
    """``3 s``, ``2 min 5 s``, ``1 h 4 min``; nothing where it has not begun or not ended."""
    if begin is None or end is None:
        return ""
    return seconds_in_words(max(0.0, (end - begin).total_seconds()))


def seconds_in_words(seconds: float) -> str:
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    hours, more = divmod(minutes, 60)
    if hours:
        return f"{hours} h {more} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def stage_name(stage: Stage) -> str:
    return TITLES.get(stage, "")


def _begun(events: Sequence[JobEvent]) -> dict[Stage, datetime]:
    """Stage -> when it began, in the present attempt."""
    last = max((event.attempt for event in events), default=0)
    begun: dict[Stage, datetime] = {}
    for event in events:
        if event.attempt == last:
            begun.setdefault(event.progress.stage, event.at)
    return begun


def _epoch(at: datetime | None) -> int | None:
    """Milliseconds since 1970, as scripts count."""
    return None if at is None else round(at.timestamp() * 1000)


def _left(job: Job, now: datetime) -> str:
    """How long it will take at the pace so far."""
    done = job.progress.fraction
    if job.status != "running" or job.started_at is None or done < MIN_FRACTION:
        return ""
    return f"about {seconds_in_words((now - job.started_at).total_seconds() * (1 - done) / done)}"


def _error(problem: Problem) -> Context:
    """A problem in words, and where it lies."""
    places = {
        "request field": problem.field,
        "file": problem.file,
        "row, counted from 0": problem.row,
        "column": problem.column,
        "operation": problem.op,
    }
    return {
        "title": problem.title,
        "detail": problem.detail,
        "code": problem.code,
        "places": [(name, str(value)) for name, value in places.items() if value is not None],
        "errors": [(error.field, error.detail) for error in problem.errors or ()],
    }


def problem_context(problem: Problem) -> Context:
    return {"error": _error(problem)}
