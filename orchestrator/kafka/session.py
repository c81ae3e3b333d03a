"""
One membership of the consumer group, from joining it to leaving it. Four loops share the windows:

    read       poll ──► queues, one per topic   a topic with a full queue is paused; polling goes on
    hand over  queues ──► engine                the earliest topic first, within ``in_flight_max``
    commit     windows ──► broker               up to where everything is durable
    watch      broker ──► lag, connected

When partitions are revoked, records in flight are awaited within a bound and what is durable by
then is committed. The rest is forgotten, and the next owner reads it again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import (
    CommitFailedError,
    CorruptRecordException,
    IllegalStateError,
    KafkaError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)

from orchestrator.kafka.bounds import Bounds
from orchestrator.kafka.clients import diagnosis_of
from orchestrator.kafka.consumer import NOWHERE, GroupConsumer
from orchestrator.kafka.hand_over import HandOver
from orchestrator.kafka.windows import Queue, Windows

log = structlog.get_logger()

POLL_MS = 50
POLL_RECORDS_MAX = 500
COMMIT_EVERY_SECONDS = 0.25
COMMIT_TIMEOUT_SECONDS = 5.0
REREAD_MS = 2_000
LEAVING: set[asyncio.Task[None]] = set()  # keeps consumers alive whose leaving outlasts the session


class Session(ConsumerRebalanceListener):  # type: ignore[misc]
    """``lag``: records that are not durable yet, by topic and partition of this process."""

    def __init__(
        self,
        consumer: GroupConsumer,
        hand_over: HandOver,
        topics: Sequence[str],
        bounds: Bounds,
        on_error: Callable[[str], None],
    ) -> None:
        self.lag: dict[tuple[str, int], int] = {}
        self._consumer = consumer
        self._hand_over = hand_over
        self._topics = list(topics)
        self._bounds = bounds
        self._on_error = on_error
        self._windows = Windows()
        self._queues = {topic: Queue() for topic in topics}
        self._delivered_at = dict.fromkeys(topics, 0.0)
        self._forbidden_until = dict.fromkeys(topics, 0.0)
        self._missing: set[str] = set()
        self._committing = asyncio.Lock()
        self._assigned = asyncio.Event()
        self._reachable = False
        self._over = False

    @property
    def connected(self) -> bool:
        """True while this process is in the group and the broker answers."""
        member = self._consumer.is_member and self._consumer.knows_coordinator
        return self._reachable and not self._over and member

    # ---- start and end

    async def run(self, stopping: asyncio.Event) -> None:
        """Run until ``stopping`` is set or one of the loops fails. Raises that failure."""
        stopped = asyncio.create_task(stopping.wait())
        starting = asyncio.create_task(self._consumer.start())
        reading: asyncio.Task[None] | None = None
        others = [starting]
        try:
            await asyncio.wait({starting, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if stopping.is_set():
                return
            starting.result()
            self._consumer.subscribe(self._topics, listener=self)
            reading = asyncio.create_task(self._read(), name="kafka:read")
            loops = [self._hand_records_over(), self._commit_often(), self._watch()]
            others = [asyncio.create_task(loop, name="kafka:work") for loop in loops]
            done, _ = await asyncio.wait(
                {reading, *others, stopped}, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                task.result()
        finally:
            stopped.cancel()
            await self._end(reading, others)

    async def _end(
        self, reading: asyncio.Task[None] | None, others: list[asyncio.Task[None]]
    ) -> None:
        """Read nothing more, finish records in flight within the bound, commit, leave the group."""
        self._over = True
        for task in others:
            task.cancel()
        for queue in self._queues.values():
            queue.clear()
        await self._hand_over.idle_within(self._bounds.stop_seconds)
        await self._commit(self._bounds.stop_seconds)
        self._close_windows()
        self._hand_over.forget()
        leaving = asyncio.create_task(self._consumer.stop())
        LEAVING.add(leaving)
        leaving.add_done_callback(LEAVING.discard)
        await asyncio.wait({leaving}, timeout=self._bounds.stop_seconds)
        if reading is not None:
            # only now, because a poll of a closed consumer may hang (see consumer)
            reading.cancel()
            others.append(reading)
        await asyncio.gather(*others, return_exceptions=True)

    def _close_windows(self) -> None:
        self._windows.close()
        self.lag = {}

    # ---- rebalances (the library swallows what these raise)

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        self._assigned.clear()
        for queue in self._queues.values():
            queue.clear()
        if revoked and self._consumer.is_member and not self._over:
            await self._hand_over.idle_within(self._bounds.revoke_seconds)
            await self._commit(COMMIT_TIMEOUT_SECONDS)
        uncommitted = sum(self._windows.open_records(topic) for topic in self._topics)
        self._close_windows()
        if revoked:
            log.info("kafka.partitions_revoked", count=len(revoked), uncommitted=uncommitted)

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self._windows.assign(assigned)
        self._delivered_at = dict.fromkeys(self._topics, asyncio.get_running_loop().time())
        self._reachable = True
        self._assigned.set()
        log.info("kafka.partitions_assigned", count=len(assigned))

    # ---- reading

    async def _read(self) -> None:
        """Poll without end: the group expels a process that does not, however slow its store is."""
        while not self._over:
            if self._consumer.broken:
                raise KafkaError("fetching has stopped")
            try:
                await self._poll(self._pause_and_resume())
            except TopicAuthorizationFailedError as error:
                for topic in self._topics:
                    if topic in error.args:
                        self._forbid(topic, error)
            except Exception as error:
                if not is_of_a_record(error):
                    raise
                await self._skip_unreadable()
            await asyncio.sleep(0)

    def _pause_and_resume(self) -> dict[str, list[TopicPartition]]:
        """Pause the partitions of topics without room; the others to read from, by topic."""
        wanted: dict[str, list[TopicPartition]] = {}
        if self._consumer.rebalancing:
            return wanted
        paused = self._consumer.paused()
        has_room = {topic: self._has_room(topic) for topic in self._topics}
        for partition in self._consumer.assignment():
            if has_room[partition.topic]:
                if partition in paused:
                    self._consumer.resume(partition)
                wanted.setdefault(partition.topic, []).append(partition)
            elif partition not in paused:
                self._consumer.pause(partition)
        return wanted

    def _has_room(self, topic: str) -> bool:
        queue, bounds = self._queues[topic], self._bounds
        return (
            len(queue) < bounds.records_max
            and queue.bytes < bounds.bytes_max
            and self._windows.open_records(topic) < bounds.uncommitted_max
            and not self._is_forbidden(topic)
        )

    def _is_forbidden(self, topic: str) -> bool:
        return asyncio.get_running_loop().time() < self._forbidden_until[topic]

    async def _poll(self, wanted: dict[str, list[TopicPartition]]) -> None:
        """Take what each topic has now; if that is nothing, wait a moment for any of them."""
        poll, taken = self._consumer.getmany, False
        for topic in self._topics:
            if wanted.get(topic):
                room = min(POLL_RECORDS_MAX, self._bounds.records_max - len(self._queues[topic]))
                taken |= self._take(await poll(*wanted[topic], timeout_ms=0, max_records=room))
        if not taken:
            everywhere = [partition for partitions in wanted.values() for partition in partitions]
            self._take(await poll(*(everywhere or [NOWHERE]), timeout_ms=POLL_MS, max_records=1))

    def _take(self, found: dict[TopicPartition, list[ConsumerRecord]]) -> bool:
        """Queue records. Nothing was awaited since the poll, so their partitions are still ours."""
        now = asyncio.get_running_loop().time()
        for partition, records in found.items():
            window, queue = self._windows.of(partition), self._queues[partition.topic]
            self._delivered_at[partition.topic] = now
            for record in records:
                window.add(record.offset)
                queue.put(window, record)
        if found:
            self._hand_over.changed.set()
        return bool(found)

    def _forbid(self, topic: str, error: Exception) -> None:
        """Leave a topic alone that an ACL forbids, for a while; the others go on."""
        now = asyncio.get_running_loop().time()
        if self._forbidden_until[topic] <= now:
            self._on_error("not_allowed")
            self._warn_unreadable(topic, error)
        self._forbidden_until[topic] = now + self._bounds.forbidden_seconds

    def _warn_unreadable(self, topic: str, error: Exception) -> None:
        found = diagnosis_of(error)
        log.warning("kafka.topic_unreadable", topic=topic, reason=found.kind, error=found.text)

    async def _skip_unreadable(self) -> None:
        """Find the record that cannot be parsed, dead-letter it, and read on behind it."""
        self._on_error("unreadable")
        for partition in sorted(self._consumer.assignment()):
            try:
                while self._take(
                    await self._consumer.getmany(partition, timeout_ms=REREAD_MS, max_records=1)
                ):
                    pass
            except Exception as error:
                if not is_of_a_record(error):
                    raise
                self._dead_letter(partition, error)
                return

    def _dead_letter(self, partition: TopicPartition, error: Exception) -> None:
        offset = self._consumer.position_now(partition)
        if offset is None:
            return
        log.error(
            "kafka.record_unreadable",
            topic=partition.topic,
            partition=partition.partition,
            offset=offset,
        )
        window = self._windows.of(partition)
        window.add(offset)
        self._consumer.seek(partition, offset + 1)
        self._hand_over.dead_letter_unreadable(window, partition, offset, type(error).__name__)

    # ---- handing over

    async def _hand_records_over(self) -> None:
        hand_over = self._hand_over
        while not self._over:
            hand_over.changed.clear()
            topic = self._next_topic() if self._assigned.is_set() else None
            if topic is None or not await hand_over.hand_over(self._queues[topic], topic):
                await hand_over.wait(POLL_MS / 1000)

    def _next_topic(self) -> str | None:
        """The earliest topic with records, unless one before it is about to deliver more."""
        for topic in self._topics:
            if self._queues[topic]:
                return topic
            if self._holds_back(topic):
                return None
        return None

    def _holds_back(self, topic: str) -> bool:
        """True if the broker has more of a topic and has just delivered some of it."""
        silent_seconds = asyncio.get_running_loop().time() - self._delivered_at[topic]
        return silent_seconds <= self._bounds.hold_seconds and any(
            self._consumer.has_more(one)
            for one in self._consumer.assignment()
            if one.topic == topic
        )

    # ---- committing

    async def _commit_often(self) -> None:
        while not self._over:
            await asyncio.sleep(COMMIT_EVERY_SECONDS)
            if self._assigned.is_set():
                await self._commit(COMMIT_TIMEOUT_SECONDS)

    async def _commit(self, seconds: float) -> None:
        """
        Commit what is durable, within a bound: the library would retry for ever, even for
        partitions of another process. After a failure the next commit covers it, or a reread does.
        """
        try:
            async with asyncio.timeout(seconds), self._committing:
                self._windows.skip_to(self._consumer.position_now)
                for topic in self._topics:
                    await self._commit_topic(topic)
        except (CommitFailedError, IllegalStateError):
            log.info("kafka.commit_rejected")
        except (KafkaError, TimeoutError) as error:
            self._on_error("commit")
            log.warning("kafka.commit_failed", error=diagnosis_of(error).text)

    async def _commit_topic(self, topic: str) -> None:
        offsets = self._windows.committable(topic)
        if not offsets or not self._consumer.is_member or self._is_forbidden(topic):
            return
        try:
            await self._consumer.commit(offsets)
        except TopicAuthorizationFailedError as error:
            self._forbid(topic, error)
        else:
            self._windows.committed(offsets)

    # ---- watching

    async def _watch(self) -> None:
        """Watch the lag, the broker, and topics that are missing."""
        while not self._over:
            await self._assigned.wait()
            await self._measure_lag()
            await asyncio.sleep(self._bounds.watch_seconds)

    async def _measure_lag(self) -> None:
        partitions = list(self._windows)
        try:
            async with asyncio.timeout(self._bounds.watch_seconds):
                ends = await self._consumer.end_offsets(partitions) if partitions else {}
        except (KafkaError, TimeoutError) as error:
            self._on_error("unreachable")
            if self._reachable:
                log.warning("kafka.unreachable", error=diagnosis_of(error).text)
            self._reachable = False
            return
        if not self._reachable:
            self._reachable = True
            log.info("kafka.reconnected")
        ours = set(self._windows)
        self.lag = {
            (one.topic, one.partition): max(0, end - self._durable_to(one, end))
            for one, end in ends.items()
            if one in ours
        }
        self._check_topics()

    def _durable_to(self, partition: TopicPartition, end: int) -> int:
        safe = self._windows.of(partition).safe
        position = self._consumer.position_now(partition) if safe is None else safe
        return end if position is None else position

    def _check_topics(self) -> None:
        """Report topics that are missing or forbidden; the others go on."""
        missing = {
            topic for topic in self._topics if not self._consumer.partitions_for_topic(topic)
        }
        for topic in missing:
            forbidden = topic in self._consumer.forbidden_topics
            error = TopicAuthorizationFailedError if forbidden else UnknownTopicOrPartitionError
            self._on_error(diagnosis_of(error()).kind)
            if topic not in self._missing:
                self._warn_unreadable(topic, error())
        self._missing = missing


def is_of_a_record(error: Exception) -> bool:
    """True if a poll failed because of a record (bad header name, checksum), not of a broker."""
    broker_errors = KafkaError | OSError | TimeoutError
    return isinstance(error, CorruptRecordException) or not isinstance(error, broker_errors)
