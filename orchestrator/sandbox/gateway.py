"""HTTP/2 with TLS in front of the sandbox, for the providers that speak nothing else."""

from __future__ import annotations

import aiohttp

from orchestrator.sandbox.app_push import INSTEAD
from orchestrator.sandbox.http2 import Http2Answer, Http2Request, Http2Server, Instead
from orchestrator.sandbox.tls import own_certificate

SINGLE_HOP = frozenset({"connection", "content-length", "keep-alive", "transfer-encoding"})
CONNECTIONS_MAX = 1_000


class Http2Gateway:
    """``certificate`` is the PEM to trust, ``port`` known after ``start``."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None
        self._behind = ""
        self.server = Http2Server(self._forward)
        self.certificate = ""

    @property
    def port(self) -> int:
        return self.server.port

    async def start(self, host: str, port: int, behind: str) -> None:
        """Listen, and hand every request on to ``behind``. Raises OSError for the port."""
        self._behind = behind
        connector = aiohttp.TCPConnector(limit=CONNECTIONS_MAX)
        self._session = aiohttp.ClientSession(connector=connector, auto_decompress=False)
        context, self.certificate = own_certificate(host)
        await self.server.start(host, port, context)

    async def stop(self) -> None:
        await self.server.stop()
        if self._session is not None:
            await self._session.close()

    async def _forward(self, request: Http2Request) -> Http2Answer | Instead:
        assert self._session is not None, "start() comes first"
        headers = {name: value for name, value in request.headers.items() if name[0] != ":"}
        headers.pop("content-length", None)
        try:
            async with self._session.request(
                request.headers[":method"],
                self._behind + request.path,
                headers=headers,
                data=request.body,
                allow_redirects=False,
            ) as answer:
                if INSTEAD in answer.headers:
                    return Instead(answer.headers[INSTEAD])
                kept = {name.lower(): value for name, value in answer.headers.items()}
                kept = {name: value for name, value in kept.items() if name not in SINGLE_HOP}
                return Http2Answer(answer.status, kept, await answer.read())
        except aiohttp.ClientError:
            return Instead.CUT
