"""A provider's rate for the whole installation, kept in the database by the database's clock."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from orchestrator.stores.rates import BURST_SECONDS, URGENT_WAIT_SECONDS, token_seconds


class PostgresBucket:
    """
    See ``Bucket``. ``fetch`` runs a named statement. Between two calls only the time is known at
    which it may be worth asking again.
    """

    def __init__(
        self,
        fetch: Callable[..., Awaitable[Any]],
        provider: str,
        rate: float,
        monotonic: Callable[[], float],
    ) -> None:
        self.token_seconds = token_seconds(rate)
        self._fetch = fetch
        self._provider = provider
        self._rate = rate
        self._monotonic = monotonic
        self._next_at = 0.0
        self._paused_until = 0.0

    async def take(self, wanted: int, urgent: bool = False) -> int:
        limits = (BURST_SECONDS, URGENT_WAIT_SECONDS)
        rows = await self._fetch("take_tokens", self._provider, self._rate, wanted, urgent, *limits)
        granted, next_in, paused_for = rows[0]
        now = self._monotonic()
        self._next_at, self._paused_until = now + next_in, now + paused_for
        return int(granted)

    def take_now(self, urgent: bool = False) -> bool:
        return False

    def next_in(self) -> float:
        return max(0.0, self._next_at - self._monotonic())

    async def pause(self, seconds: float) -> None:
        await self._fetch("pause", self._provider, seconds)
        self._paused_until = max(self._paused_until, self._monotonic() + seconds)

    def paused_for(self) -> float:
        return max(0.0, self._paused_until - self._monotonic())
