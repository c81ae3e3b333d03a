"""Quiet hours (the calendar is in ``core/quiet_hours.py``)."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.core import quiet_hours as calendar
from orchestrator.core.gates.context import GateContext
from orchestrator.core.gates.gate import ON_HIT, Check, DeferrableGate, Verdict
from orchestrator.core.reasons import Reason

NAME = "quiet_hours"


def quiet_hours(context: GateContext) -> Iterator[Check]:
    """
    Ask every window for this class and channel; inside one the rule's `on_hit` applies.

    A hold longer than the rule's `max_defer` skips the step instead: late news is no news.
    """
    governance = context.inputs.governance
    for rule in governance.quiet_hours:
        if not context.governed_by(rule.classes, rule.channels):
            continue
        zone = calendar.zone_for(rule, context.inputs.zone, governance.time_zone)
        until = calendar.quiet_until(rule, context.now, zone)
        if until is None:
            yield Check(NAME, value=zone, rule=rule.name)
            continue
        verdict = ON_HIT[rule.on_hit]
        longest_ms = rule.max_defer_ms
        if verdict is Verdict.HOLD and longest_ms is not None and until - context.now > longest_ms:
            verdict = Verdict.SKIP
        yield Check(NAME, verdict, Reason.QUIET_HOURS, zone, None, until, rule.name)


GATE = DeferrableGate(NAME, (Reason.QUIET_HOURS,), quiet_hours)
