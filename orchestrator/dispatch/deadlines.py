"""
Hard deadlines for many calls under few timers.

Of calls that may take equally long, the first to begin is the first to be over: one timer, set for
the oldest that is still under way, is enough for all of them. Mostly they have long ended when it
goes off.
"""

from __future__ import annotations

import asyncio

CLOSE_SECONDS = 0.001
"""Timers go off to the millisecond: so much too early is in time."""


class Deadline:
    """Cancels the task that began it when its time is over; ``over`` is whether it has."""

    __slots__ = ("_cancelling", "_group", "_task", "at", "over")

    def __init__(self, group: Group, task: asyncio.Task[object], at: float) -> None:
        self._group = group
        self._task = task
        self._cancelling = task.cancelling()
        self.at = at
        self.over = False

    def expire(self) -> None:
        self.over = True
        self._task.cancel()

    def passed(self) -> bool:
        """
        Asked where the task was cancelled: whether this deadline did it, and nobody else did too.
        """
        return self.over and self._task.uncancel() <= self._cancelling

    def end(self) -> None:
        """What it was for has ended."""
        self._group.running.pop(self, None)


class Group:
    """The deadlines of one length, the oldest first."""

    __slots__ = ("_seconds", "_timer", "running")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._timer: asyncio.TimerHandle | None = None
        self.running: dict[Deadline, None] = {}

    def begin(self) -> Deadline:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None, "only a task can be cancelled"
        deadline = Deadline(self, task, loop.time() + self._seconds)
        self.running[deadline] = None
        if self._timer is None:
            self._timer = loop.call_at(deadline.at, self._look)
        return deadline

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time() + CLOSE_SECONDS
        for deadline in list(self.running):
            if deadline.at > now:
                self._timer = loop.call_at(deadline.at, self._look)
                return
            del self.running[deadline]
            deadline.expire()
        self._timer = None

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Deadlines:
    """Every deadline of a sender, by how long it is."""

    __slots__ = ("_groups",)

    def __init__(self) -> None:
        self._groups: dict[float, Group] = {}

    def begin(self, seconds: float) -> Deadline:
        """The running task is cancelled after so long, unless the deadline is ended before."""
        group = self._groups.get(seconds)
        if group is None:
            group = self._groups[seconds] = Group(seconds)
        return group.begin()

    def close(self) -> None:
        """Set no timer any more; what is still under way has no deadline."""
        for group in self._groups.values():
            group.close()
