"""A provider's token bucket: what it promises, and its bounds, the same in every store."""

from __future__ import annotations

from typing import Protocol

TOKEN_SECONDS = 0.5
"""How long a token of a rate is good."""
BURST_SECONDS = 0.5
"""How much of a rate may come at once after a quiet time; a single token always may."""
URGENT_WAIT_SECONDS = 0.5
"""How long everything else waits for something urgent that got no token and may have died since."""


def token_seconds(rate: float) -> float:
    """
    The time for which a token is valid, at so many tokens a second. Raises ``ValueError`` for no
    rate.
    """
    if rate <= 0:
        raise ValueError(f"a rate must be above 0 tokens a second, not {rate}")
    return max(TOKEN_SECONDS, 1 / rate)


class Bucket(Protocol):
    """
    A provider's rate: tokens for the whole installation, and a pause if the provider asked for one.

    A token is for a send that starts within ``token_seconds``; nobody keeps one for longer. The
    burst and the life of a token are a second together, so in any time ``t`` no more than
    ``rate × (t + 1 s)`` sends start. Below two a second a token is good until the next one comes,
    and one more may start.
    """

    token_seconds: float

    async def take(self, wanted: int, urgent: bool = False) -> int:
        """
        Take up to ``wanted`` tokens; returns how many there were. While an urgent caller in any
        process is short of tokens, nobody else gets any.
        """

    def take_now(self, urgent: bool = False) -> bool:
        """Take one token if that needs no query; False also if only a query could tell."""

    def next_in(self) -> float:
        """Seconds until there is a token."""

    async def pause(self, seconds: float) -> None:
        """Give out nothing for so long; a longer pause that is already on stays."""

    def paused_for(self) -> float:
        """Seconds that a pause has still to run."""
