"""Stays connected to Kafka: one session after another, until it is stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog

from orchestrator.engine.engine import Stopped
from orchestrator.kafka.bounds import Bounds
from orchestrator.kafka.clients import diagnose
from orchestrator.kafka.consumer import GroupConsumer
from orchestrator.kafka.dead_letters import DeadLetterTopic
from orchestrator.kafka.hand_over import Handing, Taker
from orchestrator.kafka.session import Session

log = structlog.get_logger()

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 15.0
GOOD_LIFE_SECONDS = 60.0
STOP_PATIENCE = 4.0


class KafkaIntake:
    """
    One member of the consumer group. ``topics`` are taken in their order: what a later one has
    waits while an earlier one has more. ``security`` are the client library's options of how to
    connect. ``counted`` is told the status of each event, ``report_error`` one of
    ``kafkaclients.TROUBLES`` whenever something is wrong.

    A broker that cannot be reached, refuses us or lacks a topic keeps nobody from starting: it is
    tried again, ever more slowly up to a quarter of a minute, and ``connected``, the log and
    ``report_error`` say so.
    """

    def __init__(
        self,
        engine: Taker,
        *,
        bootstrap_servers: str,
        topics: Sequence[str],
        group: str,
        dead_letters: str | None,
        security: Mapping[str, Any],
        auto_offset_reset: str = "earliest",
        counted: Callable[[str], None] = lambda status: None,
        report_error: Callable[[str], None] = lambda word: None,
        bounds: Bounds | None = None,
    ) -> None:
        self._engine = engine
        self._topics = list(topics)
        self._options: dict[str, Any] = {"bootstrap_servers": bootstrap_servers, **security}
        self._group = group
        self._letters_topic = dead_letters
        self._reset = auto_offset_reset
        self._counted = counted
        self._report_error = report_error
        self._bounds = bounds or Bounds()
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._session: Session | None = None

    @property
    def connected(self) -> bool:
        """Whether this process is in the group and the broker answers."""
        return self._session is not None and self._session.connected

    @property
    def lag(self) -> Mapping[tuple[str, int], int]:
        """
        By topic and partition, for those that are ours: records that are not durable with us yet.
        """
        return dict(self._session.lag) if self._session is not None else {}

    async def start(self) -> None:
        """Begin to connect; does not wait for it."""
        self._task = asyncio.create_task(self._run(), name="kafka")

    async def stop(self) -> None:
        """
        Finish what is in hand within the bound, commit it, and leave the group, so that others take
        over at once.
        """
        self._stopping.set()
        if self._task is None:
            return
        done, _ = await asyncio.wait(
            {self._task}, timeout=self._bounds.stop_seconds * STOP_PATIENCE
        )
        if not done:
            self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        now = asyncio.get_running_loop().time
        while not self._stopping.is_set():
            began = now()
            try:
                await self._live()
            except Stopped:
                return
            except Exception as error:
                await self._say(error)
            pause = (
                FIRST_PAUSE_SECONDS
                if now() - began > GOOD_LIFE_SECONDS
                else min(pause * 2, LONGEST_PAUSE_SECONDS)
            )
            await self._rest(pause)

    async def _live(self) -> None:
        """One session, with clients of its own."""
        letters = DeadLetterTopic(
            self._letters_topic, self._options, self._bounds.dead_letter_seconds, self._report_error
        )
        handing = Handing(self._engine, letters, self._bounds, self._counted)
        consumer = GroupConsumer(self._options, self._group, self._reset, self._bounds)
        self._session = Session(consumer, handing, self._topics, self._bounds, self._report_error)
        try:
            await self._session.run(self._stopping)
        finally:
            self._session = None
            await letters.close()

    async def _say(self, error: Exception) -> None:
        """What is wrong and how to fix it, on one line."""
        found = await diagnose(self._options, error)
        self._report_error(found.word)
        log.warning("kafka.failed", reason=found.word, error=found.what)
        if found.word == "other":
            log.warning("kafka.unexpected", exc_info=error)

    async def _rest(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return
