"""
The connections of a listener: how many there are, and how long one may be silent.

aiohttp serves every connection that the process can open, waits as long as it likes for a request,
and answers what it cannot parse with a page of its own. Here a connection ends that sends no whole
request head in time, or does not read its answer; and of too many, the oldest idle one makes
room for the next. Each listener has a share of the process's file descriptors, so a
flood at one of them leaves the others, the store and the providers theirs.
"""

from __future__ import annotations

import asyncio
import resource
from dataclasses import dataclass
from http import HTTPStatus
from typing import cast

import structlog
from aiohttp import web

from orchestrator.api.ports import DEPS
from orchestrator.api.problems import add_safe_headers, of_http, problem
from orchestrator.api.route import Listener

log = structlog.get_logger()

SHUTDOWN_SECONDS = 3.0
PUBLIC_CONNECTIONS_MAX = 8_192
DESCRIPTORS_WANTED = 65_536
OWN_CONNECTIONS = {Listener.ADMIN: 64, Listener.CONTROL: 32}
LISTENER: web.AppKey[Listener] = web.AppKey("listener", Listener)


@dataclass(frozen=True)
class ConnectionLimits:
    """
    ``most`` connections at once. ``head_seconds``: until the first request's head is complete;
    ``idle_seconds``: between requests, longer than the proxies in front keep a connection (60 s),
    so that it is they who close it; ``stalled_seconds``: in which an answer must make progress.
    """

    most: int
    head_seconds: float = 15.0
    idle_seconds: float = 75.0
    stalled_seconds: float = 30.0


def raise_descriptor_limit() -> None:
    """Use as many file descriptors as the operating system lets this process have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS_WANTED if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS_WANTED)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def limits_of(listener: Listener) -> ConnectionLimits:
    """A listener's share: half of the descriptors for the public one, few for the others."""
    if listener in OWN_CONNECTIONS:
        return ConnectionLimits(OWN_CONNECTIONS[listener])
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    share = PUBLIC_CONNECTIONS_MAX if soft == resource.RLIM_INFINITY else soft // 2
    return ConnectionLimits(min(share, PUBLIC_CONNECTIONS_MAX))


class BoundedRunner(web.AppRunner):
    """Runs an application of ``build_app`` within its listener's limits."""

    def __init__(self, app: web.Application, limits: ConnectionLimits | None = None) -> None:
        self._limits = limits or limits_of(app.get(LISTENER, Listener.PUBLIC))
        super().__init__(
            app,
            access_log=None,
            shutdown_timeout=SHUTDOWN_SECONDS,
            keepalive_timeout=self._limits.idle_seconds,
        )

    async def _make_server(self) -> web.Server:
        return BoundedServer(await super()._make_server(), self._limits, self.app)


class BoundedServer(web.Server):
    """Makes the connections of one listener, and looks after them."""

    def __init__(self, plain: web.Server, limits: ConnectionLimits, app: web.Application) -> None:
        super().__init__(
            plain.request_handler, request_factory=plain.request_factory, **plain._kwargs
        )
        self.limits = limits
        self._deps = app.get(DEPS)
        self._listener = app.get(LISTENER, Listener.PUBLIC).value
        self._unread: dict[web.RequestHandler, int] = {}
        self._looking = self._loop.call_later(limits.stalled_seconds, self._look)

    def __call__(self) -> web.RequestHandler:
        return BoundedConnection(self, loop=self._loop, **self._kwargs)

    def make_room(self) -> bool:
        """Whether there is room for another connection; the oldest idle one is closed for it."""
        if len(self._connections) < self.limits.most:
            return True
        self.count_cut("too_many")
        idle = next((one for one in self._connections if one._waiter is not None), None)
        if idle is None:
            return False
        self._connections.pop(idle).abort()
        return True

    def count_cut(self, cause: str) -> None:
        if self._deps is not None:
            self._deps.metrics.connections_cut.labels(self._listener, cause).inc()

    def _look(self) -> None:
        """End the connections whose peers have read nothing of an answer since the last look."""
        unread: dict[web.RequestHandler, int] = {}
        for one, transport in list(self._connections.items()):
            left = transport.get_write_buffer_size()
            if left and self._unread.get(one) == left:
                self.count_cut("stalled")
                transport.abort()
            elif left:
                unread[one] = left
        self._unread = unread
        self._looking = self._loop.call_later(self.limits.stalled_seconds, self._look)

    async def shutdown(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - as aiohttp
        self._looking.cancel()
        await super().shutdown(timeout)


class BoundedConnection(web.RequestHandler):
    """One connection; ``_manager`` is its server."""

    __slots__ = ("_head_due",)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._head_due: asyncio.TimerHandle | None = None
        server = cast(BoundedServer, self._manager)
        if not server.make_room():
            self._force_close = True
            cast(asyncio.Transport, transport).abort()
            return
        super().connection_made(transport)
        self._head_due = self._loop.call_later(server.limits.head_seconds, self._end_if_silent)

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._head_due is not None:
            self._head_due.cancel()
        super().connection_lost(exc)

    def _end_if_silent(self) -> None:
        if not self._request_count and self._manager is not None:
            cast(BoundedServer, self._manager).count_cut("no_request")
            self.force_close()

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """aiohttp's own refusals, such as 417, repeat what was sent: ours do not."""
        answer = of_http(resp) if isinstance(resp, web.HTTPException) else resp
        return await super().finish_response(request, answer, start_time)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """
        What the application never saw: bytes that are no request, and errors outside its own
        handling of errors. The answer repeats nothing of what came.
        """
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun already")
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            log.error("api.failed", route="none", method=request.method, exc_info=exc)
            answer = problem(500, "internal_error", "an internal error, which is logged")
        else:
            detail = "this is no HTTP/1.1 request, or its head is too large; nothing was done"
            answer = problem(400, "bad_request", detail)
        add_safe_headers(answer)
        answer.force_close()
        return answer
