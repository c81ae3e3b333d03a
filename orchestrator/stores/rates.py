"""The bounds of a provider's token bucket, the same in every store."""

from __future__ import annotations

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
