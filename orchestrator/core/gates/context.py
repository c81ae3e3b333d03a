"""The context of a gate: one step of one message, and the inputs of the decision."""

from __future__ import annotations

from dataclasses import dataclass, field

from orchestrator.core import consent
from orchestrator.core.inputs import Inputs, Provider
from orchestrator.core.message import Message
from orchestrator.core.policy import CONVERSATIONAL, Policy, Step, covers
from orchestrator.core.recipient import Address, Instant, Suppression


def price(cost: str | None) -> float:
    """A sort key for costs: an unknown one is last."""
    return float(cost) if cost is not None else float("inf")


@dataclass(slots=True, eq=False)
class GateContext:
    """
    The step at position ``number`` of the plan, with everything that decides about it.

    ``providers`` are the step's in the order in which they are tried, without those that the
    configuration no longer has. ``addresses`` are all that one of them could use, suppressed or
    not. ``countries`` are those it may go to (empty: all).
    """

    policy: Policy
    message: Message
    number: int
    inputs: Inputs
    now: Instant
    step: Step = field(init=False)
    providers: list[Provider] = field(init=False)
    addresses: list[Address] = field(init=False)
    countries: tuple[str, ...] = field(init=False, default=())
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
        if any(provider.country_rule for provider in self.providers):
            self.countries = inputs.governance.sms_countries

    def suppression_of(self, address: Address) -> Suppression | None:
        """The suppression of the address on the step's channel, or None."""
        state = self.inputs.address_states.get(address.hash)
        return state.suppressions.get(self.step.channel) if state is not None else None

    def consent_of(self, address: Address | None) -> consent.ConsentVerdict:
        """The verdict of the recipient's and the address's consent entries together."""
        if self.message.answers and self.step.channel == self.message.only_channel:
            return consent.ConsentVerdict(True)  # HELP is answered and STOP confirmed all the same
        key = address.hash if address is not None else ""
        found = self._consents.get(key)
        if found is None:
            found = self._consents[key] = consents_to(self, address)
        return found

    def session_until(self, address: Address) -> Instant | None:
        """The end of the session that the address has opened on the step's channel."""
        state = self.inputs.address_states.get(address.hash)
        return state.sessions.get(self.step.channel) if state is not None else None

    def in_session(self, address: Address) -> bool:
        """Whether a message of this class may go there now; only one class needs a session."""
        if self.message.message_class != CONVERSATIONAL:
            return True
        until = self.session_until(address)
        return until is not None and self.now < until

    def country_allowed(self, address: Address) -> bool:
        """Whether `sms_countries`, if it rules the step's channel, lets a message go there."""
        return not self.countries or address.country in self.countries

    def targets(self, provider: Provider) -> list[Address]:
        """
        The addresses that a provider may be given now: of its best kind that has any which is not
        suppressed, not opted out and in an allowed country.
        """
        found = self._targets.get(provider.kinds)
        if found is None:
            found = self._targets[provider.kinds] = targets_for(self, provider)
        return found

    def governed_by(self, classes: tuple[str, ...], channels: tuple[str, ...]) -> bool:
        """Whether a rule for these classes and channels applies to the step (no channels: all)."""
        return covers(classes, self.message.message_class) and (
            not channels or self.step.channel in channels
        )


def consents_to(context: GateContext, address: Address | None) -> consent.ConsentVerdict:
    entries = context.inputs.consents
    if address is not None and (state := context.inputs.address_states.get(address.hash)):
        entries += state.consents
    message = context.message
    default = context.inputs.governance.consent.get(message.message_class, "opt_out")
    return consent.verdict(
        entries, context.step.channel, message.topic, message.message_class, default
    )


def targets_for(context: GateContext, provider: Provider) -> list[Address]:
    kinds = provider.kinds
    addresses = [address for address in context.inputs.addresses if address.kind in kinds]
    possible = [address for address in addresses if usable(context, address)]
    # a conversational message goes to the address that has written, if any has
    possible = [address for address in possible if context.in_session(address)] or possible
    for kind in kinds:
        found = [address for address in possible if address.kind == kind]
        if found:
            return found if provider.fan_out else found[:1]
    return []


def usable(context: GateContext, address: Address) -> bool:
    return (
        context.suppression_of(address) is None
        and context.consent_of(address).allowed
        and context.country_allowed(address)
    )
