"""
May this step start now?

The gates are asked in one order, which every trace shows: deadline, goal, suppression, consent,
reachability, `when`, quiet hours, caps, gaps, budget. The first that says "never" ends the asking.
The four that only know "not yet" are all asked, because the most restrictive of them counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from orchestrator.core import caps, consent, quiet_hours
from orchestrator.core.inputs import Inputs, Provider
from orchestrator.core.message import Message
from orchestrator.core.policy import OTP, Policy, Step, covers
from orchestrator.core.reasons import Reason
from orchestrator.core.recipient import Address, Instant
from orchestrator.core.values import Struct


class Verdict(StrEnum):
    """What a gate says. DROP ends the message, SKIP leaves the step, HOLD makes it wait."""

    GO = "go"
    HOLD = "hold"
    SKIP = "skip"
    DROP = "drop"


SEVERITY = {Verdict.GO: 0, Verdict.HOLD: 1, Verdict.SKIP: 2, Verdict.DROP: 3}
ON_HIT = {
    "defer": Verdict.HOLD,
    "hold": Verdict.HOLD,
    "skip_step": Verdict.SKIP,
    "drop": Verdict.DROP,
}


class Check(Struct):
    """
    One gate's answer, as the trace shows it; ``rule`` is the name of the governance rule that was
    asked, ``step`` the step it was asked about.
    """

    gate: str
    verdict: Verdict = Verdict.GO
    reason: Reason | None = None
    value: str | None = None
    limit: str | None = None
    until: Instant | None = None
    rule: str | None = None
    step: int | None = None


@dataclass(slots=True, eq=False)
class GateContext:
    """
    All that a gate may look at, about the step at position ``number`` of the plan.

    ``providers`` are the step's in the order in which they are tried, without those that the
    configuration no longer has; ``addresses`` all that one of them could use, marked or not.
    """

    policy: Policy
    message: Message
    number: int
    inputs: Inputs
    now: Instant
    step: Step = field(init=False)
    providers: list[Provider] = field(init=False)
    addresses: list[Address] = field(init=False)
    _consents: dict[str, consent.ConsentVerdict] = field(init=False, default_factory=dict)
    _targets: dict[tuple[str, ...], list[Address]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        inputs = self.inputs
        self.step = step = self.policy.plan[self.number]
        names = step.providers or inputs.channels.get(step.channel, ())
        self.providers = [inputs.providers[name] for name in names if name in inputs.providers]
        if self.policy.order == "cheapest":
            self.providers.sort(key=lambda provider: price(provider.cost))
        kinds = {kind for provider in self.providers for kind in provider.kinds}
        self.addresses = [address for address in inputs.addresses if address.kind in kinds]

    def consent_of(self, address: Address | None) -> consent.ConsentVerdict:
        """What the recipient's and the address's entries, together, say of the message."""
        key = address.hash if address is not None else ""
        found = self._consents.get(key)
        if found is None:
            found = self._consents[key] = consents_to(self, address)
        return found

    def targets(self, provider: Provider) -> list[Address]:
        """
        The addresses that a provider may be given now: of the best kind that has one, not marked,
        not opted out.
        """
        found = self._targets.get(provider.kinds)
        if found is None:
            found = self._targets[provider.kinds] = targets_for(self, provider)
        return found


def ask(context: GateContext) -> tuple[Check, tuple[Check, ...]]:
    """
    The decisive check, and all that were made. Where every gate lets it pass, the decisive one says
    GO.
    """
    made: list[Check] = []
    for gate in HARD_GATES:
        check = gate(context)
        check.step = context.number
        made.append(check)
        if check.verdict is not Verdict.GO:
            return check, tuple(made)
    soft = [check for gate in DEFERRABLE_GATES for check in gate(context)]
    for check in soft:
        check.step = context.number
    made.extend(soft)
    decisive = max(
        soft, key=lambda check: (SEVERITY[check.verdict], check.until or 0), default=Check("budget")
    )
    return decisive, tuple(made)


def price(cost: str | None) -> float:
    """A sort key for costs: an unknown one is last."""
    return float(cost) if cost is not None else float("inf")


def targets_for(context: GateContext, provider: Provider) -> list[Address]:
    for kind in provider.kinds:
        found = [
            address
            for address in context.inputs.addresses
            if address.kind == kind and usable(context, address)
        ]
        if found:
            return found if kind == "web_push" else found[:1]
    return []


def usable(context: GateContext, address: Address) -> bool:
    """Not marked, allowed by consent, and in an allowed country."""
    return (
        not suppressed(context, address)
        and context.consent_of(address).allowed
        and in_allowed_country(context, address)
    )


def suppressed(context: GateContext, address: Address) -> bool:
    state = context.inputs.address_states.get(address.hash)
    return state is not None and context.step.channel in state.suppressions


def consents_to(context: GateContext, address: Address | None) -> consent.ConsentVerdict:
    entries = context.inputs.consents
    if address is not None and (state := context.inputs.address_states.get(address.hash)):
        entries += state.consents
    message = context.message
    default = context.inputs.governance.consent.get(message.message_class, "opt_out")
    return consent.verdict(
        entries, context.step.channel, message.topic, message.message_class, default
    )


def in_allowed_country(context: GateContext, address: Address) -> bool:
    allowed = context.inputs.governance.sms_countries
    return context.step.channel != "sms" or not allowed or address.country in allowed


def deadline(context: GateContext) -> Check:
    """Nothing leaves at or after the deadline."""
    at = context.message.deadline_at
    if context.now >= at:
        return Check("deadline", Verdict.DROP, Reason.DEADLINE_PASSED, str(context.now), str(at))
    return Check("deadline", value=str(context.now), limit=str(at))


def goal(context: GateContext) -> Check:
    """A goal that was reached before its trigger was accepted counts too."""
    if context.inputs.goal_reached:
        return Check("goal", Verdict.DROP, Reason.GOAL_MET)
    return Check("goal")


def suppression(context: GateContext) -> Check:
    """A marked address is left alone; where there are others, they are used."""
    addresses = context.addresses
    suppressions = sum(suppressed(context, address) for address in addresses)
    if addresses and suppressions == len(addresses):
        mark = context.inputs.address_states[addresses[0].hash].suppressions[context.step.channel]
        return Check(
            "suppression",
            Verdict.SKIP,
            Reason.ADDRESS_SUPPRESSED,
            f"{mark.provider} {mark.detail}".strip(),
        )
    return Check(
        "suppression", value=f"{suppressions} of {len(addresses)} marked" if suppressions else None
    )


def consent_gate(context: GateContext) -> Check:
    """
    One address without an opt-out is enough; a step without any address is left to `reachability`.
    """
    addresses: list[Address | None] = [a for a in context.addresses if not suppressed(context, a)]
    verdicts = [context.consent_of(address) for address in addresses or [None]]
    allowed = next((verdict for verdict in verdicts if verdict.allowed), None)
    chosen = allowed or verdicts[0]
    entry = chosen.entry
    value = (
        f"{entry.state} {entry.channel}×{entry.topic} by {entry.source or 'api'}"
        if entry
        else "no entry"
    )
    limit = context.inputs.governance.consent.get(context.message.message_class)
    if allowed:
        return Check("consent", value=value, limit=limit)
    return Check("consent", Verdict.SKIP, chosen.reason, value, limit)


def reachability(context: GateContext) -> Check:
    """Is there an address that one of the step's providers can use?"""
    reachable = [provider.name for provider in context.providers if context.targets(provider)]
    if reachable:
        return Check("reachability", value=",".join(reachable))
    abroad = [address for address in context.addresses if not in_allowed_country(context, address)]
    if abroad:
        limit = ",".join(context.inputs.governance.sms_countries)
        return Check(
            "reachability",
            Verdict.SKIP,
            Reason.COUNTRY_NOT_ALLOWED,
            abroad[0].country or "unknown",
            limit,
        )
    return Check("reachability", Verdict.SKIP, Reason.NO_ADDRESS)


def when(context: GateContext) -> Check:
    """The step's own condition; one that cannot be evaluated counts as false, and says so."""
    expression = context.step.when
    if expression is None:
        return Check("when")
    value = context.inputs.conditions.get(f"step:{context.number}")
    if value is None:
        return Check("when", Verdict.SKIP, Reason.CONDITION_ERROR, limit=expression)
    if not value:
        return Check("when", Verdict.SKIP, Reason.CONDITION_FALSE, "false", expression)
    return Check("when", value="true", limit=expression)


def quiet(context: GateContext) -> Iterator[Check]:
    """
    Every window that covers this class and channel; a hold longer than `max_defer` skips the step
    instead.
    """
    for rule in context.inputs.governance.quiet_hours:
        if not applies(rule.classes, rule.channels, context):
            continue
        zone = quiet_hours.zone_for(rule, context.inputs.zone, context.inputs.governance.time_zone)
        until = quiet_hours.quiet_until(rule, context.now, zone)
        if until is None:
            yield Check("quiet_hours", value=zone, rule=rule.name)
            continue
        verdict = ON_HIT[rule.on_hit]
        if (
            verdict is Verdict.HOLD
            and rule.max_defer_ms is not None
            and until - context.now > rule.max_defer_ms
        ):
            verdict = Verdict.SKIP
        yield Check("quiet_hours", verdict, Reason.QUIET_HOURS, zone, None, until, rule.name)


def frequency_caps(context: GateContext) -> Iterator[Check]:
    """Rolling and calendar caps, and for one-time codes by SMS the velocity limits."""
    for cap in context.inputs.governance.caps:
        if not applies(cap.classes, cap.channels, context):
            continue
        zone = quiet_hours.zone_or(context.inputs.zone, context.inputs.governance.time_zone)
        cap_usages, message = context.inputs.cap_usages, context.message.id
        result = caps.cap_room_at(
            cap, cap_usages, message, context.step.channel, context.number, context.now, zone
        )
        value, limit = str(result.used), str(result.limit)
        if result.room_at is None:
            yield Check("caps", value=value, limit=limit, rule=cap.name)
        else:
            verdict = ON_HIT[cap.on_hit]
            yield Check(
                "caps", verdict, Reason.FREQUENCY_CAP, value, limit, result.room_at, cap.name
            )
    if context.message.message_class == OTP and context.step.channel == "sms":
        hit = [
            a
            for a in context.inputs.addresses
            if a.kind == "phone" and a.hash in context.inputs.too_fast
        ]
        if hit:
            yield Check("caps", Verdict.SKIP, Reason.VELOCITY_LIMIT, hit[0].masked(), rule="limits")


def min_gaps(context: GateContext) -> Iterator[Check]:
    """The least time between two messages."""
    for gap in context.inputs.governance.gaps:
        if not applies(gap.classes, gap.channels, context):
            continue
        cap_usages, message = context.inputs.cap_usages, context.message.id
        room_at = caps.gap_room_at(
            gap, cap_usages, message, context.step.channel, context.number, context.now
        )
        limit = f"{gap.gap_ms} ms"
        if room_at is None:
            yield Check("gaps", limit=limit, rule=gap.name)
        else:
            since = f"{context.now - (room_at - gap.gap_ms)} ms"
            yield Check("gaps", ON_HIT[gap.on_hit], Reason.MIN_GAP, since, limit, room_at, gap.name)


def budget(context: GateContext) -> Iterator[Check]:
    """The channel's money for the day."""
    for rule in context.inputs.governance.budgets:
        if rule.channel != context.step.channel:
            continue
        limit = f"{rule.per_day} {rule.currency}"
        until = context.inputs.over_budget.get(rule.channel)
        if until is None:
            yield Check("budget", limit=limit, rule=rule.channel)
        else:
            yield Check(
                "budget", ON_HIT[rule.on_hit], Reason.OVER_BUDGET, None, limit, until, rule.channel
            )


def applies(classes: tuple[str, ...], channels: tuple[str, ...], context: GateContext) -> bool:
    """Whether a rule covers the message's class and the step's channel."""
    return covers(classes, context.message.message_class) and (
        not channels or context.step.channel in channels
    )


HARD_GATES: tuple[Callable[[GateContext], Check], ...] = (
    deadline,
    goal,
    suppression,
    consent_gate,
    reachability,
    when,
)
DEFERRABLE_GATES: tuple[Callable[[GateContext], Iterator[Check]], ...] = (
    quiet,
    frequency_caps,
    min_gaps,
    budget,
)
