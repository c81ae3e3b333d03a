"""
One trace a message, in a real collector: a real service with a stand-in provider takes an event
whose publisher traces it.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from kaskad_client import verify_webhook
from orchestrator.primitives.trace_context import span_id_of, trace_id_of
from tests.support.ports import free_port
from tests.telemetry.collector import collecting

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PUBLISHER = f"00-{TRACE}-{SPAN}-01"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
COMMAND = [sys.executable, "-m", "orchestrator.cli"]
MORE = """
telemetry:
  traces: {{endpoint: "{collector}", authorization: "${{env:COLLECTOR}}", service_name: shop}}
statuses: {{webhooks: [{{url: "{hook}", secret: {secret}}}]}}
"""
SERVER, CLIENT = 2, 3
"""Kinds of spans on the wire."""


class Hooks:
    """Takes status events, with the trace context beside each."""

    def __init__(self) -> None:
        self.taken: list[tuple[str | None, Mapping[str, Any]]] = []

    async def post(self, request: web.Request) -> web.Response:
        event = verify_webhook(SECRET, request.headers, await request.read())
        self.taken.append((request.headers.get("traceparent"), event))
        return web.Response(status=204)


@asynccontextmanager
async def hooked() -> AsyncIterator[tuple[Hooks, str]]:
    found = Hooks()
    app = web.Application()
    app.router.add_post("/hook", found.post)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield found, f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def service(folder: Path, **places: str) -> AsyncIterator[str]:
    """A new project's service and its stand-ins; its address. Its log is ``log.jsonl``."""
    await (
        await asyncio.create_subprocess_exec(
            *COMMAND, "init", str(folder), "--channels", "sms", stdout=asyncio.subprocess.DEVNULL
        )
    ).wait()
    config = folder / "config/kaskad.yaml"
    text = config.read_text() + MORE.format(secret=SECRET, **places)
    for port in sorted(set(re.findall(r"127\.0\.0\.1:(\d+)", text.split("telemetry:")[0]))):
        text = text.replace(f"127.0.0.1:{port}", f"127.0.0.1:{free_port()}")
    config.write_text(text)
    [address] = re.findall(r'listen: "?(127\.0\.0\.1:\d+)', text)
    [admin] = re.findall(r'admin: "?(127\.0\.0\.1:\d+)', text)
    with (folder / "log.jsonl").open("w") as log:
        process = await asyncio.create_subprocess_exec(
            *(*COMMAND, "run", "--sandbox"),
            cwd=folder,
            env={**os.environ, "COLLECTOR": "Basic abc"},
            stdout=log,
            stderr=log,
        )
    try:
        async with asyncio.timeout(60), aiohttp.ClientSession() as session:
            while not await is_ready(session, f"http://{admin}/readyz"):
                assert process.returncode is None, (folder / "log.jsonl").read_text()
                await asyncio.sleep(0.1)
        yield f"http://{address}"
    finally:
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0, (folder / "log.jsonl").read_text()


async def is_ready(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url) as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


async def test_a_message_has_one_trace_that_is_linked_to_its_publishers(tmp_path: Path) -> None:
    async with collecting() as collector, hooked() as (hooks, hook):
        async with service(tmp_path, collector=collector.url, hook=hook) as address:
            event = json.loads((tmp_path / "event.json").read_text())
            headers = {
                "Content-Type": "application/cloudevents+json",
                "traceparent": PUBLISHER,
            }
            async with (
                aiohttp.ClientSession() as session,
                session.post(f"{address}/v1/events", json=event, headers=headers) as answer,
            ):
                assert answer.status == 202, await answer.text()
                [result] = (await answer.json())["results"]
            [message] = result["messages"]
            found = await collector.until(
                "publish", "accept", "gates", "render", "call", "receipt", "ended"
            )
        own, root = trace_id_of(message), span_id_of(message, "accept")
        publish, accept, call = found["publish"], found["accept"], found["call"]
        assert (publish.trace, publish.parent, publish.kind) == (TRACE, SPAN, SERVER)
        assert publish.links == [(own, root)]
        assert (accept.trace, accept.id, accept.parent) == (own, root, "")
        assert accept.links == [(TRACE, SPAN)]
        for name in ("gates", "render", "call", "ended"):
            assert (found[name].trace, found[name].parent) == (own, root), name
        assert (found["receipt"].trace, found["receipt"].parent) == (own, call.id)
        assert {"consent", "suppression"} <= set(found["gates"].events)
        assert call.kind == CLIENT
        expected = {"kaskad.channel": "sms", "kaskad.provider": "twilio"}
        assert call.attributes.items() >= {**expected, "kaskad.outcome": "accepted"}.items()
        assert found["receipt"].attributes["kaskad.state"] == "delivered"
        assert found["ended"].attributes["kaskad.status"] == "succeeded"
        assert {one.service for one in collector.spans} == {"shop"}
        assert all(one.start <= one.end for one in collector.spans)
        assert collector.headers[0]["authorization"] == "Basic abc"
        assert "380501234567" not in str(collector.spans)
        assert hooks.taken
        assert {header for header, _ in hooks.taken} == {f"00-{own}-{root}-01"}
        assert all(event["traceparent"] == header for header, event in hooks.taken)
