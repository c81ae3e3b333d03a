"""
P2 for codes and P4 for experiments: a code goes to one message and comes back where nothing of it
left; a person keeps an arm, and people who are held out get nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.core.message import Message
from orchestrator.core.outcomes import OutcomeKind
from tests.simulation.checks.evidence import Evidence
from tests.simulation.offers import ARMS, codes_of, offers

WITHOUT = ("deduplicated", "too_many_hops", "no_code", "held_out", "goal_met", "deadline_passed")
"""Reasons of messages that end before they get a code."""


def check(evidence: Evidence) -> Iterator[str]:
    """Each broken promise in a sentence."""
    if offers(evidence.run.options) is None:
        return
    yield from codes(evidence)
    yield from arms(evidence)


def codes(evidence: Evidence) -> Iterator[str]:
    keeps: dict[str, str] = {}
    erased = {deed.what["recipient"] for deed in evidence.deeds("erase")}
    for id, stored in evidence.run.stored.items():
        message = stored.message
        if not evidence.policy(message).codes or message.recipient in erased:
            continue
        code = stored.event.get("codes", {}).get("code", (None, None))[1]
        left = not never_left(message)
        if code is None and ((left and message.reason not in WITHOUT) or not message.terminal):
            yield f"P1 {evidence.name(id)} has no code"
        if code is None or not left:
            continue
        if code in keeps:
            yield f"P2 {evidence.name(id)} and {evidence.name(keeps[code])} have the same code"
        keeps[code] = id
    taken = {message for message, _ in evidence.run.codes}
    for message_id in sorted(taken - set(keeps.values())):
        known = evidence.messages.get(message_id)
        if known is not None and known.recipient not in erased and never_left(known):
            yield f"P2 {evidence.name(message_id)} has not given its code back"
    if len(evidence.run.codes) > len(codes_of(evidence.run.options)):
        yield "P2 more codes were given than there are"


def never_left(message: Message) -> bool:
    """Whether a message has ended and nothing of it was, or may have been, read by a provider."""
    open_companion = any(run.companion and not run.over for run in message.runs)
    return (
        message.terminal
        and not open_companion
        and all(
            attempt.outcome is OutcomeKind.NOT_SENT and not attempt.times
            for attempt in message.attempts
        )
    )


def arms(evidence: Evidence) -> Iterator[str]:
    arm_of: dict[tuple[str, str], str] = {}
    held_out = {arm.name for arm in ARMS if arm.hold_out}
    for id, message in evidence.messages.items():
        policy = evidence.policies[message.policy, message.policy_version]
        if policy.experiment is None:
            continue
        first = arm_of.setdefault((policy.name, message.recipient), message.arm)
        if message.arm != first:
            yield f"P4 {evidence.name(id)} has the arm {message.arm}, and another one {first}"
        if message.arm in held_out and any(one.message.id == id for one in evidence.sent):
            yield f"P4 {evidence.name(id)} was sent to somebody who is held out"
        if message.arm in held_out and not message.terminal:
            yield f"P4 {evidence.name(id)} goes on, and its recipient is held out"
