"""
The way in for webhooks. Each is a request of its own, so whatever is done for every request costs
as much as the receipt in it: they pass aiohttp's routing and middlewares by, and are answered in
one write.

Only a plain POST of HTTP/1.1 goes this way; everything else takes the ordinary one, through the
application.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import lru_cache, partial
from http import HTTPStatus
from typing import cast

from aiohttp import HttpVersion11, web
from aiohttp.helpers import rfc822_formatted_time

from orchestrator.api import receipts
from orchestrator.api.ports import ApiDeps
from orchestrator.api.problems import SAFE_HEADERS, SERVER, of_any, reachable, safe_headers
from orchestrator.channels import Answer

SHUTDOWN_SECONDS = 3.0
ROUTE = "/v1/receipts/{provider}"
PATH = ROUTE.partition("{")[0]
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class WebhookFastPath:
    """Takes a request, or hands it to the ordinary way."""

    def __init__(self, deps: ApiDeps) -> None:
        self._deps = deps

    async def take(self, ordinary: Handler, request: web.BaseRequest) -> web.StreamResponse:
        """The answer, whichever way it is found."""
        provider = self._reporting(request)
        if provider is None:
            return await ordinary(request)
        try:
            reachable(self._deps)
            answer = await receipts.take(self._deps, provider, request)
        except Exception as error:
            response = of_any(error, ROUTE, request.method)
            await safe_headers(request, response)
            return response
        return cast(web.StreamResponse, Written(answer))

    def _reporting(self, request: web.BaseRequest) -> str | None:
        """
        The provider whose webhook this is; None where it is something else, or wants more than a
        plain answer.
        """
        if request.method != "POST" or not request.raw_path.startswith(PATH):
            return None
        plain = (
            request.keep_alive
            and request.version == HttpVersion11
            and "Expect" not in request.headers
        )
        provider = request.raw_path[len(PATH) :].partition("?")[0]
        return provider if plain and provider in self._deps.adapters() else None


DOOR: web.AppKey[WebhookFastPath] = web.AppKey("door", WebhookFastPath)
"""Where an application that takes webhooks has its door."""


async def open_runner(app: web.Application) -> web.AppRunner:
    """An application ready to listen, behind its door where it has one."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    assert runner.server is not None
    if DOOR in app:
        runner.server.request_handler = partial(app[DOOR].take, runner.server.request_handler)
    return runner


class Written:
    """As much of a response as aiohttp's protocol asks for: it is ready, and goes out whole."""

    keep_alive = True

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    async def prepare(self, request: web.BaseRequest) -> None:
        self._transport = request.transport

    async def write_eof(self) -> None:
        """Raises ``ConnectionResetError`` where nobody is there any more."""
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
    """The head of an answer, but for what each has of its own."""
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
