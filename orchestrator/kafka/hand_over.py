"""
Records from the queues to the engine, and each one until it is durable.

    accepted, or a duplicate      durable
    unreadable                    dead letter in the store, then in its topic: durable
    the engine is busy            waits in its queue, with everything behind it
    the store fails               tried again, with longer pauses
    fails while the engine works  after some tries: a dead letter
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

import structlog
from aiokafka import ConsumerRecord, TopicPartition

from orchestrator.engine.commands import Cancel, Command, Conflict, DeadLetter, Publish, Published
from orchestrator.engine.engine import Busy, Stopped
from orchestrator.engine.failing import delay_seconds
from orchestrator.events.event import Event
from orchestrator.kafka.bounds import Bounds
from orchestrator.kafka.dead_letters import DeadLetterTopic
from orchestrator.kafka.records import command_of, dead_letter, trace_header, unreadable
from orchestrator.kafka.windows import PartitionWindow, Queue
from orchestrator.primitives.waiting import set_within

log = structlog.get_logger()

GROUP_MAX = 100
BUSY_SECONDS = 0.05
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 15.0
TRIES_MAX = 6
NO_MESSAGE = "no-such-message"

OnPublished = Callable[[Event, Published, int, str | None], None]
"""Gets an accepted event, its result, when it was read (UTC ms), and its record's trace context."""


class Acceptor(Protocol):
    """The engine: raises ``Busy`` or ``Stopped`` at once, else answers when it is durable."""

    def submit(self, command: Command) -> asyncio.Future[Any]: ...


@dataclass(slots=True)
class RecordInFlight:
    """One record in flight."""

    window: PartitionWindow
    record: ConsumerRecord
    command: Command
    taken_at: int


class HandOver:
    """
    ``on_status`` gets the result of each event (an ``EventStatus``, or refused) and its warnings.
    """

    def __init__(
        self,
        engine: Acceptor,
        dead_letters: DeadLetterTopic,
        bounds: Bounds,
        on_status: Callable[..., None],
        now: Callable[[], int],
        on_published: OnPublished | None = None,
    ) -> None:
        self.changed = asyncio.Event()
        self._engine = engine
        self._dead_letters = dead_letters
        self._bounds = bounds
        self._on_status = on_status
        self._now = now
        self._on_published = on_published
        self._in_flight: Counter[str] = Counter()
        self._idle = asyncio.Event()
        self._idle.set()
        self._tasks: set[asyncio.Task[None]] = set()

    # ---- taking from a queue

    async def hand_over(self, queue: Queue, topic: str) -> bool:
        """Submit some records of a queue; False if none could be submitted now."""
        room = self._bounds.in_flight_max - self._in_flight[topic]
        group = queue.take(min(GROUP_MAX, room)) if room > 0 else []
        submitted: list[tuple[RecordInFlight, asyncio.Future[Any]]] = []
        busy = False
        try:
            for index, (window, record) in enumerate(group):
                now = self._now()
                item = RecordInFlight(window, record, command_of(record, now), now)
                try:
                    submitted.append((item, self._engine.submit(item.command)))
                except Busy:
                    queue.put_back(group[index:])
                    busy = True
                    break
        finally:  # what was submitted is followed, whatever happens to a record behind it
            if submitted:
                self._in_flight[topic] += len(submitted)
                self._idle.clear()
                self._start(self._follow(submitted))
        await asyncio.sleep(BUSY_SECONDS if busy else 0)
        return bool(submitted)

    async def wait(self, seconds: float) -> None:
        """Wait until records were read or room was made, for so long at most."""
        await set_within(self.changed, seconds)

    async def idle_within(self, seconds: float) -> None:
        """Wait until nothing is in flight, for so long at most."""
        if not await set_within(self._idle, seconds):
            count = self._in_flight.total()
            log.warning("kafka.acceptance_timed_out", count=count, seconds=seconds)

    def forget(self) -> None:
        """Follow nothing any more; the engine still finishes what it has."""
        for task in self._tasks:
            task.cancel()

    # ---- following records until they are durable

    def _start(self, following: Any) -> None:
        task = asyncio.create_task(following)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _follow(self, submitted: list[tuple[RecordInFlight, asyncio.Future[Any]]]) -> None:
        """Follow a group; each record that is not simply accepted goes on by itself."""
        results = await asyncio.gather(*(answer for _, answer in submitted), return_exceptions=True)
        for (item, _), result in zip(submitted, results, strict=True):
            if isinstance(result, Published):
                self._settle(item)
                self._report(item, result)
            elif isinstance(result, Stopped):
                self._drop(item)
            else:
                self._start(self._finish(item, result))

    async def _finish(self, item: RecordInFlight, result: Any) -> None:
        """Follow one record until it is durable or its partition belongs to another process."""
        durable = False
        try:
            with suppress(Stopped):
                durable = await self._make_durable(item, result)
        finally:
            if durable:
                item.window.mark(item.record.offset)
            self._drop(item)

    async def _make_durable(self, item: RecordInFlight, result: Any) -> bool:
        pause, tries = FIRST_PAUSE_SECONDS, 0
        while True:
            match result:
                case Published():
                    self._report(item, result)
                    return True
                case Conflict():
                    item.command = dead_letter(item.record, "conflict", str(result))
                case BaseException():
                    log.warning("kafka.accept_failed", error=type(result).__name__)
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
                    tries = tries + 1 if await self._engine_works() else 0
                    if tries >= TRIES_MAX and not isinstance(item.command, DeadLetter):
                        detail = f"the engine failed on it repeatedly ({type(result).__name__})"
                        item.command = dead_letter(item.record, "unprocessable", detail)
                case _ if isinstance(item.command, DeadLetter):
                    self._on_status("refused")
                    await self._dead_letters.send(item.record, item.command.reason)
                    return True
            if not item.window.alive:
                return False
            result = await self._ask(item.command)

    async def _engine_works(self) -> bool:
        """True if a command that changes nothing passes the engine and its store."""
        return isinstance(await self._ask(Cancel(NO_MESSAGE)), LookupError)

    async def _ask(self, command: Command) -> Any:
        """The engine's answer, or the error that it raised. Raises ``Stopped``."""
        while True:
            try:
                return await self._engine.submit(command)
            except Busy:
                await asyncio.sleep(BUSY_SECONDS)
            except Stopped:
                raise
            except Exception as error:
                return error

    def dead_letter_unreadable(
        self, window: PartitionWindow, partition: TopicPartition, offset: int, error: str
    ) -> None:
        """Store a dead letter for a record that the client library cannot parse."""
        self._start(self._store_unreadable(window, partition, offset, error))

    async def _store_unreadable(
        self, window: PartitionWindow, partition: TopicPartition, offset: int, error: str
    ) -> None:
        tries = 0
        while window.alive:
            try:
                result = await self._ask(unreadable(partition, offset, error))
            except Stopped:
                return
            if not isinstance(result, BaseException):
                self._on_status("refused")
                window.mark(offset)
                return
            log.warning("kafka.accept_failed", error=type(result).__name__)
            tries += 1
            await asyncio.sleep(delay_seconds(tries, str(offset), LONGEST_PAUSE_SECONDS))

    def _report(self, item: RecordInFlight, result: Published) -> None:
        self._on_status(result.status, *result.warnings)
        if self._on_published is not None and isinstance(item.command, Publish):
            header = trace_header(item.record)
            self._on_published(item.command.event, result, item.taken_at, header)

    def _settle(self, item: RecordInFlight) -> None:
        item.window.mark(item.record.offset)
        self._drop(item)

    def _drop(self, item: RecordInFlight) -> None:
        """The item is no longer in flight."""
        self._in_flight[item.record.topic] -= 1
        if not self._in_flight.total():
            self._idle.set()
        self.changed.set()
