"""The HTTP application: routes, problems and the envelope around every request, put together."""

import functools
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, closing, nullcontext
from http import HTTPStatus
from importlib.metadata import version
from typing import cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, Response
from pydantic_core import ErrorDetails
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Route, compile_path

from audits import catalogue, preflight
from audits.isolation import probe
from audits.sources import Roots
from schemas.problem import ProblemError
from service.access.store import Keys
from service.api import docs, openapi, routes
from service.api import uploads as upload_routes
from service.api.background import background
from service.api.examiner import Examiner
from service.api.following import Following
from service.api.guard import Guard
from service.api.limits import RateLimiter
from service.api.metrics import Metrics
from service.api.middleware import Envelope
from service.api.problems import InvalidRequestError, MethodNotAllowedError, NotFoundError, problem_response
from service.jobs.client import open_jobs
from service.jobs.database import connect
from service.jobs.interface import Jobs, Upkeep
from service.pages.routes import pages
from service.pages.session import Sessions
from service.settings import Settings, get_settings
from service.uploads.store import Uploads
from service.validation import field_errors

DOCS_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
}


def create_app(
    settings: Settings | None = None,
    jobs: Jobs | None = None,
    *,
    uploads: Uploads | None = None,
    keys: Keys | None = None,
    examiner: Examiner | None = None,
) -> FastAPI:
    """The application.

    Args:
        settings: default: those of this process.
        jobs: default: the job engine of the settings' database, opened now.
        uploads: likewise, with `jobs`.
        keys: likewise, with `jobs`; None besides `jobs` knows no keys but those of the settings.
        examiner: likewise; None besides `jobs` examines requests in this process.
    """
    settings = settings or get_settings()
    catalogue.entries()  # a check that is documented badly stops the start, not a request
    resources = ExitStack()
    upkeep: Upkeep | None = None
    if jobs is None:
        jobs = upkeep = resources.enter_context(closing(open_jobs(settings)))
        engine = connect(settings)
        resources.callback(engine.dispose)
        uploads, keys, examiner = Uploads(settings, engine), Keys(engine), Examiner(settings)
    app = FastAPI(
        title="fitcheck",
        version=version("fitcheck"),
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=functools.partial(_lifespan, resources, upkeep, examiner, settings),
    )
    app.state.settings = settings
    app.state.jobs = jobs
    app.state.uploads = uploads
    app.state.keys = keys
    app.state.limiter = RateLimiter(settings.rate_limit, settings.rate_burst)
    app.state.sessions = Sessions(settings)
    app.state.following = Following(jobs)
    roots = Roots(settings.data_roots, settings.remote, uploads=settings.uploads_dir, closed=settings.closed)
    app.state.roots = roots
    app.state.examiner = examiner
    app.state.preflight = (
        functools.partial(preflight.check, roots=roots, allowed_ops=settings.allowed_ops)
        if examiner is None
        else examiner.examine
    )
    app.state.isolation = functools.partial(probe, settings.sandbox)
    app.state.metrics = Metrics(jobs, app.state.following.count, app.state.isolation)
    app.openapi = functools.partial(openapi.document, app)  # type: ignore[method-assign]  # FastAPI's own way
    for router in (routes.audits, upload_routes.uploads, routes.findings, routes.health, pages):
        app.include_router(router)
    app.add_api_route("/docs", _docs, include_in_schema=False)
    app.add_exception_handler(ProblemError, _answer_problem)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(HTTPException, _answer_unroutable)
    app.add_middleware(Guard, client_seconds=settings.client_seconds)
    app.add_middleware(Envelope)
    return app


@asynccontextmanager
async def _lifespan(
    resources: ExitStack, upkeep: Upkeep | None, examiner: Examiner | None, settings: Settings, _: FastAPI
) -> AsyncIterator[None]:
    with resources:
        async with (
            examiner.running() if examiner else nullcontext(),
            background(upkeep, settings) if upkeep else nullcontext(),
        ):
            yield


def _docs(request: Request) -> Response:
    page = docs.page(request.app.openapi(), base=str(request.base_url))
    return HTMLResponse(page, headers=DOCS_HEADERS)


def _answer_problem(request: Request, error: Exception) -> Response:
    return problem_response(cast(ProblemError, error), request.url.path)


def _answer_invalid(request: Request, error: Exception) -> Response:
    """The framework validates query and headers; the body is ours."""
    errors = [_without_place(e) for e in cast(RequestValidationError, error).errors()]
    sent = {**request.headers, **{name: request.query_params.getlist(name) for name in request.query_params}}
    invalid = InvalidRequestError(field_errors(errors, sent, routes.ListQuery))
    return problem_response(invalid, request.url.path)


def _without_place(error: ErrorDetails) -> ErrorDetails:
    """The location without its first part, "query" or "header"."""
    return cast(ErrorDetails, {**error, "loc": error["loc"][1:]})


def _answer_unroutable(request: Request, error: Exception) -> Response:
    """No such path, or no such method on it."""
    if cast(HTTPException, error).status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return problem_response(MethodNotAllowedError(request.method, _allowed(request)), request.url.path)
    return problem_response(NotFoundError(), request.url.path)


def _allowed(request: Request) -> list[str]:
    """The methods of the path over all its routes; the framework names those of one route alone."""
    for template, operations in request.app.openapi()["paths"].items():
        if compile_path(template)[0].match(request.url.path):
            methods = [method.upper() for method in operations]
            return ["HEAD", *methods] if "GET" in methods else methods
    return [*dict.fromkeys(method for route in pages.routes for method in _methods(route, request.url.path))] or [
        "GET",
        "HEAD",
    ]


def _methods(route: BaseRoute, path: str) -> list[str]:
    """The methods of one of the pages, where it has this path."""
    if not isinstance(route, Route) or not route.path_regex.match(path):
        return []
    return ["GET", "HEAD"] if "GET" in (route.methods or ()) else sorted(route.methods or ())
