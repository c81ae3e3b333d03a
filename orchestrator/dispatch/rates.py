"""
Tokens of a provider's rate between the bucket and the first byte of a send.

A token is taken before a send is decided, so that nothing delays the send afterwards. It is good
for half a second (below two a second: until the next one comes). Otherwise a paused process, an
unreachable database or a slow connect would spend it in a later second, on top of that second's own
tokens. So a token that is too old right before the first byte is replaced while the send may still
start; if there is no other, the message waits again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from orchestrator.stores.rates import Bucket

NEARLY_OVER_SECONDS = 0.1
"""A token that is about to expire is renewed while there is time to wait for another."""
LEAST_WAIT_SECONDS = 0.005
"""The pause between two requests for a token, which another process may have taken."""


class Token:
    """
    The right to start one send. ``good_until`` is in monotonic seconds and counts from before the
    bucket was asked, so the token is never good for longer than the bucket assumes.
    """

    __slots__ = ("_rate", "good_until", "urgent")

    def __init__(self, rate: Rate, asked_at: float, urgent: bool) -> None:
        self._rate = rate
        self.urgent = urgent
        self.good_until = asked_at + rate.token_seconds

    def is_good(self) -> bool:
        return self._rate.monotonic() <= self.good_until

    def lasts(self) -> bool:
        """True if it stays good for another moment."""
        return self._rate.monotonic() + NEARLY_OVER_SECONDS <= self.good_until

    async def renew(self, by: float) -> None:
        """Replace it if it is too old; give up at ``by`` (monotonic seconds)."""
        if not self.lasts():
            await self._rate.renew(self, by)


class NoRate(Token):
    """The token of a provider without a rate: always good."""

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
    A provider's bucket as the sends of this process use it; without a bucket, tokens are free.
    ``monotonic`` is in seconds; a token is good for ``token_seconds``.
    """

    def __init__(self, bucket: Bucket | None, monotonic: Callable[[], float]) -> None:
        self._bucket = bucket
        self.monotonic = monotonic
        self.token_seconds = bucket.token_seconds if bucket is not None else float("inf")
        self._renewing = {True: asyncio.Lock(), False: asyncio.Lock()}
        """One renewal at a time, or many would poll the bucket. OTPs have their own lock."""

    async def take(self, wanted: int, urgent: bool) -> list[Token]:
        """Take up to ``wanted`` tokens that are there now."""
        if self._bucket is None:
            return [FREE] * wanted
        asked_at = self.monotonic()
        granted = await self._bucket.take(wanted, urgent)
        return [Token(self, asked_at, urgent) for _ in range(granted)]

    def take_now(self, urgent: bool) -> Token | None:
        """Take one token, if there is one without waiting."""
        if self._bucket is None:
            return FREE
        asked_at = self.monotonic()
        return Token(self, asked_at, urgent) if self._bucket.take_now(urgent) else None

    async def take_all(self, wanted: int, urgent: bool) -> list[Token]:
        """Wait for ``wanted`` tokens; the first ones may be too old by then."""
        tokens = await self.take(wanted, urgent) if wanted > 0 else []
        while len(tokens) < wanted:
            await asyncio.sleep(self.next_in())
            tokens += await self.take(wanted - len(tokens), urgent)
        return tokens

    def next_in(self) -> float:
        """Seconds until the bucket may have a token."""
        return max(self._bucket.next_in(), LEAST_WAIT_SECONDS) if self._bucket is not None else 0.0

    async def renew(self, token: Token, by: float) -> None:
        """Replace an old token; give up at ``by``."""
        try:
            left_seconds = max(0.0, by - self.monotonic())
            async with asyncio.timeout(left_seconds), self._renewing[token.urgent]:
                (found,) = await self.take_all(1, token.urgent)
                token.good_until = found.good_until
        except TimeoutError:
            return
