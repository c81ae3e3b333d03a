"""The HTTP/2 sender against a real HTTP/2 server: what provably was not processed goes again."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import uvloop

from orchestrator.channels import HttpReply
from orchestrator.core.outcomes import NotSent, Unknown
from orchestrator.core.reasons import Reason
from orchestrator.dispatch import http2, senders
from orchestrator.sandbox.http2 import AnswerTo, Http2Answer, Http2Request, Http2Server, Instead
from orchestrator.sandbox.tls import own_certificate
from tests.dispatch.test_send_once import Steps
from tests.dispatch.wires import aiohttp_sender, answer, http2_sender, opened, post, server

OK = Http2Answer(200, {"apns-id": "7"}, b"ok")


class Script:
    """Requests in the order of their arrival, and what each gets; the last answer repeats."""

    def __init__(self, *answers: Http2Answer | Instead) -> None:
        self.answers = list(answers or (OK,))
        self.seen: list[Http2Request] = []
        self.gates: dict[int, asyncio.Event] = {}
        self.arrived = asyncio.Event()

    async def __call__(self, request: Http2Request) -> Http2Answer | Instead:
        number = len(self.seen)
        self.seen.append(request)
        self.arrived.set()
        if number in self.gates:
            await self.gates[number].wait()
        return self.answers[min(number, len(self.answers) - 1)]

    async def until(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.seen) < count:
                self.arrived.clear()
                await self.arrived.wait()


@asynccontextmanager
async def http2_server(script: AnswerTo, streams_max: int = 100) -> AsyncIterator[Http2Server]:
    made = Http2Server(script, streams_max)
    await made.start("127.0.0.1")
    try:
        yield made
    finally:
        await made.stop()


def url_of(made: Http2Server, scheme: str = "http") -> str:
    return f"{scheme}://127.0.0.1:{made.port}/3/device/x"


async def test_many_requests_share_one_connection() -> None:
    script = Script()
    async with http2_server(script) as there, opened(http2_sender()) as made:
        calls = [post(made, url_of(there), http2_only=True) for _ in range(50)]
        replies = await asyncio.gather(*calls)
        assert {reply.body for reply in replies if isinstance(reply, HttpReply)} == {b"ok"}
        assert there.connections == 1
        assert [one.body for one in script.seen] == [b"hello"] * 50
        assert isinstance(replies[0], HttpReply) and replies[0].headers["apns-id"] == "7"
        assert replies[0].request is not None and replies[0].request.body == b"hello"


async def test_no_more_streams_are_opened_than_the_server_takes() -> None:
    script = Script()
    script.gates = {number: asyncio.Event() for number in range(2)}
    async with http2_server(script, streams_max=2) as there, opened(http2_sender()) as made:
        calls = [asyncio.create_task(post(made, url_of(there), http2_only=True)) for _ in range(5)]
        await script.until(2)
        await asyncio.sleep(0)
        assert len(script.seen) == 2
        for gate in script.gates.values():
            gate.set()
        assert all(isinstance(one, HttpReply) for one in await asyncio.gather(*calls))


@pytest.mark.parametrize("instead", [Instead.GO_AWAY, Instead.REFUSE_STREAM])
async def test_a_request_that_was_not_processed_goes_again(instead: Instead) -> None:
    script = Script(instead, OK)
    async with http2_server(script) as there, opened(http2_sender()) as made:
        reply = await post(made, url_of(there), http2_only=True)
        assert isinstance(reply, HttpReply) and reply.status == 200
        assert len(script.seen) == 2
        assert there.connections == (2 if instead is Instead.GO_AWAY else 1)


async def test_it_does_not_go_again_once_its_time_to_start_is_over() -> None:
    clock = Steps()

    async def late(request: Http2Request) -> Http2Answer | Instead:
        clock.readings, clock.jump = 0, 0
        return Instead.GO_AWAY

    async with http2_server(late) as there, opened(http2_sender(monotonic=clock)) as made:
        outcome = await post(made, url_of(there), http2_only=True, now=0)
        assert outcome == NotSent(Reason.START_TOO_LATE)


async def test_an_answer_that_comes_after_the_goaway_counts() -> None:
    script = Script(OK, Instead.GO_AWAY, OK)
    script.gates[0] = asyncio.Event()
    async with http2_server(script) as there, opened(http2_sender()) as made:
        first = asyncio.create_task(post(made, url_of(there), http2_only=True))
        await script.until(1)
        second = await post(made, url_of(there), http2_only=True)
        assert isinstance(second, HttpReply) and script.seen[2].connection == 2
        script.gates[0].set()
        reply = await first
        assert isinstance(reply, HttpReply) and reply.status == 200


async def test_answers_that_are_on_their_way_outlive_a_connection_that_hung_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    script = Script()
    script.gates[0] = asyncio.Event()
    async with http2_server(script) as there, opened(http2_sender()) as made:
        first = asyncio.create_task(post(made, url_of(there), http2_only=True))
        await script.until(1)
        monkeypatch.setattr(senders, "hung_up", lambda transport: True)
        assert isinstance(await post(made, url_of(there), http2_only=True), HttpReply)
        script.gates[0].set()
        assert isinstance(await first, HttpReply)
        assert [one.connection for one in script.seen] == [1, 2]


async def test_a_connection_that_is_cut_leaves_its_requests_unknown() -> None:
    script = Script(Instead.CUT, OK)
    async with http2_server(script) as there, opened(http2_sender()) as made:
        outcome = await post(made, url_of(there), http2_only=True)
        assert isinstance(outcome, Unknown) and outcome.reason is Reason.CONNECTION_LOST
        assert isinstance(await post(made, url_of(there), http2_only=True), HttpReply)
        assert len(script.seen) == 2


async def test_a_connection_that_is_silent_for_a_whole_request_is_not_used_again() -> None:
    script = Script()
    script.gates[0] = asyncio.Event()
    async with http2_server(script) as there, opened(http2_sender()) as made:
        outcome = await post(made, url_of(there), http2_only=True, timeout_ms=300)
        assert isinstance(outcome, Unknown) and outcome.reason is Reason.TIMED_OUT
        assert isinstance(await post(made, url_of(there), http2_only=True), HttpReply)
        assert [one.connection for one in script.seen] == [1, 2]


async def test_a_connection_that_was_idle_for_long_is_asked_for_a_sign_of_life(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http2, "IDLE_SECONDS", 0.0)
    async with http2_server(Script()) as there, opened(http2_sender()) as made:
        for _ in range(3):
            assert isinstance(await post(made, url_of(there), http2_only=True), HttpReply)
        assert there.connections == 1


async def test_a_large_body_waits_for_the_server_s_window() -> None:
    script = Script()
    async with http2_server(script) as there, opened(http2_sender()) as made:
        calls = [post(made, url_of(there), http2_only=True, body=b"x" * 40_000) for _ in range(8)]
        assert all(isinstance(one, HttpReply) for one in await asyncio.gather(*calls))
        assert {len(one.body) for one in script.seen} == {40_000}


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_tls_is_checked_against_the_authorities_of_the_call(
    loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(over_tls())


async def over_tls() -> None:
    context, pem = own_certificate("127.0.0.1")
    there = Http2Server(Script())
    await there.start("127.0.0.1", tls=context)
    try:
        async with opened(http2_sender()) as made:
            url = url_of(there, "https")
            trusted = await post(made, url, http2_only=True, ca=pem)
            assert isinstance(trusted, HttpReply) and trusted.status == 200
            strange = await post(made, url, http2_only=True)
            assert isinstance(strange, NotSent) and strange.reason is Reason.CONNECT_FAILED
    finally:
        await there.stop()


async def test_a_server_that_only_has_http_1_is_spoken_to_in_it() -> None:
    context, pem = own_certificate("127.0.0.1")
    context.set_alpn_protocols(["http/1.1"])
    trusting = ssl.create_default_context(cadata=pem)
    async with server(answer, ssl=context) as (url, requests), opened(http2_sender()) as made:
        outcome = await post(made, url, ca=pem)
        assert isinstance(outcome, NotSent), "over HTTP/1.1 the system's authorities count"
        assert requests.silent == 0 and trusting.cert_store_stats()["x509_ca"] == 1


async def test_a_server_that_is_not_there_took_nothing() -> None:
    async with http2_server(Script()) as there:
        url = url_of(there)
    async with opened(http2_sender()) as made:
        outcome = await post(made, url, http2_only=True, within=0.3)
        assert isinstance(outcome, NotSent)


async def test_without_tls_http_1_is_spoken_unless_the_server_has_nothing_else() -> None:
    async with server(answer) as (url, requests), opened(http2_sender()) as made:
        assert isinstance(await post(made, url), HttpReply)
        assert requests[0].startswith(b"POST /send HTTP/1.1")
    async with opened(aiohttp_sender()) as made, http2_server(Script()) as there:
        assert not isinstance(await post(made, url_of(there)), HttpReply)
