"""
Idle, half-open and too many connections, and bytes that are no request, on real sockets; at last
against a real process with few file descriptors.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from aiohttp import web

from orchestrator.api.app import Listener, build_app
from orchestrator.api.connections import ConnectionLimits, limits_of
from orchestrator.api.fast_path import open_runner
from orchestrator.api.problems import SAFE_HEADERS
from tests.api.site import Site
from tests.support.ports import free_port

LIVE = b"GET /livez HTTP/1.1\r\nHost: k\r\n\r\n"
LISTENERS = (Listener.PUBLIC, Listener.ADMIN, Listener.CONTROL)
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def listening(site: Site, listener: Listener, limits: ConnectionLimits) -> AsyncIterator[int]:
    runner = await open_runner(build_app(listener, site.deps()), limits)
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def ask(stream: Stream, request: bytes = LIVE) -> bytes:
    """What comes back: the answer of a kept connection, or all there is until it is closed."""
    reader, writer = stream
    writer.write(request)
    return await asyncio.wait_for(reader.read(65_536), 20)


async def ended(stream: Stream) -> bool:
    """Whether the other side closes this connection."""
    try:
        return await asyncio.wait_for(stream[0].read(), 20) == b""
    except ConnectionError:
        return True


@pytest.mark.parametrize("listener", LISTENERS)
@pytest.mark.parametrize(
    "begun",
    [b"", b"GET", b"GET /livez HTT", b"GET /livez HTTP/1.1\r\nHost: k\r\nX-", b"\r\n\r\n"],
)
async def test_a_connection_without_a_whole_request_is_closed(
    site: Site, listener: Listener, begun: bytes
) -> None:
    async with listening(site, listener, ConnectionLimits(9, head_seconds=0.2)) as port:
        stream = await asyncio.open_connection("127.0.0.1", port)
        stream[1].write(begun)
        assert await ended(stream)


async def test_bytes_that_come_one_by_one_do_not_keep_a_connection_open(site: Site) -> None:
    async with listening(site, Listener.PUBLIC, ConnectionLimits(9, head_seconds=0.5)) as port:
        stream = await asyncio.open_connection("127.0.0.1", port)

        async def drip() -> None:
            for letter in LIVE[:-1] * 20:
                stream[1].write(bytes([letter]))
                await asyncio.sleep(0.05)

        dripping = asyncio.create_task(drip())
        assert await ended(stream)
        dripping.cancel()


async def test_a_connection_that_is_idle_between_requests_is_closed(site: Site) -> None:
    limits = ConnectionLimits(9, idle_seconds=0.3)
    async with listening(site, Listener.PUBLIC, limits) as port:
        stream = await asyncio.open_connection("127.0.0.1", port)
        assert b" 200 " in await ask(stream)
        assert await ended(stream)


async def test_a_reader_that_does_not_read_is_cut_off(site: Site) -> None:
    limits = ConnectionLimits(9, stalled_seconds=0.2)
    async with listening(site, Listener.PUBLIC, limits) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1_024)
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        for _ in range(400):
            writer.write(b"GET /openapi.json HTTP/1.1\r\nHost: k\r\n\r\n")
        with pytest.raises(ConnectionError):
            while True:
                await asyncio.sleep(0.05)
                writer.write(LIVE)
                await asyncio.wait_for(writer.drain(), 20)
    assert (
        'connections_cut_total{cause="stalled",listener="public"} 1.0'
        in (await site.admin.get("/metrics")).text
    )


async def test_beyond_the_limit_the_oldest_idle_connection_makes_room(site: Site) -> None:
    async with listening(site, Listener.PUBLIC, ConnectionLimits(5)) as port:
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(30)]
        fresh = await asyncio.open_connection("127.0.0.1", port)
        assert b" 200 " in await ask(fresh)
        assert all([await ended(one) for one in idle[:20]])
        assert b" 200 " in await ask(idle[-1])


@pytest.mark.parametrize("listener", LISTENERS)
@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"nonsense canary-7f\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 400),
        (b"GET /livez HTTP/1.1\r\nHost: k\r\nX: " + b"a" * 20_000 + b"\r\n\r\n", 400),
        (b"GET /livez HTTP/1.1\r\nHost: k\r\nbad header canary-7f\r\n\r\n", 400),
        (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: k\r\n\r\n", 400),
        (b"POST /livez HTTP/1.1\r\nHost: k\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST /x HTTP/1.1\r\nHost: k\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n", 400),
        (b"GET /canary-7f HTTP/1.1\r\nHost: k\r\nConnection: close\r\n\r\n", 404),
        (b"GET /..%2f..%2fetc HTTP/1.1\r\nHost: k\r\nConnection: close\r\n\r\n", 404),
        (b"GET /livez HTTP/1.1\r\nHost: k\r\nExpect: canary-7f\r\nConnection: close\r\n\r\n", 417),
    ],
)
async def test_every_refusal_has_the_safe_headers_and_shows_no_version(
    site: Site, listener: Listener, request_bytes: bytes, status: int
) -> None:
    async with listening(site, listener, ConnectionLimits(9)) as port:
        answer = await ask(await asyncio.open_connection("127.0.0.1", port), request_bytes)
    head = answer.partition(b"\r\n\r\n")[0].decode()
    assert head.startswith((f"HTTP/1.1 {status} ", f"HTTP/1.0 {status} ")), answer
    for name, value in {**SAFE_HEADERS, "Server": "kaskad"}.items():
        assert f"\r\n{name}: {value}" in head
    for word in (b"aiohttp", b"Python", b"canary-7f", b"Traceback"):
        assert word not in answer


async def test_garbage_writes_no_log_line(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    async with listening(site, Listener.PUBLIC, ConnectionLimits(9)) as port:
        for _ in range(20):
            await ask(await asyncio.open_connection("127.0.0.1", port), b"garbage\r\n\r\n")
    assert "garbage" not in capsys.readouterr().err


@contextmanager
def descriptors(most: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_the_listeners_leave_descriptors_for_the_store_and_the_providers() -> None:
    for most in (512, 1_024, 4_096):
        with descriptors(most):
            assert sum(limits_of(listener).most for listener in LISTENERS) <= most * 3 // 4


CONFIG = """
store: sqlite:///./k.db
http: {{listen: "127.0.0.1:{port}", admin: "127.0.0.1:{admin}", auth: "off"}}
channels: {{sms: [{{provider: texts, adapter: log}}]}}
"""
POLICY = "policy: hello\ntrigger: {event: shop.hello}\ncascade: [{channel: sms}]\n"


async def test_a_thousand_idle_sockets_stop_none_of_a_process_s_listeners(tmp_path: Path) -> None:
    port, admin = free_port(), free_port()
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "hello.yaml").write_text(POLICY)
    (tmp_path / "templates" / "hello").mkdir(parents=True)
    (tmp_path / "templates" / "hello" / "sms.text.j2").write_text("Hi")
    (tmp_path / "governance.yaml").write_text("sms_countries: [UA]\n")
    config = tmp_path / "kaskad.yaml"
    config.write_text(CONFIG.format(port=port, admin=admin) + "templates: ./templates\n")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from orchestrator.cli import main; main()"),
        *("run", "--config", str(config)),
        cwd=os.getcwd(),
        stderr=(tmp_path / "log").open("wb"),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (400, 400)),
    )
    streams: list[Stream] = []

    async def answers(port: int) -> bool:
        try:
            stream = await asyncio.open_connection("127.0.0.1", port)
            streams.append(stream)
            return b" 200 " in await ask(stream)
        except ConnectionError:
            return False

    try:
        async with asyncio.timeout(60):
            while not await answers(admin):
                assert process.returncode is None, (tmp_path / "log").read_text()[-2_000:]
                await asyncio.sleep(0.2)
        for target in (port, admin):
            for begun in (b"", b"GET /livez"):
                for _ in range(275):
                    stream = await asyncio.open_connection("127.0.0.1", target)
                    stream[1].write(begun)
                    streams.append(stream)
        assert await answers(port)
        assert await answers(admin)
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "k.db.sock"))
        assert b" 200 " in await ask((reader, writer), LIVE.replace(b"/livez", b"/control/keys"))
        writer.close()
    finally:
        for stream in streams:
            stream[1].close()
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 60) == 0, (tmp_path / "log").read_text()
