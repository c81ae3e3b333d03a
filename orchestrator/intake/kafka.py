"""
Events from Kafka: read, accepted durably, and only then committed.

What cannot be processed is a dead letter, in the store and (where one is named) in a topic, and never holds up what comes
behind it. A repeat after a rebalance or a crash is harmless: the store knows every ``(source, id)``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from orchestrator.engine.commands import Command, Conflict, DeadLetter, Publish
from orchestrator.engine.engine import Busy, Engine, Stopped
from orchestrator.intake.cloudevents import Malformed, parse_kafka

log = structlog.get_logger()

RECORDS_MAX = 500
POLL_MS = 200
BUSY_SECONDS = 0.05
FAILED_SECONDS = 1.0


class KafkaIntake:
    """
    One consumer in the group. ``topics`` are taken in their order: what a later one has waits while an earlier one has
    more. ``lag`` is told, by ``(topic, partition)``, how many records are still to come.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        bootstrap_servers: str,
        topics: Sequence[str],
        group: str,
        dead_letters: str | None,
        security: Mapping[str, Any],
        auto_offset_reset: str = "earliest",
        lag: Callable[[str, int, int], None] = lambda topic, partition, records: None,
    ) -> None:
        self.engine = engine
        self.topics = list(topics)
        self._options: dict[str, Any] = {"bootstrap_servers": bootstrap_servers, **security}
        self._group = group
        self._dead_letters = dead_letters
        self._reset = auto_offset_reset
        self._lag = lag
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        self.connected = False

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="kafka")

    async def stop(self) -> None:
        """Stop after the batch in hand; a poll is never cancelled, it runs out."""
        self._stopping = True
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        while not self._stopping:
            consumer = AIOKafkaConsumer(
                *self.topics,
                group_id=self._group,
                enable_auto_commit=False,
                auto_offset_reset=self._reset,
                max_poll_records=RECORDS_MAX,
                rebalance_timeout_ms=30_000,
                session_timeout_ms=30_000,
                max_poll_interval_ms=300_000,
                **self._options,
            )
            producer = AIOKafkaProducer(enable_idempotence=True, **self._options) if self._dead_letters else None
            try:
                await consumer.start()
                if producer is not None:
                    await producer.start()
                self.connected = True
                await self._consume(consumer, producer)
            except Stopped:
                return
            except (KafkaError, OSError) as error:
                log.warning("kafka.failed", error=str(error))
                await asyncio.sleep(FAILED_SECONDS)
            finally:
                self.connected = False
                await quietly(consumer.stop())
                if producer is not None:
                    await quietly(producer.stop())

    async def _consume(self, consumer: AIOKafkaConsumer, producer: AIOKafkaProducer | None) -> None:
        while not self._stopping:
            records = await self._poll(consumer)
            if not records:
                continue
            await self._accept(records, producer)
            offsets = {TopicPartition(r.topic, r.partition): r.offset + 1 for r in records}
            try:
                await consumer.commit(offsets)
            except KafkaError as error:  # the partitions may be somebody else's by now: they read them again
                log.warning("kafka.commit_failed", error=str(error))
            self._report_lag(consumer)

    async def _poll(self, consumer: AIOKafkaConsumer) -> list[ConsumerRecord]:
        """The next records, of the earliest topic that has any."""
        by_topic = {topic: [p for p in consumer.assignment() if p.topic == topic] for topic in self.topics}
        for topic in self.topics[:-1]:
            if by_topic[topic]:
                found = await consumer.getmany(*by_topic[topic], timeout_ms=0, max_records=RECORDS_MAX)
                if found:
                    return [record for records in found.values() for record in records]
        found = await consumer.getmany(timeout_ms=POLL_MS, max_records=RECORDS_MAX)
        return [record for records in found.values() for record in records]

    async def _accept(self, records: Sequence[ConsumerRecord], producer: AIOKafkaProducer | None) -> None:
        """Everything durable, or tried again: nothing is left behind."""
        waiting = list(records)
        while waiting:
            answers = [await self._submit(self._command(record)) for record in waiting]
            results = await asyncio.gather(*answers, return_exceptions=True)
            again = []
            for record, result in zip(waiting, results, strict=True):
                if isinstance(result, Conflict):
                    letter = dead_letter(record, "conflict", str(result))
                    await (await self._submit(letter))
                    await self._forward(producer, record, letter)
                elif isinstance(result, Stopped):
                    raise result
                elif isinstance(result, BaseException):
                    again.append(record)
                elif isinstance(result, str):
                    await self._forward(producer, record, self._command(record))
            waiting = again
            if waiting:
                await asyncio.sleep(FAILED_SECONDS)

    def _command(self, record: ConsumerRecord) -> Command:
        """A record as a command: an event, or a dead letter that says what is wrong with it."""
        headers = {name.lower(): value.decode("utf-8", "replace") for name, value in record.headers if value is not None}
        try:
            return Publish(parse_kafka(record.value, headers))
        except Malformed as problem:
            return dead_letter(record, problem.code, str(problem))

    async def _submit(self, command: Command) -> asyncio.Future[Any]:
        while True:
            try:
                return self.engine.submit(command)
            except Busy:
                await asyncio.sleep(BUSY_SECONDS)

    async def _forward(self, producer: AIOKafkaProducer | None, record: ConsumerRecord, letter: Command) -> None:
        """The same record in the dead-letter topic, with the reason in its headers (never what was in it)."""
        if producer is None or self._dead_letters is None or not isinstance(letter, DeadLetter):
            return
        headers = [*record.headers, ("kaskad_reason", letter.reason.encode()), ("kaskad_origin", letter.origin.encode())]
        await producer.send_and_wait(self._dead_letters, record.value, key=record.key, headers=headers)

    def _report_lag(self, consumer: AIOKafkaConsumer) -> None:
        for partition in consumer.assignment():
            end = consumer.highwater(partition)
            at = consumer.last_stable_offset(partition) if end is None else end
            position = consumer._subscription.subscription.assignment.state_value(partition)
            if at is not None and position is not None and position.has_valid_position:
                self._lag(partition.topic, partition.partition, max(0, at - position.position))


def dead_letter(record: ConsumerRecord, reason: str, detail: str) -> DeadLetter:
    """What is kept of a record that cannot be processed."""
    headers = {name: value.decode("utf-8", "replace") for name, value in record.headers if value is not None}
    origin = f"kafka:{record.topic}/{record.partition}/{record.offset}"
    return DeadLetter(origin, reason, detail, record.value or b"", headers)


async def quietly(stopping: Any) -> None:
    """Stop a client that may be broken already."""
    try:
        await stopping
    except (KafkaError, OSError) as error:
        log.warning("kafka.stop_failed", error=str(error))
