"""A client of the service over HTTP."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ValidationError

from schemas.job import Job, JobEvent, JobPage, Progress
from schemas.problem import Problem, ProblemError
from schemas.report import Report
from schemas.request import AuditRequest
from schemas.upload import Upload, UploadPage
from service.cli.exits import RefusedError, ToldError

FINAL = ("succeeded", "failed", "cancelled")
POLL_SECONDS = 0.5
# A service that restarts is back within this time; a wait for a job outlives that.
PATIENCE_SECONDS = 60.0
TIMEOUT_SECONDS = 30.0  # heartbeats of a stream come more often
MAX_STREAMS = 100  # streams that end early: the service was started anew, or a proxy has had enough
# The last byte is answered when the file is on the service's disk.
UPLOAD_TIMEOUT = httpx.Timeout(TIMEOUT_SECONDS, read=600.0)
PAGE_ITEMS = 200

M = TypeVar("M", bound=BaseModel)


class ServiceError(ToldError):
    """The service cannot be reached, or failed."""


class AuditFailedError(ProblemError):
    """The audit ended without a report."""


class Client:
    """Calls the service.

    Every method raises `RefusedError` where the request is at fault and `ServiceError` where the service is.

    Args:
        url: address of the service.
        key: access key, where the service asks for one.
        transport: for tests.
    """

    def __init__(self, url: str, key: str | None = None, transport: httpx.BaseTransport | None = None) -> None:
        self._url = url
        headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
        self._http = httpx.Client(base_url=url, headers=headers, transport=transport, timeout=TIMEOUT_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._http.close()

    def submit(self, request: AuditRequest, idempotency_key: str | None = None) -> Job:
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        body = request.model_dump(mode="json", exclude_unset=True)
        return self._call(Job, "POST", "/v1/audits", json=body, headers=headers)

    def upload(self, content: Iterable[bytes], *, name: str, size: int, sha256: str) -> Upload:
        """Send a file.

        Args:
            content: its bytes.
            name: which says its format.
            size: how many bytes.
            sha256: of them, in hexadecimal digits; the service checks it.
        """
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        query = {"name": name, "sha256": sha256}
        return self._call(
            Upload, "POST", "/v1/uploads", params=query, content=content, headers=headers, timeout=UPLOAD_TIMEOUT
        )

    def uploads(self) -> Iterator[Upload]:
        """All uploads, newest first, page by page."""
        query: dict[str, str | int] = {"limit": PAGE_ITEMS}
        while True:
            page = self._call(UploadPage, "GET", "/v1/uploads", params=query)
            yield from page.items
            if page.next_cursor is None:
                return
            query["cursor"] = page.next_cursor

    def get(self, audit_id: str) -> Job:
        return self._call(Job, "GET", _path(audit_id))

    def report(self, audit_id: str) -> Report:
        return self._call(Report, "GET", _path(audit_id, "/report"))

    def cancel(self, audit_id: str) -> Job:
        return self._call(Job, "POST", _path(audit_id, "/cancel"))

    def list(self, filters: Mapping[str, Sequence[str]], limit: int) -> Iterator[Job]:
        """The newest `limit` jobs that match, page by page."""
        cursor: str | None = None
        while limit > 0:
            query = {**filters, "limit": min(limit, PAGE_ITEMS), **({"cursor": cursor} if cursor else {})}
            page = self._call(JobPage, "GET", "/v1/audits", params=query)
            yield from page.items
            limit -= len(page.items)
            cursor = page.next_cursor
            if cursor is None:
                return

    def wait(self, audit_id: str, progress: Callable[[Progress], None]) -> Report:
        """The report, as soon as there is one.

        Raises:
            AuditFailedError: the audit failed or was cancelled.
        """
        job = self._poll(audit_id, progress)
        if job.error is not None:
            raise AuditFailedError.from_problem(job.error)
        if job.status != "succeeded":
            raise AuditFailedError("audit_cancelled", f"Audit {audit_id} was {job.status}; there is no report.")
        return self.report(audit_id)

    def watch(self, audit_id: str, progress: Callable[[Progress], None]) -> Job:
        """The job when it is final; told of its progress by the service, asked for where that does not work."""
        last = 0
        for _ in range(MAX_STREAMS):
            self.get(audit_id)  # says what is wrong with the id or the key
            try:
                for event in self._events(audit_id, last):
                    last = event.id
                    progress(event.progress)
            except (httpx.HTTPError, ValidationError):
                break
            if (job := self._get_patiently(audit_id)).status in FINAL:
                return job
        return self._poll(audit_id, progress)

    def _events(self, audit_id: str, last: int) -> Iterator[JobEvent]:
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(last)}
        with self._http.stream("GET", _path(audit_id, "/events"), headers=headers) as answer:
            answer.raise_for_status()
            for line in answer.iter_lines():
                # An event is one line of data here; its id stands in it too.
                if line.startswith("data: "):
                    yield JobEvent.model_validate_json(line.removeprefix("data: "))

    def _poll(self, audit_id: str, progress: Callable[[Progress], None]) -> Job:
        while (job := self._get_patiently(audit_id)).status not in FINAL:
            progress(job.progress)
            time.sleep(POLL_SECONDS)
        return job

    def _get_patiently(self, audit_id: str) -> Job:
        """The job, also where the service is away for a while."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return self.get(audit_id)
            except ServiceError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(POLL_SECONDS)

    def _call(self, expected: type[M], method: str, path: str, **options: Any) -> M:
        try:
            answer = self._answer(method, path, **options)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ServiceError(
                "service_unreachable", f"{self._url} does not answer ({error}). Is `fitcheck serve` running there?"
            ) from None
        try:
            if answer.is_success:
                return expected.model_validate_json(answer.content)
            told = Problem.model_validate_json(answer.content)
        except ValidationError:
            raise ServiceError(
                "unexpected_answer",
                f"{answer.url} answered {answer.status_code} with something else than expected: "
                "is this a fitcheck service of this version?",
            ) from None
        raise (RefusedError if answer.is_client_error else ServiceError).from_problem(told)

    def _answer(self, method: str, path: str, **options: Any) -> httpx.Response:
        """The answer; where there were too many requests, that of the next try when the service allows it."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            answer = self._http.request(method, path, **options)
            wait_seconds = _seconds(answer.headers.get("Retry-After"))
            is_limited = answer.status_code == httpx.codes.TOO_MANY_REQUESTS and _code(answer) == "rate_limited"
            if not is_limited or "content" in options or time.monotonic() + wait_seconds > deadline:
                return answer
            time.sleep(wait_seconds)


def _code(answer: httpx.Response) -> str | None:
    try:
        return Problem.model_validate_json(answer.content).code
    except ValidationError:
        return None


def _seconds(retry_after: str | None) -> float:
    return float(retry_after) if retry_after is not None and retry_after.isdigit() else 1.0


def _path(audit_id: str, rest: str = "") -> str:
    return f"/v1/audits/{quote(audit_id, safe='')}{rest}"
