"""
Sends spans to a collector over OTLP/HTTP, from a thread of its own.

    a span ──► bounded queue ──► thread ──► OpenTelemetry's exporter ──► collector

Nobody waits for the collector. While it is slow or away the queue fills up, and what finds no room
in it is dropped and counted. OpenTelemetry is the extra ``kaskad[otel]``: it is imported when the
first export starts, and never without one.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from time import thread_time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import structlog

from orchestrator.primitives.trace_context import TraceContext
from orchestrator.telemetry.tracing import Span

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import SpanContext

log = structlog.get_logger()

QUEUE_MAX = 8_192
BATCH_MAX = 512
GATHER_SECONDS = 1.0
"""The longest that a span waits for others to go with it."""
EXPORT_SECONDS = 10.0
"""For one batch, with the exporter's own tries."""
REST_SHARE = 4.0
"""For each second of CPU the thread rests so many: it shares the interpreter with the sends."""
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0
TRACES_PATH = "/v1/traces"

QUEUE_FULL, NOT_TAKEN = "queue_full", "not_taken"
"""Why spans were dropped."""


def traces_url(endpoint: str) -> str:
    """Where spans are posted: a collector's address without a path gets OTLP's own."""
    return endpoint if urlsplit(endpoint).path.strip("/") else endpoint.rstrip("/") + TRACES_PATH


class SpanExport:
    """
    ``resource`` says which process this is, ``headers`` go with each request; ``on_sent`` gets how
    many spans a collector took, ``on_dropped`` why and how many it will never see.
    """

    def __init__(
        self,
        endpoint: str,
        headers: Mapping[str, str],
        resource: Mapping[str, str],
        on_sent: Callable[[int], None] = lambda count: None,
        on_dropped: Callable[[str, int], None] = lambda cause, count: None,
    ) -> None:
        self._url = traces_url(endpoint)
        self._headers = dict(headers)
        self._resource = dict(resource)
        self._on_sent = on_sent
        self._on_dropped = on_dropped
        self._queue: deque[Span] = deque()
        self._filled = threading.Event()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to export. Raises ``ImportError`` without ``kaskad[otel]``."""
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource

        exporter = OTLPSpanExporter(self._url, headers=self._headers, timeout=EXPORT_SECONDS)
        resource = Resource(self._resource)
        self._thread = threading.Thread(
            target=self._run, args=(exporter, resource), name="tracing", daemon=True
        )
        self._thread.start()

    def put(self, span: Span) -> None:
        """Take a span, or drop it; from any thread."""
        if len(self._queue) >= QUEUE_MAX:
            self._on_dropped(QUEUE_FULL, 1)
            return
        self._queue.append(span)
        if len(self._queue) >= BATCH_MAX:
            self._filled.set()

    def stop(self, within_seconds: float) -> None:
        """Export what is left, for so long at most; blocks. What is left then is dropped."""
        self._stopped.set()
        self._filled.set()
        if self._thread is not None:
            self._thread.join(within_seconds)
        if self._queue:
            self._on_dropped(NOT_TAKEN, len(self._queue))

    def _run(self, exporter: Any, resource: Any) -> None:
        pause = FIRST_PAUSE_SECONDS
        while self._queue or not self._stopped.is_set():
            self._filled.wait(GATHER_SECONDS)
            self._filled.clear()
            while batch := self._take():
                busy = thread_time()
                if self._export(exporter, batch, resource):
                    self._on_sent(len(batch))
                    pause = FIRST_PAUSE_SECONDS
                    self._stopped.wait((thread_time() - busy) * REST_SHARE)
                    continue
                self._on_dropped(NOT_TAKEN, len(batch))
                log.warning("tracing.export_failed", count=len(batch), seconds=pause)
                self._stopped.wait(pause)
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
        exporter.shutdown()

    def _take(self) -> list[Span]:
        return [self._queue.popleft() for _ in range(min(len(self._queue), BATCH_MAX))]

    def _export(self, exporter: Any, batch: Sequence[Span], resource: Any) -> bool:
        from opentelemetry.sdk.trace.export import SpanExportResult

        try:
            spans = [readable(one, resource) for one in batch]
            return bool(exporter.export(spans) is SpanExportResult.SUCCESS)
        except Exception:
            log.exception("tracing.exporter_failed", count=len(batch))
            return False


def readable(span: Span, resource: Any) -> ReadableSpan:
    """A span as OpenTelemetry's exporter wants it."""
    from opentelemetry.sdk.trace import Event, ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import Link, SpanKind, Status, StatusCode

    status = Status(StatusCode.ERROR, span.error) if span.error else Status(StatusCode.UNSET)
    return ReadableSpan(
        span.name,
        context=span_context(span.context),
        parent=span_context(span.parent) if span.parent is not None else None,
        resource=resource,
        attributes=span.attributes,
        events=[Event(one.name, one.attributes, one.at_ns) for one in span.events],
        links=[Link(span_context(one)) for one in span.links],
        kind=SpanKind[span.kind.upper()],
        status=status,
        start_time=span.start_ns,
        end_time=span.end_ns,
        instrumentation_scope=InstrumentationScope("kaskad"),
    )


def span_context(context: TraceContext) -> SpanContext:
    from opentelemetry.trace import SpanContext, TraceFlags

    flags = TraceFlags(TraceFlags.SAMPLED if context.sampled else TraceFlags.DEFAULT)
    return SpanContext(int(context.trace_id, 16), int(context.span_id, 16), True, flags)
