"""
What receipts say later, and how they are merged.

Receipts come early, late, repeated and out of order, so an attempt's state is the maximum of all
that was ever heard: any order and any number of repeats give the same state. Delivery is a rank;
engagement is a set of first times, and any engagement implies delivery.

    created < queued < submitted < accepted < sent < {cancelled, rejected, failed, expired} <
    delivered

A failure never takes back a delivery, and a delivery heals a failure.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Delivery(StrEnum):
    """How far an attempt got, by rank."""

    CREATED = "created"
    QUEUED = "queued"
    SUBMITTED = "submitted"
    ACCEPTED = "accepted"
    SENT = "sent"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    FAILED = "failed"
    EXPIRED = "expired"
    DELIVERED = "delivered"


class Engagement(StrEnum):
    """What the recipient did. The first five move or end a cascade; the rest are kept."""

    READ = "read"
    CLICKED = "clicked"
    REPLIED = "replied"
    UNSUBSCRIBED = "unsubscribed"
    COMPLAINED = "complained"
    DISMISSED = "dismissed"


RANK: dict[Delivery, int] = {
    Delivery.CREATED: 0,
    Delivery.QUEUED: 1,
    Delivery.SUBMITTED: 2,
    Delivery.ACCEPTED: 3,
    Delivery.SENT: 4,
    Delivery.CANCELLED: 5,
    Delivery.REJECTED: 6,
    Delivery.FAILED: 7,
    Delivery.EXPIRED: 8,
    Delivery.DELIVERED: 9,
}

FAILURES = frozenset({Delivery.CANCELLED, Delivery.REJECTED, Delivery.FAILED, Delivery.EXPIRED})

WAITABLE = ("sent", "delivered", "read", "clicked", "replied")
"""The states a step can wait for, each implying those before it."""

UP_TO = tuple(frozenset(WAITABLE[:count]) for count in range(len(WAITABLE) + 1))
"""The first so many of them."""


def merge_delivery(known: Delivery, heard: Delivery) -> Delivery:
    """The later rank of the two; commutative, associative and idempotent."""
    return heard if RANK[heard] > RANK[known] else known


def merge_engagement(known: Mapping[str, int], heard: str, at: int) -> dict[str, int]:
    """The set with ``heard`` in it, keeping the earliest time (UTC milliseconds) of each."""
    merged = dict(known)
    merged[heard] = min(at, merged.get(heard, at))
    return merged


def reached(delivery: Delivery, engagement: Mapping[str, int]) -> frozenset[str]:
    """
    The waitable states that this much evidence proves; each implies those before it.

    Engagement outside the waitable states (a complaint, a dismissal) still implies ``delivered``.
    """
    if not engagement:
        return UP_TO[2 if delivery is Delivery.DELIVERED else 1 if delivery is Delivery.SENT else 0]
    highest = max((WAITABLE.index(state) for state in engagement if state in WAITABLE), default=1)
    return UP_TO[max(highest, 1) + 1]
