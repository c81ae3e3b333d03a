"""
A valid configuration as the service uses it, and the versions of policies that messages keep.

It is loaded (``judge.load_configuration``) at the start and again at every reload. A message keeps
the policy and the templates it started with, so both are stored under the policy's version before
new rules come into force.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from orchestrator.channels.readers import secret_values
from orchestrator.channels.registry import channels, usable_kinds
from orchestrator.configuration.governance_file import governance_to_document
from orchestrator.configuration.journey_file import (
    JourneyFile,
    journey_from_document,
    journey_to_document,
)
from orchestrator.configuration.policy_file import (
    PolicyFile,
    policy_from_document,
    policy_to_document,
)
from orchestrator.configuration.settings import ProviderSettings, Settings
from orchestrator.core.inputs import OPEN_FOR_MS, Provider
from orchestrator.core.journey.journey import Journey
from orchestrator.core.policy import Governance, Policy
from orchestrator.engine.rules import Limits, Rules
from orchestrator.render import TemplateSet
from orchestrator.stores.port import Store

DIGEST_BYTES = 16
PolicyVersion = tuple[Policy, TemplateSet]


@dataclass(frozen=True)
class Configuration:
    """Everything that a configuration file names, all of it valid; ``governance`` as written."""

    settings: Settings
    files: Mapping[str, PolicyFile]
    templates: TemplateSet
    rules: Rules
    governance: Mapping[str, Any] = field(default_factory=dict)
    journeys: Mapping[str, JourneyFile] = field(default_factory=dict)


def rules_of(
    settings: Settings,
    policies: Mapping[str, Policy],
    governance: Governance,
    journeys: Mapping[str, Journey],
) -> Rules:
    """The engine's rules of a configuration."""
    traces = settings.telemetry.traces
    return Rules(
        policies=policies,
        journeys=journeys,
        governance=governance,
        providers={name: provider_facts(one, settings) for name, one in settings.providers.items()},
        channels={
            channel: tuple(one.provider for one in found)
            for channel, found in settings.channels.items()
        },
        currency=settings.currency,
        aliases={name: one.aliases for name, one in settings.providers.items() if one.aliases},
        same_account=dict(same_account(settings)),
        limits=Limits(settings.limits.sms_per_recipient, settings.limits.sms_per_prefix),
        emits_statuses=bool(settings.statuses.kafka or settings.statuses.webhooks),
        digest=digest_of(settings, governance),
        trace_share=traces.sample if traces is not None else None,
    )


def same_account(settings: Settings) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The providers on the account of each that shares its callback with others."""
    for name, one in settings.providers.items():
        own = one.adapter_settings
        others = tuple(
            other
            for other, another in settings.providers.items()
            if other != name
            and type(another.adapter_settings) is type(own)
            and another.adapter_settings.callback_account == own.callback_account
        )
        if own.callback_account is not None and others:
            yield name, others


def digest_of(settings: Settings, governance: Governance) -> str:
    """
    A digest that changes with governance, accounts, their secrets and limits: all that may hold
    messages or shut a provider.
    """
    accounts = [
        (one.adapter, repr(one), repr(one.adapter_settings), secret_values(one.adapter_settings))
        for one in settings.providers.values()
    ]
    order = [(name, [one.provider for one in found]) for name, found in settings.channels.items()]
    rest = (settings.limits, settings.breaker, settings.receipt_outage, settings.currency)
    whole = repr((governance.version, accounts, order, rest))
    return hashlib.blake2b(whole.encode(), digest_size=DIGEST_BYTES).hexdigest()


def provider_facts(one: ProviderSettings, settings: Settings) -> Provider:
    """A provider as decisions see it."""
    supports, channel = one.adapter_type.supports, channels()[one.channel]
    return Provider(
        name=one.provider,
        channel=one.channel,
        kinds=usable_kinds(supports, one.channel),
        timeout_ms=one.timeout_ms,
        open_for_ms=settings.breaker.open_for_ms if settings.breaker else OPEN_FOR_MS,
        cost=str(one.cost.amount) if one.cost is not None else None,
        idempotent=supports.idempotent_seconds > 0,
        fan_out=channel.fan_out,
        country_rule=channel.country_rule,
        otp_limits=channel.otp_limits,
    )


async def keep_versions(store: Store, configuration: Configuration) -> None:
    """Store the policies, templates and governance that messages will start with."""
    for name, policy in configuration.rules.policies.items():
        file = configuration.files.get(name)  # a policy that is built in has none
        document: dict[str, Any] = {
            "policy": policy_to_document(policy),
            "raw": file.raw if file is not None else {},
            "templates": {one: configuration.templates.sources(one) for one in policy.templates},
            "default_locale": configuration.templates.default_locale,
        }
        await store.keep_version("policy", name, policy.version, document)
        if policy.goal is not None:
            await store.keep_version("goal", policy.goal.event, str(policy.deadline_ms), {})
    for name, journey in configuration.rules.journeys.items():
        document = {
            "journey": journey_to_document(journey),
            "raw": configuration.journeys[name].raw,
        }
        await store.keep_version("journey", name, journey.version, document)
        for event in sorted(journey.listens_to):
            await store.keep_version("journey_event", event, "", {})
    governance = configuration.rules.governance
    document = governance_to_document(governance)
    await store.keep_version("governance", "governance", governance.version, document)


async def with_former_goals(store: Store, rules: Rules) -> Rules:
    """
    The rules with the goals of every configuration that was ever in force, and with what its
    journeys listened to: messages and journeys that were started with one may still be under way.
    """
    former: dict[str, int] = {}
    for event, deadline_ms in await store.versions("goal"):
        former[event] = max(int(deadline_ms), former.get(event, 0))
    events = frozenset(event for event, _ in await store.versions("journey_event"))
    return replace(rules, former_goals=former, former_journey_events=events)


class PolicyVersions:
    """Policies with their templates by name and version: current ones and those in flight."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._found: dict[tuple[str, str], PolicyVersion] = {}
        self.journeys = JourneyVersions(store)

    def put(self, configuration: Configuration) -> None:
        """Add the policies and journeys of a configuration."""
        self.journeys.put(configuration.rules.journeys)
        for policy in configuration.rules.policies.values():
            self._found[policy.name, policy.version] = (policy, configuration.templates)

    async def find(self, name: str, version: str) -> PolicyVersion:
        """
        A policy and its templates, from the store unless the configuration has that version.

        Raises ``LookupError`` if the store does not have it either.
        """
        found = self._found.get((name, version))
        if found is None:
            document = await self._store.version("policy", name, version)
            if document is None:
                raise LookupError(f"policy {name} version {version} is not in the store")
            policy = policy_from_document(dict(document["policy"]))
            found = (
                policy,
                TemplateSet.from_sources(document["templates"], document["default_locale"]),
            )
            self._found[name, version] = found
        return found

    async def policy(self, name: str, version: str) -> Policy:
        """The policy alone; see ``find``."""
        return (await self.find(name, version))[0]


class JourneyVersions:
    """Journeys by name and version: current ones and those that somebody is on."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._found: dict[tuple[str, str], Journey] = {}

    def put(self, journeys: Mapping[str, Journey]) -> None:
        """Add the journeys of a configuration."""
        for journey in journeys.values():
            self._found[journey.name, journey.version] = journey

    async def find(self, name: str, version: str) -> Journey:
        """
        A journey, from the store unless the configuration has that version.

        Raises ``LookupError`` if the store does not have it either.
        """
        found = self._found.get((name, version))
        if found is None:
            document = await self._store.version("journey", name, version)
            if document is None:
                raise LookupError(f"journey {name} version {version} is not in the store")
            found = self._found[name, version] = journey_from_document(document["journey"])
        return found
