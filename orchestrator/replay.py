"""
A history replayed: the facts of a message, through ``decide``, to the state they lead to.

Where the replayed state is not the stored one, either the history or the decision is not what it claims to be.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from orchestrator.codec import decode_fact, decode_inputs
from orchestrator.core.decide import decide
from orchestrator.core.inputs import Inputs
from orchestrator.core.message import Message
from orchestrator.core.policy import Governance, Policy


def newborn(message: Message) -> Message:
    """The message as it was before its first fact."""
    return Message(
        id=message.id,
        event_source=message.event_source,
        event_id=message.event_id,
        event_type=message.event_type,
        recipient=message.recipient,
        policy=message.policy,
        policy_version=message.policy_version,
        klass=message.klass,
        topic=message.topic,
        created_at=message.created_at,
        deadline_at=message.deadline_at,
        currency=message.currency,
    )


def replay(
    policy: Policy, stored: Message, history: Sequence[dict[str, Any]], governance: Callable[[str], Governance]
) -> Message:
    """The state that a history leads to. ``governance`` gives the rules of a version."""
    message = newborn(stored)
    for entry in history:
        given = entry.get("inputs")
        inputs = decode_inputs(given, governance(given["governance"])) if given is not None else Inputs()
        message = decide(policy, message, inputs, decode_fact(entry["fact"]), entry["at"]).message
    return message
