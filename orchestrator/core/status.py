"""
What receipts report, and how they are merged.

Receipts come early, late, repeated and out of order, so an attempt's state is the maximum of all
that were ever reported: any order and any number of repeats give the same state. Delivery is a
rank; engagement is a set of first times, and any engagement implies delivery.

A failure never takes back a delivery, and a delivery heals a failure.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Delivery(StrEnum):
    """How far an attempt got; the order of the words is their rank, the lowest first."""

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
    """An action of the recipient. The states in ``WAITABLE`` can end a step; all are stored."""

    READ = "read"
    CLICKED = "clicked"
    REPLIED = "replied"
    UNSUBSCRIBED = "unsubscribed"
    COMPLAINED = "complained"
    DISMISSED = "dismissed"


RANK = {state: rank for rank, state in enumerate(Delivery)}

FAILURES = frozenset({Delivery.CANCELLED, Delivery.REJECTED, Delivery.FAILED, Delivery.EXPIRED})

WAITABLE = ("sent", "delivered", "read", "clicked", "replied")
"""The states a step can wait for, each implying those before it."""

UP_TO = tuple(frozenset(WAITABLE[:count]) for count in range(len(WAITABLE) + 1))
"""By count, the first so many waitable states."""


def merge_delivery(known: Delivery, reported: Delivery) -> Delivery:
    """The higher rank of the two; commutative, associative and idempotent."""
    return reported if RANK[reported] > RANK[known] else known


def merge_engagement(known: Mapping[str, int], reported: str, at: int) -> dict[str, int]:
    """The engagements with ``reported`` added, each with its earliest time (UTC milliseconds)."""
    merged = dict(known)
    merged[reported] = min(at, merged.get(reported, at))
    return merged


def reached(delivery: Delivery, engagement: Mapping[str, int]) -> frozenset[str]:
    """
    The waitable states that this evidence proves; each implies those before it.

    Engagement that is not waitable (a complaint, a dismissal) still implies ``delivered``.
    """
    if not engagement:
        return UP_TO[2 if delivery is Delivery.DELIVERED else 1 if delivery is Delivery.SENT else 0]
    highest = max((WAITABLE.index(state) for state in engagement if state in WAITABLE), default=1)
    return UP_TO[max(highest, 1) + 1]
