"""
Everything a decision rests on besides the message and the fact.

The engine reads it in the decision's own transaction, and stores it with the fact, so that a
message's history can be replayed after profiles, consents and providers have changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from orchestrator.core.policy import Governance
from orchestrator.core.recipient import Address, AddressState, CapUsage, Consent, Instant
from orchestrator.core.values import Value, field

OPEN_FOR_MS = 30_000
"""The default of `breaker.open_for`; also that of an installation without breakers."""


class Provider(Value, omit_defaults=True):
    """
    A configured provider as decisions see it. ``kinds``: the kinds of address it can use, the best
    first. ``cost``: the price of one message or part (decimal string), None where unknown.
    ``shut_until``: its breaker is open until then; ``open_for_ms``: a refusal of our configuration
    opens it for so long. ``idempotent``: it recognises a repeat of the
    same try, so an unknown outcome may be asked again. What its channel says: ``fan_out``: a step
    goes to every usable address, not only to the first; ``country_rule``: only to countries in
    `sms_countries`; ``otp_limits``: the velocity limits hold here.
    """

    name: str
    channel: str
    kinds: tuple[str, ...]
    timeout_ms: int = 10_000
    cost: str | None = None
    shut_until: Instant | None = None
    idempotent: bool = False
    fan_out: bool = False
    country_rule: bool = False
    otp_limits: bool = False
    open_for_ms: int = OPEN_FOR_MS


PauseKind = Literal["provider", "channel", "policy"]
UNTIL_RESUMED: Instant = 253_370_764_800_000
"""The end of a pause that has none: the year 9999."""


class Pause(Value):
    """Somebody holds everything of a provider, a channel or a policy until then."""

    kind: PauseKind
    name: str
    until: Instant

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


class Inputs(Value):
    """
    ``conditions`` holds, by ``step:<n>``, the value of each step's `when` (None: it could not be
    evaluated). ``over_budget`` says until when a channel's budget is spent; ``outages`` the
    channels whose receipts have collapsed; ``too_fast`` the hashes of numbers that the velocity
    limits hold back; ``pauses`` what is paused of the policy, its channels and their providers.
    ``hours`` are how often the recipient has answered by the hour of their day, ``hours_of_all``
    the same of everybody; ``answered`` how many of the latest messages on each channel they have
    answered, and of how many. They are only set before the start, for policies that ask.
    ``goal_reached``, ``duplicate_of`` and ``empty_pool`` (the pool that has no code for it) are set
    for a new message only, ``draws`` (what was drawn for each arm) where its arm was drawn for it.
    """

    governance: Governance = field(default_factory=Governance)
    zone: str | None = None
    addresses: tuple[Address, ...] = ()
    address_states: Mapping[str, AddressState] = field(default_factory=dict)
    consents: tuple[Consent, ...] = ()
    cap_usages: tuple[CapUsage, ...] = ()
    conditions: Mapping[str, bool | None] = field(default_factory=dict)
    providers: Mapping[str, Provider] = field(default_factory=dict)
    channels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    currency: str | None = None
    over_budget: Mapping[str, Instant] = field(default_factory=dict)
    outages: tuple[str, ...] = ()
    too_fast: tuple[str, ...] = ()
    pauses: tuple[Pause, ...] = ()
    hours: tuple[int, ...] = ()
    hours_of_all: tuple[int, ...] = ()
    answered: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    goal_reached: bool = False
    duplicate_of: str | None = None
    empty_pool: str = ""
    draws: Mapping[str, float] = field(default_factory=dict)
