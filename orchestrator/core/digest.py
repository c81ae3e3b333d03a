"""
Digests: what comes for one person and key within a window makes one message.

    first event ──► a message, scheduled to the window's end ──► it starts, and nothing joins it
    further ones ──► Joined ─┘

The first event is the message's own; those that join are kept beside it. Both the number of events
and their size are bounded: what comes beyond is counted, and templates see how many more there are.
"""

from __future__ import annotations

from orchestrator.core.message import Message
from orchestrator.core.policy import Digest
from orchestrator.core.quiet_hours import next_time_at
from orchestrator.core.recipient import Instant

JOINED_BYTES_MAX = 256 * 1024
"""The data of all events that join one message, as JSON."""
EVENTS_MAX = 200
"""The largest `max`."""


def gathers_until(digest: Digest, since: Instant, zone: str) -> Instant:
    """When a digest that opens at ``since`` ends and is sent; ``zone`` is the recipient's."""
    if digest.at is not None:
        return next_time_at(digest.at, since, zone)
    return since + (digest.window_ms or 0)


def is_open(message: Message, now: Instant) -> bool:
    """Whether further events may join a message."""
    return message.gathers and message.send_at is None and message.is_scheduled(now)


def has_room(message: Message, digest: Digest, size_bytes: int) -> bool:
    """Whether an event of this size is kept, and not only counted."""
    fits = message.joined_bytes + size_bytes <= JOINED_BYTES_MAX
    # after one that was too large, a small one must not be shown as if nothing were missing
    return message.left_out == 0 and message.joined + 1 < digest.max and fits
