"""Both senders against servers that misbehave on purpose."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable

import pytest

from orchestrator.channels import HttpReply
from orchestrator.core.outcomes import Refused, Unknown
from orchestrator.core.reasons import Reason
from orchestrator.dispatch.egress import EgressGuard
from orchestrator.dispatch.senders import BODY_BYTES_MAX, GUARDED_BODY_BYTES_MAX
from tests.dispatch.wires import (
    Behave,
    Made,
    aiohttp_sender,
    answer,
    cut,
    hang,
    http2_sender,
    once_then,
    opened,
    post,
    saying,
    server,
)

Make = Callable[..., Made]
both = pytest.mark.parametrize("make", [aiohttp_sender, http2_sender], ids=["aiohttp", "http2"])


def packed(body: bytes, encoding: str = "gzip", cut_at: int | None = None) -> bytes:
    body = gzip.compress(body)[:cut_at]
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf"
ENDLESS = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n" + b"x" * (BODY_BYTES_MAX + 10)
ELSEWHERE = b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n"
COOKIE = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1; Path=/\r\nContent-Length: 2\r\n\r\nok"


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.02)


@both
async def test_a_complete_answer_is_handed_over_as_it_is(make: Make) -> None:
    said = saying(
        b"HTTP/1.1 429 Slow Down\r\nRetry-After: 7\r\nX-Id: a\r\nContent-Length: 2\r\n\r\nno"
    )
    async with server(said) as (url, requests), opened(make()) as made:
        reply = await post(made, url)
        assert isinstance(reply, HttpReply)
        assert (reply.status, reply.body, reply.headers["x-id"], reply.retry_after_ms) == (
            429,
            b"no",
            "a",
            7000,
        )
        assert requests[0].startswith(b"POST /send HTTP/1.1\r\n") and requests[0].endswith(
            b"\r\n\r\nhello"
        )


@both
@pytest.mark.parametrize(
    ("behave", "reason"),
    [
        (cut, Reason.CONNECTION_LOST),
        (saying(HALF, then_close=True), Reason.CONNECTION_LOST),
        (saying(ENDLESS), Reason.RESPONSE_UNREADABLE),
        (saying(packed(b"x" * 9_000_000)), Reason.RESPONSE_UNREADABLE),
        (saying(packed(b"whole", cut_at=-3)), Reason.RESPONSE_UNREADABLE),
        (saying(packed(b"odd", "br")), Reason.RESPONSE_UNREADABLE),
    ],
    ids=["cut", "half", "endless", "bomb", "torn", "foreign"],
)
async def test_once_bytes_have_left_a_broken_answer_is_unknown_and_never_repeated(
    make: Make, behave: Behave, reason: Reason
) -> None:
    async with server(behave) as (url, requests), opened(make()) as made:
        outcome = await post(made, url)
        assert isinstance(outcome, Unknown)
        assert (outcome.reason, len(requests)) == (reason, 1)


@both
async def test_an_answer_that_is_no_http_is_unknown(make: Make) -> None:
    async with (
        server(saying(b"220 mail.example ESMTP\r\n\r\n", then_close=True)) as (url, requests),
        opened(make()) as made,
    ):
        assert isinstance(await post(made, url), Unknown)
        assert len(requests) == 1


@both
@pytest.mark.parametrize("behave", [hang, drip])
async def test_no_whole_answer_before_the_deadline_is_unknown(make: Make, behave: Behave) -> None:
    async with server(behave) as (url, requests), opened(make()) as made:
        outcome = await post(made, url, timeout_ms=300)
        assert isinstance(outcome, Unknown)
        assert (outcome.reason, len(requests)) == (Reason.TIMED_OUT, 1)


@both
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_a_kept_connection_that_is_dropped_after_reading_is_not_used_to_send_again(
    make: Make, method: str
) -> None:
    async with server(once_then(cut)) as (url, requests), opened(make()) as made:
        assert isinstance(await post(made, url, method=method), HttpReply)
        assert isinstance(await post(made, url, method=method), Unknown)
        assert len(requests) == 2


@both
async def test_a_redirect_is_not_followed(make: Make) -> None:
    async with server(saying(ELSEWHERE)) as (url, requests), opened(make()) as made:
        reply = await post(made, url)
        assert isinstance(reply, HttpReply)
        assert (reply.status, len(requests)) == (307, 1)


@both
async def test_no_compression_is_asked_for_and_gzip_that_comes_all_the_same_is_read(
    make: Make,
) -> None:
    async with server(saying(packed(b'{"id": 7}'))) as (url, requests), opened(make()) as made:
        reply = await post(made, url)
        assert isinstance(reply, HttpReply)
        assert reply.json() == {"id": 7}
        assert b"accept-encoding: identity\r\n" in requests[0].lower()


@both
async def test_cookies_are_never_sent_back(make: Make) -> None:
    async with server(saying(COOKIE)) as (url, requests), opened(make()) as made:
        await post(made, url)
        await post(made, url)
        assert [b"cookie:" in request.lower() for request in requests] == [False, False]


@both
async def test_a_proxy_of_the_environment_is_not_used(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    async with server(answer) as (url, _), opened(make()) as made:
        assert isinstance(await post(made, url), HttpReply)


@both
async def test_a_request_without_a_body_is_complete(make: Make) -> None:
    async with server(answer) as (url, requests), opened(make()) as made:
        assert isinstance(await post(made, url, body=b""), HttpReply)
        assert b"content-length: 0\r\n" in requests[0].lower()


@both
@pytest.mark.parametrize(
    "wrong", [{"headers": {"x-name": "a\r\nBcc: b"}}, {"url": "ftp://127.0.0.1/x"}]
)
async def test_a_request_that_cannot_be_written_is_refused_and_leaves_nothing(
    make: Make, wrong: dict[str, object]
) -> None:
    async with server(answer) as (url, requests), opened(make()) as made:
        outcome = await post(made, **{"url": url, **wrong})  # type: ignore[arg-type]
        assert isinstance(outcome, Refused)
        assert (outcome.reason, outcome.code, requests) == (
            Reason.REFUSED_CONTENT,
            "invalid_request",
            [],
        )


@both
async def test_a_guarded_call_to_a_private_address_is_refused_before_anything_leaves(
    make: Make,
) -> None:
    async with server(answer) as (url, requests), opened(make()) as made:
        outcome = await post(made, url, guarded=True)
        assert isinstance(outcome, Refused)
        assert (outcome.code, requests.connections) == ("endpoint_forbidden", 0)


async def test_what_a_user_s_url_answers_is_kept_short() -> None:
    body = b"x" * (GUARDED_BODY_BYTES_MAX + 1)
    said = saying(b"HTTP/1.1 201 Created\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    async with server(said) as (url, _):
        guard = EgressGuard(allow=[url.removesuffix("/send")])
        async with opened(aiohttp_sender(guard=guard)) as made:
            outcome = await post(made, url, guarded=True)
            assert isinstance(outcome, Unknown)
            assert outcome.reason is Reason.RESPONSE_UNREADABLE
            assert isinstance(await post(made, url), HttpReply)
