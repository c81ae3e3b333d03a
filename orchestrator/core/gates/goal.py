"""The policy's `goal`: the event that makes the message pointless."""

from __future__ import annotations

from orchestrator.core.gates.context import GateContext
from orchestrator.core.gates.gate import Check, HardGate, Verdict
from orchestrator.core.reasons import Reason

NAME = "goal"


def goal(context: GateContext) -> Check:
    """
    Drop a message whose goal was reached before its own event was accepted.

    A goal that is reached later comes as a fact of its own and cancels the message at once.
    """
    if context.inputs.goal_reached:
        return Check(NAME, Verdict.DROP, Reason.GOAL_MET)
    return Check(NAME)


GATE = HardGate(NAME, (Reason.GOAL_MET,), goal)
