"""
The tokens of a provider's rate while they are in hand.

A token is taken before a send is decided, so that nothing has to be waited for afterwards, and it
is good for half a second; where there are fewer than two a second, until the next one comes, or a
slow connection would never find a good one. A process that was stopped, a database that was away or
a slow start of a connection would otherwise have it spent in some later second, on top of that
second's own. So right before the first byte the token is looked at once more: one that is too old
is dropped and another one taken, while the send may still start; where there is none, the message
waits again.
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
    The right to start one send. ``good_until`` is on the monotonic clock (seconds). It counts from
    before the bucket was asked, so it is never good for longer than the bucket thinks.
    """

    __slots__ = ("_rate", "good_until", "urgent")

    def __init__(self, rate: Rate, asked_at: float, urgent: bool) -> None:
        self._rate = rate
        self.urgent = urgent
        self.good_until = asked_at + rate.token_seconds

    def is_good(self) -> bool:
        return self._rate.monotonic() <= self.good_until

    def lasts(self) -> bool:
        """Whether it will be good for a moment still."""
        return self._rate.monotonic() + NEARLY_OVER_SECONDS <= self.good_until

    async def renew(self, by: float) -> None:
        """
        Have one that lasts; return without it where there is none until ``by`` (monotonic seconds).
        """
        if not self.lasts():
            await self._rate.renew(self, by)


class NoRate(Token):
    """For a provider without a rate: always good."""

    __slots__ = ()

    def __init__(self) -> None:
        self.good_until = float("inf")

    def is_good(self) -> bool:
        return True

    def lasts(self) -> bool:
        return True

    async def renew(self, by: float) -> None:
        return


FREE = NoRate()


class Rate:
    """
    A provider's bucket as the sends of this process use it; without a bucket everything is free.
    ``monotonic`` is in seconds; a token is good for ``token_seconds``.
    """

    def __init__(self, bucket: Bucket | None, monotonic: Callable[[], float]) -> None:
        self._bucket = bucket
        self.monotonic = monotonic
        self.token_seconds = bucket.token_seconds if bucket is not None else float("inf")
        self._turns = {True: asyncio.Lock(), False: asyncio.Lock()}
        """
        Who asks for a new token: one after the other, or each of many would ask again and again.
        Codes by themselves.
        """

    async def take(self, wanted: int, urgent: bool) -> list[Token]:
        """As many tokens as there are now, up to ``wanted``."""
        if self._bucket is None:
            return [FREE] * wanted
        asked_at = self.monotonic()
        granted = await self._bucket.take(wanted, urgent)
        return [Token(self, asked_at, urgent) for _ in range(granted)]

    async def take_all(self, wanted: int, urgent: bool) -> list[Token]:
        """``wanted`` tokens, however long that takes; the first ones may be old by then."""
        tokens = await self.take(wanted, urgent) if wanted > 0 else []
        while len(tokens) < wanted:
            await asyncio.sleep(self.next_in())
            tokens += await self.take(wanted - len(tokens), urgent)
        return tokens

    def next_in(self) -> float:
        """Seconds until it is worth asking again."""
        return max(self._bucket.next_in(), LEAST_WAIT_SECONDS) if self._bucket is not None else 0.0

    async def renew(self, token: Token, by: float) -> None:
        """Another token in the place of an old one, until ``by``."""
        try:
            async with asyncio.timeout(max(0.0, by - self.monotonic())), self._turns[token.urgent]:
                (found,) = await self.take_all(1, token.urgent)
                token.good_until = found.good_until
        except TimeoutError:
            return
