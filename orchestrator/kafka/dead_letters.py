"""
The dead-letter topic: the key and value of a record, byte for byte, with the reason and its origin
as headers.

The store has the dead letter already, with the record's headers, and replays it from there. A dead
letter that the topic does not take within a bound stays in the store only; then the topic is not
tried for a while.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer, ConsumerRecord
from aiokafka.errors import KafkaError

from orchestrator.kafka.clients import TOO_LARGE_ERRORS, diagnosis_of, stop_within
from orchestrator.kafka.records import origin_of

log = structlog.get_logger()

REASON_HEADER = "kaskad_reason"
ORIGIN_HEADER = "kaskad_origin"
RETRY_SECONDS = 0.5
SHUT_SECONDS = 30.0
CLOSE_SECONDS = 2.0
REQUEST_BYTES_MAX = 32 * 1024 * 1024


class DeadLetterTopic:
    """``topic`` None: dead letters stay in the store. The first one opens the producer."""

    def __init__(
        self,
        topic: str | None,
        options: Mapping[str, Any],
        seconds: float,
        on_error: Callable[[str], None],
    ) -> None:
        self.topic = topic
        self._options = options
        self._seconds = seconds
        self._on_error = on_error
        self._producer: AIOKafkaProducer | None = None
        self._opening = asyncio.Lock()
        self._shut_until = 0.0

    async def send(self, record: ConsumerRecord, reason: str) -> None:
        """Send within the bound, acknowledged by all replicas in sync. Raises nothing."""
        now = asyncio.get_running_loop().time
        if self.topic is None:
            return
        if now() < self._shut_until:
            self._on_error("dead_letter")
            return
        error = await self._try(record, reason, now() + self._seconds)
        if error is None:
            return
        if not isinstance(error, TOO_LARGE_ERRORS):
            self._shut_until = now() + SHUT_SECONDS
            await self.close()
        self._on_error("dead_letter")
        log.warning(
            "kafka.dead_letter_only_in_store",
            topic=self.topic,
            origin=origin_of(record),
            error=diagnosis_of(error).text,
        )

    async def _try(self, record: ConsumerRecord, reason: str, until: float) -> Exception | None:
        """Send until it is taken (None) or the time is over (the last error)."""
        headers = [(REASON_HEADER, reason.encode()), (ORIGIN_HEADER, origin_of(record).encode())]
        last: Exception = TimeoutError()
        try:
            async with asyncio.timeout_at(until):
                while True:
                    try:
                        producer = await self._open()
                        # a record must have a key or a value, and some that come in have neither
                        value = b"" if record.key is record.value is None else record.value
                        await producer.send_and_wait(
                            self.topic, value, key=record.key, headers=headers
                        )
                        return None
                    except (KafkaError, OSError) as error:
                        last = error
                        if isinstance(error, TOO_LARGE_ERRORS):
                            return last
                    await asyncio.sleep(RETRY_SECONDS)
        except TimeoutError:
            return last
        except Exception as error:  # the client library asserts, too
            return error

    async def _open(self) -> AIOKafkaProducer:
        async with self._opening:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    enable_idempotence=True,
                    max_request_size=REQUEST_BYTES_MAX,
                    # half of the bound, so that the library says in time what it waited for
                    request_timeout_ms=int(self._seconds * 500),
                    **self._options,
                )
                try:
                    await producer.start()
                except BaseException:
                    await stop_within(producer, CLOSE_SECONDS)
                    raise
                self._producer = producer
            return self._producer

    async def close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await stop_within(producer, CLOSE_SECONDS)
