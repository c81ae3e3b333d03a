"""
From the queues to the engine, and what becomes of each record until it is durable.

    accepted, or known      durable
    cannot be read          its dead letter in the store, then in the dead-letter topic: durable
    the engine is busy      waits in its queue, with everything behind it
    the store fails         tried again, ever more slowly
    only this one fails     again and again, while the engine answers anything else: a dead letter
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import structlog
from aiokafka import ConsumerRecord, TopicPartition

from orchestrator.engine.commands import Cancel, Command, Conflict, DeadLetter, Published
from orchestrator.engine.engine import Busy, Stopped
from orchestrator.kafka.bounds import Bounds
from orchestrator.kafka.dead_letters import DeadLetterTopic
from orchestrator.kafka.records import command_of, dead_letter
from orchestrator.kafka.windows import Queue, Window

log = structlog.get_logger()

GROUP_MAX = 100
BUSY_SECONDS = 0.05
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 15.0
TRIES_MAX = 6
SAY_FAILED_SECONDS = 5.0
NO_MESSAGE = "no-such-message"


class Taker(Protocol):
    """
    What the intake needs of the engine; raises ``Busy`` or ``Stopped`` at once, and answers when it
    is durable.
    """

    def submit(self, command: Command) -> asyncio.Future[Any]: ...


@dataclass(slots=True)
class Item:
    """One record on its way."""

    window: Window
    record: ConsumerRecord
    command: Command


class Handing:
    """``counted`` is told what became of each event: accepted, duplicate, unmatched, refused."""

    def __init__(
        self,
        engine: Taker,
        letters: DeadLetterTopic,
        bounds: Bounds,
        counted: Callable[[str], None],
    ) -> None:
        self.news = asyncio.Event()
        self._engine = engine
        self._letters = letters
        self._bounds = bounds
        self._counted = counted
        self._in_flight: Counter[str] = Counter()
        self._idle = asyncio.Event()
        self._idle.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._failures = 0
        self._say_failed_at = 0.0

    # ---- taking from a queue

    async def hand_on(self, queue: Queue, topic: str) -> bool:
        """Some records of a queue; False where none could be handed on now."""
        room = self._bounds.in_flight_max - self._in_flight[topic]
        group = queue.take(min(GROUP_MAX, room)) if room > 0 else []
        submitted: list[tuple[Item, asyncio.Future[Any]]] = []
        busy = False
        for index, (window, record) in enumerate(group):
            item = Item(window, record, command_of(record))
            try:
                submitted.append((item, self._engine.submit(item.command)))
            except Busy:
                queue.put_back(group[index:])
                busy = True
                break
        if submitted:
            self._in_flight[topic] += len(submitted)
            self._idle.clear()
            self._start(self._follow(submitted))
        await asyncio.sleep(BUSY_SECONDS if busy else 0)
        return bool(submitted)

    async def wait(self, seconds: float) -> None:
        """Until there is something new: records read, or room for more."""
        try:
            await asyncio.wait_for(self.news.wait(), seconds)
        except TimeoutError:
            return

    async def idle_within(self, seconds: float) -> None:
        """Until nothing is in flight, or the time is over."""
        try:
            await asyncio.wait_for(self._idle.wait(), seconds)
        except TimeoutError:
            log.warning(
                "kafka.acceptance_timed_out", count=self._in_flight.total(), seconds=seconds
            )

    def forget(self) -> None:
        """Follow nothing any more; what the engine has it keeps."""
        for task in self._tasks:
            task.cancel()

    # ---- following records until they are durable

    def _start(self, following: Any) -> None:
        task = asyncio.create_task(following)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _follow(self, submitted: list[tuple[Item, asyncio.Future[Any]]]) -> None:
        """A group at once; each that is not simply durable goes on by itself."""
        results = await asyncio.gather(*(answer for _, answer in submitted), return_exceptions=True)
        for (item, _), result in zip(submitted, results, strict=True):
            if isinstance(result, Published):
                self._counted(result.status)
                self._settle(item)
            elif isinstance(result, Stopped):
                self._drop(item)
            else:
                self._start(self._see_through(item, result))

    async def _see_through(self, item: Item, result: Any) -> None:
        """One record to its end, or until its partition is no longer ours."""
        try:
            if await self._durable_with(item, result):
                self._settle(item)
                return
        except Stopped:
            pass
        except asyncio.CancelledError:
            self._drop(item)
            raise
        self._drop(item)

    async def _durable_with(self, item: Item, result: Any) -> bool:
        pause, tries = FIRST_PAUSE_SECONDS, 0
        while True:
            match result:
                case Published():
                    self._counted(result.status)
                    return True
                case Conflict():
                    item.command = dead_letter(item.record, "conflict", str(result))
                case BaseException():
                    self._say_failed(result)
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
                    tries = tries + 1 if await self._engine_is_well() else 0
                    if tries >= TRIES_MAX and not isinstance(item.command, DeadLetter):
                        what = f"the engine failed on it again and again ({type(result).__name__})"
                        item.command = dead_letter(item.record, "unprocessable", what)
                case _ if isinstance(item.command, DeadLetter):
                    self._counted("refused")
                    await self._letters.send(item.record, item.command.reason)
                    return True
            if not item.window.alive:
                return False
            result = await self._ask(item.command)

    def _say_failed(self, error: BaseException) -> None:
        """One line for all records that failed within some seconds."""
        self._failures += 1
        now = asyncio.get_running_loop().time()
        if now >= self._say_failed_at:
            log.warning("kafka.not_accepted", count=self._failures, error=type(error).__name__)
            self._failures, self._say_failed_at = 0, now + SAY_FAILED_SECONDS

    async def _engine_is_well(self) -> bool:
        """Whether a question that changes nothing goes through the engine and its store."""
        return isinstance(await self._ask(Cancel(NO_MESSAGE)), LookupError)

    async def _ask(self, command: Command) -> Any:
        """The engine's answer, or what it raised. Raises ``Stopped``."""
        while True:
            try:
                return await self._engine.submit(command)
            except Busy:
                await asyncio.sleep(BUSY_SECONDS)
            except Stopped:
                raise
            except Exception as error:
                return error

    def bury_unreadable(
        self, window: Window, partition: TopicPartition, offset: int, error: str
    ) -> None:
        """A dead letter for a record that could not be taken apart: its body is where it was."""
        self._start(self._bury_unreadable(window, partition, offset, error))

    async def _bury_unreadable(
        self, window: Window, partition: TopicPartition, offset: int, error: str
    ) -> None:
        origin = f"kafka:{partition.topic}/{partition.partition}/{offset}"
        letter = DeadLetter(
            origin,
            "unreadable",
            f"the record cannot be taken apart ({error}); it stands in its topic",
            b"",
        )
        while window.alive:
            try:
                result = await self._ask(letter)
            except Stopped:
                return
            if not isinstance(result, BaseException):
                self._counted("refused")
                window.mark(offset)
                return
            self._say_failed(result)
            await asyncio.sleep(FIRST_PAUSE_SECONDS)

    def _settle(self, item: Item) -> None:
        item.window.mark(item.record.offset)
        self._drop(item)

    def _drop(self, item: Item) -> None:
        """It is no longer in flight."""
        self._in_flight[item.record.topic] -= 1
        if not self._in_flight.total():
            self._idle.set()
        self.news.set()
