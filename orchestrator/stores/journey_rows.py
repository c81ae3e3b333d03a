"""
The rows of journeys. Times are UTC milliseconds; the columns stand in the order of their table.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

JOURNEY_ID_PREFIX = "J"
"""
The first letter of a journey's id; a ULID follows. A message's id is a bare ULID, which begins with
a digit, so a timer shows whose it is, and journeys come after all messages in the order of ids.
"""

EntryKey: TypeAlias = tuple[str, str, str]  # recipient, journey, key


def is_journey(id: str) -> bool:
    """Whether an id is a journey's, not a message's."""
    return id.startswith(JOURNEY_ID_PREFIX)


class JourneyRow(NamedTuple):
    """
    A journey of a person. ``state`` is its document, ``events`` what its expressions see as
    ``event``: the JSON of ``{"ce": …, "data": …}`` by the path of the step that waited for it, ""
    for the event that it began with. ``due_at`` is its timer's time.
    """

    id: str
    bucket: int
    recipient: str
    journey: str
    key: str
    status: str
    created_at: int
    finished_at: int | None
    due_at: int | None
    state: bytes
    events: bytes


class StoredJourney(NamedTuple):
    """A journey as people read it; ``history`` has its lines, none if only a list was asked for."""

    row: JourneyRow
    history: bytes = b""


class EnteredRow(NamedTuple):
    """A person has begun this journey with this key, and may not again."""

    recipient: str
    journey: str
    key: str
    id: str
    at: int
