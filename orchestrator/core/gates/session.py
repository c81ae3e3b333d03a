"""Sessions: a conversational message only answers somebody who has written lately."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.core.gates.context import GateContext
from orchestrator.core.gates.gate import Check, DeferrableGate, Verdict
from orchestrator.core.policy import CONVERSATIONAL
from orchestrator.core.reasons import Reason

NAME = "session"


def session(context: GateContext) -> Iterator[Check]:
    """
    Skip a step of a conversational message unless one of the addresses has opened a session on its
    channel, by writing to us there within 24 hours.
    """
    if context.message.message_class != CONVERSATIONAL:
        return
    ends = [end for one in context.addresses if (end := context.session_until(one)) is not None]
    value, limit = (str(max(ends)) if ends else "none"), str(context.now)
    if any(end > context.now for end in ends):
        yield Check(NAME, value=value, limit=limit)
    else:
        yield Check(NAME, Verdict.SKIP, Reason.NO_SESSION, value, limit)


GATE = DeferrableGate(NAME, (Reason.NO_SESSION,), session)
