"""The client for programs that wait for their calls."""

import os
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Self, TypeVar, Unpack, cast

import httpx
from pydantic import BaseModel, ValidationError

from schemas.catalogue import Catalogue, CatalogueEntry
from schemas.job import FINAL, Job, JobEvent, JobPage, JobStatus, Progress
from schemas.report import Report, Verdict
from schemas.request import AuditRequest
from schemas.upload import Upload, UploadPage
from service.client import calls
from service.client.calls import Deadline, Patience, Tries, path_of, read
from service.client.reports import AuditReport
from service.client.requests import RequestFields, request_of

M = TypeVar("M", bound=BaseModel)
R = TypeVar("R", bound=Report)
Show = Callable[[Progress], None]
LOCALHOST = "http://127.0.0.1:8000"


class Calls:
    """The calls of the API, one method each. `Client` is what programs want.

    Every method raises `RefusedError` where the request is at fault and `ServiceError` where the service is.

    Args:
        url: address of the service.
        key: access key, where the service asks for one.
        transport: of httpx, for proxies, certificates and tests.
        patience: for how long a call is tried again.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        transport: httpx.BaseTransport | None = None,
        patience: Patience = Patience(),  # noqa: B008 - frozen
    ) -> None:
        self.url = url
        self._patience = patience
        self._http = httpx.Client(
            base_url=url, headers=calls.headers_of(key), transport=transport, timeout=calls.TIMEOUT_SECONDS
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def submit(self, request: AuditRequest, idempotency_key: str | None = None) -> Job:
        """Submit an audit. With a key, one of its own where none is given, it is safe to try again."""
        headers = {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
        return self._call(Job, "POST", calls.AUDITS, json=calls.body_of(request), headers=headers)

    def get(self, audit_id: str) -> Job:
        """The job as it stands."""
        return self._call(Job, "GET", path_of(audit_id))

    def report(self, audit_id: str) -> Report:
        """The report of an audit that succeeded."""
        return self.report_as(Report, audit_id)

    def report_as(self, expected: type[R], audit_id: str) -> R:
        return self._call(expected, "GET", path_of(audit_id, "/report"))

    def cancel(self, audit_id: str) -> Job:
        """End a queued or running audit."""
        return self._call(Job, "POST", path_of(audit_id, "/cancel"))

    def catalogue(self) -> list[CatalogueEntry]:
        """Every finding that can be reported, with its documentation."""
        return self._call(Catalogue, "GET", calls.CATALOGUE).items

    def list(self, filters: Mapping[str, Sequence[str]], limit: int) -> Iterator[Job]:
        """The newest `limit` jobs that match, page by page."""
        cursor: str | None = None
        while limit > 0:
            query = {**filters, "limit": min(limit, calls.PAGE_ITEMS), **({"cursor": cursor} if cursor else {})}
            page = self._call(JobPage, "GET", calls.AUDITS, params=query)
            yield from page.items
            limit -= len(page.items)
            cursor = page.next_cursor
            if cursor is None:
                return

    def upload(self, content: Callable[[], Iterable[bytes]], *, name: str, size: int, sha256: str) -> Upload:
        """Send a file.

        Args:
            content: gives its bytes, from the first on, for every try.
            name: which says its format.
            size: how many bytes.
            sha256: of them, in hexadecimal digits; the service checks it.
        """
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        query = {"name": name, "sha256": sha256}
        return self._call(
            Upload,
            "POST",
            calls.UPLOADS,
            params=query,
            headers=headers,
            content=content,
            timeout=calls.UPLOAD_TIMEOUT,
        )

    def uploads(self) -> Iterator[Upload]:
        """All uploads, newest first, page by page."""
        query: dict[str, str | int] = {"limit": calls.PAGE_ITEMS}
        while True:
            page = self._call(UploadPage, "GET", calls.UPLOADS, params=query)
            yield from page.items
            if page.next_cursor is None:
                return
            query["cursor"] = page.next_cursor

    def events(self, audit_id: str, after: int = 0) -> Iterator[JobEvent]:
        """What happens to an audit, until it has ended; streams that break off are taken up where they ended."""
        last = after
        for _ in range(calls.MAX_STREAMS):
            self.get(audit_id)  # says what is wrong with the id or the key
            try:
                for event in self._events(audit_id, last):
                    last = event.id
                    yield event
                    if event.status in FINAL:
                        return
            except httpx.TransportError:
                time.sleep(calls.POLL_SECONDS)
            except (httpx.HTTPError, ValidationError) as error:
                raise calls.unreachable(self.url, error) from None
            if self._get_patiently(audit_id).status in FINAL:
                return

    def watch(self, audit_id: str, progress: Show, deadline: Deadline | None = None) -> Job:
        """The job when it is final; told of its progress by the service, asked for where that does not work.

        Raises:
            WaitTimeoutError: it is not by the deadline.
        """
        deadline = deadline or Deadline(None)
        last = 0
        for _ in range(calls.MAX_STREAMS):
            self.get(audit_id)  # says what is wrong with the id or the key
            try:
                for event in self._events(audit_id, last, deadline):
                    last = event.id
                    progress(event.progress)
                    deadline.require(audit_id)
            except (httpx.HTTPError, ValidationError):
                break
            if (job := self._get_patiently(audit_id)).status in FINAL:
                return job
            deadline.require(audit_id)
        return self.poll(audit_id, progress, deadline)

    def poll(self, audit_id: str, progress: Show, deadline: Deadline | None = None) -> Job:
        """The same as `watch`, by asking again and again."""
        deadline = deadline or Deadline(None)
        while (job := self._get_patiently(audit_id)).status not in FINAL:
            progress(job.progress)
            deadline.require(audit_id)
            time.sleep(deadline.left(calls.POLL_SECONDS))
        return job

    def _events(self, audit_id: str, last: int, deadline: Deadline | None = None) -> Iterator[JobEvent]:
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(last)}
        # A heartbeat may come after the deadline.
        timeout = max(0.1, (deadline or Deadline(None)).left(calls.TIMEOUT_SECONDS))
        with self._http.stream("GET", path_of(audit_id, "/events"), headers=headers, timeout=timeout) as answer:
            answer.raise_for_status()
            for line in answer.iter_lines():
                if deadline is not None:
                    deadline.require(audit_id)
                if (event := calls.event_in(line)) is not None:
                    yield event

    def _get_patiently(self, audit_id: str) -> Job:
        """The job, also where the service is away for a while."""
        return self._call(Job, "GET", path_of(audit_id), patience=Patience())

    def _call(
        self,
        expected: type[M],
        method: str,
        path: str,
        *,
        patience: Patience | None = None,
        content: Callable[[], Iterable[bytes]] | None = None,
        **options: Any,
    ) -> M:
        tries = Tries(patience or self._patience)
        while True:
            try:
                answer = self._http.request(method, path, content=content() if content else None, **options)
                delay = tries.delay_after(answer)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                delay = tries.delay_after_error(error)
                if delay is None:
                    raise calls.unreachable(self.url, error) from None
            else:
                if delay is None:
                    return read(expected, answer)
            time.sleep(delay)


class Audit:
    """An audit that was submitted."""

    def __init__(self, calls_: Calls, job: Job) -> None:
        self._calls = calls_
        self._job = job

    def __repr__(self) -> str:
        return f"<Audit {self.id} {self._job.status}>"

    @property
    def id(self) -> str:
        return self._job.id

    @property
    def job(self) -> Job:
        """The job as it was last heard of; `refresh` asks."""
        return self._job

    @property
    def status(self) -> JobStatus:
        """Where the audit stands now; asks the service until it is final."""
        return (self._job if self._job.status in FINAL else self.refresh()).status

    @property
    def verdict(self) -> Verdict | None:
        """The verdict, where the audit has succeeded."""
        return self._job.verdict if self.status in FINAL else None

    @property
    def page(self) -> str:
        """Where a browser shows the report."""
        return calls.page_of(self._calls.url, self.id)

    def refresh(self) -> Job:
        """The job as it stands now."""
        self._job = self._calls.get(self.id)
        return self._job

    def wait(self, *, progress: bool | Show = False, timeout: float | None = None) -> AuditReport:
        """The report, as soon as there is one.

        Args:
            progress: True shows a bar on standard error; a function is told of every step.
            timeout: seconds after which waiting ends. The audit does not.

        Raises:
            AuditFailedError: the audit failed or was cancelled.
            WaitTimeoutError: it did not end in time.
        """
        with display_of(progress) as show:
            self._job = self._calls.watch(self.id, show, Deadline(timeout))
        calls.require_report(self._job)
        return self.report()

    def report(self) -> AuditReport:
        """The report.

        Raises:
            RefusedError: there is none (yet).
        """
        return self._calls.report_as(AuditReport, self.id).at(self.page)

    def events(self, after: int = 0) -> Iterator[JobEvent]:
        """What happens to the audit, from the event after `after` until the last."""
        return self._calls.events(self.id, after)

    def cancel(self) -> Job:
        """End the audit; running work stops within seconds."""
        self._job = self._calls.cancel(self.id)
        return self._job


class Client:
    """Submits audits to a service and follows them.

    Args:
        url: address of the service; default FITCHECK_URL, or http://127.0.0.1:8000.
        key: access key; default FITCHECK_API_KEY.
        patience: for how long a call is tried again where the service is busy or away.
        transport: of httpx, for proxies, certificates and tests.

    Raises (every method):
        RefusedError: the request is at fault; its `problem` says what to mend.
        ServiceError: the service cannot be reached, or failed.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        key: str | None = None,
        patience: Patience = Patience(),  # noqa: B008 - frozen
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._calls = Calls(address_of(url), key_of(key), transport, patience)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._calls.close()

    @property
    def url(self) -> str:
        return self._calls.url

    def submit(
        self,
        request: AuditRequest | Mapping[str, Any] | None = None,
        *,
        upload: bool = False,
        idempotency_key: str | None = None,
        **fields: Unpack[RequestFields],
    ) -> Audit:
        """Submit an audit: a whole request, its fields by name, or both, where the fields count.

        Args:
            request: as `POST /v1/audits` takes it.
            upload: send the files of this machine to the service; it need not share its storage. What is there
                already is not sent again.
            idempotency_key: the same key and request give the same audit. Default: a new one for every call, so that
                only the tries of one call are the same audit.
            **fields: see `RequestFields`.

        Raises:
            InvalidRequestError: this is no valid request.
        """
        asked = request_of(request, fields)
        if upload:
            from service.client.uploading import with_uploads  # noqa: PLC0415 - reads data formats

            asked = with_uploads(asked, self._calls)
        return Audit(self._calls, self._calls.submit(asked, idempotency_key))

    def audit(self, audit_id: str) -> Audit:
        """An audit that was submitted before, by anybody with this key."""
        return Audit(self._calls, self._calls.get(audit_id))

    def audits(
        self,
        *,
        status: Sequence[JobStatus] = (),
        verdict: Sequence[Verdict] = (),
        tags: Mapping[str, str] | None = None,
        limit: int = 20,
    ) -> Iterator[Audit]:
        """The newest `limit` audits that match, newest first."""
        for job in self._calls.list(filters_of(status, verdict, tags), limit):
            yield Audit(self._calls, job)

    def catalogue(self) -> list[CatalogueEntry]:
        """Every finding that can be reported, with its documentation."""
        return self._calls.catalogue()


def address_of(url: str | None) -> str:
    return url or os.environ.get("FITCHECK_URL") or LOCALHOST


def key_of(key: str | None) -> str | None:
    return key or os.environ.get("FITCHECK_API_KEY")


def filters_of(
    status: Sequence[str], verdict: Sequence[str], tags: Mapping[str, str] | None
) -> Mapping[str, Sequence[str]]:
    return {
        "status": status,
        "verdict": verdict,
        "tag": [f"{key}:{value}" for key, value in (tags or {}).items()],
    }


def display_of(progress: bool | Show) -> AbstractContextManager[Show]:
    """What shows the progress: a bar on standard error, the caller's own function, or nothing."""
    if callable(progress):
        return nullcontext(progress)
    if not progress:
        return nullcontext(lambda _: None)
    from rich.console import Console  # noqa: PLC0415 - only where something is shown

    from service.client.progress import ProgressDisplay  # noqa: PLC0415 - likewise

    return cast("AbstractContextManager[Show]", ProgressDisplay(Console(file=sys.stderr)))
