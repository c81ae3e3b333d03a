"""The policy's `deadline`: nothing leaves at or after it."""

from __future__ import annotations

from orchestrator.core.gates.context import GateContext
from orchestrator.core.gates.gate import Check, HardGate, Verdict
from orchestrator.core.reasons import Reason

NAME = "deadline"


def deadline(context: GateContext) -> Check:
    """Drop a message whose deadline has come; the deadline itself is already too late."""
    at = context.message.deadline_at
    if context.now >= at:
        return Check(NAME, Verdict.DROP, Reason.DEADLINE_PASSED, str(context.now), str(at))
    return Check(NAME, value=str(context.now), limit=str(at))


GATE = HardGate(NAME, (Reason.DEADLINE_PASSED,), deadline)
