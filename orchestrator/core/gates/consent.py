"""Consent: the recipient's opt-ins and opt-outs (read in ``core/consent.py``)."""

from __future__ import annotations

from orchestrator.core.gates.context import GateContext
from orchestrator.core.gates.gate import Check, HardGate, Verdict
from orchestrator.core.reasons import Reason
from orchestrator.core.recipient import Address

NAME = "consent"


def consent(context: GateContext) -> Check:
    """
    Skip a step to which no usable address consents; one that does is enough.

    A step without any address is judged by the recipient's own entries alone: that it cannot be
    reached is left to `reachability`.
    """
    addresses: list[Address | None] = [
        address for address in context.addresses if context.suppression_of(address) is None
    ]
    verdicts = [context.consent_of(address) for address in addresses or [None]]
    chosen = next((verdict for verdict in verdicts if verdict.allowed), verdicts[0])
    entry = chosen.entry
    value = (
        f"{entry.state} {entry.channel}×{entry.topic} by {entry.source or 'api'}"
        if entry
        else "no entry"
    )
    limit = context.inputs.governance.consent.get(context.message.message_class)
    if chosen.allowed:
        return Check(NAME, value=value, limit=limit)
    return Check(NAME, Verdict.SKIP, chosen.reason, value, limit)


GATE = HardGate(NAME, (Reason.OPTED_OUT, Reason.NO_CONSENT), consent)
