"""
Hard timeouts for many calls under few timers.

Of calls with the same timeout, the first to begin is the first to expire. So one timer for each
length is enough, set for the oldest call that is still running; usually that call has long ended.
"""

from __future__ import annotations

import asyncio

CLOSE_SECONDS = 0.001
"""Timers go off to the millisecond: one that goes off this much too early is on time."""


class CallTimeout:
    """Cancels the task that began it when its time is over; ``expired`` is whether it did."""

    __slots__ = ("_cancelling", "_group", "_task", "at", "expired")

    def __init__(self, group: Group, task: asyncio.Task[object], at: float) -> None:
        self._group = group
        self._task = task
        self._cancelling = task.cancelling()
        self.at = at
        self.expired = False

    def expire(self) -> None:
        self.expired = True
        self._task.cancel()

    def cancelled_it(self) -> bool:
        """True in a cancelled task if this timeout cancelled it and nobody else did too."""
        return self.expired and self._task.uncancel() <= self._cancelling

    def end(self) -> None:
        """The call has ended."""
        self._group.running.pop(self, None)


class Group:
    """The timeouts of one length, the oldest first."""

    __slots__ = ("_seconds", "_timer", "running")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._timer: asyncio.TimerHandle | None = None
        self.running: dict[CallTimeout, None] = {}

    def begin(self) -> CallTimeout:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None, "only a task can be cancelled"
        timeout = CallTimeout(self, task, loop.time() + self._seconds)
        self.running[timeout] = None
        if self._timer is None:
            self._timer = loop.call_at(timeout.at, self._expire_oldest)
        return timeout

    def _expire_oldest(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time() + CLOSE_SECONDS
        for timeout in list(self.running):
            if timeout.at > now:
                self._timer = loop.call_at(timeout.at, self._expire_oldest)
                return
            del self.running[timeout]
            timeout.expire()
        self._timer = None

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Timeouts:
    """All call timeouts of a sender, by length."""

    __slots__ = ("_groups",)

    def __init__(self) -> None:
        self._groups: dict[float, Group] = {}

    def begin(self, seconds: float) -> CallTimeout:
        """Cancel the running task after so many seconds, unless the timeout ends before."""
        group = self._groups.get(seconds)
        if group is None:
            group = self._groups[seconds] = Group(seconds)
        return group.begin()

    def close(self) -> None:
        """Cancel every timer; calls that are still running have no timeout any more."""
        for group in self._groups.values():
            group.close()
