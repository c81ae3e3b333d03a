"""Frequency caps (counted in ``core/caps.py``) and the velocity limits of one-time codes."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.core import caps as counting
from orchestrator.core.gates.context import GateContext
from orchestrator.core.gates.gate import ON_HIT, Check, DeferrableGate, Verdict
from orchestrator.core.policy import OTP
from orchestrator.core.quiet_hours import zone_or
from orchestrator.core.reasons import Reason

NAME = "caps"


def caps(context: GateContext) -> Iterator[Check]:
    """
    Ask every rolling and calendar cap; a full one holds until there is room, or as `on_hit` says.

    An OTP is skipped if its number is over the velocity limits: waiting would not help a
    code that is asked for now.
    """
    inputs, message, channel = context.inputs, context.message, context.step.channel
    for cap in inputs.governance.caps:
        if not context.governed_by(cap.classes, cap.channels):
            continue
        zone = zone_or(inputs.zone, inputs.governance.time_zone)
        result = counting.cap_room_at(
            cap, inputs.cap_usages, message.id, channel, context.number, context.now, zone
        )
        used, limit, until = str(result.used), str(result.limit), result.room_at
        if until is None:
            yield Check(NAME, value=used, limit=limit, rule=cap.name)
        else:
            hit, reason = ON_HIT[cap.on_hit], Reason.FREQUENCY_CAP
            yield Check(NAME, hit, reason, used, limit, until, cap.name)
    if message.message_class == OTP and any(one.otp_limits for one in context.providers):
        for address in context.addresses:
            if address.hash in inputs.too_fast:
                masked = address.masked()
                yield Check(NAME, Verdict.SKIP, Reason.VELOCITY_LIMIT, masked, rule="limits")
                break


GATE = DeferrableGate(NAME, (Reason.FREQUENCY_CAP, Reason.VELOCITY_LIMIT), caps)
