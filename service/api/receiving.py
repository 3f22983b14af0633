"""The body of POST /v1/uploads: a form with one file, or the file itself; written to the disk while it arrives.

Blocks are written and hashed in a thread, so that a slow disk delays nobody else's request.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, suppress
from typing import Protocol

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool

from schemas.upload import Upload
from service.api.problems import MalformedUploadError, UnsupportedMediaTypeError
from service.uploads.errors import UploadDamaged
from service.uploads.store import Incoming, Uploads

BLOCK_BYTES = 2**20
MAX_NAME_CHARACTERS = 200
FORM = "multipart/form-data"
# What curl declares for -d, which drops the line ends of a file.
NOT_A_FILE = "application/x-www-form-urlencoded"
_DIGEST = re.compile(r"\s*sha-256=:([A-Za-z0-9+/]{43}=):\s*")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]")


class _Target(Protocol):
    """Takes the body block by block; called in a thread."""

    def write(self, block: bytes) -> None: ...

    def finish(self) -> Incoming: ...


async def receive_upload(
    request: Request, uploads: Uploads, *, caller: str, name: str | None, sha256: str | None
) -> Upload:
    """Store the file in a request's body.

    Args:
        request: whose body is read.
        uploads: where to.
        caller: to whom it will belong.
        name: of the file, where the body does not say it.
        sha256: of the file in hexadecimal digits, to be checked.

    Raises:
        UploadError: it is too large, damaged, or there is no room.
        MalformedUploadError, UnsupportedMediaTypeError: the body holds no file.
    """
    media_type, options = parse_options_header(request.headers.get("Content-Type"))
    announced = _announced(request)
    expected = _content_digest(request.headers.get("Content-Digest"))
    body = hashlib.sha256()
    with ExitStack() as stack:

        def receive(name: str, size: int | None = None) -> Incoming:
            return stack.enter_context(uploads.receive(caller=caller, name=name, size=size, at_most=announced))

        target: _Target
        if media_type.lower() == FORM.encode():
            target = _Form(options.get(b"boundary"), receive, name)
        elif media_type.lower() == NOT_A_FILE.encode():
            raise UnsupportedMediaTypeError(
                "Send the file as a form (curl -F file=@train.csv), or as it is (curl -X POST -T train.csv) with "
                "?name=train.csv; curl's -d changes it."
            )
        else:
            target = await run_in_threadpool(_Raw, name, receive, announced)

        def take(block: bytes) -> None:
            if expected is not None:
                body.update(block)
            target.write(block)

        async for block in _blocks(request):
            await run_in_threadpool(take, block)
        return await run_in_threadpool(_keep, uploads, target, sha256, expected, body.hexdigest())


def _keep(uploads: Uploads, target: _Target, sha256: str | None, expected: str | None, body: str) -> Upload:
    incoming = target.finish()
    if sha256 is not None and incoming.file.sha256 != sha256.lower():
        raise UploadDamaged("sha256", sha256.lower(), incoming.file.sha256)
    if expected is not None and body != expected:
        raise UploadDamaged("Content-Digest", expected, body)
    return uploads.keep(incoming)


async def _blocks(request: Request) -> AsyncIterator[bytes]:
    """The body in blocks that are worth a write."""
    gathered = bytearray()
    async for chunk in request.stream():
        gathered += chunk
        if len(gathered) >= BLOCK_BYTES:
            yield bytes(gathered)
            gathered.clear()
    if gathered:
        yield bytes(gathered)


class _Raw:
    """The body is the file."""

    def __init__(self, name: str | None, receive: Callable[[str, int | None], Incoming], size: int | None) -> None:
        if name is None:
            raise MalformedUploadError("it has no name, which says the format", field="name")
        self._incoming = receive(_clean(name), size)

    def write(self, block: bytes) -> None:
        self._incoming.file.write(block)

    def finish(self) -> Incoming:
        return self._incoming


class _Form:
    """The body is a form (RFC 7578) with one file, whatever its field is called."""

    def __init__(self, boundary: bytes | None, receive: Callable[[str], Incoming], name: str | None) -> None:
        if not boundary:
            raise MalformedUploadError("the form has no boundary", field="Content-Type")
        self._receive = receive
        self._name = name
        self._header = (bytearray(), bytearray())
        self._disposition = b""
        self._incoming: Incoming | None = None
        self._is_whole = False
        callbacks = {
            "on_part_begin": self._begin_part,
            "on_header_begin": self._begin_header,
            "on_header_field": lambda data, start, end: self._header[0].extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._header[1].extend(data[start:end]),
            "on_header_end": self._end_header,
            "on_headers_finished": self._begin_content,
            "on_part_data": self._take,
            "on_end": self._end,
        }
        try:
            self._parser = MultipartParser(boundary, callbacks)  # type: ignore[arg-type]  # a plain dict will do
        except FormParserError:
            raise MalformedUploadError("the form's boundary is too long", field="Content-Type") from None

    def write(self, block: bytes) -> None:
        try:
            self._parser.write(block)
        except FormParserError:
            raise MalformedUploadError("the form is not written as RFC 7578 says") from None

    def finish(self) -> Incoming:
        if self._incoming is None:
            raise MalformedUploadError("the form holds no file")
        if not self._is_whole:
            raise MalformedUploadError("the form ends early")
        return self._incoming

    def _begin_part(self) -> None:
        self._disposition = b""

    def _begin_header(self) -> None:
        self._header = (bytearray(), bytearray())

    def _end_header(self) -> None:
        field, value = self._header
        if field.strip().lower() == b"content-disposition":
            self._disposition = bytes(value)

    def _begin_content(self) -> None:
        _, options = parse_options_header(self._disposition)
        name = options.get(b"filename")
        if name is None:
            raise MalformedUploadError("the form holds a field that is no file")
        if self._incoming is not None:
            raise MalformedUploadError("the form holds several files")
        self._incoming = self._receive(_clean(self._name or name.decode("utf-8", "replace")))

    def _take(self, data: bytes, start: int, end: int) -> None:
        if self._incoming is not None:
            self._incoming.file.write(data[start:end])

    def _end(self) -> None:
        self._is_whole = True


def _clean(name: str) -> str:
    """The last part of a path, without what no name should hold. It names no file on our disk.

    Raises:
        MalformedUploadError: nothing is left.
    """
    bare = _UNPRINTABLE.sub("", re.split(r"[/\\]", name)[-1]).strip()
    bare = bare.encode("utf-8", "replace").decode()  # no lone surrogates: no database stores them
    if bare in {"", ".", ".."}:
        raise MalformedUploadError("the file has no name, which says the format", field="name")
    # The end says the format.
    return bare[-MAX_NAME_CHARACTERS:]


def _announced(request: Request) -> int | None:
    with suppress(ValueError):
        return max(0, int(request.headers.get("Content-Length", "")))
    return None


def _content_digest(header: str | None) -> str | None:
    """The SHA-256 in a Content-Digest header (RFC 9530), in hexadecimal digits.

    Raises:
        MalformedUploadError: there is a header without one.
    """
    if header is None:
        return None
    for member in header.split(","):
        if (match := _DIGEST.fullmatch(member)) is not None:
            with suppress(binascii.Error):
                return base64.b64decode(match[1], validate=True).hex()
    raise MalformedUploadError("Content-Digest holds no sha-256=:<base64>: (RFC 9530)", field="Content-Digest")
