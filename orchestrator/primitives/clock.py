"""The clock: the system's, or one that runs faster for a demonstration."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """
    ``now`` is UTC milliseconds; ``monotonic`` is in real seconds and never jumps, for timeouts.
    """

    def now(self) -> int: ...
    def monotonic(self) -> float: ...
    def real_seconds(self, ms: int) -> float:
        """The real seconds in which this clock advances by ``ms`` milliseconds."""


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
    Runs ``speed`` times as fast as the machine's clock, from ``start`` (UTC milliseconds) on.

    The speed may change while it runs; time never goes back.
    """

    def __init__(self, start: int, speed: float) -> None:
        self._start = start
        self._since = time.monotonic()
        self.speed = speed

    def set_speed(self, speed: float) -> None:
        self._start, self._since = self.now(), time.monotonic()
        self.speed = speed

    def skip_to(self, at: int) -> None:
        """Be ``at`` (UTC milliseconds) now, if that is still to come."""
        self._start, self._since = max(at, self.now()), time.monotonic()

    def now(self) -> int:
        return self._start + int((time.monotonic() - self._since) * 1000 * self.speed)

    def monotonic(self) -> float:
        return time.monotonic()

    def real_seconds(self, ms: int) -> float:
        return ms / 1000 / self.speed
