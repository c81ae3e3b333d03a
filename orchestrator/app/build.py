"""Builds parts from the configuration: the store, sinks of status events, Kafka, traces."""

from __future__ import annotations

import errno
import os
import secrets
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from orchestrator import __version__
from orchestrator.configuration.settings import Settings, TraceSettings
from orchestrator.engine.engine import Engine
from orchestrator.kafka import KafkaIntake
from orchestrator.primitives.clock import Clock
from orchestrator.statuses.outbox import Sink
from orchestrator.statuses.sinks import KafkaSink, WebhookSink
from orchestrator.stores.port import Store
from orchestrator.stores.sqlite.store import SqliteStore
from orchestrator.telemetry.metrics import Metrics
from orchestrator.telemetry.span_export import SpanExport
from orchestrator.telemetry.tracing import Tracing

if TYPE_CHECKING:
    from orchestrator.stores.postgres.store import PostgresStore


@contextmanager
def unbindable(place: str, fix: str) -> Iterator[None]:
    """Raise the error of an address that cannot be listened on in words that say how to fix it."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            why = "another program listens there; stop it, or"
        else:
            why = f"{error.strerror or error};"
        raise OSError(f"cannot listen on {place}: {why} {fix}") from error


def open_store(settings: Settings, now: Callable[[], int], sinks: Sequence[str]) -> Store:
    """The store that the configuration names; not opened yet."""
    automatic = settings.migrate == "auto"
    store: SqliteStore | PostgresStore
    if settings.store.kind == "sqlite":
        path = settings.store.path or ":memory:"
        store = SqliteStore(path, sinks=tuple(sinks), migrate=automatic)
    else:
        # asyncpg takes a tenth of a second to import, which every verb on SQLite would pay
        from orchestrator.stores.postgres.store import PostgresStore

        member = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        url = settings.store.url.get_secret_value()
        store = PostgresStore(url, member=member, now=now, sinks=tuple(sinks), migrate=automatic)
    kept = settings.retention
    store.messages_ms, store.events_ms = kept.messages_ms, kept.events_ms
    store.receipts_ms, store.dead_letters_ms = kept.receipts_ms, kept.dead_letters_ms
    store.audit_ms, store.profiles_ms = kept.audit_ms, kept.profiles_ms
    store.counts_ms = kept.counts_ms
    return store


def sinks_of(settings: Settings, clock: Clock) -> list[Sink]:
    """The receivers of status events."""
    sinks: list[Sink] = []
    if settings.statuses.kafka is not None:
        kafka = settings.statuses.kafka
        sinks.append(KafkaSink(kafka.bootstrap_servers, kafka.topic, kafka.security.options()))
    for webhook in settings.statuses.webhooks:
        sinks.append(WebhookSink(webhook.url, webhook.secret.get_secret_value(), clock.now))
    return sinks


def kafka_intake(
    settings: Settings,
    engine: Engine,
    metrics: Metrics,
    now: Callable[[], int],
    tracing: Tracing | None,
) -> KafkaIntake | None:
    """The intake of events from Kafka, if it is a source."""
    source = settings.sources.kafka
    if source is None:
        return None
    return KafkaIntake(
        engine,
        bootstrap_servers=source.bootstrap_servers,
        topics=source.topics,
        group=source.group,
        dead_letters=source.dead_letters,
        security=source.security.options(),
        auto_offset_reset=source.auto_offset_reset,
        on_status=partial(metrics.published, "kafka"),
        now=now,
        on_error=lambda kind: metrics.kafka_errors.labels(kind).inc(),
        on_published=partial(tracing.published, "kafka") if tracing is not None else None,
    )


def trace_export(traces: TraceSettings, metrics: Metrics) -> SpanExport:
    """The way of spans to the collector; not started yet."""
    authorization = traces.authorization
    secret = authorization.get_secret_value() if authorization is not None else ""
    resource = {
        "service.name": traces.service_name,
        "service.version": __version__,
        "service.instance.id": f"{socket.gethostname()}:{os.getpid()}",
    }
    return SpanExport(
        traces.endpoint,
        {"authorization": secret} if secret else {},
        resource,
        on_sent=metrics.trace_spans.inc,
        on_dropped=lambda cause, count: metrics.trace_spans_dropped.labels(cause).inc(count),
    )
