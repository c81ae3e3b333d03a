"""A wall clock that a simulation may set wrong, beside a monotonic one that nobody can."""

from __future__ import annotations

from orchestrator.virtual.loop import VirtualLoop


class JumpingClock:
    """
    The ``Clock`` port over a virtual loop: ``start`` is UTC ms at the loop's second 0; ``jump``
    sets it off.
    """

    def __init__(self, loop: VirtualLoop, start: int) -> None:
        self._loop = loop
        self._start = start
        self.off_ms = 0

    def now(self) -> int:
        return self._start + self.off_ms + round(self._loop.seconds * 1000)

    def monotonic(self) -> float:
        return self._loop.seconds

    def real_seconds(self, ms: int) -> float:
        return ms / 1000

    def jump(self, ms: int) -> None:
        """Set the wall clock forward, or back."""
        self.off_ms += ms
