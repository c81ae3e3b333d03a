"""Pauses: somebody holds a channel or a policy for a while. Nothing is dropped for it."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.core.gates.context import GateContext
from orchestrator.core.gates.gate import Check, DeferrableGate, Verdict
from orchestrator.core.reasons import Reason

NAME = "paused"


def paused(context: GateContext) -> Iterator[Check]:
    """
    Hold a step whose channel or policy is paused. A paused provider is the business of the choice
    among the step's providers, as another one may be open.
    """
    held = {("policy", context.policy.name), ("channel", context.step.channel)}
    for pause in context.inputs.pauses:
        if (pause.kind, pause.name) in held and pause.until > context.now:
            yield Check(NAME, Verdict.HOLD, Reason.PAUSED, None, None, pause.until, str(pause))


GATE = DeferrableGate(NAME, (Reason.PAUSED,), paused)
