"""Minimum gaps: the least time between two messages to one recipient."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.core.caps import gap_room_at
from orchestrator.core.gates.context import GateContext
from orchestrator.core.gates.gate import ON_HIT, Check, DeferrableGate
from orchestrator.core.reasons import Reason

NAME = "gaps"


def gaps(context: GateContext) -> Iterator[Check]:
    """Ask every gap; one that is not over holds until it is, or does what its `on_hit` says."""
    usages, message, channel = context.inputs.cap_usages, context.message.id, context.step.channel
    for gap in context.inputs.governance.gaps:
        if not context.governed_by(gap.classes, gap.channels):
            continue
        until = gap_room_at(gap, usages, message, channel, context.number, context.now)
        limit = f"{gap.gap_ms} ms"
        if until is None:
            yield Check(NAME, limit=limit, rule=gap.name)
        else:
            since = f"{context.now - (until - gap.gap_ms)} ms"
            yield Check(NAME, ON_HIT[gap.on_hit], Reason.MIN_GAP, since, limit, until, gap.name)


GATE = DeferrableGate(NAME, (Reason.MIN_GAP,), gaps)
