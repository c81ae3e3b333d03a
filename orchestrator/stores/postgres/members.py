"""
Who shares a store, and who of them looks after which buckets.

Each process writes down every few seconds that it lives. The buckets are dealt out among those that
have done so lately, by the highest random weight, so that when one joins or dies only its own share
moves. Everybody works this out alone; for a moment two may look after the same bucket, which costs
a little work and nothing else, because what is decided about a message is decided under its
recipient's lock.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection

from orchestrator.stores.port import BUCKETS

BEAT_SECONDS = 3.0
DEAD_AFTER_SECONDS = 15.0
"""How long a process may be silent, by the database's clock, before its work is taken over."""


def share_of(member: str, members: Collection[str]) -> tuple[int, ...] | None:
    """The buckets that fall to ``member``; None where it is alone and all are its."""
    others = [other for other in members if other != member]
    if not others:
        return None
    return tuple(
        bucket
        for bucket in range(BUCKETS)
        if weight(member, bucket) > max(weight(other, bucket) for other in others)
    )


def weight(member: str, bucket: int) -> bytes:
    """How strongly a bucket is drawn to a member: chance that is the same for everybody."""
    return hashlib.blake2b(f"{bucket}:{member}".encode(), digest_size=8).digest()
