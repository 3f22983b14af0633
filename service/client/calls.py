"""What is asked of the service, how its answers are read, and when a call is tried again.

No input and output here: `blocking` and `asynchronous` send what this module says.
"""

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ValidationError

from schemas.job import Job, JobEvent
from schemas.problem import Problem
from schemas.request import AuditRequest
from service.client.errors import AuditFailedError, RefusedError, ServiceError, WaitTimeoutError

M = TypeVar("M", bound=BaseModel)

AUDITS: Final = "/v1/audits"
UPLOADS: Final = "/v1/uploads"
CATALOGUE: Final = "/v1/catalogue"
POLL_SECONDS = 0.5
TIMEOUT_SECONDS = 30.0  # heartbeats of a stream come more often
# The last byte is answered when the file is on the service's disk.
UPLOAD_TIMEOUT = httpx.Timeout(TIMEOUT_SECONDS, read=600.0)
MAX_STREAMS = 100  # streams that end early: the service was started anew, or a proxy has had enough
PAGE_ITEMS = 200
FIRST_DELAY_SECONDS = 0.25
LONGEST_DELAY_SECONDS = 15.0
# The service, or a proxy before it, is away for a while.
AWAY = frozenset(
    {HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT}
)  # 500 is a bug, and a bug stays one


@dataclass(frozen=True)
class Patience:
    """For how long a call is tried again, in seconds from its first try.

    Args:
        busy_seconds: while the service answers that it has too much to do (429).
        away_seconds: while nothing answers, or a proxy says that nothing does (502, 503, 504).
    """

    busy_seconds: float = 60.0
    away_seconds: float = 60.0


class Tries:
    """The tries of one call: says how long to wait before the next one, or that patience is at an end."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._began = time.monotonic()
        self._delay = FIRST_DELAY_SECONDS

    def delay_after(self, answer: httpx.Response) -> float | None:
        """Seconds until the next try; None where the answer is to be taken as it is."""
        if answer.status_code == HTTPStatus.TOO_MANY_REQUESTS:
            return self._next(self._patience.busy_seconds, retry_after_seconds(answer))
        if answer.status_code in AWAY:
            return self._next(self._patience.away_seconds, retry_after_seconds(answer))
        return None

    def delay_after_error(self, error: Exception) -> float | None:
        """Seconds until the next try; None where another try cannot help."""
        if isinstance(error, httpx.TransportError) and not isinstance(error, httpx.UnsupportedProtocol):
            return self._next(self._patience.away_seconds, None)
        return None

    def _next(self, patience_seconds: float, asked_seconds: float | None) -> float | None:
        # Many clients that were turned away together must not come back together.
        delay = self._delay * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
        self._delay = min(2 * self._delay, LONGEST_DELAY_SECONDS)
        delay = max(delay, asked_seconds or 0.0)
        return delay if time.monotonic() + delay <= self._began + patience_seconds else None


def retry_after_seconds(answer: httpx.Response) -> float | None:
    """What the header Retry-After says, in seconds from now: it holds seconds or a date (RFC 9110, 10.2.3)."""
    text = answer.headers.get("Retry-After", "")
    if text.isdigit():
        return float(text)
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    # A date without a zone is UTC.
    return max(0.0, (date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def headers_of(key: str | None) -> dict[str, str]:
    return {"Accept": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})


def path_of(audit_id: str, rest: str = "") -> str:
    return f"{AUDITS}/{quote(audit_id, safe='')}{rest}"


def page_of(url: str, audit_id: str) -> str:
    """Where a browser shows the report, with the way to all other pages."""
    return f"{url.rstrip('/')}/audits/{quote(audit_id, safe='')}/report"


def body_of(request: AuditRequest) -> Mapping[str, object]:
    return request.model_dump(mode="json", exclude_unset=True)


def read(expected: type[M], answer: httpx.Response) -> M:
    """The answer as what it must be. Fields that a newer service adds are passed over.

    Raises:
        RefusedError: the request is at fault.
        ServiceError: the service is, or this is none.
    """
    try:
        if answer.is_success:
            return expected.model_validate_json(answer.content, extra="ignore")
        told = Problem.model_validate_json(answer.content, extra="ignore")
    except ValidationError:
        raise ServiceError(
            "unexpected_answer",
            f"{answer.url} answered {answer.status_code} with something else than expected: "
            "is this a fitcheck service of this version?",
        ) from None
    raise (RefusedError if answer.is_client_error else ServiceError).from_problem(told)


def unreachable(url: str, error: Exception) -> ServiceError:
    return ServiceError("service_unreachable", f"{url} does not answer ({error}). Is `fitcheck serve` running there?")


def event_in(line: str) -> JobEvent | None:
    """The event in a line of a stream. One is one line of data here; its id stands in it too."""
    if not line.startswith("data: "):
        return None
    return JobEvent.model_validate_json(line.removeprefix("data: "), extra="ignore")


def require_report(job: Job) -> None:
    """Raise what a final job without a report ended with.

    Raises:
        AuditFailedError: the audit failed or was cancelled.
    """
    if job.error is not None:
        raise AuditFailedError.from_problem(job.error)
    if job.status != "succeeded":
        raise AuditFailedError("audit_cancelled", f"Audit {job.id} was {job.status}; there is no report.")


class Deadline:
    """Until when a caller waits."""

    def __init__(self, seconds: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seconds = seconds
        self._at = None if seconds is None else clock() + seconds

    def left(self, longest: float) -> float:
        """Seconds that are left, at most `longest`."""
        return longest if self._at is None else max(0.0, min(longest, self._at - self._clock()))

    def require(self, audit_id: str) -> None:
        """Refuse to wait any longer.

        Raises:
            WaitTimeoutError: the time is over.
        """
        if self._at is not None and self._clock() >= self._at:
            raise WaitTimeoutError(
                "wait_timeout", f"Audit {audit_id} did not end within {self._seconds:g} s. It goes on: wait, or cancel."
            )
