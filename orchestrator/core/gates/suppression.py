"""Suppressed addresses: the ones that a provider proved dead on this channel."""

from __future__ import annotations

from orchestrator.core.gates.context import GateContext
from orchestrator.core.gates.gate import Check, HardGate, Verdict
from orchestrator.core.reasons import Reason

NAME = "suppression"


def suppression(context: GateContext) -> Check:
    """
    Skip a step all of whose addresses are suppressed; one that is not is enough.

    A step without any address passes: it is left to `reachability`.
    """
    addresses = context.addresses
    found = [one for address in addresses if (one := context.suppression_of(address)) is not None]
    if found and len(found) == len(addresses):
        value = f"{found[0].provider} {found[0].detail}".strip()
        return Check(NAME, Verdict.SKIP, Reason.ADDRESS_SUPPRESSED, value)
    return Check(NAME, value=f"{len(found)} of {len(addresses)} marked" if found else None)


GATE = HardGate(NAME, (Reason.ADDRESS_SUPPRESSED,), suppression)
