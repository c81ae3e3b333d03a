"""
The engine's rules: the current configuration, and the policy versions with which messages started.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from orchestrator.channels.registry import own_id_kinds
from orchestrator.core.inputs import Provider
from orchestrator.core.inside import PREFIX, is_inside
from orchestrator.core.journey.journey import Journey, PublishStep, walk
from orchestrator.core.policy import OTP, Governance, Policy


@dataclass(frozen=True)
class Limits:
    """
    Velocity limits for one-time codes by SMS: ``(count, window_ms)``, None where there is none.
    """

    per_recipient: tuple[int, int] | None = (5, 3_600_000)
    per_prefix: tuple[int, int] | None = (50, 600_000)


@dataclass(frozen=True, slots=True)
class Reach:
    """
    What of an installation the decisions of one policy may rest on: its steps' channels with their
    providers, in the shape of ``Inputs``, and the conditions of its steps by their names there.
    """

    channels: Mapping[str, tuple[str, ...]]
    providers: Mapping[str, Provider]
    conditions: tuple[tuple[str, str], ...]
    own_ids: tuple[str, ...] = ()
    """The providers' kinds of address that are the recipient's own id."""


@dataclass(frozen=True)
class Rules:
    """
    One loaded configuration. ``providers`` are in the shape decisions need; ``channels`` names them
    in their order; ``emits_statuses`` is whether anybody listens to status events; ``aliases`` are
    the former names of providers, and ``same_account`` the others whose receipts may come to one,
    because their account has one callback; ``former_goals`` are the goals of the configurations
    before, whose messages may still be under way, ``former_journey_events`` what the journeys of
    the configurations before listened to; ``digest`` names everything that may hold a
    message, "" if it is not known; ``trace_share`` is the share of messages that are traced, None
    without tracing.
    """

    policies: Mapping[str, Policy] = field(default_factory=dict)
    governance: Governance = field(default_factory=Governance)
    providers: Mapping[str, Provider] = field(default_factory=dict)
    channels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    currency: str | None = None
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    same_account: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    emits_statuses: bool = False
    former_goals: Mapping[str, int] = field(default_factory=dict)
    digest: str = ""
    trace_share: float | None = None
    journeys: Mapping[str, Journey] = field(default_factory=dict)
    former_journey_events: frozenset[str] = frozenset()
    _reaches: dict[tuple[str, str, str], Reach] = field(
        init=False, default_factory=dict, repr=False, compare=False
    )

    def reach(self, policy: Policy) -> Reach:
        """
        The part of an installation that a policy's decisions may read, computed once for each
        version.
        """
        key = (policy.name, policy.version, policy.arm)
        found = self._reaches.get(key)
        if found is None:
            found = self._reaches[key] = self._reach(policy)
        return found

    def _reach(self, policy: Policy) -> Reach:
        used = sorted({step.channel for step in policy.plan})
        channels = {channel: self.channels[channel] for channel in used if channel in self.channels}
        names = {name for step in policy.plan for name in step.providers}.union(*channels.values())
        providers = {name: self.providers[name] for name in sorted(names) if name in self.providers}
        kinds = {kind for one in providers.values() for kind in one.kinds}
        conditions = ((f"step:{position}", step.when) for position, step in enumerate(policy.plan))
        return Reach(
            channels,
            providers,
            tuple((name, when) for name, when in conditions if when is not None),
            tuple(sorted(own_id_kinds() & kinds)),
        )

    def names_of(self, provider: str) -> tuple[str, ...]:
        """The name of a provider and the ones that it had before: its attempts may have either."""
        return (provider, *self.aliases.get(provider, ()))

    def reported_by(self, provider: str) -> tuple[str, ...]:
        """The names that the attempts may have of which a provider's webhooks speak."""
        providers = (provider, *self.same_account.get(provider, ()))
        return tuple(name for one in providers for name in self.names_of(one))

    @cached_property
    def known_names(self) -> frozenset[str]:
        """Every name under which a provider of this configuration takes receipts."""
        return frozenset(self.providers).union(*self.aliases.values())

    @cached_property
    def by_event(self) -> Mapping[str, tuple[Policy, ...]]:
        """The policies that an event type may trigger."""
        found: dict[str, list[Policy]] = {}
        for policy in self.policies.values():
            if policy.event:
                found.setdefault(policy.event, []).append(policy)
        return {event: tuple(policies) for event, policies in found.items()}

    @cached_property
    def with_codes(self) -> tuple[Policy, ...]:
        """The policies whose messages get codes."""
        return tuple(policy for policy in self.policies.values() if policy.codes)

    @cached_property
    def allocates(self) -> bool:
        """Whether an experiment gives its arms by what is known of them."""
        return any(
            policy.experiment is not None and policy.experiment.allocate == "thompson"
            for policy in self.policies.values()
        )

    @cached_property
    def conversions(self) -> frozenset[str]:
        """The event types that count as converted, of what comes from outside."""
        found = (policy.conversion for policy in self.policies.values())
        return frozenset(one.event for one in found if one is not None and not is_inside(one.event))

    @cached_property
    def goals(self) -> Mapping[str, int]:
        """
        Event types that are a goal of a policy, with how long (ms) one is remembered for triggers
        yet to come.
        """
        found = dict(self.former_goals)
        for policy in self.policies.values():
            if policy.goal is not None:
                found[policy.goal.event] = max(policy.deadline_ms, found.get(policy.goal.event, 0))
        return found

    @cached_property
    def journeys_by_event(self) -> Mapping[str, tuple[Journey, ...]]:
        """The journeys that an event type may start."""
        found: dict[str, list[Journey]] = {}
        for journey in self.journeys.values():
            found.setdefault(journey.enter.event, []).append(journey)
        return {event: tuple(journeys) for event, journeys in found.items()}

    @cached_property
    def journey_events(self) -> frozenset[str]:
        """Event types that may end a run of a journey, or a wait of one, in any version."""
        return self.former_journey_events.union(
            *(journey.listens_to for journey in self.journeys.values())
        )

    @cached_property
    def best_hours(self) -> bool:
        """Whether a policy waits for the best hour of its recipients."""
        return any(one.send_at and one.send_at.best_hour for one in self.policies.values())

    @cached_property
    def learns(self) -> bool:
        """Whether a policy asks when or where people answer: only then is it counted."""
        engaged = any(one.order == "most_engaged" for one in self.policies.values())
        return engaged or self.best_hours

    @cached_property
    def inside(self) -> frozenset[str]:
        """
        The inside events that a policy, a goal or a journey names, without the prefix of their
        types.
        """
        named = filter(
            is_inside,
            (*self.by_event, *self.goals, *self.journeys_by_event, *self.journey_events),
        )
        return frozenset(type.removeprefix(PREFIX) for type in named)

    def is_for_journeys(self, type: str) -> bool:
        """Whether a journey may begin, end or go on by an event of this type."""
        return type in self.journey_events or type in self.journeys_by_event

    def is_for_anybody(self, type: str) -> bool:
        """Whether an event of this type starts, ends or moves on anything."""
        return type in self.by_event or type in self.goals or self.is_for_journeys(type)

    @cached_property
    def published(self) -> frozenset[str]:
        """The types of the events that journeys publish."""
        steps = (step for one in self.journeys.values() for _, step in walk(one.steps))
        return frozenset(step.type for step in steps if isinstance(step, PublishStep))

    def comes_from_within(self, type: str) -> bool:
        """Whether a batch may itself lead to an event of this type."""
        return is_inside(type) or type in self.published

    @cached_property
    def inside_goals(self) -> bool:
        """Whether what happens inside may end other messages of its recipient."""
        return any(map(self.comes_from_within, self.goals))

    @cached_property
    def inside_journeys(self) -> bool:
        """Whether what happens inside may begin, end or move on journeys of its recipient."""
        types = (*self.journey_events, *self.journeys_by_event)
        return any(map(self.comes_from_within, types))

    @cached_property
    def inside_otp(self) -> bool:
        """Whether what happens inside, or a journey, may start an OTP."""
        return any(
            not policy.event or self.comes_from_within(policy.event)
            for policy in self.policies.values()
            if policy.message_class == OTP
        )


Evaluate = Callable[[str, Mapping[str, Any]], Any]
"""
Evaluate an expression over a scope; raises ``ValueError`` (or a subclass) where it cannot be
evaluated.
"""


def foreseen(evaluate: Evaluate) -> Evaluate:
    """The same for an ``evaluate`` that may raise anything: all of it becomes ``ValueError``."""

    def evaluate_foreseen(expression: str, scope: Mapping[str, Any]) -> Any:
        try:
            return evaluate(expression, scope)
        except ValueError:
            raise
        except Exception as error:
            raise ValueError(f"{expression!r} failed: {type(error).__name__}") from error

    return evaluate_foreseen
