"""
An event loop whose time is a number.

Where an ordinary loop would sleep until the next timer, this one moves its clock there at once;
nothing else advances it. Callbacks run in the order in which they became ready, timers of the same
instant in the order in which they were set, and work for a thread runs where it is asked for. The
same program therefore takes the same steps each time.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import itertools
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, TypeVar

T = TypeVar("T")
TICK_SECONDS = 1e-6
"""
Timers this close together are one instant: a double has no more digits after some months of
seconds.
"""


class NothingLeft(RuntimeError):
    """Everybody waits, and nothing can ever wake anybody: a real loop would hang here."""


class Livelock(RuntimeError):
    """Too many steps at one instant: a task repeats without ever waiting."""


class _Timer(asyncio.TimerHandle):
    """
    ``sequence`` tells apart timers of one instant. Without it their order would depend on which
    timers beside them have been cancelled, and with that on when the garbage collector last came
    by.
    """

    __slots__ = ("sequence",)
    sequence: int

    def __lt__(self, other: Any) -> bool:
        return (self.when(), self.sequence) < (other.when(), other.sequence)


class _Jump:
    """Stands where a loop keeps its selector: instead of waiting it moves the clock."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[Any]:
        self._loop.turns += 1
        if self._loop.turns_max is not None and self._loop.turns > self._loop.turns_max:
            raise Livelock(
                f"{self._loop.turns} turns, and it is only second {self._loop.seconds:.6f}"
            )
        if timeout is None:
            raise NothingLeft("every task waits and no timer is set")
        if timeout > 0:
            self._loop.seconds += timeout
        return []

    def close(self) -> None:
        """Nothing is open."""


class VirtualLoop(asyncio.BaseEventLoop):
    """
    ``seconds``: how far this loop's time has come since it was made. Sockets, signals and
    subprocesses are not to be had.

    ``jitter`` may be set to a function that is asked before each timer and adds so many seconds to
    it, so that a simulator can shuffle what would otherwise always come in the same order.
    ``turns`` counts the loop's rounds; past ``turns_max`` it raises ``Livelock``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0
        self.jitter: Callable[[], float] | None = None
        self.turns = 0
        self.turns_max: int | None = None
        self._sequence = itertools.count()
        self._selector = _Jump(self)
        self._clock_resolution = TICK_SECONDS

    def time(self) -> float:
        return self.seconds

    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        if self.jitter is not None:
            when += self.jitter()
        if self.seconds <= when < self.seconds + 2 * TICK_SECONDS:
            # after any wait, however short, the clock must show a later time
            when = self.seconds + 2 * TICK_SECONDS
        timer = _Timer(when, callback, args, self, context)
        timer.sequence = next(self._sequence)
        heapq.heappush(self._scheduled, timer)  # type: ignore[attr-defined]
        timer._scheduled = True  # type: ignore[attr-defined]
        return timer

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except BaseException as error:
            future.set_exception(error)
        return future

    def _process_events(self, event_list: list[Any]) -> None:
        """There are none: nothing outside this loop can happen."""

    def _write_to_self(self) -> None:
        """Does nothing: no other thread can be waiting."""


class VirtualClock:
    """
    The ``Clock`` port over a virtual loop: ``start`` is UTC milliseconds at the loop's second 0.
    """

    def __init__(self, loop: VirtualLoop, start: int) -> None:
        self._loop = loop
        self.start = start

    def now(self) -> int:
        return self.start + round(self._loop.seconds * 1000)

    def monotonic(self) -> float:
        return self._loop.seconds

    def real_seconds(self, ms: int) -> float:
        return ms / 1000


def run(main: Callable[[VirtualLoop], Coroutine[Any, Any, T]]) -> T:
    """Run ``main(loop)`` to its end on a loop of its own, and cancel what it has left behind."""
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(main(loop))
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.close()
