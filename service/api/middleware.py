"""What surrounds every request: an id, security headers, one line in the log, and a 500 that tells nothing."""

import re
import time
import uuid
from http import HTTPStatus

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.problems import internal_error_response
from service.tracing import request_span

PROBES = ("/healthz", "/readyz", "/metrics")
REQUEST_ID = "X-Request-ID"
IS_HEAD = "fitcheck.is_head"  # in the scope: answers without an end must not begin
CLIENT_CLOSED_REQUEST = 499  # nginx's number for a client that left before the answer
EXTRA_HEADERS = "fitcheck.headers"  # in the scope: headers that an answer gets whatever becomes of the request
# Job answers change and belong to one caller: no cache may keep them. What a browser shows of them can do nothing.
DEFAULT_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
}
_USABLE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

log = structlog.get_logger("service.api")


class Envelope:
    """Pure ASGI, so that streamed bodies stay streamed."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = _Exchange(scope, send)
        with request_span(scope["method"], scope["path"], Headers(scope=scope)) as span:
            await self._answer(exchange, receive)
            span.set_attribute("http.response.status_code", exchange.status or 0)

    async def _answer(self, exchange: "_Exchange", receive: Receive) -> None:
        try:
            await self.app(exchange.scope, receive, exchange.send)
        except ClientDisconnect:
            exchange.status = CLIENT_CLOSED_REQUEST
        except Exception:
            exchange.log.exception("request_failed")
            if exchange.status is None:
                await internal_error_response(exchange.scope["path"])(exchange.scope, receive, exchange.send)
        finally:
            exchange.close()


class _Exchange:
    """One request and its answer."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self.is_head = scope["method"] == "HEAD"
        # Every GET answers HEAD too (RFC 9110, 9.1), without its body.
        method = "GET" if self.is_head else scope["method"]
        self.scope = {**scope, "method": method, IS_HEAD: self.is_head, EXTRA_HEADERS: {}}
        self.request_id = _request_id(Headers(scope=scope).get(REQUEST_ID))
        self.status: int | None = None
        self.log = log.bind(request_id=self.request_id, method=scope["method"], path=scope["path"])
        self._send = send
        self._started = time.perf_counter()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers[REQUEST_ID] = self.request_id
            for name, value in {**DEFAULT_HEADERS, **self.scope[EXTRA_HEADERS]}.items():
                headers.setdefault(name, value)
        elif self.is_head and message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await self._send(message)

    def close(self) -> None:
        seconds = time.perf_counter() - self._started
        # Probes come every few seconds and say nothing while they succeed.
        is_dull = self.scope["path"] in PROBES and self.status == HTTPStatus.OK
        write = self.log.debug if is_dull else self.log.info
        write("request", status=self.status, seconds=round(seconds, 4))


def _request_id(sent: str | None) -> str:
    """The caller's own id where it is safe to repeat, so that its logs and ours can be joined."""
    return sent if sent and _USABLE_ID.fullmatch(sent) else uuid.uuid4().hex
