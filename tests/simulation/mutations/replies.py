"""Bugs in what people write back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orchestrator.core import replies as core
from orchestrator.core.gates.context import GateContext
from orchestrator.engine import emitting
from orchestrator.engine.handlers import replies
from tests.simulation.mutations.registry import Replacement, bug


@bug()
def reply_emitted_whenever_it_is_reported() -> Sequence[Replacement]:
    """What a provider reports twice is two replies."""
    return [(replies, "is_new", lambda *given: True)]


@bug()
def reply_known_before_it_is_durable() -> Sequence[Replacement]:
    """A process knows a reply again that it could not commit."""
    original, seen = replies.is_new, set[str]()

    def is_new(context: Any, command: Any, hash: str) -> bool:
        key = f"{command.provider} {command.inbound.id}"
        new = original(context, command, hash) and key not in seen
        seen.add(key)
        return new

    return [(replies, "is_new", is_new)]


@bug(seed=7)
def number_taken_for_the_other_choice() -> Sequence[Replacement]:
    """A digit counts from 0."""
    original = core.chosen

    def chosen(message: str, offered: Any, text: str, pressed: str | None) -> str | None:
        if text.isdecimal() and 0 < int(text) < len(offered):
            return str(offered[int(text)].id)
        return original(message, offered, text, pressed)

    return [(replies, "chosen", chosen)]


@bug(seed=7)
def reply_followed_once_a_message() -> Sequence[Replacement]:
    """Who answers a message again starts nothing."""
    happen, followed = emitting.happen, set[str]()

    def once(context: Any, id: str, what: str, recipient: str, data: Any, *rest: Any) -> None:
        message = rest[0]
        known = message is not None and what == "reply" and message.id in followed
        if message is not None and what == "reply":
            followed.add(message.id)
        if not known:
            happen(context, id, what, recipient, data, *rest)

    return [(emitting, "happen", once)]


@bug(seed=7)
def answer_outside_its_session() -> Sequence[Replacement]:
    """Who has not written is written to all the same."""
    return [(GateContext, "session_until", lambda self, address: self.now + 1)]
