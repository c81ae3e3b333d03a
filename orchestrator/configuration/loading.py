"""
One loading of the configuration, whole: settings, policies, templates and governance, and the rules
made of them.

It is loaded at the start and again at every reload. A message keeps the policy and the templates it
started with, so both are kept in the store under the policy's version before the new rules come
into force.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.channels.registry import channels, usable_kinds
from orchestrator.configuration.governance_file import governance_to_document, load_governance
from orchestrator.configuration.policy_file import (
    PolicyFile,
    hash_templates,
    load_policies,
    policy_from_document,
    policy_to_document,
)
from orchestrator.configuration.settings import ProviderSettings, Settings
from orchestrator.configuration.settings_file import load_settings
from orchestrator.configuration.yaml_file import ConfigError, Problem
from orchestrator.core.inputs import Provider
from orchestrator.core.policy import Governance, Policy
from orchestrator.engine.rules import Limits, Rules
from orchestrator.render import TemplateProblems, TemplateSet
from orchestrator.stores.port import Store

PolicyVersion = tuple[Policy, TemplateSet]


@dataclass(frozen=True)
class Configuration:
    """What one loading found, all of it valid."""

    settings: Settings
    files: Mapping[str, PolicyFile]
    templates: TemplateSet
    rules: Rules


def load_configuration(path: Path, env: Mapping[str, str]) -> Configuration:
    """
    Read everything that a configuration file names. Raises ``ConfigError`` with every problem
    found.
    """
    settings = load_settings(path, env)
    policies, files = load_policies(
        settings.policies, templates=hash_templates(settings.templates), defaults=settings.defaults
    )
    governance = (
        load_governance(settings.governance) if settings.governance is not None else Governance()
    )
    templates = load_templates(settings.templates)
    return Configuration(settings, files, templates, rules_of(settings, policies, governance))


def load_templates(directory: Path) -> TemplateSet:
    """The templates of a directory; their problems in the shape that all problems have."""
    try:
        return TemplateSet.load(directory)
    except TemplateProblems as error:
        problems = [Problem(p.path, p.line, p.column, p.what, p.fix) for p in error.problems]
        raise ConfigError(problems) from error


def rules_of(settings: Settings, policies: Mapping[str, Policy], governance: Governance) -> Rules:
    """What the engine decides by."""
    return Rules(
        policies=policies,
        governance=governance,
        providers={name: provider_facts(one) for name, one in settings.providers.items()},
        channels={
            channel: tuple(one.provider for one in found)
            for channel, found in settings.channels.items()
        },
        currency=settings.currency,
        limits=Limits(settings.limits.sms_per_recipient, settings.limits.sms_per_prefix),
        emits_statuses=bool(settings.statuses.kafka or settings.statuses.webhooks),
    )


def provider_facts(one: ProviderSettings) -> Provider:
    """A provider as decisions see it."""
    supports, channel = one.adapter_type.supports, channels()[one.channel]
    return Provider(
        name=one.provider,
        channel=one.channel,
        kinds=usable_kinds(supports, one.channel),
        timeout_ms=one.timeout_ms,
        cost=str(one.cost.amount) if one.cost is not None else None,
        idempotent=supports.idempotent_seconds > 0,
        fan_out=channel.fan_out,
        country_rule=channel.country_rule,
        otp_limits=channel.otp_limits,
    )


async def keep_versions(store: Store, configuration: Configuration) -> None:
    """Keep what messages will be started with, before any is."""
    for name, file in configuration.files.items():
        policy = file.policy
        document: dict[str, Any] = {
            "policy": policy_to_document(policy),
            "raw": file.raw,
            "templates": {policy.template: configuration.templates.sources(policy.template)},
        }
        await store.keep_version("policy", name, policy.version, document)
    governance = configuration.rules.governance
    await store.keep_version(
        "governance", "governance", governance.version, governance_to_document(governance)
    )


class PolicyVersions:
    """
    Policies with their templates, by name and version: the current ones, and those of messages in
    flight.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._books: dict[tuple[str, str], PolicyVersion] = {}

    def put(self, configuration: Configuration) -> None:
        """Make a configuration's policies the ones at hand."""
        for policy in configuration.rules.policies.values():
            self._books[policy.name, policy.version] = (policy, configuration.templates)

    async def book(self, name: str, version: str) -> PolicyVersion:
        """A policy and its templates; read from the store where the configuration has moved on."""
        found = self._books.get((name, version))
        if found is None:
            document = await self._store.version("policy", name, version)
            if document is None:
                raise LookupError(f"policy {name} version {version} is not in the store")
            policy = policy_from_document(dict(document["policy"]))
            found = (policy, TemplateSet.from_sources(document["templates"]))
            self._books[name, version] = found
        return found

    async def policy(self, name: str, version: str) -> Policy:
        return (await self.book(name, version))[0]
