"""
The rows of inboxes. Times are UTC milliseconds; the columns stand in the order of their table.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

FIRST_ITEM = (2, 0)
"""Stands before every item in the order of a list: ``(pinned, number)``."""


class NewItemRow(NamedTuple):
    """
    An item of a person's inbox as a batch adds it; ``document`` is its content as JSON. The store
    numbers it.
    """

    id: str
    recipient: str
    message: str
    attempt: int
    provider: str
    category: str
    pinned: int
    created_at: int
    expires_at: int
    document: bytes


class ItemRow(NamedTuple):
    """
    An item of an inbox. ``number`` is its place among those of its person, the newest has the
    largest; ``seq`` numbers its last change. ``document`` None: it was withdrawn.
    """

    id: str
    number: int
    seq: int
    message: str
    attempt: int
    provider: str
    category: str
    pinned: int
    created_at: int
    expires_at: int
    delivered_at: int | None
    seen_at: int | None
    read_at: int | None
    clicked_at: int | None
    archived_at: int | None
    document: bytes | None


class InboxState(NamedTuple):
    """
    An inbox: the number of its last change, those that are no longer known (up to ``forgotten``),
    and how many of its items nobody has seen, and read.
    """

    seq: int
    forgotten: int
    unseen: int
    unread: int


class ItemMark(StrEnum):
    """What a person may do to an item."""

    SEEN = "seen"
    READ = "read"
    UNREAD = "unread"
    ARCHIVED = "archived"
    CLICKED = "clicked"
