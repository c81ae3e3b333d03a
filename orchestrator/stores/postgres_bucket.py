"""A provider's rate, one bucket for the installation: it stands in the database and runs by the database's clock."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any


class PostgresBucket:
    """``fetch`` runs one query. What is known of the bucket between two calls is only when it may be worth asking again."""

    def __init__(
        self,
        fetch: Callable[..., Awaitable[list[Any]]],
        provider: str,
        rate: float,
        monotonic: Callable[[], float],
    ) -> None:
        if rate <= 0:
            raise ValueError(f"a rate is more than nothing, not {rate}")
        self._fetch = fetch
        self._provider = provider
        self._rate = rate
        self._monotonic = monotonic
        self._next_at = 0.0
        self._paused_until = 0.0

    async def take(self, wanted: int) -> int:
        rows = await self._fetch("select * from take_tokens($1, $2, $3)", self._provider, self._rate, wanted)
        granted, next_in, paused_for = rows[0]
        now = self._monotonic()
        self._next_at, self._paused_until = now + next_in, now + paused_for
        return int(granted)

    def next_in(self) -> float:
        return max(0.0, self._next_at - self._monotonic())

    async def pause(self, seconds: float) -> None:
        query = (
            "insert into rates values ($1, 0, clock_timestamp(), clock_timestamp() + make_interval(secs => $2)) "
            "on conflict (provider) do update set paused_until = greatest(rates.paused_until, excluded.paused_until)"
        )
        await self._fetch(query, self._provider, seconds)
        self._paused_until = max(self._paused_until, self._monotonic() + seconds)

    def paused_for(self) -> float:
        return max(0.0, self._paused_until - self._monotonic())
