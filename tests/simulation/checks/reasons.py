"""
P6: every non-send has a reason, what could not be read of a person stands in their message, and a
history leads to the state that is stored.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from orchestrator.core.message import Message, Sending, Status
from orchestrator.core.outcomes import OutcomeKind
from orchestrator.core.policy import Governance
from orchestrator.core.reasons import Reason
from orchestrator.history.replay import replay
from tests.simulation.checks.evidence import Evidence

UNTAKEN = (OutcomeKind.NOT_SENT, OutcomeKind.REFUSED, OutcomeKind.UNKNOWN)


def check(evidence: Evidence) -> Iterator[str]:
    """Each broken promise in a sentence."""
    governances = {
        rulebook.governance.version: rulebook.governance for rulebook in evidence.run.scenery.books
    }
    for id, stored in evidence.run.stored.items():
        message, name = stored.message, evidence.name(id)
        yield from says_why(name, message)
        if not stored.history:
            if not any(
                deed.what["recipient"] == message.recipient for deed in evidence.deeds("erase")
            ):
                yield f"P6 {name} has no history"
            continue
        if erased_since(evidence, message):
            continue
        yield from replays(evidence, name, message, stored.history, governances)
        yield from warns(evidence, name, message, stored.history)


def warns(
    evidence: Evidence, name: str, message: Message, history: Sequence[dict[str, Any]]
) -> Iterator[str]:
    """A part of the event that cannot be read is named in its person's message, nowhere else."""
    asked = evidence.published.get(message.event_id)
    if asked is None or message.journey is not None:
        return  # a journey's messages start later than its event
    named = {one["recipient"] for one in history[0]["fact"]["warnings"]}
    odd = {message.recipient} if asked.what["odd"] == message.recipient else set()
    if named != odd:
        yield f"P6 {name} warns of {sorted(named)} and should warn of {sorted(odd)}"


def says_why(name: str, message: Message) -> Iterator[str]:
    if (
        message.terminal
        and message.status is not Status.SUCCEEDED
        and not isinstance(message.reason, Reason)
    ):
        yield f"P6 {name} is {message.status} without a reason"
    for run in message.runs:
        taken = any(attempt.took for attempt in message.attempts_of(run.step))
        if run.over and not taken and run.ended is None and not message.terminal:
            yield f"P6 {name}: step {run.step} was left without a reason"
        if message.terminal and not run.companion and run.sending in (Sending.READY, Sending.HELD):
            yield f"P6 {name} has ended, and step {run.step} still waits to be sent"
    for attempt in message.attempts:
        if attempt.outcome in UNTAKEN and not isinstance(attempt.reason, Reason):
            yield f"P6 {name}: attempt {attempt.number} is {attempt.outcome} without a reason"
        if attempt.outcome is OutcomeKind.PENDING:
            yield f"P6 {name}: attempt {attempt.number} still has no outcome"


def erased_since(evidence: Evidence, message: Message) -> bool:
    """Erasing blanks a history; what is added to it afterwards does not start at its beginning."""
    return any(deed.what["recipient"] == message.recipient for deed in evidence.deeds("erase"))


def replays(
    evidence: Evidence,
    name: str,
    message: Message,
    history: tuple[dict[str, object], ...],
    known: dict[str, Governance],
) -> Iterator[str]:
    try:
        again = replay(evidence.policy(message), message, history, known.__getitem__)
    except Exception as error:  # whatever goes wrong in a replay is what this check is about
        yield f"P6 {name} cannot be replayed: {type(error).__name__}: {error}"
        return
    different = [
        name for name in Message.__struct_fields__ if getattr(again, name) != getattr(message, name)
    ]
    if different:
        yield f"P6 {name} replays to another state: {', '.join(different)}"
