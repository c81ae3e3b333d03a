"""Budgets: what a channel may cost a day."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.core.gates.context import GateContext
from orchestrator.core.gates.gate import ON_HIT, Check, DeferrableGate
from orchestrator.core.reasons import Reason

NAME = "budget"


def budget(context: GateContext) -> Iterator[Check]:
    """Hold a step whose channel has spent its day's budget until the next day, or as `on_hit`."""
    for rule in context.inputs.governance.budgets:
        if rule.channel != context.step.channel:
            continue
        limit = f"{rule.per_day} {rule.currency}"
        until = context.inputs.over_budget.get(rule.channel)
        if until is None:
            yield Check(NAME, limit=limit, rule=rule.channel)
        else:
            hit, reason = ON_HIT[rule.on_hit], Reason.OVER_BUDGET
            yield Check(NAME, hit, reason, None, limit, until, rule.channel)


GATE = DeferrableGate(NAME, (Reason.OVER_BUDGET,), budget)
