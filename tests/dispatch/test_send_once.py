"""A request is withdrawn in time, sent over a new connection, or written exactly once."""

from __future__ import annotations

import asyncio
import itertools
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from orchestrator.channels import HttpReply
from orchestrator.core.outcomes import NotSent, Unknown
from orchestrator.core.reasons import Reason
from orchestrator.dispatch.egress import EgressGuard
from tests.dispatch.test_senders import Make, both
from tests.dispatch.wires import (
    OK,
    aiohttp_sender,
    answer,
    hang,
    http2_sender,
    opened,
    post,
    server,
)


class Steps:
    """A clock that stands still, and at its ``jump``-th reading is an hour on."""

    def __init__(self) -> None:
        self.readings = 0
        self.jump: int | None = None

    def __call__(self) -> float:
        self.readings += 1
        return 3600.0 if self.jump is not None and self.readings >= self.jump else 0.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# ---- withdrawn


@both
async def test_a_send_whose_time_to_start_has_passed_never_connects(make: Make) -> None:
    async with server(answer) as (url, requests), opened(make()) as made:
        outcome = await post(made, url, within=-0.001)
        assert isinstance(outcome, NotSent)
        assert (outcome.reason, requests.connections) == (Reason.START_TOO_LATE, 0)


@both
@pytest.mark.parametrize("body", [b"hello", b""])
@pytest.mark.parametrize("kept", [False, True], ids=["new connection", "kept connection"])
async def test_at_whichever_look_the_time_runs_out_nothing_leaves(
    make: Make, body: bytes, kept: bool
) -> None:
    """
    The clock is read a few times on the way; let the time be up at each reading in turn, the last
    one included.
    """
    clock = Steps()
    async with server(answer) as (url, requests):
        for reading in itertools.count(1):
            clock.jump = None
            async with opened(make(monotonic=clock)) as made:
                if kept:
                    await post(made, url, now=0, body=body)
                before, clock.readings, clock.jump = len(requests), 0, reading
                outcome = await post(made, url, now=0, body=body)
            if clock.readings < reading:
                break
            assert isinstance(outcome, NotSent)
            assert len(requests) == before
        assert isinstance(outcome, HttpReply)
        assert reading > 2


class SlowNames(AbstractResolver):
    """Resolves everything to loopback, after ``then`` was called."""

    def __init__(self, clock: Steps) -> None:
        self.clock = clock

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.clock.jump = 0
        found = {
            "hostname": host,
            "host": "127.0.0.1",
            "port": port,
            "family": socket.AF_INET,
            "proto": 0,
            "flags": 0,
        }
        return [ResolveResult(**found)]  # type: ignore[typeddict-item]

    async def close(self) -> None:
        return None


async def test_a_connection_that_was_made_too_late_is_closed_and_not_leaked() -> None:
    clock = Steps()
    async with server(answer) as (url, requests):
        place = url.replace("127.0.0.1", "push.example")
        guard = EgressGuard(allow=[place.removesuffix("/send")], resolver=SlowNames(clock))
        async with opened(aiohttp_sender(guard=guard, monotonic=clock)) as made:
            outcome = await post(made, place, now=0, guarded=True)
            assert isinstance(outcome, NotSent)
            assert outcome.reason is Reason.START_TOO_LATE
            await requests.until(lambda: requests.silent == 1)
        assert (requests.connections, requests) == (1, [])


@both
async def test_where_every_slot_is_taken_the_send_is_withdrawn_in_time(make: Make) -> None:
    async with server(hang) as (url, requests), opened(make(connections=1)) as made:
        first = asyncio.create_task(post(made, url, timeout_ms=500))
        await requests.until(lambda: len(requests) == 1)
        outcome = await post(made, url, within=0.05)
        assert isinstance(outcome, NotSent)
        assert (outcome.reason, len(requests)) == (Reason.START_TOO_LATE, 1)
        assert isinstance(await first, Unknown)


# ---- connecting


@both
async def test_nobody_listening_is_not_sent(make: Make) -> None:
    async with opened(make()) as made:
        outcome = await post(made, f"http://127.0.0.1:{free_port()}/", within=3)
        assert isinstance(outcome, NotSent)
        assert outcome.reason is Reason.CONNECT_FAILED


@both
async def test_a_connection_that_can_be_made_at_a_later_try_is_made(make: Make) -> None:
    port = free_port()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"hello")
        await answer(reader, writer)

    async def late() -> asyncio.Server:
        await asyncio.sleep(0.3)
        return await asyncio.start_server(serve, "127.0.0.1", port)

    starting = asyncio.create_task(late())
    async with opened(make()) as made:
        assert isinstance(await post(made, f"http://127.0.0.1:{port}/"), HttpReply)
    (await starting).close()


class NoNames(SlowNames):
    """Never finds anything out."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        await asyncio.sleep(3600)
        raise AssertionError


async def test_a_name_that_nobody_resolves_holds_a_send_no_longer_than_it_may_start() -> None:
    guard = EgressGuard(allow=["http://push.example:8000"], resolver=NoNames(Steps()))
    async with opened(aiohttp_sender(guard=guard)) as made, asyncio.timeout(20):
        outcome = await post(
            made, "http://push.example:8000/", guarded=True, within=0.1, timeout_ms=3_600_000
        )
        assert isinstance(outcome, NotSent)
        assert outcome.reason is Reason.CONNECT_FAILED


@pytest.fixture
def own_certificate(tmp_path: Path) -> ssl.SSLContext:
    """The server side of TLS, with a certificate that nobody else trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    path = tmp_path / "server.pem"
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    path.write_bytes(pem + made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


@both
async def test_a_certificate_that_is_not_trusted_gets_nothing(
    make: Make, own_certificate: ssl.SSLContext
) -> None:
    async with server(answer, ssl=own_certificate) as (url, requests), opened(make()) as made:
        outcome = await post(made, url, within=0.5)
        assert isinstance(outcome, NotSent)
        assert (outcome.reason, requests) == (Reason.CONNECT_FAILED, [])


@both
async def test_a_server_that_speaks_no_tls_gets_nothing(make: Make) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK)
        read.append(await reader.read(65_536))
        writer.close()

    read: list[bytes] = []
    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening, opened(make()) as made:
        outcome = await post(
            made, f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}/", within=3
        )
        assert isinstance(outcome, NotSent)
        assert outcome.reason is Reason.CONNECT_FAILED
        assert not any(b"hello" in words for words in read)


# ---- kept connections


@contextmanager
def quick_closer() -> Iterator[tuple[str, list[bytes], threading.Event]]:
    """
    A server in a thread that closes each connection after its first answer, without saying so; and
    when it has.
    """
    listening = socket.create_server(("127.0.0.1", 0))
    read: list[bytes] = []
    closed = threading.Event()

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                words = b""
                while not words.endswith(b"hello") and (more := connection.recv(65_536)):
                    words += more
                read.append(words)
                connection.sendall(OK)
                answered.wait(10)
            closed.set()

    answered = threading.Event()
    closed.answered = answered  # type: ignore[attr-defined]
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/", read, closed
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(10)


@both
async def test_a_kept_connection_that_its_server_has_closed_is_noticed_before_the_write(
    make: Make,
) -> None:
    """
    Even if the event loop has had no time to notice: nothing is written there, and the send
    gets through.
    """
    with quick_closer() as (url, read, closed):
        async with opened(make()) as made:
            assert isinstance(await post(made, url), HttpReply)
            closed.answered.set()  # type: ignore[attr-defined]
            assert closed.wait(10)  # the loop stands still meanwhile, on purpose
            assert isinstance(await post(made, url), HttpReply)
    assert len(read) == 2


@both
async def test_connections_are_kept(make: Make) -> None:
    async with server(answer) as (url, requests), opened(make()) as made:
        for _ in range(3):
            assert isinstance(await post(made, url), HttpReply)
        assert (requests.connections, len(requests)) == (1, 3)


# ---- HTTP/2


async def serve_http2(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, read: list[bytes]
) -> None:
    """Answer every request over HTTP/2, by prior knowledge."""
    connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    connection.initiate_connection()
    writer.write(connection.data_to_send())
    with suppress(asyncio.CancelledError):
        while words := await reader.read(65_536):
            for event in connection.receive_data(words):
                if isinstance(event, h2.events.DataReceived) and event.data:
                    read.append(event.data)
                elif isinstance(event, h2.events.StreamEnded):
                    connection.send_headers(event.stream_id, [(":status", "200"), ("apns-id", "7")])
                    connection.send_data(event.stream_id, b"ok", end_stream=True)
            writer.write(connection.data_to_send())
    writer.close()


async def test_http2_requests_are_answered_and_withdrawn_like_any_other() -> None:
    read: list[bytes] = []
    listening = await asyncio.start_server(lambda r, w: serve_http2(r, w, read), "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/3/device/x"
    clock = Steps()
    async with listening, opened(http2_sender(monotonic=clock)) as made:
        reply = await post(made, url, now=0, http2_only=True)
        assert isinstance(reply, HttpReply)
        assert (reply.body, reply.headers["apns-id"]) == (b"ok", "7")
        clock.readings = 0
        assert isinstance(await post(made, url, now=0, http2_only=True), HttpReply)
        used = clock.readings
        for reading in range(1, used + 1):
            clock.readings, clock.jump = 0, reading
            assert isinstance(await post(made, url, now=0, http2_only=True), NotSent)
        clock.jump = None
        assert isinstance(await post(made, url, now=0, http2_only=True), HttpReply)
        assert read == [b"hello", b"hello", b"hello"]


async def test_the_clock_of_a_reply_is_the_one_that_was_given() -> None:
    async with server(answer) as (url, _), opened(aiohttp_sender()) as made:
        before = time.time()
        reply = await post(made, url)
        assert isinstance(reply, HttpReply)
        assert before <= reply.now <= time.time()
