"""
Where status events go: a Kafka topic, keyed by recipient, and webhooks signed as Standard Webhooks 1.0 say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import aiohttp
import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from orchestrator.statuses.outbox import Gone, StatusEvent
from orchestrator.statuses.webhook_signature import sign

log = structlog.get_logger()

WEBHOOK_TIMEOUT_SECONDS = 20
WEBHOOKS_AT_ONCE = 16


class KafkaSink:
    """Structured CloudEvents; the key is the recipient's id, so that one person's events stay in order."""

    name = "kafka"

    def __init__(self, bootstrap_servers: str, topic: str, security: Mapping[str, Any]) -> None:
        self.topic = topic
        self._options = {"bootstrap_servers": bootstrap_servers, **security}
        self._producer: AIOKafkaProducer | None = None

    async def open(self) -> None:
        self._producer = AIOKafkaProducer(enable_idempotence=True, linger_ms=5, **self._options)
        await self._producer.start()

    async def close(self) -> None:
        if self._producer is not None:
            await self._producer.stop()
            self._producer = None

    async def deliver(self, events: Sequence[StatusEvent]) -> int:
        if self._producer is None:
            return 0
        headers = [("content-type", b"application/cloudevents+json; charset=UTF-8")]
        sent = [
            await self._producer.send(self.topic, event.body, key=event.recipient.encode(), headers=headers)
            for event in events
        ]
        for taken, future in enumerate(sent):
            try:
                await future
            except KafkaError as error:
                log.warning("statuses.kafka_failed", error=str(error))
                return taken
        return len(events)


class WebhookSink:
    """
    One endpoint. Only a 2xx takes an event; a redirect is a failure; 410 ends it. The ``webhook-id`` is the event's id,
    the same on every try.
    """

    def __init__(self, url: str, secret: str, now: Callable[[], int]) -> None:
        self.name = f"webhook:{url}"
        self.url = url
        self._secret = secret
        self._now = now
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        timeout = aiohttp.ClientTimeout(total=WEBHOOK_TIMEOUT_SECONDS)
        self._session = aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar())

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def deliver(self, events: Sequence[StatusEvent]) -> int:
        taken = 0
        for start in range(0, len(events), WEBHOOKS_AT_ONCE):
            group = events[start : start + WEBHOOKS_AT_ONCE]
            results = await asyncio.gather(*(self._post(event) for event in group))
            for result in results:
                if not result:
                    return taken
                taken += 1
        return taken

    async def _post(self, event: StatusEvent) -> bool:
        if self._session is None:
            return False
        timestamp = self._now() // 1000
        headers = {
            "content-type": "application/cloudevents+json",
            "webhook-id": event.id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": sign(self._secret, event.id, timestamp, event.body),
        }
        try:
            async with self._session.post(self.url, data=event.body, headers=headers, allow_redirects=False) as answer:
                if answer.status == 410:
                    raise Gone(self.url)
                return 200 <= answer.status < 300
        except (aiohttp.ClientError, TimeoutError) as error:
            log.warning("statuses.webhook_failed", sink=self.name, error=type(error).__name__)
            return False
