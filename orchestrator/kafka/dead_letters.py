"""
The dead-letter topic: the record's key and body as they came, and in the headers why and from
where, never what was in it.

The store has the letter already when it is sent here, with its headers, and replays it. So what the
topic does not take within a bound stays in the store only, and the topic is left alone for a while.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer, ConsumerRecord
from aiokafka.errors import KafkaError

from orchestrator.kafka.clients import TOO_LARGE_ERRORS, error_of, stop_within
from orchestrator.kafka.records import origin_of

log = structlog.get_logger()

REASON_HEADER = "kaskad_reason"
ORIGIN_HEADER = "kaskad_origin"
PAUSE_SECONDS = 0.5
LEFT_ALONE_SECONDS = 30.0
CLOSE_SECONDS = 2.0
REQUEST_BYTES_MAX = 32 * 1024 * 1024


class DeadLetterTopic:
    """``topic`` None: letters stay in the store. The producer is opened with the first letter."""

    def __init__(
        self,
        topic: str | None,
        options: Mapping[str, Any],
        seconds: float,
        report_error: Callable[[str], None],
    ) -> None:
        self.topic = topic
        self._options = options
        self._seconds = seconds
        self._report_error = report_error
        self._producer: AIOKafkaProducer | None = None
        self._opening = asyncio.Lock()
        self._shut_until = 0.0

    async def send(self, record: ConsumerRecord, reason: str) -> bool:
        """
        Whether the topic has it, acknowledged by all replicas in sync. Takes no longer than the
        bound.
        """
        if self.topic is None:
            return True
        now = asyncio.get_running_loop().time
        if now() < self._shut_until:
            self._report_error("dead_letter")
            return False
        error = await self._try(record, reason, now() + self._seconds)
        if error is None:
            return True
        if not isinstance(error, TOO_LARGE_ERRORS):
            self._shut_until = now() + LEFT_ALONE_SECONDS
            await self.close()
        self._report_error("dead_letter")
        log.warning(
            "kafka.dead_letter_only_in_store",
            topic=self.topic,
            origin=origin_of(record),
            error=error_of(error).what,
        )
        return False

    async def _try(self, record: ConsumerRecord, reason: str, until: float) -> Exception | None:
        """The last error, None once it is taken."""
        headers = [(REASON_HEADER, reason.encode()), (ORIGIN_HEADER, origin_of(record).encode())]
        last: Exception = TimeoutError()
        try:
            async with asyncio.timeout_at(until):
                while True:
                    try:
                        producer = await self._open()
                        await producer.send_and_wait(
                            self.topic, record.value, key=record.key, headers=headers
                        )
                        return None
                    except (KafkaError, OSError) as error:
                        last = error
                        if isinstance(error, TOO_LARGE_ERRORS):
                            return last
                    await asyncio.sleep(PAUSE_SECONDS)
        except TimeoutError:
            return last

    async def _open(self) -> AIOKafkaProducer:
        async with self._opening:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    enable_idempotence=True,
                    max_request_size=REQUEST_BYTES_MAX,
                    request_timeout_ms=int(self._seconds * 1000),
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
