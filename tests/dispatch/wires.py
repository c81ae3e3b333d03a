"""Servers that behave badly on purpose, and senders to call them with."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from orchestrator.channels import HttpCall
from orchestrator.dispatch.egress import EgressGuard
from orchestrator.dispatch.rates import FREE, Token
from orchestrator.dispatch.senders import AiohttpSender, Answer, Http2Sender

Behave = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Made = AiohttpSender | Http2Sender
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class ReceivedRequests(list[bytes]):
    """
    The requests a server has read; ``connections`` counts those made, ``silent`` those
    without a byte.
    """

    def __init__(self) -> None:
        super().__init__()
        self.connections = 0
        self.silent = 0
        self.arrived = asyncio.Event()

    async def until(self, there: Callable[[], bool]) -> None:
        """Wait at most five seconds until a condition holds."""
        async with asyncio.timeout(5):
            while not there():
                self.arrived.clear()
                await self.arrived.wait()


@asynccontextmanager
async def server(behave: Behave, **options: Any) -> AsyncIterator[tuple[str, ReceivedRequests]]:
    """A server that reads one request after another and then behaves."""
    requests = ReceivedRequests()
    open_ones: set[asyncio.Task[Any]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_ones.add(asyncio.current_task())  # type: ignore[arg-type]
        requests.connections += 1
        before = len(requests)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                fields = [line.lower() for line in head.split(b"\r\n")]
                length = next(
                    (int(field[15:]) for field in fields if field.startswith(b"content-length:")), 0
                )
                requests.append(head + await reader.readexactly(length))
                requests.arrived.set()
                await behave(reader, writer)
        except asyncio.IncompleteReadError as end:
            requests.silent += len(requests) == before and not end.partial
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            requests.arrived.set()
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0, **options)
    port = listening.sockets[0].getsockname()[1]
    try:
        yield f"{'https' if 'ssl' in options else 'http'}://127.0.0.1:{port}/send", requests
    finally:
        listening.close()
        for task in open_ones:
            task.cancel()
        await asyncio.gather(*open_ones, return_exceptions=True)


@asynccontextmanager
async def opened(made: Made) -> AsyncIterator[Made]:
    """A sender, open for as long as it is needed."""
    await made.open()
    try:
        yield made
    finally:
        await made.close()


async def post(
    made: Made,
    url: str,
    *,
    timeout_ms: int = 5_000,
    within: float = 5,
    now: float | None = None,
    token: Token = FREE,
    **more: Any,
) -> Answer:
    """
    Send ``hello``; the first byte must leave ``within`` seconds of ``now`` (default: the machine's
    clock).
    """
    fields: dict[str, Any] = {
        "method": "POST",
        "headers": {"content-type": "text/plain"},
        "body": b"hello",
        **more,
    }
    start_by = (time.monotonic() if now is None else now) + within
    call = HttpCall(url=url, **fields)
    return await made.call(
        call, timeout_ms=timeout_ms, start_by=start_by, clock=time.time, token=token
    )


def aiohttp_sender(**options: Any) -> Made:
    return AiohttpSender(**{"guard": EgressGuard(), "connections": 10, **options})


def http2_sender(**options: Any) -> Made:
    return Http2Sender(**{"guard": EgressGuard(), "connections": 10, **options})


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(OK)
    await writer.drain()


async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(30)


def saying(words: bytes, *, then_close: bool = False) -> Behave:
    """Answer with these bytes, whatever was asked."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(words)
        await writer.drain()
        if then_close:
            writer.close()

    return behave


def once_then(second: Behave) -> Behave:
    """Answer the first request, then act as a different server."""
    served = 0

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        served += 1
        await (answer if served == 1 else second)(reader, writer)

    return behave
