"""The rows of dedupe windows and digests."""

from __future__ import annotations

from typing import NamedTuple

from orchestrator.core.message import Message


class DedupeRow(NamedTuple):
    """A window in which a policy makes no second message for the same key."""

    policy: str
    recipient: str
    key: str
    message: str
    until: int


class DedupeWindow(NamedTuple):
    """
    The message that opened a window, and when the window ends. ``opener`` is that message as it is
    stored, None if it was made in this batch or is gone.
    """

    message: str
    until: int
    opener: Message | None = None


class JoinedRow(NamedTuple):
    """An event that has joined a message, the ``number``-th from 1; ``data`` is its JSON."""

    message: str
    number: int
    data: bytes
