"""
When and where a person answers, as counts in their document: by the hour of their day, and by
channel. Both are bounded, and what is old counts less.
"""

from __future__ import annotations

from orchestrator.core.engagement import HOURS
from orchestrator.recipients.document import Person

SENT_MAX = 20
"""Of more messages on a channel, all so far count half."""
ANSWERS_MAX = 200
"""Of more answers, all so far count half."""


def hours_of(person: Person) -> tuple[int, ...]:
    """How often they have answered at each hour of their day; () if never."""
    return tuple(person.document.get("engagement", {}).get("hours", ()))


def answered_of(person: Person) -> dict[str, tuple[int, int]]:
    """By channel how many of the latest messages they have answered, and of how many."""
    channels = person.document.get("engagement", {}).get("channels", {})
    return {name: (count, sent) for name, (count, sent) in channels.items()}


def count_sent(person: Person, channel: str) -> None:
    """Count a message on a channel."""
    counts = channel_of(person, channel)
    counts[1] += 1
    if counts[1] > SENT_MAX:
        counts[:] = [count // 2 for count in counts]


def count_answer(person: Person, channel: str, hour: int) -> None:
    """Count an answer on a channel, at an hour of their day."""
    counts = channel_of(person, channel)
    counts[0] = min(counts[0] + 1, max(counts[1], 1))
    hours = person.document["engagement"].setdefault("hours", [0] * HOURS)
    hours[hour] += 1
    if sum(hours) > ANSWERS_MAX:
        hours[:] = [count // 2 for count in hours]


def channel_of(person: Person, channel: str) -> list[int]:
    """The counts of a channel, to be changed."""
    person.dirty = True
    counts: list[int] = (
        person.document.setdefault("engagement", {})
        .setdefault("channels", {})
        .setdefault(channel, [0, 0])
    )
    return counts
