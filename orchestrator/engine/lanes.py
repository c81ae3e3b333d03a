"""
Where commands wait, the most urgent first.

    0   one-time passwords (OTPs): their events, and every fact about them
    1   facts about other messages, receipts, opt-outs, profiles
    2…  other events, by the class of what they trigger

A lane is emptied before the next one is looked at, and OTPs never share a batch with anything else:
the answer to each command of a batch waits for the whole batch. If the store allows two batches at
once, OTPs have a loop of their own that waits for nothing, and the other loop begins nothing while
an OTP is in progress (``OtpPriority``). Otherwise an OTP waits for the current batch to finish, so
batches are kept short while OTP traffic is active.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from orchestrator.core.policy import OTP
from orchestrator.engine.commands import ApplyFact, Command, Publish
from orchestrator.engine.rules import Rules
from orchestrator.primitives.waiting import set_within
from orchestrator.stores.rows import LANES

T = TypeVar("T")

OTP_LANE, FACTS = 0, 1
FIRST_OF_EVENTS = 2
UNMATCHED_CLASS = "service"
"""An event that triggers nothing waits with the events of this class."""
BATCH_MAX = 256
SHORT_BATCH_MAX = 64
"""The largest batch while OTP traffic is active: an OTP may have to wait for all of it."""
OTP_ACTIVE_SECONDS = 10.0
"""OTP traffic counts as active for this long after the last OTP."""
YIELD_SECONDS_MAX = 0.05
"""How long one batch of other work waits for OTPs in total."""
REST_SECONDS_MAX = 0.1
REST_SHARE = 0.5
"""While OTP traffic is active, a large batch is followed by a pause of this share of its time."""
WAITING_MAX = 20_000
OTP_EXTRA = 5_000
"""How many OTPs more are taken after everything else is refused."""


def event_lane(classes: Iterable[str]) -> int:
    """The lane of an event that triggers policies of these classes."""
    found = set(classes) or {UNMATCHED_CLASS}
    if OTP in found:
        return OTP_LANE
    return FIRST_OF_EVENTS + min(LANES[message_class] for message_class in found)


def lane_of(command: Command, rules: Rules) -> int:
    """
    OTPs first, then facts and API calls of any kind, then events by the most urgent class of what
    they trigger.
    """
    match command:
        case Publish():
            policies = rules.by_event.get(command.event.type, ())
            return event_lane([policy.message_class for policy in policies])
        case ApplyFact(urgent=True):
            return OTP_LANE
    return FACTS


@dataclass(slots=True)
class YieldBudget:
    """The total time that one piece of work will still wait for OTPs."""

    seconds: float = YIELD_SECONDS_MAX


class OtpPriority:
    """
    Whether an OTP is on its way through this process, from its acceptance to its provider. Other
    work that is about to begin lets it pass, but only for a moment: no number of OTPs stops
    everything else.
    """

    def __init__(self) -> None:
        self._in_progress = 0
        self._passed = asyncio.Event()
        self._passed.set()

    def __enter__(self) -> None:
        self._in_progress += 1
        self._passed.clear()

    def __exit__(self, *_: object) -> None:
        self._in_progress -= 1
        if not self._in_progress:
            self._passed.set()

    @property
    def in_progress(self) -> bool:
        return self._in_progress > 0

    async def give_way(self, budget: YieldBudget | None = None) -> None:
        """
        Return when no OTP is in progress, at the latest when the budget is spent (by default that
        of one batch).
        """
        budget = budget or YieldBudget()
        if not self._in_progress or budget.seconds <= 0:
            return
        began = asyncio.get_running_loop().time()
        await set_within(self._passed, budget.seconds)
        budget.seconds = max(0.0, budget.seconds - (asyncio.get_running_loop().time() - began))


class Lanes(Generic[T]):
    """
    ``apart``: the OTP lane is loop 0 and every other lane loop 1; otherwise all lanes are loop 0.
    ``monotonic`` is in seconds.
    """

    def __init__(self, monotonic: Callable[[], float], *, apart: bool) -> None:
        self._lanes: tuple[deque[tuple[T, bool]], ...] = tuple(
            deque() for _ in range(FIRST_OF_EVENTS + len(LANES))
        )
        self._monotonic = monotonic
        numbers = range(len(self._lanes))
        self._of_loop = (numbers[:FACTS], numbers[FACTS:]) if apart else (numbers,)
        self._apart = apart
        self._filled = [asyncio.Event() for _ in self._of_loop]
        self._count = 0
        self._otp_at = float("-inf")

    @property
    def loops(self) -> int:
        """The number of batches that may be decided at once."""
        return len(self._of_loop)

    def __len__(self) -> int:
        return self._count

    def otp_active(self) -> bool:
        """Whether an OTP came in a moment ago."""
        return self._monotonic() - self._otp_at <= OTP_ACTIVE_SECONDS

    def has_room(self, lane: int) -> bool:
        """Whether one more command may wait in a lane."""
        return self._count < WAITING_MAX + (OTP_EXTRA if lane == OTP_LANE else 0)

    def put(self, lane: int, one: T, *, alone: bool) -> None:
        """
        Add to a lane. ``alone``: it is a batch by itself, and what stands behind it in its lane
        waits for the next one.
        """
        if lane == OTP_LANE:
            self._otp_at = self._monotonic()
        self._lanes[lane].append((one, alone))
        self._count += 1
        self._filled[1 if self._apart and lane != OTP_LANE else 0].set()

    def put_back(self, lane: int, one: T) -> None:
        """Return what a batch did not come to; it stands before all that waits in its lane."""
        self._lanes[lane].appendleft((one, False))
        self._count += 1
        self._filled[1 if self._apart and lane != OTP_LANE else 0].set()

    def wake(self) -> None:
        """End every wait."""
        for filled in self._filled:
            filled.set()

    async def filled(self, loop: int) -> None:
        """Return when something waits for a loop, or ``wake`` was called."""
        await self._filled[loop].wait()

    def may_grow(self, loop: int) -> bool:
        """
        Whether waiting makes a loop's next batch larger: it is not full yet, and no OTP would wait
        with it.
        """
        numbers = self._of_loop[loop]
        waiting = sum(len(self._lanes[number]) for number in numbers)
        return waiting < self._size_max(numbers[-1]) and not self._lanes[OTP_LANE]

    def take(self, loop: int, events_max: Callable[[int], int] | None = None) -> list[T]:
        """
        The next batch of a loop. If nothing waits, ``filled`` waits for the next command.
        ``events_max`` gives how many of so many events, other than OTPs, the batch may have.
        """
        batch = self._take(loop, events_max)
        self._count -= len(batch)
        if not batch and not self.waits(loop):
            self._filled[loop].clear()
        return batch

    def waits(self, loop: int) -> bool:
        """Whether anything waits for a loop."""
        return any(self._lanes[number] for number in self._of_loop[loop])

    def _take(self, loop: int, events_max: Callable[[int], int] | None) -> list[T]:
        batch: list[T] = []
        events_end: int | None = None
        for number in self._of_loop[loop]:
            lane = self._lanes[number]
            size_max = self._size_max(number) if lane else 0
            if lane and events_max is not None and number >= FIRST_OF_EVENTS:
                if events_end is None:
                    events_end = len(batch) + events_max(size_max)
                size_max = min(size_max, events_end)
            while lane and len(batch) < size_max:
                alone = lane[0][1]
                if alone and batch:
                    return batch
                batch.append(lane.popleft()[0])
                if alone:
                    return batch
            if batch and number == OTP_LANE:
                return batch
        return batch

    def _size_max(self, lane: int) -> int:
        if self._apart or lane == OTP_LANE or not self.otp_active():
            return BATCH_MAX
        return SHORT_BATCH_MAX
