"""
Replay of a history: the facts of a message through ``decide``, to its final state.

If the replayed state differs from the stored one, the history or the decision code is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.core.cascade.decide import Decision, decide
from orchestrator.core.facts import Fact
from orchestrator.core.inputs import Inputs
from orchestrator.core.message import Message
from orchestrator.core.policy import Governance, Policy
from orchestrator.core.recipient import Instant
from orchestrator.history.codec import decode_fact, decode_inputs, left_at, left_by, unwritten


@dataclass(frozen=True, slots=True)
class Moment:
    """One fact of a history, decided again; ``before`` is the message before that fact."""

    at: Instant
    fact: Fact
    before: Message
    inputs: Inputs
    decision: Decision


def newborn(message: Message) -> Message:
    """
    The message as it was before its first fact; what belongs to its history is as it is stored.
    """
    return Message(
        id=message.id,
        event_source=message.event_source,
        event_id=message.event_id,
        event_type=message.event_type,
        recipient=message.recipient,
        policy=message.policy,
        policy_version=message.policy_version,
        message_class=message.message_class,
        topic=message.topic,
        created_at=message.created_at,
        deadline_at=message.deadline_at,
        not_before=message.not_before,
        currency=message.currency,
        inputs_digest=message.inputs_digest,
        holds=message.holds,
        arm=message.arm,
        caused_by=message.caused_by,
        hops=message.hops,
        chain=message.chain,
        journey=message.journey,
        stage=message.stage,
        gathers=message.gathers,
        only_channel=message.only_channel,
        answers=message.answers,
    )


def moments(
    policy: Policy,
    stored: Message,
    history: Sequence[dict[str, Any]],
    governance: Callable[[str], Governance],
) -> Iterator[Moment]:
    """
    Every fact of a history, decided again in order. ``governance`` gives the rules of a version.

    Raises what ``governance`` raises for a version that it lacks, and ``ValueError``, ``KeyError``
    or ``IndexError`` if this release cannot have written the history.
    """
    message, policy = newborn(stored), policy.variant(stored.arm)
    for entry in history:
        given = entry.get("inputs")
        inputs = (
            decode_inputs(given, governance(given["governance"])) if given is not None else Inputs()
        )
        fact = decode_fact(entry["fact"])
        if "left" in entry:
            message = left_by(message, entry["left"])
        decision = decide(policy, message, inputs, fact, entry["at"])
        yield Moment(entry["at"], fact, message, inputs, decision)
        message = decision.message


def replay(
    policy: Policy,
    stored: Message,
    history: Sequence[dict[str, Any]],
    governance: Callable[[str], Governance],
) -> Message:
    """The state that a history leads to; raises as ``moments`` does."""
    message = newborn(stored)
    for moment in moments(policy, stored, history, governance):
        message = moment.decision.message
    return as_left(message, stored)


def as_left(message: Message, stored: Message) -> Message:
    """The state after the last line, moved on by the decisions since then that have none."""
    return left_by(message, left_at(stored)) if unwritten(stored) else message
