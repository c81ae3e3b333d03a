"""The step's own condition, `when`."""

from __future__ import annotations

from orchestrator.core.gates.context import GateContext
from orchestrator.core.gates.gate import Check, HardGate, Verdict
from orchestrator.core.reasons import Reason

NAME = "when"


def when(context: GateContext) -> Check:
    """Skip a step whose condition is false, or cannot be evaluated (with another reason)."""
    expression = context.step.when
    if expression is None:
        return Check(NAME)
    value = context.inputs.conditions.get(f"step:{context.number}")
    if value is None:
        return Check(NAME, Verdict.SKIP, Reason.CONDITION_ERROR, limit=expression)
    if not value:
        return Check(NAME, Verdict.SKIP, Reason.CONDITION_FALSE, "false", expression)
    return Check(NAME, value="true", limit=expression)


GATE = HardGate(NAME, (Reason.CONDITION_ERROR, Reason.CONDITION_FALSE), when)
