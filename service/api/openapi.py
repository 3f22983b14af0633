"""The OpenAPI document: every answer that comes, problems included."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from schemas.job import JobEvent
from schemas.problem import TYPE_PREFIX, Problem
from schemas.request import AuditRequest
from service.api.problems import BUSY_RETRY_AFTER_SECONDS, MEDIA_TYPE, RETRY_AFTER_SECONDS

REF = "#/components/schemas/{model}"
BEARER = "bearer"
DESCRIPTION = """\
Finds out why a trained TensorFlow model performs poorly. Post references to a SavedModel and to its training and
validation data; poll the job; read the report: the causes, ranked, each proven by repairing the data and running the
same model again, each with its remedy.

Every error is a problem detail (RFC 9457, `application/problem+json`) with a stable `code`, a `detail` that says what
to do, and where it lies. Every answer carries `X-Request-ID`.
"""
REQUEST_ID_HEADER = {
    "description": "Names this exchange in the service's log; the client's own where it sent one.",
    "schema": {"type": "string"},
}
CHALLENGE_HEADER = {
    "WWW-Authenticate": {"description": "How to authenticate.", "schema": {"type": "string"}, "required": True}
}
RATE_HEADERS = {
    "RateLimit-Policy": {"description": "`q` requests in `w` seconds.", "schema": {"type": "string"}},
    "RateLimit": {"description": "`r` requests are left; all are after `t` seconds.", "schema": {"type": "string"}},
}


def _retry_after(seconds: int) -> dict[str, Any]:
    return {
        "Retry-After": {
            "description": "Seconds after which to try again.",
            "schema": {"type": "integer"},
            "required": True,
            "example": seconds,
        }
    }


PROBLEM_HEADERS: Mapping[HTTPStatus, dict[str, Any]] = {
    HTTPStatus.UNAUTHORIZED: CHALLENGE_HEADER,
    HTTPStatus.TOO_MANY_REQUESTS: {**_retry_after(BUSY_RETRY_AFTER_SECONDS), **RATE_HEADERS},
    HTTPStatus.SERVICE_UNAVAILABLE: _retry_after(RETRY_AFTER_SECONDS),
}
PROBLEM_EXAMPLES: Mapping[HTTPStatus, tuple[str, str]] = {
    HTTPStatus.BAD_REQUEST: ("malformed_json", "The body is not valid JSON: expected value at line 1 column 10."),
    HTTPStatus.UNAUTHORIZED: ("unauthorized", "Send an access key of this service: Authorization: Bearer <key>."),
    HTTPStatus.FORBIDDEN: ("forbidden", "This access key lacks the scope 'submit'."),
    HTTPStatus.REQUEST_TIMEOUT: ("request_timeout", "No data arrived for 30 s. Send the request again."),
    HTTPStatus.REQUEST_URI_TOO_LONG: ("query_too_long", "The query has more than 8,192 characters."),
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: ("too_many_headers", "The request has more than 100 headers."),
    HTTPStatus.TOO_MANY_REQUESTS: ("rate_limited", "Too many requests. Wait 3 s, and poll less often."),
    HTTPStatus.INSUFFICIENT_STORAGE: ("upload_storage_full", "The service has no room for this file."),
    HTTPStatus.NOT_FOUND: ("audit_not_found", "There is no audit '42' of yours. List yours: GET /v1/audits."),
    HTTPStatus.NOT_ACCEPTABLE: (
        "not_acceptable",
        "None of the formats in Accept is available. Ask for application/json.",
    ),
    HTTPStatus.CONFLICT: ("no_report", "The audit has no report: it is running. Wait until its status is succeeded."),
    HTTPStatus.GONE: ("report_expired", "The report of audit 42 is not kept any more. Submit the audit again."),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: ("body_too_large", "The body has more than 4,194,304 bytes."),
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: ("unsupported_media_type", "Send Content-Type: application/json."),
    HTTPStatus.UNPROCESSABLE_ENTITY: ("invalid_request", "data.label: Give a text, a whole number or a list."),
    HTTPStatus.INTERNAL_SERVER_ERROR: ("internal_error", "The service failed; this is not your fault."),
    HTTPStatus.SERVICE_UNAVAILABLE: ("database_unavailable", "The database does not answer. Try again."),
}
AUDIT_EXAMPLE: dict[str, Any] = {
    "model": {"uri": "file:///srv/models/churn/7"},
    "data": {
        "train": {"uri": "file:///srv/data/churn/train/*.parquet"},
        "validation": {"uri": "file:///srv/data/churn/validation.csv"},
        "label": "churned",
    },
    "reported_metrics": ["accuracy", {"name": "roc_auc", "value": 0.93, "split": "validation"}],
    "tags": {"team": "growth"},
}
AUDIT_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"$ref": REF.format(model="AuditRequest")},
                "examples": {"table": {"summary": "A table with a label column", "value": AUDIT_EXAMPLE}},
            }
        },
    }
}
UPLOAD_BODY = {
    "parameters": [
        {
            "name": "Content-Digest",
            "in": "header",
            "required": False,
            "schema": {"type": "string"},
            "description": "SHA-256 of the body (RFC 9530), `sha-256=:<base64>:`; it is checked.",
        }
    ],
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"file": {"type": "string", "format": "binary", "description": "The one file."}},
                    "required": ["file"],
                    "additionalProperties": False,
                }
            },
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    },
}
# One of a stream, which OpenAPI 3.2 describes by `itemSchema`; readers of 3.1 pass over it.
SERVER_SENT_EVENT = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "event": {"type": "string", "enum": ["state", "progress"]},
        "data": {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": {"$ref": REF.format(model="JobEvent")},
        },
        "retry": {"type": "integer"},
    },
}
# What any request may be answered with, and what only those to the API proper.
ALWAYS = (
    HTTPStatus.REQUEST_URI_TOO_LONG,
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    HTTPStatus.INTERNAL_SERVER_ERROR,
)
WITH_KEYS = (HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)


def problems(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """The problems that a route answers with, besides those of every route."""
    return {status.value: _problem(status) for status in (*statuses, *ALWAYS)}


def header(description: str, *, required: bool = True) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "string"}, "required": required}


def _problem(status: HTTPStatus) -> dict[str, Any]:
    code, detail = PROBLEM_EXAMPLES[status]
    example = Problem(
        type=TYPE_PREFIX + code, title=code.replace("_", " ").capitalize(), status=status, detail=detail, code=code
    )
    content = {"schema": {"$ref": REF.format(model="Problem")}, "example": example.model_dump(exclude_none=True)}
    answer: dict[str, Any] = {"description": status.phrase, "content": {MEDIA_TYPE: content}}
    if status in PROBLEM_HEADERS:
        answer["headers"] = PROBLEM_HEADERS[status]
    return answer


def document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of the app, made once."""
    if app.openapi_schema is None:
        app.openapi_schema = _complete(
            get_openapi(title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes)
        )
    return app.openapi_schema


def _complete(openapi: dict[str, Any]) -> dict[str, Any]:
    """Add what the framework cannot know: our own problems instead of its own, the body that we read ourselves."""
    schemas = openapi["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    _, ours = models_json_schema(
        [(AuditRequest, "validation"), (Problem, "serialization"), (JobEvent, "serialization")], ref_template=REF
    )
    schemas.update(ours["$defs"])
    openapi["components"]["securitySchemes"] = {
        BEARER: {"type": "http", "scheme": "bearer", "description": "Needed where the service has access keys."}
    }
    for path, operations in openapi["paths"].items():
        for operation in operations.values():
            _complete_operation(path, operation)
    return openapi


def _complete_operation(path: str, operation: dict[str, Any]) -> None:
    if path.startswith("/v1/"):
        operation["security"] = [{}, {BEARER: []}]
        for status in WITH_KEYS:
            operation["responses"].setdefault(str(status.value), _problem(status))
    for status, answer in list(operation["responses"].items()):
        if "HTTPValidationError" in str(answer):
            del operation["responses"][status]
        else:
            answer["headers"] = {"X-Request-ID": REQUEST_ID_HEADER, **answer.get("headers", {})}
