"""What every request must keep to before anything looks at it: few headers, a short query, a client that goes on.

The size of a body is counted where it is read; the size of all headers together is limited by the HTTP parser.
"""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.problems import (
    ApiError,
    QueryTooLongError,
    RequestTimeoutError,
    TooManyHeadersError,
    problem_response,
)

MAX_HEADERS = 100
MAX_QUERY_CHARACTERS = 8192


class Guard:
    """Pure ASGI, so that streamed bodies stay streamed.

    Args:
        app: answers what is let through.
        client_seconds: how long a client may be silent while it sends its body.
    """

    def __init__(self, app: ASGIApp, client_seconds: float) -> None:
        self.app = app
        self._client_seconds = client_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if (problem := _problem_of(scope)) is not None:
            await problem_response(problem, scope["path"])(scope, receive, send)
            return
        await self.app(scope, _Patience(receive, self._client_seconds), send)


def _problem_of(scope: Scope) -> ApiError | None:
    if len(scope["headers"]) > MAX_HEADERS:
        return TooManyHeadersError(MAX_HEADERS)
    if len(scope["query_string"]) > MAX_QUERY_CHARACTERS:
        return QueryTooLongError(MAX_QUERY_CHARACTERS)
    return None


class _Patience:
    """`receive`, which hangs up on a client that falls silent before its request is whole."""

    def __init__(self, receive: Receive, seconds: float) -> None:
        self._receive = receive
        self._seconds = seconds
        self._is_whole = False

    async def __call__(self) -> Message:
        # Afterwards the call waits for the client to leave, which may take as long as an answer streams.
        if self._is_whole:
            return await self._receive()
        try:
            async with asyncio.timeout(self._seconds):
                message = await self._receive()
        except TimeoutError:
            self._is_whole = True
            raise RequestTimeoutError(self._seconds) from None
        self._is_whole = message["type"] != "http.request" or not message.get("more_body", False)
        return message
