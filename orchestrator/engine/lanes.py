"""
Where commands wait, the most urgent first.

    0   one-time codes: their events, and every fact about them
    1   facts about other messages, receipts, opt-outs, profiles
    2…  other events, by the class of what they trigger

A lane is emptied before the next one is looked at, and codes never share a batch with anything
else: what is in a batch waits for all of it. Where the store allows two batches at once, codes are
a line of their own that waits for nobody, and the other line begins nothing while a code is on its
way (``OtpPriority``). Otherwise codes wait for the batch in hand, so while they come, batches are kept
short.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

from orchestrator.core.policy import OTP
from orchestrator.engine.commands import ApplyFact, Command, Publish
from orchestrator.engine.rules import Rules
from orchestrator.stores.rows import LANES

T = TypeVar("T")

OTP_LANE, FACTS = 0, 1
FIRST_OF_EVENTS = 2
UNWANTED = "service"
"""An event that triggers nothing waits with these."""
BATCH_MAX = 256
SHORT_BATCH_MAX = 64
"""How much is decided at once while codes come: a code may wait for that long."""
CODES_COME_SECONDS = 10.0
"""Codes are taken to come for so long after the last one."""
LET_PASS_SECONDS = 0.05
"""How long one batch of other work waits for codes, all in all."""
REST_SECONDS_MAX = 0.1
REST_SHARE = 0.5
"""
While codes come, other batches leave so much of their own time to whatever else the machine has to
do.
"""
WAITING_MAX = 20_000
OTP_EXTRA = 5_000
"""So many codes more are taken where everything else is refused."""


def event_lane(classes: Iterable[str]) -> int:
    """Where an event waits that triggers policies of these classes."""
    found = set(classes) or {UNWANTED}
    return (
        OTP_LANE
        if OTP in found
        else FIRST_OF_EVENTS + min(LANES[message_class] for message_class in found)
    )


def lane_of(command: Command, rules: Rules) -> int:
    """
    Codes, then facts and wishes of any kind, then events by the most urgent class of what they
    trigger.
    """
    match command:
        case Publish():
            classes = [
                policy.message_class for policy in rules.by_event.get(command.event.type, ())
            ]
            return event_lane(classes)
        case ApplyFact(urgent=True):
            return OTP_LANE
    return FACTS


@dataclass(slots=True)
class YieldBudget:
    """How long one piece of work will still wait for codes, whenever it meets one."""

    seconds: float = LET_PASS_SECONDS


class OtpPriority:
    """
    Whether a code is on its way through this process, from its acceptance to its provider. Whatever
    else is about to begin lets it pass: for a moment only, so that no number of codes stops
    everything else.
    """

    def __init__(self) -> None:
        self._under_way = 0
        self._passed = asyncio.Event()
        self._passed.set()

    def __enter__(self) -> None:
        self._under_way += 1
        self._passed.clear()

    def __exit__(self, *_: object) -> None:
        self._under_way -= 1
        if not self._under_way:
            self._passed.set()

    async def passed(self, patience: YieldBudget | None = None) -> None:
        """
        Return when no code is on its way, or after a moment: what is left of ``patience``, where
        there is one.
        """
        patience = patience or YieldBudget()
        if not self._under_way or patience.seconds <= 0:
            return
        began = asyncio.get_running_loop().time()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._passed.wait(), patience.seconds)
        patience.seconds = max(0.0, patience.seconds - (asyncio.get_running_loop().time() - began))


class Lanes(Generic[T]):
    """
    ``apart``: codes are line 0 and everything else line 1; without it everything is line 0.
    ``monotonic`` is in seconds.
    """

    def __init__(self, monotonic: Callable[[], float], *, apart: bool) -> None:
        self._lanes: tuple[deque[tuple[T, bool]], ...] = tuple(
            deque() for _ in range(FIRST_OF_EVENTS + len(LANES))
        )
        self._monotonic = monotonic
        numbers = range(len(self._lanes))
        self._of_line = (numbers[:FACTS], numbers[FACTS:]) if apart else (numbers,)
        self._apart = apart
        self._filled = [asyncio.Event() for _ in self._of_line]
        self._line_of = [1 if apart and lane != OTP_LANE else 0 for lane in numbers]
        self._count = 0
        self._code_at = float("-inf")

    @property
    def lines(self) -> int:
        """How many batches may be in hand at once."""
        return len(self._of_line)

    def __len__(self) -> int:
        return self._count

    def otp_active(self) -> bool:
        """Whether there was a code lately."""
        return self._monotonic() - self._code_at <= CODES_COME_SECONDS

    def has_room(self, lane: int) -> bool:
        """Whether one more may wait there."""
        return self._count < WAITING_MAX + (OTP_EXTRA if lane == OTP_LANE else 0)

    def put(self, lane: int, one: T, *, alone: bool) -> None:
        """
        ``alone``: it is a batch by itself; what comes behind it in its lane waits for the next one.
        """
        if lane == OTP_LANE:
            self._code_at = self._monotonic()
        self._lanes[lane].append((one, alone))
        self._count += 1
        self._filled[self._line_of[lane]].set()

    def wake(self) -> None:
        """End every wait."""
        for filled in self._filled:
            filled.set()

    async def filled(self, line: int) -> None:
        """Return when something waits in a line, or ``wake`` was called."""
        await self._filled[line].wait()

    def may_grow(self, line: int) -> bool:
        """
        Whether a line's next batch is worth waiting for: it is not full yet, and no code would wait
        with it.
        """
        numbers = self._of_line[line]
        waiting = sum(len(self._lanes[number]) for number in numbers)
        return waiting < self._size(numbers[-1]) and not self._lanes[OTP_LANE]

    def take(self, line: int) -> list[T]:
        """
        The next batch of a line; empty where nothing waits, and then ``filled`` waits for the next
        one.
        """
        batch = self._taken(line)
        self._count -= len(batch)
        if not batch:
            self._filled[line].clear()
        return batch

    def _taken(self, line: int) -> list[T]:
        batch: list[T] = []
        for number in self._of_line[line]:
            lane = self._lanes[number]
            size = self._size(number) if lane else 0
            while lane and len(batch) < size:
                alone = lane[0][1]
                if alone and batch:
                    return batch
                batch.append(lane.popleft()[0])
                if alone:
                    return batch
            if batch and number == OTP_LANE:
                return batch
        return batch

    def _size(self, lane: int) -> int:
        if self._apart or lane == OTP_LANE or not self.otp_active():
            return BATCH_MAX
        return SHORT_BATCH_MAX
