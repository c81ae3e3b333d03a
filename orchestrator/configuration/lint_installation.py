"""What is wrong with an installation as a whole: its adapters, its money, its public address."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from orchestrator.channels import Adapter
from orchestrator.channels.registry import channels
from orchestrator.configuration.reading import Report, clip, find, place, suggestion
from orchestrator.configuration.settings import ProviderSettings, Settings
from orchestrator.configuration.urls import is_loopback, split_url
from orchestrator.configuration.yaml_file import Node, Position
from orchestrator.core.policy import OTP, Governance
from orchestrator.render import Conditions, TemplateSet


@dataclass(frozen=True)
class Installation:
    """Everything that was read; ``templates`` is None where they cannot be used."""

    settings: Settings
    governance: Governance
    governance_root: Node | None
    templates: TemplateSet | None
    report: Report

    @cached_property
    def conditions(self) -> Conditions:
        """The compiler of all expressions."""
        return Conditions()

    @cached_property
    def declared(self) -> dict[str, set[str]]:
        """
        The providers that each channel names in the file, well or not, so that one mistake is told
        once.
        """
        channels = find(self.settings.written, "channels")
        if channels is None or channels.kind != "map":
            return {}
        found: dict[str, set[str]] = {}
        for channel, node in channels.value.items():
            providers = node.value if node.kind == "list" else ()
            names = (find(one, "provider") for one in providers)
            found[channel] = {name.text for name in names if name is not None}
        return found

    @cached_property
    def adapters(self) -> dict[str, Adapter[Any]]:
        """
        The adapter of each provider. One that cannot be made is an error; one whose secrets are not
        on this machine only knows its settings.
        """
        made: dict[str, Adapter[Any]] = {}
        for name, provider in self.settings.providers.items():
            if not provider.complete:
                made[name] = object.__new__(provider.adapter_type)
                Adapter.__init__(made[name], provider.adapter_settings, name)
                continue
            try:
                made[name] = provider.build()
            except Exception as error:
                # Only its own words: an adapter's ValueError is written for people, anything else
                # may show a secret.
                detail = f": {error}" if type(error) is ValueError else f" ({type(error).__name__})"
                what = f"the adapter {provider.adapter} does not take these settings{detail}"
                fix = "check the keys and secrets of this provider"
                self.report.error(provider.position, what, fix)
        return made

    def reports(self, provider: ProviderSettings) -> frozenset[str]:
        """The states that a provider's receipts can report with its settings."""
        adapter = self.adapters.get(provider.provider)
        return adapter.reports() if adapter is not None else provider.adapter_type.supports.receipts


def lint_installation(installation: Installation) -> None:
    """Report everything that is wrong beyond a single value or policy."""
    settings, report = installation.settings, installation.report
    assert settings.written is not None
    if settings.store.kind == "sqlite" and settings.store.path is None:
        position = place(settings.written, "store")
        report.warn(
            position, "the store is in memory and forgets everything at the end", "name a file"
        )
    for provider in settings.providers.values():
        if provider.adapter_settings.allow_unsigned:
            what = (
                f"anyone can forge receipts of {provider.provider}, because `allow_unsigned` is on"
            )
            report.warn(provider.position, what, "set up signatures at the provider and remove it")
    _ = installation.adapters
    lint_sms(installation)
    lint_currencies(installation)
    lint_rules(installation)
    lint_one_click(installation)


def lint_sms(installation: Installation) -> None:
    """Where SMS may go has no default."""
    ruled = [name for name in installation.declared if rules_countries(name)]
    if not ruled or installation.governance.sms_countries:
        return
    root, report = installation.governance_root, installation.report
    what, fix = (
        "an SMS provider is configured, but not where SMS may go",
        "write sms_countries: [UA] in the governance file",
    )
    if (
        root is not None
        and find(root, "sms_countries") is not None
        and find(root, "sms_countries", 0) is not None
    ):
        return
    assert installation.settings.written is not None
    position = (
        place(root, "sms_countries")
        if root is not None
        else place(installation.settings.written, "channels", ruled[0])
    )
    report.error(position, what, fix)


def rules_countries(name: str) -> bool:
    """Whether `sms_countries` is about this channel."""
    return name in channels() and channels()[name].country_rule


def lint_currencies(installation: Installation) -> None:
    """One currency in all costs and budgets."""
    first: tuple[str, Position] | None = None
    for currency, position in currencies(installation):
        if first is None:
            first = (currency, position)
        elif currency != first[0]:
            what = (
                f"the currency {currency} is not {first[0]}, which {first[1].path}:{first[1].line}"
                " uses"
            )
            installation.report.error(position, what, "use one currency in the whole installation")


def currencies(installation: Installation) -> Iterator[tuple[str, Position]]:
    """Every currency that is written, and where."""
    channels = find(installation.settings.written, "channels")
    for providers in (
        channels.value.values() if channels is not None and channels.kind == "map" else ()
    ):
        for provider in providers.value if providers.kind == "list" else ():
            node = find(provider, "cost", "currency")
            if node is not None:
                yield node.text, node.position
    for budget in installation.governance.budgets:
        node = find(installation.governance_root, "budget", budget.channel, "currency")
        if node is not None:
            yield node.text, node.position


def lint_rules(installation: Installation) -> None:
    """
    Channels in governance that nobody has, budgets that count nothing, and one-time codes held at
    night.
    """
    governance, root, report = (
        installation.governance,
        installation.governance_root,
        installation.report,
    )
    if root is None:
        return
    known = {*channels(), *installation.declared}
    for key in ("quiet_hours", "frequency_caps", "min_gaps"):
        rules = find(root, key)
        for name in rules.value if rules is not None and rules.kind == "map" else ():
            named = find(root, key, name, "channels")
            for node in named.value if named is not None and named.kind == "list" else ():
                unknown_channel(report, node.position, node.text, known)
    for budget in governance.budgets:
        position = place(root, "budget", budget.channel)
        unknown_channel(report, position, budget.channel, known)
        providers = installation.settings.channels.get(budget.channel, ())
        if providers and not any(provider.cost for provider in providers):
            what = (
                f"the budget of {budget.channel} counts nothing, because none of its providers has"
                " a `cost`"
            )
            report.warn(position, what, "give its providers a cost")
    for rule in governance.quiet_hours:
        if OTP in rule.classes:
            position = place(root, "quiet_hours", rule.name, "classes")
            report.warn(
                position,
                "one-time codes are held in these quiet hours",
                "remove otp from `classes`",
            )


def unknown_channel(report: Report, position: Position, channel: str, known: set[str]) -> None:
    """The error for a channel that is neither built in nor configured."""
    if channel not in known:
        fix = suggestion(channel, known, f"known are: {', '.join(sorted(known))}")
        report.error(position, f"there is no channel {clip(channel)!r}", fix)


def lint_one_click(installation: Installation) -> None:
    """One-click unsubscribe needs an address that mail providers accept."""
    settings = installation.settings
    parts = split_url(settings.http.public_url)
    used = (channels()[name] for name, providers in settings.channels.items() if providers)
    if not any(channel.one_click for channel in used) or parts is None:
        return
    if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
        assert settings.written is not None
        position = place(settings.written, "http", "public_url")
        what = (
            "mails go out without the one-click unsubscribe header, because `public_url` is not"
            " https"
        )
        installation.report.warn(position, what, "write https://…")
