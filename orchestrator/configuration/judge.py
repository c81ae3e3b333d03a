"""
The configuration as a rehearsal needs it: everything but the secrets.

A policy must be testable where nobody has the passwords of the providers, so references that cannot
be looked up are forgiven, and of an account only what decisions see is read: name, channel,
adapter, cost, timeout. A cascade with a misspelt channel or provider is refused as `kaskad check`
would: its rehearsal would tell nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from orchestrator.channels import Settings as AdapterSettings
from orchestrator.configuration.governance_file import read_governance
from orchestrator.configuration.lint_installation import Installation
from orchestrator.configuration.lint_policy import lint_channel
from orchestrator.configuration.loading import Configuration, load_templates, rules_of
from orchestrator.configuration.policy_file import PolicyFile, hash_templates, read_policies
from orchestrator.configuration.provider_settings import PROVIDER, find_adapter
from orchestrator.configuration.reading import Report, Section
from orchestrator.configuration.references import References
from orchestrator.configuration.settings import ProviderSettings
from orchestrator.configuration.settings_file import read_settings
from orchestrator.configuration.yaml_file import Node, Problem
from orchestrator.configuration.yaml_file import load as load_yaml
from orchestrator.core.policy import Governance


class PlayedSettings(AdapterSettings):
    """
    What is left of an account's settings: whether its mails carry the pixel that reports that they
    were opened.
    """

    open_pixel: bool = False


def load_installation(path: Path, env: Mapping[str, str]) -> Configuration:
    """
    Everything that the configuration file names, without its secrets.

    Raises ``ConfigError`` with all that is wrong in settings, policies, governance or templates,
    but for references that cannot be looked up.
    """
    report = Report()
    settings = read_settings(path, env, report)
    excused = unknown_references(path, env)
    report.problems = [problem for problem in report.problems if problem not in excused]
    if settings is None:
        report.refuse()
        raise AssertionError("settings that cannot be read at all have said why")
    settings = replace(settings, channels=played_channels(load_yaml(path)))
    files = read_policies(
        settings.policies,
        report,
        templates=hash_templates(settings.templates),
        defaults=settings.defaults,
    )
    governance = Governance()
    if settings.governance is not None:
        governance, _ = read_governance(settings.governance, report)
    report.refuse()
    templates = load_templates(settings.templates)
    installation = Installation(settings, governance, None, templates, report)
    for file in files.values():
        lint_channels(file, installation)
    report.refuse()
    policies = {name: file.policy for name, file in files.items()}
    return Configuration(settings, files, templates, rules_of(settings, policies, governance))


def refuse_strange_channels(file: PolicyFile, base: Configuration) -> None:
    """
    Raises ``ConfigError`` where one more policy of a configuration names a channel or provider that
    it has not.
    """
    report = Report()
    lint_channels(
        file, Installation(base.settings, base.rules.governance, None, base.templates, report)
    )
    report.refuse()


def lint_channels(file: PolicyFile, installation: Installation) -> None:
    """Report the channels and providers of a policy that nobody has configured."""
    for key, steps in (("cascade", file.policy.cascade), ("also", file.policy.also)):
        for number, step in enumerate(steps):
            if step.channel:
                lint_channel(step, file, (key, number), installation)


def unknown_references(path: Path, env: Mapping[str, str]) -> frozenset[Problem]:
    """The problems that come only from secrets nobody has here."""
    report = Report()
    References(env, path.parent, report).resolve(load_yaml(path))
    return frozenset(report.problems)


def refuse_unknown_store(path: Path, env: Mapping[str, str]) -> None:
    """
    Raises ``ConfigError`` where the store's place is a secret that nobody has here: it is needed to
    learn from it.
    """
    report = Report()
    store = load_yaml(path).value.get("store")
    if store is not None:
        References(env, path.parent, report).resolve(store)
    report.refuse()


def played_channels(root: Node) -> Mapping[str, tuple[ProviderSettings, ...]]:
    """
    The accounts by channel, in their order; what is wrong with them was found before, so nothing is
    reported here.
    """
    channels = Section(root, Report(), "the configuration").section("channels")
    found: dict[str, tuple[ProviderSettings, ...]] = {}
    for channel in channels.nodes:
        made = [played_provider(node, channel) for node in channels.items(channel, "providers")]
        found[channel] = tuple(one for one in made if one is not None)
    return found


def played_provider(node: Node, channel: str) -> ProviderSettings | None:
    """One account as decisions see it."""
    section = Section(node, Report(), "the provider")
    values = {one.field: one.read(section, None) for one in PROVIDER.keys}
    adapter = find_adapter(section, values["adapter"], channel)
    if values["provider"] is None or adapter is None:
        return None
    values["adapter"] = adapter.name
    return ProviderSettings(
        **values,
        channel=channel,
        adapter_settings=PlayedSettings(open_pixel=section.boolean("open_pixel", False)),
        adapter_type=adapter,
        position=section.position,
    )
