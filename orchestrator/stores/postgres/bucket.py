"""
A provider's rate, one bucket for the installation: it stands in the database and runs by the
database's clock.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from orchestrator.stores.port import BURST_SECONDS, URGENT_WAIT_SECONDS, token_seconds


class PostgresBucket:
    """
    ``fetch`` runs one query. What is known of the bucket between two calls is only when it may be
    worth asking again.
    """

    def __init__(
        self,
        fetch: Callable[..., Awaitable[list[Any]]],
        provider: str,
        rate: float,
        monotonic: Callable[[], float],
    ) -> None:
        if rate <= 0:
            raise ValueError(f"a rate is more than nothing, not {rate}")
        self.token_seconds = token_seconds(rate)
        self._fetch = fetch
        self._provider = provider
        self._rate = rate
        self._monotonic = monotonic
        self._next_at = 0.0
        self._paused_until = 0.0

    async def take(self, wanted: int, urgent: bool = False) -> int:
        limits = (BURST_SECONDS, URGENT_WAIT_SECONDS)
        query = "select * from take_tokens($1, $2, $3, $4, $5, $6)"
        rows = await self._fetch(query, self._provider, self._rate, wanted, urgent, *limits)
        granted, next_in, paused_for = rows[0]
        now = self._monotonic()
        self._next_at, self._paused_until = now + next_in, now + paused_for
        return int(granted)

    def next_in(self) -> float:
        return max(0.0, self._next_at - self._monotonic())

    async def pause(self, seconds: float) -> None:
        query = (
            "insert into rates (provider, tokens, filled_at, paused_until) values ($1, 0,"
            " clock_timestamp(), clock_timestamp() + make_interval(secs => $2)) on conflict"
            " (provider) do update set paused_until = greatest(rates.paused_until,"
            " excluded.paused_until)"
        )
        await self._fetch(query, self._provider, seconds)
        self._paused_until = max(self._paused_until, self._monotonic() + seconds)

    def paused_for(self) -> float:
        return max(0.0, self._paused_until - self._monotonic())
