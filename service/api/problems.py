"""Problem details (RFC 9457): the one place that knows which problem is which HTTP status.

ProblemError
  └ ApiError
      ├ NotFoundError               no such path
      ├ MethodNotAllowedError       the path exists, the method does not
      ├ UnauthorizedError           no access key, or a wrong one
      ├ NotAcceptableError          none of the media types that we can write
      ├ BodyTooLargeError           more bytes than a request may have
      ├ UnsupportedMediaTypeError   the body is not declared as JSON
      ├ MalformedJsonError          the body is not JSON
      ├ InvalidRequestError         fields of the body, query or header are invalid; lists all of them
      ├ CallbackUnsupportedError    webhooks are not delivered
      └ NoWorkerError               nobody takes work
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus

from fastapi.responses import Response

from audits.catalogue import UnknownFindingError
from audits.isolation.probing import IsolationUnavailable
from schemas.problem import DataError, FieldError, ModelError, Problem, ProblemError, RequestError, title_of
from service.jobs.errors import (
    AuditNotFound,
    BadCursor,
    DatabaseUnavailable,
    IdempotencyConflict,
    NoReport,
    QueueFull,
)

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:fitcheck:problem:"
RETRY_AFTER_SECONDS = 5


class ApiError(ProblemError):
    """Something in the HTTP exchange itself, not in what is to be audited."""


class NotFoundError(ApiError):
    def __init__(self) -> None:
        super().__init__("path_not_found", "There is nothing here. GET /docs lists what there is.")


class MethodNotAllowedError(ApiError):
    def __init__(self, method: str, allowed: Sequence[str]) -> None:
        self.allowed = ", ".join(allowed)
        super().__init__("method_not_allowed", f"{method} is not possible here; {self.allowed or 'nothing'} is.")


class UnauthorizedError(ApiError):
    def __init__(self) -> None:
        super().__init__(
            "unauthorized",
            "Send an access key of this service: Authorization: Bearer <key>.",
            field="Authorization",
        )


class NotAcceptableError(ApiError):
    def __init__(self, offers: Sequence[str]) -> None:
        super().__init__(
            "not_acceptable", f"The Accept header leaves nothing: ask for {' or '.join(offers)}.", field="Accept"
        )


class BodyTooLargeError(ApiError):
    def __init__(self, limit: int) -> None:
        super().__init__(
            "body_too_large",
            f"The body has more than {limit:,} bytes. Name folders or globs instead of long lists of files.",
        )


class UnsupportedMediaTypeError(ApiError):
    def __init__(self) -> None:
        super().__init__("unsupported_media_type", "Send Content-Type: application/json.", field="Content-Type")


class MalformedJsonError(ApiError):
    def __init__(self, why: str) -> None:
        super().__init__("malformed_json", f"The body is not valid JSON: {why}.")


class InvalidRequestError(ApiError):
    """Every invalid field at once, so that a client mends them all in one go."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        self.errors = list(errors)
        listed = "; ".join(f"{error.field}: {error.detail}" for error in self.errors[:3])
        rest = f" (and {len(self.errors) - 3} more)" if len(self.errors) > 3 else ""
        super().__init__("invalid_request", listed + rest, field=self.errors[0].field)

    @property
    def problem(self) -> Problem:
        return super().problem.model_copy(update={"errors": self.errors})


class CallbackUnsupportedError(ApiError):
    def __init__(self) -> None:
        super().__init__(
            "callback_unsupported",
            "This service delivers no webhooks yet. Leave `callback` out, and poll the job's `links.self`.",
            field="callback",
        )


class NoWorkerError(ApiError):
    def __init__(self) -> None:
        super().__init__("no_worker", "No worker is alive: audits are queued, but not done. Start `fitcheck worker`.")


# Looked up along the exception's classes, nearest first. What is not listed is a fault of ours: 500.
STATUS: Mapping[type[ProblemError], HTTPStatus] = {
    NotFoundError: HTTPStatus.NOT_FOUND,
    MethodNotAllowedError: HTTPStatus.METHOD_NOT_ALLOWED,
    UnauthorizedError: HTTPStatus.UNAUTHORIZED,
    NotAcceptableError: HTTPStatus.NOT_ACCEPTABLE,
    BodyTooLargeError: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    UnsupportedMediaTypeError: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    MalformedJsonError: HTTPStatus.BAD_REQUEST,
    InvalidRequestError: HTTPStatus.UNPROCESSABLE_ENTITY,
    CallbackUnsupportedError: HTTPStatus.UNPROCESSABLE_ENTITY,
    NoWorkerError: HTTPStatus.SERVICE_UNAVAILABLE,
    UnknownFindingError: HTTPStatus.NOT_FOUND,
    AuditNotFound: HTTPStatus.NOT_FOUND,
    NoReport: HTTPStatus.CONFLICT,
    IdempotencyConflict: HTTPStatus.CONFLICT,
    BadCursor: HTTPStatus.BAD_REQUEST,
    IsolationUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    QueueFull: HTTPStatus.SERVICE_UNAVAILABLE,
    DatabaseUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    RequestError: HTTPStatus.UNPROCESSABLE_ENTITY,
    ModelError: HTTPStatus.UNPROCESSABLE_ENTITY,
    DataError: HTTPStatus.UNPROCESSABLE_ENTITY,
}
# An address that is malformed or not allowed is refused before anything is looked at.
STATUS_OF_CODE_PREFIX: Mapping[str, HTTPStatus] = {"uri_": HTTPStatus.BAD_REQUEST}
HEADERS: Mapping[HTTPStatus, Mapping[str, str]] = {
    HTTPStatus.UNAUTHORIZED: {"WWW-Authenticate": 'Bearer realm="fitcheck"'},
    HTTPStatus.SERVICE_UNAVAILABLE: {"Retry-After": str(RETRY_AFTER_SECONDS)},
}
INTERNAL = Problem(
    type=TYPE_PREFIX + "internal_error",
    title=title_of("internal_error"),
    status=HTTPStatus.INTERNAL_SERVER_ERROR,
    code="internal_error",
    detail="The service failed; this is not your fault. The log holds the cause under the X-Request-ID of this answer.",
)


def status_of(error: ProblemError) -> HTTPStatus:
    """The HTTP status of a problem; 500 for one that no client can cause."""
    for prefix, status in STATUS_OF_CODE_PREFIX.items():
        if error.code.startswith(prefix):
            return status
    known = (STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
    return next(known, HTTPStatus.INTERNAL_SERVER_ERROR)


def problem_response(error: ProblemError, instance: str) -> Response:
    """The answer to a request that ended in `error`; `instance` is its path."""
    status = status_of(error)
    headers = dict(HEADERS.get(status, {}))
    if isinstance(error, MethodNotAllowedError):
        headers["Allow"] = error.allowed
    type_ = TYPE_PREFIX + error.code
    return write(
        error.problem.model_copy(update={"type": type_, "status": status.value, "instance": instance}), headers
    )


def internal_error_response(instance: str) -> Response:
    """The answer where we failed: nothing of the cause is told."""
    return write(INTERNAL.model_copy(update={"instance": instance}))


def write(problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    return Response(
        problem.model_dump_json(exclude_none=True),
        status_code=problem.status or HTTPStatus.INTERNAL_SERVER_ERROR,
        media_type=MEDIA_TYPE,
        headers=dict(headers or {}),
    )
