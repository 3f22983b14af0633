"""The routes of the pages: the same jobs as the API's, for people with a browser.

A browser is logged in by a session (see `service.pages.session`), which opens these pages alone: the API knows keys, so
that no page of another site can use it through its reader's browser.
"""

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any, cast
from urllib.parse import parse_qsl, quote, urlencode

from fastapi import APIRouter, Depends, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from fastapi.routing import APIRoute
from pydantic import ValidationError

from audits import catalogue
from audits.comparison import compare
from schemas.job import JobPage
from schemas.problem import ProblemError, RequestError
from service.access.keys import Identity, Scope
from service.api.access import (
    ANONYMOUS,
    READING,
    asks_for_keys,
    identity_behind,
    identity_of,
    limiter_of,
    reference_of,
    refused,
    require_same_site,
)
from service.api.middleware import EXTRA_HEADERS, IS_HEAD
from service.api.problems import (
    BodyTooLargeError,
    CrossSiteError,
    ForbiddenError,
    headers_of,
    status_of,
)
from service.api.receiving import receive_upload
from service.api.routes import (
    EVENT_STREAM,
    AuditId,
    JobsOf,
    LastEventId,
    ListQuery,
    audit_id,
    follow_audit,
    following_of,
    submit_audit,
)
from service.api.uploads import uploads_of
from service.formats.registry import FORMATS
from service.pages import audits_page, compare_page
from service.pages.forms import GROUPS, MAIN, Filled, request_in
from service.pages.rendering import render
from service.pages.report_page import report_page
from service.pages.session import SESSION, VISITOR, Sessions, forget
from service.validation import field_errors

PAGES = (
    ("/audits", "Audits"),
    ("/audits/new", "New audit"),
    ("/compare", "Compare"),
    ("/catalogue", "Catalogue"),
    ("/docs", "API"),
)
PAGE_ROWS = 25
MAX_FORM_BYTES, MAX_FORM_FIELDS = 2**20, 200
SCRIPTS = ("live.js",)
FILTERS = ("status", "verdict", "tag", "cursor")


class LoginNeeded(Exception):  # noqa: N818 - no error: the reader is asked who they are
    """There are keys, and the browser is not logged in."""


class MalformedFormError(RequestError):
    """What arrived is no form of ours."""

    def __init__(self) -> None:
        super().__init__("malformed_form", "The form cannot be read. Open the page again, and submit it from there.")


class PageRoute(APIRoute):
    """Answers problems with a page, and who is not logged in with the way to the login."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await answer(request)
            except LoginNeeded:
                return RedirectResponse(f"/login?{urlencode({'next': _place(request)})}", HTTPStatus.SEE_OTHER)
            except ProblemError as error:
                return await run_in_threadpool(_problem_page, request, error)

        return handle


pages = APIRouter(route_class=PageRoute, include_in_schema=False)


@dataclass(frozen=True)
class Visitor:
    """Whose browser it is.

    Attributes:
        identity: who is logged in; everyone is, where there are no keys.
        cookie: to which the tokens of its forms are bound.
        is_new: the cookie is still to be set.
    """

    identity: Identity | None
    cookie: str
    is_new: bool

    @property
    def has_session(self) -> bool:
        return self.identity is not None and self.identity is not ANONYMOUS


def sessions_of(request: Request) -> Sessions:
    return cast("Sessions", request.app.state.sessions)


def visitor_of(request: Request) -> Visitor:
    """Who asks, as the cookies say; nobody is refused."""
    sessions = sessions_of(request)
    session = request.cookies.get(SESSION, "")
    reference = sessions.reference(session)
    if reference is not None and (identity := identity_behind(request, reference)) is not None:
        return Visitor(identity, session, is_new=False)
    known = request.cookies.get(VISITOR, "")
    is_new = sessions.reference(known) is None
    identity = None if asks_for_keys(request) else ANONYMOUS
    return Visitor(identity, sessions.new() if is_new else known, is_new)


def logged_in(request: Request, visitor: Annotated[Visitor, Depends(visitor_of)]) -> Identity:
    """Who asks; may they, by the method of the request, and may they now?

    Raises:
        LoginNeeded: nobody is logged in.
        ForbiddenError, RateLimitedError: as they say.
    """
    if visitor.identity is None:
        raise LoginNeeded
    request.scope[EXTRA_HEADERS].update(limiter_of(request).take(visitor.identity.caller))
    scope: Scope = "read" if request.method in READING else "submit"
    if not visitor.identity.may(scope):
        raise ForbiddenError(scope)
    return visitor.identity


async def form_of(request: Request) -> dict[str, str]:
    """The fields of a form that one of our own pages sent.

    Raises:
        CrossSiteError: another site's page sent it.
        BodyTooLargeError: it is too large.
    """
    require_same_site(request)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_FORM_BYTES:
            raise BodyTooLargeError(MAX_FORM_BYTES)
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_FORM_FIELDS, errors="strict")
    except ValueError:
        raise MalformedFormError from None
    return {name: value.replace("\0", "") for name, value in pairs}


VisitorOf = Annotated[Visitor, Depends(visitor_of)]
LoggedIn = Annotated[Identity, Depends(logged_in)]
Form = Annotated[dict[str, str], Depends(form_of)]


def _owner(identity: Identity) -> str | None:
    return None if identity.is_admin else identity.caller


def _require_token(request: Request, visitor: Visitor, token: str) -> None:
    if not sessions_of(request).fits(visitor.cookie, token):
        raise CrossSiteError


def _place(request: Request) -> str:
    """Where to go on after the login; what was to be changed is looked at instead."""
    path = request.url.path if request.method in READING else "/audits"
    return quote(path) + (f"?{request.url.query}" if request.url.query and request.method in READING else "")


def _show(
    request: Request,
    visitor: Visitor,
    template: str,
    context: Mapping[str, Any],
    status: HTTPStatus = HTTPStatus.OK,
) -> Response:
    page = render(template, context, scripts=SCRIPTS, site=_site(request, visitor))
    answer = HTMLResponse(page.html, status, headers=page.headers)
    return _remember(request, visitor, answer)


def _site(request: Request, visitor: Visitor) -> dict[str, Any]:
    return {
        "pages": PAGES,
        "here": request.url.path if request.url.path != "/" else "/audits",
        "is_logged_in": visitor.has_session,
        "token": sessions_of(request).token(visitor.cookie),
    }


def _remember(request: Request, visitor: Visitor, answer: Response) -> Response:
    if visitor.is_new:
        sessions_of(request).set(answer, VISITOR, visitor.cookie, is_secure=_is_secure(request))
    return answer


def _is_secure(request: Request) -> bool:
    return request.url.scheme == "https"


def _problem_page(request: Request, error: ProblemError) -> Response:
    status = status_of(error)
    try:
        visitor = visitor_of(request)
    except ProblemError:  # the database that knows the keys does not answer
        visitor = Visitor(None, sessions_of(request).new(), is_new=False)
    answer = _show(request, visitor, "problem.html", audits_page.problem_context(error.problem), status)
    answer.headers.update(headers_of(error))
    return answer


@pages.get("/")
@pages.get("/audits")
def list_audits(request: Request, visitor: VisitorOf, identity: LoggedIn, jobs: JobsOf) -> Response:
    """The caller's audits, newest first."""
    chosen = {name: request.query_params.get(name, "") for name in FILTERS}
    sent: dict[str, Any] = {name: [value] for name, value in chosen.items() if value and name != "cursor"}
    page, problems = JobPage(items=[]), {}
    try:
        query = ListQuery.model_validate({**sent, "cursor": chosen["cursor"] or None, "limit": PAGE_ROWS})
        page = jobs.list(caller=_owner(identity), where=query.where, cursor=query.cursor, limit=query.limit)
    except ValidationError as error:
        problems = {
            one.field.partition(".")[0]: "Write key:value, such as team:growth."
            if one.field.startswith("tag")
            else one.detail
            for one in field_errors(error.errors(include_url=False), sent, ListQuery)
        }
    base = str(request.base_url).rstrip("/")
    status = HTTPStatus.UNPROCESSABLE_ENTITY if problems else HTTPStatus.OK
    return _show(request, visitor, "audits.html", audits_page.list_context(page, chosen, problems, base), status)


@pages.get("/audits/events")
async def follow_audits(request: Request, identity: LoggedIn, jobs: JobsOf) -> Response:
    """State and progress of several audits in one stream: browsers open only six connections to a host."""
    wanted = list(dict.fromkeys(request.query_params.getlist("id")))[:PAGE_ROWS]
    found = [await run_in_threadpool(jobs.get, audit_id(one), caller=_owner(identity)) for one in wanted]
    active = [job.id for job in found if job.status in audits_page.ACTIVE]
    if not active or request.scope.get(IS_HEAD):
        return Response(status_code=HTTPStatus.NO_CONTENT)
    following = following_of(request)
    following.require_room(len(active))
    merged = _merged([following.stream(one, 0) for one in active])
    return StreamingResponse(merged, media_type=EVENT_STREAM, headers={"X-Accel-Buffering": "no"})


async def _merged(streams: Sequence[AsyncIterator[bytes]]) -> AsyncIterator[bytes]:
    """What comes from any of the streams, as it comes."""
    queue: asyncio.Queue[bytes | None] = asyncio.Queue(maxsize=100)

    async def pump(stream: AsyncIterator[bytes]) -> None:
        async for block in stream:
            await queue.put(block)
        await queue.put(None)

    tasks = [asyncio.create_task(pump(stream)) for stream in streams]
    open_streams = len(tasks)
    try:
        while open_streams:
            block = await queue.get()
            if block is None:
                open_streams -= 1
            else:
                yield block
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


@pages.get("/audits/new")
def new_audit(request: Request, visitor: VisitorOf, identity: LoggedIn) -> Response:  # noqa: ARG001 - asked first
    """The form of a new audit."""
    return _show_form(request, visitor, Filled())


@pages.post("/audits/new")
def submit(request: Request, visitor: VisitorOf, form: Form, jobs: JobsOf) -> Response:
    """Queue what was typed; where something is wrong with it, show it again with the problems."""
    filled = Filled(texts=form)
    identity, session = visitor.identity, None
    if identity is None and (identity := identity_of(request, form.get("key", "").strip())) is not None:
        session = sessions_of(request).new(reference_of(form["key"].strip()))
    if identity is None:
        error = refused(request, sent=bool(form.get("key")))
        filled.others.append("You are not logged in any more. Enter your access key, and submit again.")
        return _show_form(request, visitor, filled, status_of(error))
    if not sessions_of(request).fits(visitor.cookie, form.get("token", "")):
        filled.others.append("This form was open for too long. Nothing was submitted; submit it again.")
        return _show_form(request, visitor, filled, HTTPStatus.FORBIDDEN)
    answer = _submitted(request, visitor, identity, filled, jobs)
    if session is not None:
        sessions_of(request).set(answer, SESSION, session, is_secure=_is_secure(request))
    return answer


def _submitted(request: Request, visitor: Visitor, identity: Identity, filled: Filled, jobs: JobsOf) -> Response:
    request.scope[EXTRA_HEADERS].update(limiter_of(request).take(identity.caller))
    if not identity.may("submit"):
        raise ForbiddenError("submit")
    audit = request_in(filled)
    if audit is None:
        return _show_form(request, visitor, filled, HTTPStatus.UNPROCESSABLE_ENTITY)
    # Sent twice, as by a second click, it is one audit; changed and sent again, it is another.
    content = hashlib.sha256(audit.model_dump_json().encode()).hexdigest()
    once = f"page-{filled.texts.get('once', '')[:64]}-{content}"
    try:
        job = submit_audit(
            audit=audit, caller=identity.caller, jobs=jobs, request=request, response=Response(), idempotency_key=once
        )
    except ProblemError as error:
        filled.add(error.problem)
        return _show_form(request, visitor, filled, status_of(error))
    return RedirectResponse(f"/audits/{job.id}", HTTPStatus.SEE_OTHER)


def _show_form(request: Request, visitor: Visitor, filled: Filled, status: HTTPStatus = HTTPStatus.OK) -> Response:
    context = {
        "main": MAIN,
        "groups": GROUPS,
        "every": (MAIN, *GROUPS),
        "filled": filled,
        "once": filled.texts.get("once") or secrets.token_urlsafe(16),
        "needs_key": visitor.identity is None,
        "can_send_files": request.app.state.uploads is not None,
    }
    return _show(request, visitor, "new.html", context, status)


@pages.post("/uploads")
async def send_file(request: Request, visitor: VisitorOf, identity: LoggedIn) -> Response:
    """Take a file that was chosen in a form, and name the address that stands for it."""
    require_same_site(request)
    _require_token(request, visitor, request.headers.get("X-Form-Token", ""))
    name = request.query_params.get("name", "")[:255] or None
    upload = await receive_upload(request, uploads_of(request), caller=identity.caller, name=name, sha256=None)
    return JSONResponse({"uri": upload.uri, "name": upload.name})


@pages.get("/audits/{id}")
def show_audit(request: Request, audit: AuditId, visitor: VisitorOf, identity: LoggedIn, jobs: JobsOf) -> Response:
    """One audit: its progress, why it failed, or the way to its report."""
    job = jobs.get(audit, caller=_owner(identity))
    if job.status == "succeeded":
        return RedirectResponse(f"/audits/{job.id}/report", HTTPStatus.SEE_OTHER)
    events = jobs.events({audit: 0}).get(audit, ())
    return _show(request, visitor, "audit.html", audits_page.audit_context(job, events, datetime.now(UTC)))


@pages.get("/audits/{id}/events")
async def follow(
    *, request: Request, audit: AuditId, identity: LoggedIn, jobs: JobsOf, last_event_id: LastEventId = 0
) -> Response:
    """The stream of the API, for a browser that is logged in."""
    return await follow_audit(
        audit=audit, owner=_owner(identity), jobs=jobs, request=request, last_event_id=last_event_id
    )


@pages.post("/audits/{id}/cancel")
def cancel(
    *, request: Request, audit: AuditId, visitor: VisitorOf, identity: LoggedIn, form: Form, jobs: JobsOf
) -> Response:
    """Ask for the end of an audit."""
    _require_token(request, visitor, form.get("token", ""))
    job = jobs.cancel(audit, caller=_owner(identity))
    return RedirectResponse(f"/audits/{job.id}", HTTPStatus.SEE_OTHER)


@pages.get("/audits/{id}/report")
def show_report(request: Request, audit: AuditId, visitor: VisitorOf, identity: LoggedIn, jobs: JobsOf) -> Response:
    """The report among the other pages, or in another form as a file."""
    report = jobs.report(audit, caller=_owner(identity))
    form = FORMATS.get(request.query_params.get("form", ""))  # type: ignore[call-overload]  # any text
    if form is not None:
        rendered = form.render(report)
        name = f"fitcheck-{audit}.{form.suffix}"
        headers = {**rendered.headers, "Content-Disposition": f'attachment; filename="{name}"'}
        return Response(rendered.body, media_type=form.media_type, headers=headers)
    page = report_page(report, {**_site(request, visitor), "audit": audit, "forms": [*FORMATS]})
    return _remember(request, visitor, HTMLResponse(page.html, headers=page.headers))


@pages.get("/compare")
def compare_reports(request: Request, visitor: VisitorOf, identity: LoggedIn, jobs: JobsOf) -> Response:
    """Two reports of one model; `id` twice is as good as `a` and `b`, the earlier audit first."""
    a, b = (request.query_params.get(name, "").strip() for name in ("a", "b"))
    chosen = request.query_params.getlist("id")
    if chosen and not a:
        ids = map(audit_id, chosen[:2])
        found = sorted((jobs.get(one, caller=_owner(identity)) for one in ids), key=lambda job: job.created_at)
        a, b = [*(job.id for job in found), ""][:2]
    if not (a and b):
        context = {"a": a, "b": b, "is_short": bool(a or b or chosen)}
        return _show(request, visitor, "compare_form.html", context)
    reports = [jobs.report(audit_id(one), caller=_owner(identity)) for one in (a, b)]
    return _show(request, visitor, "compare.html", compare_page.compare_context(compare(*reports)))


@pages.get("/catalogue")
def list_findings(request: Request, visitor: VisitorOf, identity: LoggedIn) -> Response:  # noqa: ARG001 - asked first
    """Everything that can be found."""
    families: dict[str, list[Any]] = {}
    for one in catalogue.entries():
        families.setdefault(one.family, []).append(one)
    return _show(request, visitor, "catalogue.html", {"families": families})


@pages.get("/catalogue/{code}")
def show_finding(request: Request, code: str, visitor: VisitorOf, identity: LoggedIn) -> Response:  # noqa: ARG001
    """The documentation of one finding."""
    return _show(request, visitor, "finding.html", {"entry": catalogue.entry(code)})


@pages.get("/login")
def show_login(request: Request, visitor: VisitorOf) -> Response:
    """Where an access key is entered."""
    target = _safe(request.query_params.get("next", ""))
    if visitor.identity is not None:
        return RedirectResponse(target, HTTPStatus.SEE_OTHER)
    return _show(request, visitor, "login.html", {"next": target, "problem": ""})


@pages.post("/login")
def log_in(request: Request, visitor: VisitorOf, form: Form) -> Response:
    """Begin a session with an access key."""
    target, key = _safe(form.get("next", "")), form.get("key", "").strip()
    if not sessions_of(request).fits(visitor.cookie, form.get("token", "")):
        problem = "This page was open for too long. Enter the key again."
        return _show(request, visitor, "login.html", {"next": target, "problem": problem}, HTTPStatus.FORBIDDEN)
    if identity_of(request, key) is None:
        refusal = refused(request, sent=bool(key))
        problem = "No such key, or it counts no more." if key else "Enter an access key."
        return _show(request, visitor, "login.html", {"next": target, "problem": problem}, status_of(refusal))
    answer = RedirectResponse(target, HTTPStatus.SEE_OTHER)
    sessions_of(request).set(
        answer, SESSION, sessions_of(request).new(reference_of(key)), is_secure=_is_secure(request)
    )
    return answer


@pages.post("/logout")
def log_out(request: Request, visitor: VisitorOf, form: Form) -> Response:
    """End the session of this browser."""
    if visitor.has_session:
        _require_token(request, visitor, form.get("token", ""))
    answer = RedirectResponse("/login", HTTPStatus.SEE_OTHER)
    forget(answer, SESSION)
    return answer


def _safe(target: str) -> str:
    """A place of ours; what leads elsewhere is replaced."""
    is_ours = target.startswith("/") and target.isprintable() and not target.startswith(("//", "/\\"))
    return target if is_ours else "/audits"
