"""Problem details (RFC 9457): the one place that knows which problem is which HTTP status.

ProblemError
  └ ApiError
      ├ NotFoundError               no such path
      ├ MethodNotAllowedError       the path exists, the method does not
      ├ UnauthorizedError           no access key, or a wrong one
      ├ ForbiddenError              the key may not do this
      ├ CrossSiteError              a page of another site sent the request through its reader's browser
      ├ RateLimitedError            too many requests in too short a time
      ├ RequestTimeoutError         the client fell silent while it sent
      ├ QueryTooLongError           more characters than a query may have
      ├ TooManyHeadersError         more headers than a request may have
      ├ NotAcceptableError          none of the media types that we can write
      ├ BodyTooLargeError           more bytes than a request may have
      ├ UnsupportedMediaTypeError   the body is not declared as what is taken here
      ├ MalformedJsonError          the body is not JSON
      ├ MalformedUploadError        the body is no form with one file
      ├ InvalidRequestError         fields of the body, query or header are invalid; lists all of them
      ├ CallbackUnsupportedError    webhooks are not delivered
      ├ CallbackRefusedError        webhooks are not delivered to this address
      ├ TooManyFollowersError       as many event streams as one process serves
      └ NoWorkerError               nobody takes work
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from types import MappingProxyType

from fastapi.responses import Response

from audits.catalogue import UnknownFindingError
from audits.isolation.probing import IsolationUnavailable
from schemas.problem import (
    TYPE_PREFIX,
    DataError,
    FieldError,
    ModelError,
    Problem,
    ProblemError,
    RequestError,
    title_of,
)
from service.jobs.errors import (
    AuditNotFound,
    BadCursor,
    CallerQueueFull,
    DatabaseUnavailable,
    IdempotencyConflict,
    NoReport,
    QueueFull,
    QueueUnknown,
    ReportExpired,
)
from service.uploads.errors import (
    UploadDamaged,
    UploadInUse,
    UploadNotFound,
    UploadQuotaExceeded,
    UploadStorageFull,
    UploadTooLarge,
)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 5
CHALLENGE = 'Bearer realm="fitcheck"'
BUSY_RETRY_AFTER_SECONDS = 30  # a queue is not empty a moment later


class ApiError(ProblemError):
    """Something in the HTTP exchange itself, not in what is to be audited.

    Attributes:
        headers: of the answer, besides those that go with its status.
    """

    headers: Mapping[str, str] = MappingProxyType({})


class NotFoundError(ApiError):
    def __init__(self) -> None:
        super().__init__("path_not_found", "There is nothing here. GET /docs lists what there is.")


class MethodNotAllowedError(ApiError):
    def __init__(self, method: str, allowed: Sequence[str]) -> None:
        takes = ", ".join(allowed)
        super().__init__("method_not_allowed", f"This address does not take {method}; it takes {takes or 'no method'}.")
        self.headers = {"Allow": takes}


class UnauthorizedError(ApiError):
    """The words are the same whether the key is missing, unknown, expired or revoked."""

    def __init__(self, *, sent: bool = False) -> None:
        if sent:
            self.headers = {"WWW-Authenticate": f'{CHALLENGE}, error="invalid_token"'}
        super().__init__(
            "unauthorized",
            "Send an access key of this service: Authorization: Bearer <key>.",
            field="Authorization",
        )


class ForbiddenError(ApiError):
    def __init__(self, scope: str) -> None:
        self.headers = {"WWW-Authenticate": f'{CHALLENGE}, error="insufficient_scope", scope="{scope}"'}
        super().__init__(
            "forbidden",
            f"This access key lacks the scope {scope!r}. Ask the operator for one that has it: "
            f"fitcheck keys create --scope {scope}.",
            field="Authorization",
        )


class CrossSiteError(ApiError):
    def __init__(self) -> None:
        super().__init__(
            "cross_site_request",
            "A page of another site sent this through your browser. Call the service from a program of yours.",
            field="Origin",
        )


class RateLimitedError(ApiError):
    def __init__(self, retry_after_seconds: int) -> None:
        self.headers = {"Retry-After": str(retry_after_seconds)}
        super().__init__(
            "rate_limited",
            f"Too many requests. Wait {retry_after_seconds} s, and follow audits by their events, or poll less often.",
        )


class RequestTimeoutError(ApiError):
    def __init__(self, seconds: float) -> None:
        self.headers = {"Connection": "close"}
        super().__init__("request_timeout", f"No data arrived for {seconds:g} s. Send the request again.")


class QueryTooLongError(ApiError):
    def __init__(self, limit: int) -> None:
        super().__init__("query_too_long", f"The query has more than {limit:,} characters. Ask for less at a time.")


class TooManyHeadersError(ApiError):
    def __init__(self, limit: int) -> None:
        super().__init__("too_many_headers", f"The request has more than {limit} headers. Send fewer.")


class NotAcceptableError(ApiError):
    def __init__(self, offers: Sequence[str]) -> None:
        super().__init__(
            "not_acceptable",
            f"None of the formats in Accept is available. Ask for {' or '.join(offers)}.",
            field="Accept",
        )


class BodyTooLargeError(ApiError):
    def __init__(self, limit: int) -> None:
        super().__init__(
            "body_too_large",
            f"The body has more than {limit:,} bytes. Name folders or globs instead of long lists of files.",
        )


class UnsupportedMediaTypeError(ApiError):
    def __init__(self, detail: str = "Send Content-Type: application/json.") -> None:
        super().__init__("unsupported_media_type", detail, field="Content-Type")


class MalformedJsonError(ApiError):
    def __init__(self, why: str) -> None:
        super().__init__("malformed_json", f"The body is not valid JSON: {why}.")


class MalformedUploadError(ApiError):
    def __init__(self, why: str, *, field: str | None = None) -> None:
        super().__init__(
            "malformed_upload",
            f"The upload cannot be read: {why}. Send one file as a form (curl -F file=@train.csv), or its content as "
            "the body with ?name=train.csv.",
            field=field,
        )


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
            "This service delivers no webhooks: its operator has allowed no hosts (FITCHECK_CALLBACK_HOSTS). Leave "
            "`callback` out, and follow the job's `links.events`.",
            field="callback",
        )


class CallbackRefusedError(ApiError):
    def __init__(self, code: str, detail: str) -> None:
        super().__init__(code, detail, field="callback.url")


class TooManyFollowersError(ApiError):
    def __init__(self, limit: int) -> None:
        super().__init__(
            "too_many_followers",
            f"{limit} event streams are open already. Come back later, or poll the job's `links.self`.",
        )


class NoWorkerError(ApiError):
    def __init__(self) -> None:
        super().__init__("no_worker", "No worker is alive: audits are queued, but not done. Start `fitcheck worker`.")


# Looked up along the exception's classes, nearest first. What is not listed is a fault of ours: 500.
STATUS: Mapping[type[ProblemError], HTTPStatus] = {
    NotFoundError: HTTPStatus.NOT_FOUND,
    MethodNotAllowedError: HTTPStatus.METHOD_NOT_ALLOWED,
    UnauthorizedError: HTTPStatus.UNAUTHORIZED,
    ForbiddenError: HTTPStatus.FORBIDDEN,
    CrossSiteError: HTTPStatus.FORBIDDEN,
    RateLimitedError: HTTPStatus.TOO_MANY_REQUESTS,
    RequestTimeoutError: HTTPStatus.REQUEST_TIMEOUT,
    QueryTooLongError: HTTPStatus.REQUEST_URI_TOO_LONG,
    TooManyHeadersError: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    NotAcceptableError: HTTPStatus.NOT_ACCEPTABLE,
    BodyTooLargeError: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    UnsupportedMediaTypeError: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    MalformedJsonError: HTTPStatus.BAD_REQUEST,
    MalformedUploadError: HTTPStatus.UNPROCESSABLE_ENTITY,
    InvalidRequestError: HTTPStatus.UNPROCESSABLE_ENTITY,
    CallbackRefusedError: HTTPStatus.UNPROCESSABLE_ENTITY,
    CallbackUnsupportedError: HTTPStatus.UNPROCESSABLE_ENTITY,
    TooManyFollowersError: HTTPStatus.TOO_MANY_REQUESTS,
    NoWorkerError: HTTPStatus.SERVICE_UNAVAILABLE,
    UnknownFindingError: HTTPStatus.NOT_FOUND,
    AuditNotFound: HTTPStatus.NOT_FOUND,
    NoReport: HTTPStatus.CONFLICT,
    ReportExpired: HTTPStatus.GONE,
    IdempotencyConflict: HTTPStatus.CONFLICT,
    BadCursor: HTTPStatus.BAD_REQUEST,
    QueueFull: HTTPStatus.TOO_MANY_REQUESTS,
    CallerQueueFull: HTTPStatus.TOO_MANY_REQUESTS,
    QueueUnknown: HTTPStatus.UNPROCESSABLE_ENTITY,
    IsolationUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    DatabaseUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    UploadNotFound: HTTPStatus.NOT_FOUND,
    UploadInUse: HTTPStatus.CONFLICT,
    UploadTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    UploadQuotaExceeded: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    UploadDamaged: HTTPStatus.UNPROCESSABLE_ENTITY,
    UploadStorageFull: HTTPStatus.INSUFFICIENT_STORAGE,
    RequestError: HTTPStatus.UNPROCESSABLE_ENTITY,
    ModelError: HTTPStatus.UNPROCESSABLE_ENTITY,
    DataError: HTTPStatus.UNPROCESSABLE_ENTITY,
}
# An address that is malformed or not allowed is refused before anything is looked at.
STATUS_OF_CODE_PREFIX: Mapping[str, HTTPStatus] = {"uri_": HTTPStatus.BAD_REQUEST}
HEADERS: Mapping[HTTPStatus, Mapping[str, str]] = {
    HTTPStatus.UNAUTHORIZED: {"WWW-Authenticate": CHALLENGE},
    HTTPStatus.SERVICE_UNAVAILABLE: {"Retry-After": str(RETRY_AFTER_SECONDS)},
    HTTPStatus.TOO_MANY_REQUESTS: {"Retry-After": str(BUSY_RETRY_AFTER_SECONDS)},
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


def headers_of(error: ProblemError) -> dict[str, str]:
    """What the headers of its answer say beside the problem."""
    own = error.headers if isinstance(error, ApiError) else {}
    return {**HEADERS.get(status_of(error), {}), **own}


def problem_response(error: ProblemError, instance: str) -> Response:
    """The answer to a request that ended in `error`; `instance` is its path."""
    status = status_of(error)
    updated = {"status": status.value, "instance": instance}
    return write(error.problem.model_copy(update=updated), headers_of(error))


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
