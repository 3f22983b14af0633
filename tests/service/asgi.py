"""A synchronous httpx transport that calls an ASGI application in this process."""

import asyncio
from collections.abc import AsyncIterator

import httpx


class _Stream(httpx.AsyncByteStream):
    def __init__(self, request: httpx.Request) -> None:
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._request.stream:
            yield chunk


class AsgiTransport(httpx.BaseTransport):
    def __init__(self, app) -> None:
        self._inner = httpx.ASGITransport(app, client=("127.0.0.1", 50_000))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return asyncio.run(self._answer(request))

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        sent = httpx.Request(request.method, request.url, headers=request.headers, stream=_Stream(request))
        answer = await self._inner.handle_async_request(sent)
        return httpx.Response(answer.status_code, headers=answer.headers, content=await answer.aread())
