"""
The sinks of status events: a Kafka topic, keyed by recipient, and webhooks signed as in Standard
Webhooks 1.0.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec
import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from orchestrator.channels import webhook_key, webhook_signature
from orchestrator.kafka.clients import diagnose, stop_within
from orchestrator.primitives.trace_context import TRACEPARENT
from orchestrator.statuses.outbox import Gone
from orchestrator.stores.rows import StatusEvent

log = structlog.get_logger()

WEBHOOK_TIMEOUT_SECONDS = 20
WEBHOOKS_AT_ONCE = 16
SHOWN_BYTES = 500
KAFKA_CLOSE_SECONDS = 2.0
KAFKA_WARN_SECONDS = 30.0
KAFKA_REQUEST_BYTES_MAX = 8 * 1024 * 1024


class KafkaSink:
    """
    Structured CloudEvents; the key is the recipient's id, so that one person's events stay in
    order. The producer is idempotent and waits for all replicas in sync: while a broker is away it
    retries without duplicates and without changing the order.

    A final refusal is known only after later events are under way. So after a refusal the first
    event is sent alone until it is taken, and nothing behind it is sent twice. The producer is
    replaced, because the library's sequence numbers are off after a refusal.
    """

    name = "kafka"

    def __init__(self, bootstrap_servers: str, topic: str, security: Mapping[str, Any]) -> None:
        self.topic = topic
        self._options: dict[str, Any] = {"bootstrap_servers": bootstrap_servers, **security}
        self._producer: AIOKafkaProducer | None = None
        self._one_by_one = False

    async def open(self) -> None:
        """The producer is opened with the first event, and again after a failure."""

    async def close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await stop_within(producer, KAFKA_CLOSE_SECONDS)

    async def deliver(self, events: Sequence[StatusEvent]) -> int:
        taken, error = 0, None
        try:
            producer = await self._open_producer()
            taken, error = await self._send(producer, events[:1] if self._one_by_one else events)
        except (KafkaError, OSError) as failure:
            error = failure
        self._one_by_one = error is not None
        if error is not None:
            await self.close()
            found = await diagnose(self._options, error)
            log.warning(
                "statuses.kafka_failed", topic=self.topic, reason=found.kind, error=found.text
            )
        return taken

    async def _open_producer(self) -> AIOKafkaProducer:
        if self._producer is None:
            producer = AIOKafkaProducer(
                acks="all",
                enable_idempotence=True,
                linger_ms=5,
                max_request_size=KAFKA_REQUEST_BYTES_MAX,
                **self._options,
            )
            try:
                await producer.start()
            except BaseException:
                await stop_within(producer, KAFKA_CLOSE_SECONDS)
                raise
            self._producer = producer
        return self._producer

    async def _send(
        self, producer: AIOKafkaProducer, events: Sequence[StatusEvent]
    ) -> tuple[int, KafkaError | None]:
        """Returns how many events were taken, from the first on, and why the next one was not."""
        headers = [("content-type", b"application/cloudevents+json; charset=UTF-8")]
        sent: list[asyncio.Future[Any]] = []
        failed: KafkaError | None = None
        for event in events:
            try:
                trace = trace_of(event.body)
                answer = await producer.send(
                    self.topic,
                    event.body,
                    key=event.recipient.encode(),
                    headers=[*headers, (TRACEPARENT, trace.encode())] if trace else headers,
                )
            except KafkaError as error:
                failed = error
                break
            answer.add_done_callback(retrieve)
            sent.append(answer)
        for taken, answer in enumerate(sent):
            while not answer.done():
                done, _ = await asyncio.wait({answer}, timeout=KAFKA_WARN_SECONDS)
                if not done:
                    log.warning("statuses.kafka_slow", topic=self.topic, seconds=KAFKA_WARN_SECONDS)
            if (refusal := answer.exception()) is not None:
                return taken, refusal
        return len(sent), failed


def retrieve(answer: asyncio.Future[Any]) -> None:
    """Read the exception of an answer that nobody awaits, or asyncio logs a warning."""
    if not answer.cancelled():
        answer.exception()


def sink_name(url: str) -> str:
    """
    What a webhook is called in logs, metrics and the store: its host, and a hash of the rest, which
    may have a secret in it.
    """
    host = urlsplit(url).netloc.rpartition("@")[2]
    return f"webhook:{host}#{hashlib.sha256(url.encode()).hexdigest()[:8]}"


class WebhookSink:
    """
    One endpoint. Only a 2xx takes an event, a redirect is a failure, and a 410 ends the sink. The
    ``webhook-id`` is the event's id, the same on every attempt.
    """

    def __init__(self, url: str, secret: str, now: Callable[[], int]) -> None:
        self.name = sink_name(url)
        self.url = url
        self._key = webhook_key(secret)
        self._now = now
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        self._session = webhook_session()

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def deliver(self, events: Sequence[StatusEvent]) -> int:
        taken = 0
        for start in range(0, len(events), WEBHOOKS_AT_ONCE):
            group = events[start : start + WEBHOOKS_AT_ONCE]
            results = await asyncio.gather(*(self._post(event) for event in group))
            for accepted in results:
                if not accepted:
                    return taken
                taken += 1
        return taken

    async def _post(self, event: StatusEvent) -> bool:
        if self._session is None:
            return False
        headers = webhook_headers(self._key, event.id, self._now(), event.body)
        if trace := trace_of(event.body):
            headers[TRACEPARENT] = trace
        try:
            async with self._session.post(
                self.url, data=event.body, headers=headers, allow_redirects=False
            ) as answer:
                if answer.status == 410:
                    raise Gone(self.name)
                return 200 <= answer.status < 300
        except (aiohttp.ClientError, TimeoutError) as error:
            log.warning("statuses.webhook_failed", sink=self.name, error=type(error).__name__)
            return False


@dataclass(frozen=True, slots=True)
class Received:
    """
    What a receiver made of one webhook: ``status`` is None, and ``error`` is set, if it did not
    answer. ``body`` is the beginning of its answer.
    """

    status: int | None
    body: str = ""
    error: str = ""

    @property
    def taken(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


class Traced(msgspec.Struct):
    """What is read of a status event to trace it."""

    traceparent: str = ""


def trace_of(body: bytes) -> str:
    """The ``traceparent`` of a status event, "" without a readable one."""
    try:
        return msgspec.json.decode(body, type=Traced).traceparent
    except msgspec.DecodeError:
        return ""


async def post_once(url: str, secret: str, id: str, now: int, body: bytes) -> Received:
    """
    Post a status event as the service does, once, and say what came back. Raises ``ValueError`` for
    a secret that is none.
    """
    headers = webhook_headers(webhook_key(secret), id, now, body)
    try:
        async with (
            webhook_session() as session,
            session.post(url, data=body, headers=headers, allow_redirects=False) as answer,
        ):
            shown = await answer.content.read(SHOWN_BYTES)
            return Received(answer.status, shown.decode("utf-8", "replace"))
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        return Received(None, error=str(error) or f"no answer in {WEBHOOK_TIMEOUT_SECONDS} seconds")


def webhook_session() -> aiohttp.ClientSession:
    timeout = aiohttp.ClientTimeout(total=WEBHOOK_TIMEOUT_SECONDS)
    return aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar())


def webhook_headers(key: bytes, id: str, now: int, body: bytes) -> dict[str, str]:
    """The headers of one try at ``now`` (UTC milliseconds)."""
    timestamp = str(now // 1000)
    return {
        "content-type": "application/cloudevents+json",
        "webhook-id": id,
        "webhook-timestamp": timestamp,
        "webhook-signature": webhook_signature(key, id, timestamp, body),
    }
