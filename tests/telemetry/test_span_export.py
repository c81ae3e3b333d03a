"""A collector that is away holds nobody up: what it cannot get is counted. Logs, exemplars."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import aiohttp
import pytest
import structlog
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from orchestrator.app.app import App
from orchestrator.primitives.trace_context import TraceContext, trace_id_of
from orchestrator.telemetry import span_export
from orchestrator.telemetry.logging import configure_logging
from orchestrator.telemetry.span_export import SpanExport
from orchestrator.telemetry.tracing import Span
from tests.app.site import Site, lay_out
from tests.telemetry.collector import collecting

MESSAGE = "01KXQ4N6ZZ3V5Q8W9E7R2T1Y0P"
SPAN = Span("call", TraceContext("a" * 32, "b" * 16), None, 1, 2, {"kaskad.channel": "sms"})
OPENMETRICS = {"Accept": "application/openmetrics-text; version=1.0.0"}


async def test_what_a_full_queue_and_a_refusing_collector_do_not_take_is_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(span_export, "QUEUE_MAX", 5)
    monkeypatch.setattr(span_export, "FIRST_PAUSE_SECONDS", 0.05)
    dropped, sent = Counter[str](), Counter[str]()

    def on_dropped(cause: str, count: int) -> None:
        dropped[cause] += count

    def on_sent(count: int) -> None:
        sent["sent"] += count

    async with collecting() as collector:
        collector.status = 400
        export = SpanExport(collector.url, {}, {"service.name": "k"}, on_sent, on_dropped)
        for _ in range(7):
            export.put(SPAN)
        assert dropped == {"queue_full": 2}
        export.start()
        async with asyncio.timeout(30):
            while dropped["not_taken"] < 5:  # noqa: ASYNC110  it is another thread's
                await asyncio.sleep(0.02)
        collector.status = 200
        export.put(SPAN)
        await asyncio.to_thread(export.stop, 20.0)
        assert (sent["sent"], dropped) == (1, {"queue_full": 2, "not_taken": 5})
        assert [one.name for one in collector.spans] == ["call"]


async def test_messages_go_on_while_the_collector_is_away(tmp_path: Path) -> None:
    traces = 'telemetry: {traces: {endpoint: "http://127.0.0.1:1"}}'
    app = App(lay_out(tmp_path, more=traces), {})
    await app.start()
    try:
        async with aiohttp.ClientSession() as session:
            site = Site(app, session)
            _, answer = await site.post(site.event())
            [message] = answer["results"][0]["messages"]
            url = f"{site.admin}/metrics"
            async with asyncio.timeout(30):
                while "kaskad_send_duration_seconds_count" not in await text(session, url):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            shown = await text(session, url, OPENMETRICS)
            plain = await text(session, url)
    finally:
        await app.stop()
    assert f'# {{trace_id="{trace_id_of(message)}"}}' in shown
    read = text_string_to_metric_families(shown)  # type: ignore[no-untyped-call]
    assert {one.name for one in read} > {"kaskad_events"}
    assert "trace_id" not in plain


async def text(session: aiohttp.ClientSession, url: str, headers: dict[str, str] = {}) -> str:  # noqa: B006
    async with session.get(url, headers=headers) as answer:
        return await answer.text()


@pytest.mark.parametrize("traces", [True, False])
def test_a_line_about_a_message_names_its_trace(
    traces: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging("info", "json", traces)
    try:
        structlog.get_logger().info("dispatch.send_failed", message_id=MESSAGE)
        structlog.get_logger().info("service.started")
    finally:
        configure_logging("warning", "json")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    expected = trace_id_of(MESSAGE) if traces else None
    assert [line.get("trace_id") for line in lines] == [expected, None]


def test_without_traces_opentelemetry_is_not_imported(tmp_path: Path) -> None:
    config = lay_out(tmp_path)
    code = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from orchestrator.app.app import App\n"
        "async def run():\n"
        f"    app = App(Path({str(config)!r}), {{}})\n"
        "    await app.start()\n"
        "    await app.stop()\n"
        "asyncio.run(run())\n"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
