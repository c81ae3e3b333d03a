"""Messages that have started each other by what became of them: those before one, and after it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orchestrator.core.hops import HOPS_MAX
from orchestrator.core.message import Message
from orchestrator.stores.port import Store
from orchestrator.stores.rows import Wanted

LATER_MAX = 1_000
"""So many later messages to the same person are looked through, the latest first."""


async def chain_of(
    store: Store, message: Message
) -> tuple[tuple[Message, ...], tuple[Message, ...]]:
    """
    The messages that led to one, the first one first, and those that it has started. What the store
    no longer keeps is left out. Raises ``StoreBusy``.
    """
    before: list[Message] = []
    cause = message.caused_by
    while cause is not None and len(before) <= HOPS_MAX:
        row = (await store.load(Wanted(messages={cause}))).messages.get(cause)
        if row is None:
            break
        before.insert(0, row.message)
        cause = row.message.caused_by
    later = await store.messages(recipients=[message.recipient], since=message.id, limit=LATER_MAX)
    after = [one.message for one in later if one.message.caused_by == message.id]
    return tuple(before), tuple(sorted(after, key=lambda one: one.id))


def chain_view(
    message: Message, before: Sequence[Message], after: Sequence[Message]
) -> dict[str, Any]:
    """Both directions, each link with the event by which it was started."""
    return {
        "hops": message.hops,
        "hops_max": HOPS_MAX,
        "before": [
            link_view(one, started)
            for one, started in zip(before, (*before[1:], message)[: len(before)], strict=True)
        ],
        "after": [link_view(one, one) for one in after],
    }


def link_view(one: Message, started: Message) -> dict[str, Any]:
    """A message of a chain; ``started`` is the one of the two that has the event."""
    return {
        "message": one.id,
        "policy": one.policy,
        "status": one.status.value,
        "event": started.event_type,
        "words": link_words(one, started),
    }


def link_words(one: Message, started: Message) -> str:
    by = f"by {started.event_type}"
    if one is started:
        return f"{one.id} of {one.policy} ({one.status}), {by}"
    return f"{one.id} of {one.policy} led {by} to {started.id}, hop {started.hops} of {HOPS_MAX}"
