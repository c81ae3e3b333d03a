"""
The fast path for webhooks.

Each webhook is a request of its own, so aiohttp's routing and middlewares would cost about as much
as the receipt in it. A plain POST of HTTP/1.1 to a known provider is therefore handled before
routing, and answered in one write. Every other request takes the ordinary path.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import lru_cache, partial
from http import HTTPStatus
from typing import cast

from aiohttp import HttpVersion11, web
from aiohttp.helpers import rfc822_formatted_time

from orchestrator.api import receipts
from orchestrator.api.connections import BoundedRunner, ConnectionLimits
from orchestrator.api.ports import ApiDeps
from orchestrator.api.problems import (
    SAFE_HEADERS,
    SERVER,
    problem_of,
    require_store,
    safe_headers,
)
from orchestrator.channels import Answer

RequestHandler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class WebhookFastPath:
    """Handles plain webhooks itself and hands every other request to the application."""

    def __init__(self, deps: ApiDeps, route: str) -> None:
        self._deps = deps
        self._route = route
        self._prefix = route.partition("{")[0]

    async def handle(
        self, ordinary: RequestHandler, request: web.BaseRequest
    ) -> web.StreamResponse:
        provider = self._provider(request)
        if provider is None:
            return await ordinary(request)
        try:
            require_store(self._deps)
            answer = await receipts.process(self._deps, provider, request)
        except Exception as error:
            response = problem_of(error, self._route, request.method)
            await safe_headers(request, response)
            return response
        return cast(web.StreamResponse, WholeResponse(answer))

    def _provider(self, request: web.BaseRequest) -> str | None:
        """The provider of a plain webhook; None for any other request."""
        if request.method != "POST" or not request.raw_path.startswith(self._prefix):
            return None
        plain = (
            request.keep_alive
            and request.version == HttpVersion11
            and "Expect" not in request.headers
        )
        provider = request.raw_path[len(self._prefix) :].partition("?")[0]
        return provider if plain and provider in self._deps.adapters() else None


FAST_PATH: web.AppKey[WebhookFastPath] = web.AppKey("fast_path", WebhookFastPath)


async def open_runner(
    app: web.Application, limits: ConnectionLimits | None = None
) -> web.AppRunner:
    """
    An application ready to listen, behind its fast path if it has one; ``limits`` are its
    listener's own by default.
    """
    runner = BoundedRunner(app, limits)
    await runner.setup()
    assert runner.server is not None
    if FAST_PATH in app:
        ordinary = runner.server.request_handler
        runner.server.request_handler = partial(app[FAST_PATH].handle, ordinary)
    return runner


class WholeResponse:
    """The part of a response's interface that aiohttp's protocol calls; sent in one write."""

    keep_alive = True

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    async def prepare(self, request: web.BaseRequest) -> None:
        self._transport = request.transport

    async def write_eof(self) -> None:
        """Raises ``ConnectionResetError`` if the client is gone."""
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError
        answer, body = self._answer, self._answer.body.encode()
        head = head_of(answer.status, answer.content_type, tuple(answer.headers.items()))
        date = rfc822_formatted_time()
        self._transport.write(
            b"%bContent-Length: %d\r\nDate: %b\r\n\r\n%b" % (head, len(body), date.encode(), body)
        )


@lru_cache(maxsize=64)
def head_of(status: int, content_type: str, headers: tuple[tuple[str, str], ...]) -> bytes:
    """The status line and the headers that do not differ from one answer to the next."""
    own = {
        "Content-Type": f"{content_type}; charset=utf-8",
        **SAFE_HEADERS,
        **dict(headers),
        "Server": SERVER,
    }
    lines = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        *(f"{name}: {value}" for name, value in own.items()),
    ]
    return "".join(f"{line}\r\n" for line in lines).encode()
