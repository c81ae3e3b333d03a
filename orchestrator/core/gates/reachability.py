"""Reachability: an address that one of the step's providers may use."""

from __future__ import annotations

from orchestrator.core.gates.context import GateContext
from orchestrator.core.gates.gate import Check, HardGate, Verdict
from orchestrator.core.reasons import Reason

NAME = "reachability"


def reachability(context: GateContext) -> Check:
    """
    Skip a step none of whose providers has an address to send to.

    The country is named as the reason if any address is in one that `sms_countries` leaves out.
    """
    reachable = [provider.name for provider in context.providers if context.targets(provider)]
    if reachable:
        return Check(NAME, value=",".join(reachable))
    abroad = [address for address in context.addresses if not context.country_allowed(address)]
    if abroad:
        country = abroad[0].country or "unknown"
        limit = ",".join(context.inputs.governance.sms_countries)
        return Check(NAME, Verdict.SKIP, Reason.COUNTRY_NOT_ALLOWED, country, limit)
    return Check(NAME, Verdict.SKIP, Reason.NO_ADDRESS)


GATE = HardGate(NAME, (Reason.COUNTRY_NOT_ALLOWED, Reason.NO_ADDRESS), reachability)
