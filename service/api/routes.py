"""The routes of the public API: thin, the job engine does the work."""

import re
from http import HTTPStatus
from typing import Annotated, Literal, cast

from fastapi import APIRouter, Depends, Header, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import PlainTextResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, field_validator

from audits import catalogue, preflight
from audits.isolation import require_isolation
from audits.sources import Roots
from audits.sources.uploads import ids_in
from schemas.base import Sent
from schemas.catalogue import Catalogue, CatalogueEntry
from schemas.isolation import Isolation
from schemas.job import FINAL, Job, JobPage, JobStatus
from schemas.report import Report, Verdict
from schemas.request import MAX_TAGS, AuditRequest
from service.api import webhooks
from service.api.access import Caller, Owner, authenticate
from service.api.bodies import AuditRequestBody
from service.api.examiner import Examiner
from service.api.following import Following
from service.api.metrics import MEDIA_TYPE as METRICS_MEDIA_TYPE
from service.api.metrics import Metrics
from service.api.middleware import IS_HEAD
from service.api.negotiation import negotiate
from service.api.openapi import AUDIT_BODY, SERVER_SENT_EVENT, header, problems
from service.api.problems import NoWorkerError
from service.api.uploads import uploads_of
from service.formats.registry import FORMATS, ReportFormat
from service.jobs.errors import AuditNotFound
from service.jobs.interface import JobFilter, Jobs
from service.settings import Settings
from service.validation import WrittenInt

MAX_PAGE = 200
REPORT_FORMATS = {one.media_type: one for one in FORMATS.values()}
EVENT_STREAM = "text/event-stream"
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
# Printable, and no colon in the key, so that the first one separates.
TAG_PATTERN = r"^[^:\x00-\x1f]{1,64}:[^\x00-\x1f]{0,256}$"


def _schema_of(form: ReportFormat) -> dict[str, str]:
    """What OpenAPI 3.1 says of a body; bytes have no schema."""
    if not form.is_text:
        return {}
    return {"type": "object" if form.media_type.endswith("json") else "string"}


def jobs_of(request: Request) -> Jobs:
    return cast(Jobs, request.app.state.jobs)


def following_of(request: Request) -> Following:
    return cast(Following, request.app.state.following)


JobsOf = Annotated[Jobs, Depends(jobs_of)]


def audit_id(id: Annotated[str, Path(description="The `id` of the job.")]) -> str:  # noqa: A002 - the path's own word
    """The id in the path; what cannot be one is not looked up.

    Raises:
        AuditNotFound: it holds what no id holds.
    """
    if not _ID.fullmatch(id):
        raise AuditNotFound(id)
    return id


AuditId = Annotated[str, Depends(audit_id)]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="Any string of your choice. The same key with the same body gives the same job, so that a "
        "request may be sent again without a second audit.",
    ),
]

LastEventId = Annotated[
    WrittenInt,
    Header(
        alias="Last-Event-ID",
        ge=0,
        lt=2**53,
        description="The `id` of the last event that was received: the stream goes on after it.",
    ),
]


class ListQuery(BaseModel):
    """Filters and the place in the list."""

    model_config = ConfigDict(extra="forbid")

    status: list[JobStatus] = Field([], description="Jobs in any of these states.")
    verdict: list[Verdict] = Field([], description="Succeeded jobs with any of these verdicts.")
    tag: list[Annotated[str, Field(pattern=TAG_PATTERN)]] = Field(
        [], max_length=MAX_TAGS, description="`key:value`; jobs that carry all of these tags."
    )
    cursor: str | None = Field(None, max_length=1024, description="`next_cursor` of the page before.")
    limit: WrittenInt = Field(50, ge=1, le=MAX_PAGE, description="Jobs a page.")

    @field_validator("tag")
    @classmethod
    def _keys_differ(cls, value: list[str]) -> list[str]:
        if len(dict(_pair(tag) for tag in value)) < len(value):
            raise ValueError("each tag key may be given once: a job has one value for it")
        return value

    @property
    def where(self) -> JobFilter:
        return JobFilter(
            statuses=tuple(self.status), verdicts=tuple(self.verdict), tags=dict(_pair(tag) for tag in self.tag)
        )


def _pair(tag: str) -> tuple[str, str]:
    key, _, value = tag.partition(":")
    return key, value


audits = APIRouter(prefix="/v1/audits", tags=["audits"], dependencies=[Depends(authenticate)])
findings = APIRouter(prefix="/v1/catalogue", tags=["catalogue"], dependencies=[Depends(authenticate)])
health = APIRouter(tags=["health"])


@audits.post(
    "",
    status_code=HTTPStatus.ACCEPTED,
    summary="Submit an audit",
    openapi_extra=AUDIT_BODY,
    response_description="The job. Poll `links.self` until its status is final.",
    responses={
        HTTPStatus.ACCEPTED: {
            "headers": {
                "Location": header("Address of the job."),
                "Idempotency-Replayed": header("`true` where the key had made this job before.", required=False),
            }
        },
        **problems(
            HTTPStatus.BAD_REQUEST,
            HTTPStatus.UNAUTHORIZED,
            HTTPStatus.REQUEST_TIMEOUT,
            HTTPStatus.CONFLICT,
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            HTTPStatus.UNPROCESSABLE_ENTITY,
            HTTPStatus.TOO_MANY_REQUESTS,
            HTTPStatus.SERVICE_UNAVAILABLE,
        ),
    },
)
def submit_audit(
    *,
    audit: AuditRequestBody,
    caller: Caller,
    jobs: JobsOf,
    request: Request,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> Job:
    """Queue the audit of a model. What can be seen to be wrong without running the model is refused here."""
    # The same key gives the same job, also after the files that it names have gone.
    job = jobs.replayed(audit, caller=caller, idempotency_key=idempotency_key) if idempotency_key else None
    is_new = False
    if job is None:
        _examine(audit, caller, request)
        queue = _queue_of_large(audit, request)
        job, is_new = jobs.submit(audit, caller=caller, idempotency_key=idempotency_key, large_model_queue=queue)
    response.headers["Location"] = job.links.self
    if not is_new:
        response.headers["Idempotency-Replayed"] = "true"
    return job


def _examine(audit: AuditRequest, caller: str, request: Request) -> None:
    """Refuse what cannot be audited. Whose the uploads are is asked before anything looks into them."""
    if audit.callback is not None:
        webhooks.require_allowed(audit.callback.url, request.app.state.settings)
    catalogue.require_known(audit.checks)
    require_isolation(request.app.state.isolation(), request.app.state.settings.sandbox)
    if wanted := ids_in(audit.addresses):
        uploads_of(request).require_own(wanted, caller=caller)
    request.app.state.preflight(audit)


def _queue_of_large(audit: AuditRequest, request: Request) -> str | None:
    """The queue for large models, where the model is one and the service has such a queue."""
    settings = cast(Settings, request.app.state.settings)
    if settings.large_model_bytes is None:
        return None
    size = preflight.model_bytes(audit, cast(Roots, request.app.state.roots))
    return settings.large_model_queue if size > settings.large_model_bytes else None


@audits.get(
    "",
    summary="List your audits",
    response_description="One page, newest first.",
    responses=problems(
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        HTTPStatus.SERVICE_UNAVAILABLE,
    ),
)
def list_audits(query: Annotated[ListQuery, Query()], owner: Owner, jobs: JobsOf) -> JobPage:
    """The caller's own jobs, newest first. Filters of different names must all hold."""
    return jobs.list(caller=owner, where=query.where, cursor=query.cursor, limit=query.limit)


@audits.get(
    "/{id}",
    summary="Get an audit",
    response_description="The job.",
    responses=problems(HTTPStatus.UNAUTHORIZED, HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE),
)
def get_audit(audit: AuditId, owner: Owner, jobs: JobsOf) -> Job:
    """Where the audit stands."""
    return jobs.get(audit, caller=owner)


@audits.get(
    "/{id}/report",
    summary="Get the report",
    response_model=Report,
    response_description="The report, in the form that `Accept` asks for; JSON where it asks for none.",
    responses={
        HTTPStatus.OK: {
            "content": {
                name: {"schema": _schema_of(form)}
                for name, form in REPORT_FORMATS.items()
                if name != "application/json"
            },
            "headers": {"Vary": header("`Accept`: one address, several forms.")},
        },
        **problems(
            HTTPStatus.UNAUTHORIZED,
            HTTPStatus.NOT_FOUND,
            HTTPStatus.NOT_ACCEPTABLE,
            HTTPStatus.CONFLICT,
            HTTPStatus.GONE,
            HTTPStatus.SERVICE_UNAVAILABLE,
        ),
    },
)
def get_report(audit: AuditId, owner: Owner, jobs: JobsOf, request: Request) -> Response:
    """The report of a succeeded audit, in the form that `Accept` asks for."""
    media_type = negotiate(request.headers.get("Accept"), tuple(REPORT_FORMATS))
    report = jobs.report(audit, caller=owner)
    rendered = REPORT_FORMATS[media_type].render(report)
    return Response(rendered.body, media_type=media_type, headers={"Vary": "Accept", **rendered.headers})


@audits.get(
    "/{id}/events",
    summary="Follow an audit",
    response_class=StreamingResponse,
    response_description="Server-sent events, `state` and `progress`, up to the one with a final status. The data of "
    "each is a `JobEvent`. Comments come when nothing else does.",
    responses={
        HTTPStatus.OK: {"content": {EVENT_STREAM: {"itemSchema": SERVER_SENT_EVENT}}},
        HTTPStatus.NO_CONTENT: {"description": "`Last-Event-ID` is the last one: nothing comes any more."},
        **problems(
            HTTPStatus.UNAUTHORIZED,
            HTTPStatus.NOT_FOUND,
            HTTPStatus.NOT_ACCEPTABLE,
            HTTPStatus.UNPROCESSABLE_ENTITY,
            HTTPStatus.TOO_MANY_REQUESTS,
            HTTPStatus.SERVICE_UNAVAILABLE,
        ),
    },
)
async def follow_audit(
    *, audit: AuditId, owner: Owner, jobs: JobsOf, request: Request, last_event_id: LastEventId = 0
) -> Response:
    """State and progress of the audit as they change. Every stage is told, also to those who come back for it."""
    negotiate(request.headers.get("Accept"), (EVENT_STREAM,))
    await run_in_threadpool(jobs.get, audit, caller=owner)
    news = (await run_in_threadpool(jobs.events, {audit: last_event_id})).get(audit, ())
    if not news and (await run_in_threadpool(jobs.get, audit, caller=owner)).status in FINAL:
        return Response(status_code=HTTPStatus.NO_CONTENT)
    if request.scope.get(IS_HEAD):
        return Response(media_type=EVENT_STREAM)
    following = following_of(request)
    following.require_room()
    headers = {"X-Accel-Buffering": "no"}  # proxies pass on each event as it comes
    return StreamingResponse(following.stream(audit, last_event_id), media_type=EVENT_STREAM, headers=headers)


@audits.post(
    "/{id}/cancel",
    status_code=HTTPStatus.ACCEPTED,
    summary="Cancel an audit",
    response_description="The job. Running work stops within seconds.",
    responses=problems(HTTPStatus.UNAUTHORIZED, HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE),
)
def cancel_audit(audit: AuditId, owner: Owner, jobs: JobsOf) -> Job:
    """Ask for the end of a queued or running audit. A finished one stays as it is."""
    return jobs.cancel(audit, caller=owner)


@findings.get(
    "",
    summary="List all findings",
    response_description="Every finding that can be reported.",
    responses=problems(HTTPStatus.UNAUTHORIZED),
)
def list_findings() -> Catalogue:
    """What is measured, why it matters, when it cannot be told, how to mend it, and the limits that may be set."""
    return Catalogue(items=list(catalogue.entries()))


@findings.get(
    "/{code}",
    summary="Get a finding",
    response_description="The finding's documentation.",
    responses=problems(HTTPStatus.UNAUTHORIZED, HTTPStatus.NOT_FOUND),
)
def get_finding(
    code: Annotated[str, Path(description="The `code` of the finding.", examples=["preprocessing.scaling_mismatch"])],
) -> CatalogueEntry:
    """The documentation of one finding."""
    return catalogue.entry(code)


class Health(Sent):
    status: Literal["alive"] = "alive"


class Readiness(Sent):
    status: Literal["ready"] = "ready"
    workers: int = Field(ge=1, description="Slots that take work now.")
    examiner: Literal["ready", "unavailable"] = Field(
        "ready",
        description="Whether requests are examined before they are queued. `unavailable`: they are queued all the "
        "same, and the audit tells what is wrong with them.",
    )
    isolation: Isolation = Field(
        description="What locks models in, as found on the machine that answers; a report says what did."
    )


@health.get(
    "/healthz",
    summary="Is the process alive?",
    response_description="It is.",
    responses=problems(),
)
def is_alive() -> Health:
    """Asks nothing of anything else: restart the process when this does not answer."""
    return Health()


@health.get(
    "/readyz",
    summary="Can audits be taken and done?",
    response_description="They can.",
    responses=problems(HTTPStatus.SERVICE_UNAVAILABLE),
)
def is_ready(jobs: JobsOf, request: Request) -> Readiness:
    """The database answers, and at least one worker lives. Otherwise 503 says which of the two is missing."""
    jobs.ping()
    workers = jobs.workers()
    if workers < 1:
        raise NoWorkerError
    examiner = cast(Examiner | None, request.app.state.examiner)
    return Readiness(
        workers=workers,
        examiner="ready" if examiner is None or examiner.answers() else "unavailable",
        isolation=request.app.state.isolation(),
    )


@health.get(
    "/metrics",
    summary="Metrics for Prometheus",
    response_class=PlainTextResponse,
    response_description="Metrics of the whole service, whichever process answers. They name no caller and no audit.",
    responses=problems(),
)
def metrics(request: Request) -> Response:
    """Queues, slots, outcomes, stages and webhooks, read from the database."""
    return Response(cast(Metrics, request.app.state.metrics).text(), media_type=METRICS_MEDIA_TYPE)
