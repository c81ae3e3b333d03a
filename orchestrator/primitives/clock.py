"""Time through one door: the system's, or one that runs faster for a demonstration."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """
    ``now`` is UTC milliseconds; ``monotonic`` real seconds that never jump, for deadlines of what
    is under way.
    """

    def now(self) -> int: ...
    def monotonic(self) -> float: ...
    def real_seconds(self, ms: int) -> float:
        """
        How long to sleep, in real seconds, until ``ms`` milliseconds of this clock have passed.
        """


class SystemClock:
    """The machine's clock."""

    def now(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()

    def real_seconds(self, ms: int) -> float:
        return ms / 1000


class FastClock:
    """
    A clock that runs ``speed`` times as fast as the machine's, from ``start`` (UTC milliseconds)
    on.

    The speed may be changed while it runs; time never goes back.
    """

    def __init__(self, start: int, speed: float) -> None:
        self._start = start
        self._since = time.monotonic()
        self.speed = speed

    def set_speed(self, speed: float) -> None:
        self._start, self._since = self.now(), time.monotonic()
        self.speed = speed

    def now(self) -> int:
        return self._start + int((time.monotonic() - self._since) * 1000 * self.speed)

    def monotonic(self) -> float:
        return time.monotonic()

    def real_seconds(self, ms: int) -> float:
        return ms / 1000 / self.speed
