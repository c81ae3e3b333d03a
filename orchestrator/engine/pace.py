"""
How long a batch may keep the event loop, and how long it may last.

Both are told by the engine's monotonic clock, which stands still within a batch of the simulator:
there a batch never pauses and never ends early, so a run takes the same steps each time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

TURN_SECONDS = 0.02
"""Everything else in the process gets a turn when a batch has worked for this long."""
BATCH_SECONDS_MAX = 0.25
"""
A batch that has worked for this long is committed with what it has decided; the rest waits for the
next one, behind what is more urgent. Calls have to start within a second of its beginning.
"""


class Pace:
    """The progress of one batch. ``give_way`` lets one-time codes pass after a pause."""

    __slots__ = ("_began", "_give_way", "_monotonic", "_turn_began")

    def __init__(
        self, monotonic: Callable[[], float], give_way: Callable[[], Awaitable[None]]
    ) -> None:
        self._monotonic = monotonic
        self._give_way = give_way
        self.begin()

    def begin(self) -> None:
        """Count from now on: what was before was waiting, not work."""
        self._began = self._turn_began = self._monotonic()

    @property
    def over(self) -> bool:
        """Whether the batch has worked for as long as it may."""
        return self._monotonic() - self._began > BATCH_SECONDS_MAX

    async def pause(self, *, at_once: bool = False) -> None:
        """Let the loop run, unless the batch has only just had it; ``at_once``: in any case."""
        if at_once or self._monotonic() - self._turn_began >= TURN_SECONDS:
            await asyncio.sleep(0)
            await self._give_way()
            self._turn_began = self._monotonic()
