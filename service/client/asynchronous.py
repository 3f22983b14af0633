"""The client for programs that await their calls: the same as `blocking`, method by method."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Self, TypeVar, Unpack

import httpx
from pydantic import BaseModel, ValidationError

from schemas.catalogue import Catalogue, CatalogueEntry
from schemas.job import FINAL, Job, JobEvent, JobPage, JobStatus
from schemas.report import Report, Verdict
from schemas.request import AuditRequest
from schemas.upload import Upload, UploadPage
from service.client import calls
from service.client.blocking import Show, address_of, display_of, filters_of, key_of
from service.client.calls import Deadline, Patience, Tries, path_of, read
from service.client.reports import AuditReport
from service.client.requests import RequestFields, request_of

M = TypeVar("M", bound=BaseModel)
R = TypeVar("R", bound=Report)
T = TypeVar("T")


class AsyncCalls:
    """The calls of the API, one method each. `AsyncClient` is what programs want. See `blocking.Calls`."""

    def __init__(self, url: str, key: str | None, transport: httpx.AsyncBaseTransport | None, patience: Patience):
        self.url = url
        self._patience = patience
        self._http = httpx.AsyncClient(
            base_url=url, headers=calls.headers_of(key), transport=transport, timeout=calls.TIMEOUT_SECONDS
        )

    async def close(self) -> None:
        await self._http.aclose()

    async def submit(self, request: AuditRequest, idempotency_key: str | None = None) -> Job:
        headers = {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
        return await self._call(Job, "POST", calls.AUDITS, json=calls.body_of(request), headers=headers)

    async def get(self, audit_id: str, patience: Patience | None = None) -> Job:
        return await self._call(Job, "GET", path_of(audit_id), patience=patience)

    async def report_as(self, expected: type[R], audit_id: str) -> R:
        return await self._call(expected, "GET", path_of(audit_id, "/report"))

    async def cancel(self, audit_id: str) -> Job:
        return await self._call(Job, "POST", path_of(audit_id, "/cancel"))

    async def catalogue(self) -> list[CatalogueEntry]:
        return (await self._call(Catalogue, "GET", calls.CATALOGUE)).items

    async def list(self, filters: Mapping[str, Sequence[str]], limit: int) -> AsyncIterator[Job]:
        cursor: str | None = None
        while limit > 0:
            query = {**filters, "limit": min(limit, calls.PAGE_ITEMS), **({"cursor": cursor} if cursor else {})}
            page = await self._call(JobPage, "GET", calls.AUDITS, params=query)
            for job in page.items:
                yield job
            limit -= len(page.items)
            cursor = page.next_cursor
            if cursor is None:
                return

    async def upload(self, content: Callable[[], Iterable[bytes]], *, name: str, size: int, sha256: str) -> Upload:
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        return await self._call(
            Upload,
            "POST",
            calls.UPLOADS,
            params={"name": name, "sha256": sha256},
            headers=headers,
            content=content,
            timeout=calls.UPLOAD_TIMEOUT,
        )

    async def uploads(self) -> Sequence[Upload]:
        query: dict[str, str | int] = {"limit": calls.PAGE_ITEMS}
        found: Sequence[Upload] = []
        while True:
            page = await self._call(UploadPage, "GET", calls.UPLOADS, params=query)
            found = [*found, *page.items]
            if page.next_cursor is None:
                return found
            query["cursor"] = page.next_cursor

    async def events(self, audit_id: str, after: int = 0) -> AsyncIterator[JobEvent]:
        last = after
        for _ in range(calls.MAX_STREAMS):
            await self.get(audit_id)  # says what is wrong with the id or the key
            try:
                async for event in self._events(audit_id, last):
                    last = event.id
                    yield event
                    if event.status in FINAL:
                        return
            except httpx.TransportError:
                await asyncio.sleep(calls.POLL_SECONDS)
            except (httpx.HTTPError, ValidationError) as error:
                raise calls.unreachable(self.url, error) from None
            if (await self.get(audit_id, Patience())).status in FINAL:
                return

    async def watch(self, audit_id: str, progress: Show) -> Job:
        last = 0
        for _ in range(calls.MAX_STREAMS):
            await self.get(audit_id)  # says what is wrong with the id or the key
            try:
                async for event in self._events(audit_id, last):
                    last = event.id
                    progress(event.progress)
            except (httpx.HTTPError, ValidationError):
                break
            if (job := await self.get(audit_id, Patience())).status in FINAL:
                return job
        return await self._poll(audit_id, progress)

    async def _poll(self, audit_id: str, progress: Show) -> Job:
        while (job := await self.get(audit_id, Patience())).status not in FINAL:
            progress(job.progress)
            await asyncio.sleep(calls.POLL_SECONDS)
        return job

    async def _events(self, audit_id: str, last: int) -> AsyncIterator[JobEvent]:
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(last)}
        async with self._http.stream("GET", path_of(audit_id, "/events"), headers=headers) as answer:
            answer.raise_for_status()
            async for line in answer.aiter_lines():
                if (event := calls.event_in(line)) is not None:
                    yield event

    async def _call(
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
            body = _off_the_loop(content()) if content else None
            try:
                answer = await self._http.request(method, path, content=body, **options)
                delay = tries.delay_after(answer)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                delay = tries.delay_after_error(error)
                if delay is None:
                    raise calls.unreachable(self.url, error) from None
            else:
                if delay is None:
                    return read(expected, answer)
            await asyncio.sleep(delay)


async def _off_the_loop(content: Iterable[T]) -> AsyncIterator[T]:
    """The items, read in a thread: a slow disk stops nobody else."""
    items = iter(content)
    while (item := await asyncio.to_thread(next, items, None)) is not None:
        yield item


class _FromThread:
    """The uploads of a client for code that runs in a thread of its own, while the loop does the calls."""

    def __init__(self, calls_: AsyncCalls) -> None:
        self._calls = calls_
        self._loop = asyncio.get_running_loop()

    def upload(self, content: Callable[[], Iterable[bytes]], *, name: str, size: int, sha256: str) -> Upload:
        sending = self._calls.upload(content, name=name, size=size, sha256=sha256)
        return asyncio.run_coroutine_threadsafe(sending, self._loop).result()

    def uploads(self) -> Iterator[Upload]:
        return iter(asyncio.run_coroutine_threadsafe(self._calls.uploads(), self._loop).result())


class AsyncAudit:
    """An audit that was submitted. See `blocking.Audit`."""

    def __init__(self, calls_: AsyncCalls, job: Job) -> None:
        self._calls = calls_
        self._job = job

    def __repr__(self) -> str:
        return f"<AsyncAudit {self.id} {self._job.status}>"

    @property
    def id(self) -> str:
        return self._job.id

    @property
    def job(self) -> Job:
        """The job as it was last heard of; `refresh` asks."""
        return self._job

    @property
    def status(self) -> JobStatus:
        """Where the audit stood when it was last heard of: a property cannot ask; `refresh` does."""
        return self._job.status

    @property
    def verdict(self) -> Verdict | None:
        return self._job.verdict

    @property
    def page(self) -> str:
        """Where a browser shows the report."""
        return calls.page_of(self._calls.url, self.id)

    async def refresh(self) -> Job:
        """The job as it stands now."""
        self._job = await self._calls.get(self.id)
        return self._job

    async def wait(self, *, progress: bool | Show = False, timeout: float | None = None) -> AuditReport:
        """The report, as soon as there is one.

        Args:
            progress: True shows a bar on standard error; a function is told of every step.
            timeout: seconds after which waiting ends. The audit does not.

        Raises:
            AuditFailedError: the audit failed or was cancelled.
            WaitTimeoutError: it did not end in time.
        """
        deadline = Deadline(timeout)
        with display_of(progress) as show:
            try:
                self._job = await asyncio.wait_for(self._calls.watch(self.id, show), timeout)
            except TimeoutError:
                deadline.require(self.id)
                raise
        calls.require_report(self._job)
        return await self.report()

    async def report(self) -> AuditReport:
        """The report.

        Raises:
            RefusedError: there is none (yet).
        """
        return (await self._calls.report_as(AuditReport, self.id)).at(self.page)

    def events(self, after: int = 0) -> AsyncIterator[JobEvent]:
        """What happens to the audit, from the event after `after` until the last."""
        return self._calls.events(self.id, after)

    async def cancel(self) -> Job:
        """End the audit; running work stops within seconds."""
        self._job = await self._calls.cancel(self.id)
        return self._job


class AsyncClient:
    """Submits audits to a service and follows them. See `blocking.Client`."""

    def __init__(
        self,
        url: str | None = None,
        *,
        key: str | None = None,
        patience: Patience = Patience(),  # noqa: B008 - frozen
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._calls = AsyncCalls(address_of(url), key_of(key), transport, patience)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._calls.close()

    @property
    def url(self) -> str:
        return self._calls.url

    async def submit(
        self,
        request: AuditRequest | Mapping[str, Any] | None = None,
        *,
        upload: bool = False,
        idempotency_key: str | None = None,
        **fields: Unpack[RequestFields],
    ) -> AsyncAudit:
        """Submit an audit; the arguments are those of `Client.submit`."""
        asked = request_of(request, fields)
        if upload:
            from service.client.uploading import with_uploads  # noqa: PLC0415 - reads data formats

            asked = await asyncio.to_thread(with_uploads, asked, _FromThread(self._calls))
        return AsyncAudit(self._calls, await self._calls.submit(asked, idempotency_key))

    async def audit(self, audit_id: str) -> AsyncAudit:
        """An audit that was submitted before, by anybody with this key."""
        return AsyncAudit(self._calls, await self._calls.get(audit_id))

    async def audits(
        self,
        *,
        status: Sequence[JobStatus] = (),
        verdict: Sequence[Verdict] = (),
        tags: Mapping[str, str] | None = None,
        limit: int = 20,
    ) -> AsyncIterator[AsyncAudit]:
        """The newest `limit` audits that match, newest first."""
        async for job in self._calls.list(filters_of(status, verdict, tags), limit):
            yield AsyncAudit(self._calls, job)

    async def catalogue(self) -> list[CatalogueEntry]:
        """Every finding that can be reported, with its documentation."""
        return await self._calls.catalogue()
