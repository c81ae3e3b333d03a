"""A collector of traces: a small OTLP/HTTP server on a real socket."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


class SpanSeen(NamedTuple):
    """A span as it came over the wire, ids in hexadecimal."""

    name: str
    trace: str
    id: str
    parent: str
    kind: int
    links: list[tuple[str, str]]
    attributes: dict[str, Any]
    events: list[str]
    start: int
    end: int
    failed: str
    service: str


class Collector:
    """Takes spans, or answers ``status`` instead."""

    def __init__(self) -> None:
        self.spans: list[SpanSeen] = []
        self.headers: list[dict[str, str]] = []
        self.status = 200
        self.requests = 0
        self.url = ""

    async def post(self, request: web.Request) -> web.Response:
        self.requests += 1
        body = await request.read()
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        if self.status != 200:
            return web.Response(status=self.status)
        if request.headers.get("Content-Encoding") == "gzip" and body[:2] == b"\x1f\x8b":
            body = gzip.decompress(body)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = attributes_of(resource.resource)["service.name"]
            for scope in resource.scope_spans:
                self.spans += [seen(one, service) for one in scope.spans]
        answer = ExportTraceServiceResponse().SerializeToString()
        return web.Response(body=answer, content_type="application/x-protobuf")

    async def until(self, *names: str) -> dict[str, SpanSeen]:
        """The latest span of each name, once there is one of each."""
        async with asyncio.timeout(60):
            while not {one.name for one in self.spans} >= set(names):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        return {one.name: one for one in self.spans}


def attributes_of(found: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in found.attributes}


def seen(span: Any, service: str) -> SpanSeen:
    return SpanSeen(
        name=span.name,
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        kind=span.kind,
        links=[(one.trace_id.hex(), one.span_id.hex()) for one in span.links],
        attributes=attributes_of(span),
        events=[one.name for one in span.events],
        start=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
        failed=span.status.message,
        service=service,
    )


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    """A collector that listens on a port of its own."""
    found = Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", found.post)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield found
    finally:
        await runner.cleanup()
