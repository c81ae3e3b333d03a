"""What left and what did not: the senders against servers that behave badly on purpose."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest
import respx

from orchestrator.channels import HttpCall, HttpReply
from orchestrator.core.outcomes import NotSent, Refused, Unknown
from orchestrator.core.reasons import Reason
from orchestrator.dispatch.egress import EgressGuard
from orchestrator.dispatch.senders import BODY_BYTES_MAX, AiohttpSender, Answer, HttpxSender

Behave = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@asynccontextmanager
async def server(behave: Behave) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that reads one request after another and then behaves; what it has read, request by request."""
    read: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next(
                    (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
                )
                read.append(head + await reader.readexactly(length))
                await behave(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}/send", read
    finally:
        listening.close()


@asynccontextmanager
async def sender() -> AsyncIterator[AiohttpSender]:
    made = AiohttpSender(guard=EgressGuard(allow=()), connections=10)
    await made.open()
    try:
        yield made
    finally:
        await made.close()


async def post(
    made: AiohttpSender | HttpxSender, url: str, *, timeout_ms: int = 5_000, within: float = 5, **more: bool
) -> Answer:
    call = HttpCall(method="POST", url=url, headers={"content-type": "text/plain"}, body=b"hello", **more)
    return await made.call(call, timeout_ms=timeout_ms, start_by=time.monotonic() + within, clock=time.time)


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(OK)
    await writer.drain()


async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(30)


async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf")
    await writer.drain()
    writer.close()


async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n" + b"x" * (BODY_BYTES_MAX + 10))
    await writer.drain()


async def elsewhere(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n")
    await writer.drain()


async def test_a_complete_answer_is_handed_over_as_it_is() -> None:
    async with server(answer) as (url, read), sender() as made:
        reply = await post(made, url)
        assert isinstance(reply, HttpReply)
        assert (reply.status, reply.body, len(read)) == (200, b"ok", 1)


@pytest.mark.parametrize(
    ("behave", "reason"),
    [(cut, Reason.CONNECTION_LOST), (half, Reason.CONNECTION_LOST), (endless, Reason.RESPONSE_UNREADABLE)],
)
async def test_once_bytes_have_left_a_broken_answer_is_unknown_and_never_repeated(behave: Behave, reason: Reason) -> None:
    async with server(behave) as (url, read), sender() as made:
        outcome = await post(made, url)
        assert isinstance(outcome, Unknown)
        assert (outcome.reason, len(read)) == (reason, 1)


async def test_silence_after_the_write_is_unknown() -> None:
    async with server(hang) as (url, read), sender() as made:
        outcome = await post(made, url, timeout_ms=300)
        assert isinstance(outcome, Unknown)
        assert (outcome.reason, len(read)) == (Reason.TIMED_OUT, 1)


async def test_a_kept_connection_that_the_server_drops_after_reading_is_not_used_to_send_again() -> None:
    served = 0

    async def once_then_cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        served += 1
        await (answer if served == 1 else cut)(reader, writer)

    async with server(once_then_cut) as (url, read), sender() as made:
        assert isinstance(await post(made, url), HttpReply)
        assert isinstance(await post(made, url), Unknown)
        assert len(read) == 2


async def test_nobody_listening_is_not_sent() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    async with sender() as made:
        outcome = await post(made, f"http://127.0.0.1:{port}/", within=0.3)
        assert isinstance(outcome, NotSent)
        assert outcome.reason is Reason.CONNECT_FAILED


async def test_a_connection_that_can_be_made_at_the_second_try_is_made() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    async def late() -> asyncio.Server:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"hello")
            await answer(reader, writer)

        await asyncio.sleep(0.3)
        return await asyncio.start_server(serve, "127.0.0.1", port)

    starting = asyncio.create_task(late())
    async with sender() as made:
        assert isinstance(await post(made, f"http://127.0.0.1:{port}/"), HttpReply)
    (await starting).close()


async def test_a_send_whose_time_to_start_has_passed_never_leaves() -> None:
    async with server(answer) as (url, read), sender() as made:
        outcome = await post(made, url, within=-0.001)
        assert isinstance(outcome, NotSent)
        assert (outcome.reason, read) == (Reason.START_TOO_LATE, [])
        await post(made, url)
        again = await post(made, url, within=-0.001)
        assert isinstance(again, NotSent)
        assert len(read) == 1


async def test_a_redirect_is_not_followed() -> None:
    async with server(elsewhere) as (url, read), sender() as made:
        reply = await post(made, url)
        assert isinstance(reply, HttpReply)
        assert (reply.status, len(read)) == (307, 1)


async def test_a_guarded_call_to_a_private_address_is_refused_before_anything_leaves() -> None:
    async with server(answer) as (url, read), sender() as made:
        outcome = await post(made, url, guarded=True)
        assert isinstance(outcome, Refused)
        assert (outcome.code, read) == ("endpoint_forbidden", [])


async def test_http2_calls_have_the_same_outcomes() -> None:
    made = HttpxSender(guard=EgressGuard(allow=()))
    with respx.mock(assert_all_called=False) as web:
        web.post("https://a.example/ok").respond(200, json={"x": 1}, headers={"X-Id": "7"})
        web.post("https://a.example/down").mock(side_effect=httpx.ConnectError("no"))
        web.post("https://a.example/lost").mock(side_effect=httpx.ReadError("no"))
        await made.open()
        reply = await post(made, "https://a.example/ok")
        assert isinstance(reply, HttpReply)
        assert (reply.json(), reply.headers["x-id"]) == ({"x": 1}, "7")
        assert isinstance(await post(made, "https://a.example/down"), NotSent)
        assert isinstance(await post(made, "https://a.example/lost"), Unknown)
        late = await post(made, "https://a.example/ok", within=-1)
        assert isinstance(late, NotSent)
        await made.close()
