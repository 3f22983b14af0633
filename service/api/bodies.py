"""The body of POST /v1/audits: limited while it arrives, parsed strictly, every invalid field named.

The body is read by a dependency and not by the framework, so that nobody without a key makes us read one.
"""

import re
from typing import Annotated, Any

from fastapi import Depends, Request
from pydantic import ValidationError
from pydantic_core import from_json
from starlette.concurrency import run_in_threadpool

from schemas.request import AuditRequest
from service.api.access import Caller
from service.api.problems import (
    BodyTooLargeError,
    InvalidRequestError,
    MalformedJsonError,
    UnsupportedMediaTypeError,
)
from service.validation import field_errors

MAX_BODY_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 64  # no request is deeper than six

# Whole texts, so that what is in them is passed over, and brackets. A text that does not end is one match all the
# same: begun anew at each of its quotes, the search would take time by the square of its length.
_STRUCTURE = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)


async def read_audit_request(request: Request, caller: Caller) -> AuditRequest:  # noqa: ARG001 - asked first
    """The audit request in the body.

    Raises:
        UnsupportedMediaTypeError, BodyTooLargeError, MalformedJsonError, InvalidRequestError: as they say.
    """
    _require_json(request.headers.get("Content-Type", ""))
    # What is large takes its time, in which others are answered.
    return await run_in_threadpool(_parse, await _read(request, MAX_BODY_BYTES))


def _parse(body: bytes) -> AuditRequest:
    content = _json(body)
    try:
        # As JSON: true is no number there, and "1" is none either.
        return AuditRequest.model_validate_json(body, strict=True)
    except ValidationError as error:
        raise InvalidRequestError(field_errors(error.errors(include_url=False), content, AuditRequest)) from None


def _require_json(content_type: str) -> None:
    media_type, *parameters = (part.strip().lower() for part in content_type.split(";"))
    charsets = [p.partition("=")[2].strip('"') for p in parameters if p.startswith("charset=")]
    if media_type != "application/json" or any(charset != "utf-8" for charset in charsets):
        raise UnsupportedMediaTypeError


async def _read(request: Request, limit: int) -> bytes:
    """The body; stops at the first byte beyond the limit, whatever Content-Length claims."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise BodyTooLargeError(limit)
    return bytes(body)


def _json(body: bytes) -> Any:
    if not body.strip():
        raise MalformedJsonError("it is empty")
    if _depth(body) > MAX_DEPTH:
        raise MalformedJsonError(f"it is more than {MAX_DEPTH} levels deep")
    try:
        content = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise MalformedJsonError(str(error)) from None
    if _has_nul(content):
        # PostgreSQL stores no NUL in text, and no name or path has one.
        raise MalformedJsonError("a string holds the character U+0000")
    return content


def _depth(body: bytes) -> int:
    """How deep arrays and objects lie in each other, told without building them; brackets in texts count for none."""
    deepest = depth = 0
    for match in _STRUCTURE.finditer(body):
        token = match[0]
        if token in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif token in b"]}":
            depth -= 1
    return deepest


def _has_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, list):
        return any(map(_has_nul, value))
    return isinstance(value, dict) and any(_has_nul(key) or _has_nul(item) for key, item in value.items())


AuditRequestBody = Annotated[AuditRequest, Depends(read_audit_request)]
