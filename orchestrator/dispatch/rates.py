"""
The tokens of a provider's rate while they are in hand.

A token is taken before a send is decided, so that nothing has to be waited for afterwards, and it is good for half a
second; where there are fewer than two a second, until the next one comes, or a slow connection would never find a good
one. A process that was stopped, a database that was away or a slow start of a connection would otherwise have it spent in
some later second, on top of that second's own. So right before the first byte the token is looked at once more: one that
is too old is dropped and another one taken, while the send may still start; where there is none, the message waits again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from orchestrator.stores.port import Bucket

NEARLY_OVER_SECONDS = 0.1
"""A token with so little left is renewed while it can still be waited for."""
LEAST_WAIT_SECONDS = 0.005
"""Between two questions for a token: others may have taken the one that was expected."""


class Token:
    """
    The right to start one send. ``good_until`` is on the monotonic clock (seconds). It counts from before the bucket was
    asked, so it is never good for longer than the bucket thinks.
    """

    __slots__ = ("_bucket", "_monotonic", "_urgent", "good_until")

    def __init__(self, bucket: Bucket, monotonic: Callable[[], float], asked_at: float, urgent: bool) -> None:
        self._bucket = bucket
        self._monotonic = monotonic
        self._urgent = urgent
        self.good_until = asked_at + bucket.token_seconds

    def is_good(self) -> bool:
        return self._monotonic() <= self.good_until

    async def renew(self, by: float) -> None:
        """Have one that will last a moment; return without it where there is none until ``by`` (monotonic seconds)."""
        while self._monotonic() + NEARLY_OVER_SECONDS > self.good_until:
            asked_at = self._monotonic()
            if asked_at >= by:
                return
            if await self._bucket.take(1, self._urgent):
                self.good_until = asked_at + self._bucket.token_seconds
                return
            await asyncio.sleep(min(max(self._bucket.next_in(), LEAST_WAIT_SECONDS), max(0.0, by - self._monotonic())))


class NoRate(Token):
    """For a provider without a rate: always good."""

    __slots__ = ()

    def __init__(self) -> None:
        self.good_until = float("inf")

    def is_good(self) -> bool:
        return True

    async def renew(self, by: float) -> None:
        return


FREE = NoRate()


async def take(bucket: Bucket | None, wanted: int, monotonic: Callable[[], float], urgent: bool) -> list[Token]:
    """As many tokens as there are now, up to ``wanted``."""
    if bucket is None:
        return [FREE] * wanted
    asked_at = monotonic()
    granted = await bucket.take(wanted, urgent)
    return [Token(bucket, monotonic, asked_at, urgent) for _ in range(granted)]


async def take_all(bucket: Bucket | None, wanted: int, monotonic: Callable[[], float], urgent: bool) -> list[Token]:
    """``wanted`` tokens, however long that takes; the first ones may be old by then."""
    tokens = await take(bucket, wanted, monotonic, urgent)
    while bucket is not None and len(tokens) < wanted:
        await asyncio.sleep(max(bucket.next_in(), LEAST_WAIT_SECONDS))
        tokens += await take(bucket, wanted - len(tokens), monotonic, urgent)
    return tokens
