"""The rate of a provider in one process: a token bucket, with half a second's worth as burst."""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.stores.rates import BURST_SECONDS, URGENT_WAIT_SECONDS, token_seconds


class TokenBucket:
    """See ``Bucket``; ``rate`` is tokens a second, ``monotonic`` returns seconds."""

    def __init__(self, rate: float, monotonic: Callable[[], float]) -> None:
        self.token_seconds = token_seconds(rate)
        self._rate = rate
        self._burst = max(1.0, rate * BURST_SECONDS)
        self._monotonic = monotonic
        self._tokens = self._burst
        self._at = monotonic()
        self._paused_until = 0.0
        self._urgent_until = 0.0

    async def take(self, wanted: int, urgent: bool = False) -> int:
        self._fill()
        if self.paused_for() > 0 or (not urgent and self._at < self._urgent_until):
            return 0
        granted = min(wanted, int(self._tokens))
        self._tokens -= granted
        if urgent:
            self._urgent_until = (
                self._at + 1 / self._rate + URGENT_WAIT_SECONDS if granted < wanted else 0.0
            )
        return granted

    def take_now(self, urgent: bool = False) -> bool:
        self._fill()
        blocked = self.paused_for() > 0 or (not urgent and self._at < self._urgent_until)
        if blocked or self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def next_in(self) -> float:
        self._fill()
        return max(self.paused_for(), (1 - self._tokens) / self._rate, 0.0)

    async def pause(self, seconds: float) -> None:
        self._paused_until = max(self._paused_until, self._monotonic() + seconds)

    def paused_for(self) -> float:
        return max(0.0, self._paused_until - self._monotonic())

    def _fill(self) -> None:
        now = self._monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
