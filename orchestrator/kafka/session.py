"""
One life in the consumer group, from joining it to leaving it. Four loops share the windows:

    read      poll ──► queues, one a topic     partitions of a topic with enough waiting are paused; polling goes on
    hand on   queues ──► engine                the earliest topic first; not past what may be in flight
    commit    windows ──► broker               up to where everything is durable
    watch     broker ──► lag, connected

When partitions are taken away, what is in flight is waited for within a bound, what is durable by
then is committed, and everything else is forgotten: whoever gets the partition reads it again.
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
from orchestrator.kafka.clients import error_of
from orchestrator.kafka.consumer import NOWHERE, GroupConsumer
from orchestrator.kafka.hand_over import Handing
from orchestrator.kafka.windows import Queue, Windows

log = structlog.get_logger()

POLL_MS = 50
POLL_RECORDS_MAX = 500
COMMIT_SECONDS = 0.25
COMMIT_PATIENCE_SECONDS = 5.0
REREAD_MS = 2_000
LEAVING: set[asyncio.Task[None]] = set()  # consumers that take longer to leave than anybody waits


class Session(ConsumerRebalanceListener):  # type: ignore[misc]
    """
    ``lag`` by topic and partition: records that the broker has and that are not durable with us
    yet; only of partitions that are ours.
    """

    def __init__(
        self,
        consumer: GroupConsumer,
        handing: Handing,
        topics: Sequence[str],
        bounds: Bounds,
        report_error: Callable[[str], None],
    ) -> None:
        self.lag: dict[tuple[str, int], int] = {}
        self._consumer = consumer
        self._handing = handing
        self._topics = list(topics)
        self._bounds = bounds
        self._report_error = report_error
        self._windows = Windows()
        self._queues = {topic: Queue() for topic in topics}
        self._gave_at = dict.fromkeys(topics, 0.0)
        self._forbidden_until = dict.fromkeys(topics, 0.0)
        self._missing: set[str] = set()
        self._committing = asyncio.Lock()
        self._assigned = asyncio.Event()
        self._answers = False
        self._over = False

    @property
    def connected(self) -> bool:
        """In the group, and the broker answers."""
        return (
            self._answers
            and not self._over
            and self._consumer.is_member
            and self._consumer.knows_coordinator
        )

    # ---- its life

    async def run(self, stopping: asyncio.Event) -> None:
        """Until stopping is set or something fails for good. Raises what has failed."""
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
            loops = [self._hand_on(), self._commit_often(), self._watch()]
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
        """Take nothing more, finish what is in flight within the bound, commit, leave the group."""
        self._over = True
        for task in others:
            task.cancel()
        for queue in self._queues.values():
            queue.clear()
        await self._handing.idle_within(self._bounds.stop_seconds)
        await self._commit_once(self._bounds.stop_seconds)
        self._windows.close()
        self.lag = {}
        self._handing.forget()
        leaving = asyncio.create_task(self._consumer.stop())
        LEAVING.add(leaving)
        leaving.add_done_callback(LEAVING.discard)
        await asyncio.wait({leaving}, timeout=self._bounds.stop_seconds)
        if reading is not None:
            # only now: a poll of a consumer that is closed may hang, and nobody counts its polls
            # any more
            reading.cancel()
            others.append(reading)
        await asyncio.gather(*others, return_exceptions=True)

    # ---- rebalances (the library swallows what these raise)

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        self._assigned.clear()
        for queue in self._queues.values():
            queue.clear()
        if revoked and self._consumer.is_member and not self._over:
            await self._handing.idle_within(self._bounds.revoke_seconds)
            await self._commit_once(COMMIT_PATIENCE_SECONDS)
        left = sum(self._windows.open_records(topic) for topic in self._topics)
        self._windows.close()
        self.lag = {}
        if revoked:
            log.info("kafka.partitions_revoked", count=len(revoked), left_for_others=left)

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self._windows.assign(assigned)
        self._gave_at = dict.fromkeys(self._topics, asyncio.get_running_loop().time())
        self._answers = True
        self._assigned.set()
        log.info("kafka.partitions_assigned", count=len(assigned))

    # ---- reading

    async def _read(self) -> None:
        """
        Poll without end: a process that stops polling is thrown out, however long its store may be
        blocked.
        """
        while not self._over:
            if self._consumer.broken:
                raise KafkaError("fetching has stopped")
            try:
                await self._poll(self._steer())
            except TopicAuthorizationFailedError as error:
                for topic in self._topics:
                    if topic in error.args:
                        self._forbid(topic, error)
            except Exception as error:
                if not is_of_a_record(error):
                    raise
                await self._pass_over()
            await asyncio.sleep(0)

    def _steer(self) -> dict[str, list[TopicPartition]]:
        """The partitions to read from now, by topic; the others are paused."""
        wanted: dict[str, list[TopicPartition]] = {}
        if self._consumer.rebalancing:
            return wanted
        paused = self._consumer.paused()
        roomy = {topic: self._has_room(topic) for topic in self._topics}
        for partition in self._consumer.assignment():
            if not roomy[partition.topic]:
                if partition not in paused:
                    self._consumer.pause(partition)
                continue
            if partition in paused:
                self._consumer.resume(partition)
            wanted.setdefault(partition.topic, []).append(partition)
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
        """Whatever each topic has at once; where that is nothing, wait a little for any."""
        taken = False
        for topic in self._topics:
            if wanted.get(topic):
                room = min(POLL_RECORDS_MAX, self._bounds.records_max - len(self._queues[topic]))
                taken |= self._take(
                    await self._consumer.getmany(*wanted[topic], timeout_ms=0, max_records=room)
                )
        if not taken:
            everywhere = [partition for partitions in wanted.values() for partition in partitions]
            found = await self._consumer.getmany(
                *(everywhere or [NOWHERE]), timeout_ms=POLL_MS, max_records=1
            )
            self._take(found)

    def _take(self, found: dict[TopicPartition, list[ConsumerRecord]]) -> bool:
        """
        Into the queues; the records are of partitions that are ours, because nothing was awaited
        since they came.
        """
        now = asyncio.get_running_loop().time()
        for partition, records in found.items():
            window, queue = self._windows.of(partition), self._queues[partition.topic]
            self._gave_at[partition.topic] = now
            for record in records:
                window.add(record.offset)
                queue.put(window, record)
        if found:
            self._handing.news.set()
        return bool(found)

    def _forbid(self, topic: str, error: Exception) -> None:
        """
        A topic that we may not read, or not commit for, is left alone for a while; the others go
        on.
        """
        now = asyncio.get_running_loop().time()
        if self._forbidden_until[topic] <= now:
            self._report_error("not_allowed")
            log.warning(
                "kafka.topic_unreadable",
                topic=topic,
                reason="not_allowed",
                error=error_of(error).what,
            )
        self._forbidden_until[topic] = now + self._bounds.forbidden_seconds

    async def _pass_over(self) -> None:
        """
        Find the record that cannot be taken apart, put it down as a dead letter, and read on behind
        it.
        """
        self._report_error("unreadable")
        for partition in sorted(self._consumer.assignment()):
            try:
                while self._take(
                    await self._consumer.getmany(partition, timeout_ms=REREAD_MS, max_records=1)
                ):
                    pass
            except Exception as error:
                if not is_of_a_record(error):
                    raise
                self._bury(partition, error)
                return

    def _bury(self, partition: TopicPartition, error: Exception) -> None:
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
        self._handing.bury_unreadable(window, partition, offset, type(error).__name__)

    # ---- handing on

    async def _hand_on(self) -> None:
        while not self._over:
            self._handing.news.clear()
            topic = self._next_topic() if self._assigned.is_set() else None
            if topic is None or not await self._handing.hand_on(self._queues[topic], topic):
                await self._handing.wait(POLL_MS / 1000)

    def _next_topic(self) -> str | None:
        """
        The earliest topic that has records waiting, unless one before it is about to give more.
        """
        for topic in self._topics:
            if self._queues[topic]:
                return topic
            if self._holds(topic):
                return None
        return None

    def _holds(self, topic: str) -> bool:
        """Whether the broker has more of a topic, and is still giving it."""
        if asyncio.get_running_loop().time() - self._gave_at[topic] > self._bounds.hold_seconds:
            return False
        return any(
            self._consumer.has_more(one)
            for one in self._consumer.assignment()
            if one.topic == topic
        )

    # ---- committing and watching

    async def _commit_often(self) -> None:
        while not self._over:
            await asyncio.sleep(COMMIT_SECONDS)
            if self._assigned.is_set():
                await self._commit_once(COMMIT_PATIENCE_SECONDS)

    async def _commit_once(self, seconds: float) -> None:
        """
        Commit what may be, within a bound: the library would try again for ever, even when the
        partitions are somebody else's. A commit that was given up is made up for by the next one,
        or by reading again.
        """
        try:
            async with asyncio.timeout(seconds), self._committing:
                self._windows.skip_to(self._consumer.position_now)
                for topic in self._topics:
                    await self._commit_topic(topic)
        except (CommitFailedError, IllegalStateError):
            log.info("kafka.commit_rejected")
        except (KafkaError, TimeoutError) as error:
            self._report_error("commit")
            log.warning("kafka.commit_failed", error=error_of(error).what)

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

    async def _watch(self) -> None:
        """The lag, whether the broker answers, and topics that are not there."""
        while not self._over:
            await self._assigned.wait()
            await self._look()
            await asyncio.sleep(self._bounds.watch_seconds)

    async def _look(self) -> None:
        partitions = list(self._windows)
        try:
            async with asyncio.timeout(self._bounds.watch_seconds):
                ends = await self._consumer.end_offsets(partitions) if partitions else {}
        except (KafkaError, TimeoutError) as error:
            self._say_lost(error)
            return
        if not self._answers:
            self._answers = True
            log.info("kafka.reconnected")
        ours = set(self._windows)
        self.lag = {
            (one.topic, one.partition): max(0, end - self._durable_to(one, end))
            for one, end in ends.items()
            if one in ours
        }
        self._look_for_topics()

    def _durable_to(self, partition: TopicPartition, end: int) -> int:
        safe = self._windows.of(partition).safe
        position = self._consumer.position_now(partition) if safe is None else safe
        return end if position is None else position

    def _say_lost(self, error: BaseException) -> None:
        self._report_error("unreachable")
        if self._answers:
            log.warning("kafka.unreachable", error=error_of(error).what)
        self._answers = False

    def _look_for_topics(self) -> None:
        """
        A topic that is not there, or not for us, stops nobody else; it is read as soon as it is.
        """
        forbidden = self._consumer.forbidden_topics
        missing = {
            topic for topic in self._topics if not self._consumer.partitions_for_topic(topic)
        }
        for topic in missing:
            report_error = error_of(
                TopicAuthorizationFailedError()
                if topic in forbidden
                else UnknownTopicOrPartitionError()
            )
            self._report_error(report_error.word)
            if topic not in self._missing:
                log.warning(
                    "kafka.topic_unreadable",
                    topic=topic,
                    reason=report_error.word,
                    error=report_error.what,
                )
        self._missing = missing


def is_of_a_record(error: Exception) -> bool:
    """
    Whether a poll failed because of what is in a record (bytes that are no header name, a
    checksum), not of a broker.
    """
    return isinstance(error, CorruptRecordException) or not isinstance(
        error, KafkaError | OSError | TimeoutError
    )
