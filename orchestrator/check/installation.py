"""What is wrong with an installation as a whole: its adapters, its money, its public address."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from orchestrator.channels import Adapter, AdapterSettings
from orchestrator.channels.registry import channels
from orchestrator.check.samples import Samples
from orchestrator.check.templates import TemplateLint
from orchestrator.configuration.policy_file import PolicyFile
from orchestrator.configuration.provider_settings import ProvidersByChannel
from orchestrator.configuration.reading import Report, clip, find, place, suggestion
from orchestrator.configuration.scalars import CURRENCY
from orchestrator.configuration.settings import ProviderSettings, Settings
from orchestrator.configuration.urls import is_loopback, split_url
from orchestrator.configuration.yaml_file import Node, Position
from orchestrator.core.policy import (
    CONVERSATION,
    CONVERSATIONAL,
    DAY_MS,
    OTP,
    Cap,
    Gap,
    Governance,
    covers,
)
from orchestrator.declared.adapter import DeclaredSettings
from orchestrator.primitives.durations import duration
from orchestrator.render import Conditions, TemplateSet


def children(node: Node | None) -> Mapping[str, Node]:
    """The values of a mapping by key; none of anything else."""
    return node.value if node is not None and node.kind == "map" else {}


def elements(node: Node | None) -> tuple[Node, ...]:
    """The values of a list; none of anything else."""
    return node.value if node is not None and node.kind == "list" else ()


def only_settings(provider: ProviderSettings, own: AdapterSettings) -> Adapter[Any]:
    """A provider's adapter that knows some settings and no more: it was not made of them."""
    adapter = object.__new__(provider.adapter_type)
    Adapter.__init__(adapter, own, provider.provider)
    return adapter


@dataclass(frozen=True)
class Installation:
    """Everything that was read; ``templates`` is None if they cannot be used."""

    settings: Settings
    governance: Governance
    governance_root: Node | None
    templates: TemplateSet | None
    report: Report
    samples: Samples = field(default_factory=Samples)
    sent: frozenset[str] = frozenset()
    """The policies that journeys send."""

    @cached_property
    def conditions(self) -> Conditions:
        """The compiler of all expressions."""
        return Conditions()

    @cached_property
    def settings_have_errors(self) -> bool:
        """Whether something in ``kaskad.yaml`` is wrong, so that what follows of it may be, too."""
        path = str(self.settings.path)
        return any(one.path == path and one.severity == "error" for one in self.report.problems)

    @cached_property
    def template_lint(self) -> TemplateLint | None:
        """Looks at templates, each once."""
        if self.templates is None:
            return None
        accounts = {
            channel: [(one.provider, one.adapter_type.supports) for one in found]
            for channel, found in self.settings.channels.items()
        }
        return TemplateLint(
            self.templates,
            self.settings.templates,
            self.samples,
            self.report,
            accounts,
            self.linked,
        )

    @property
    def declared(self) -> Mapping[str, set[str]]:
        """The providers that each channel names in the file, valid or not."""
        channels = self.settings.channels
        assert isinstance(channels, ProvidersByChannel)
        return channels.declared

    def written(self, *path: str) -> Position:
        """A position in ``kaskad.yaml``."""
        root = self.settings.written
        return Position(str(self.settings.path), 1, 1) if root is None else place(root, *path)

    @cached_property
    def adapters(self) -> dict[str, Adapter[Any]]:
        """
        The adapter of each provider. One that cannot be made is an error; one whose secrets are not
        on this machine only knows its settings.
        """
        made: dict[str, Adapter[Any]] = {}
        for name, provider in self.settings.providers.items():
            if not provider.complete:
                made[name] = only_settings(provider, provider.adapter_settings)
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

    @property
    def linked(self) -> list[str]:
        """The channels that a provider makes links for, or one might whose settings are wrong."""
        made = self.adapters
        return [
            channel
            for channel, providers in self.declared.items()
            if any(name not in made or made[name].link("x") is not None for name in providers)
        ]

    def reports(self, provider: ProviderSettings) -> frozenset[str]:
        """The states that a provider's receipts can report with its settings."""
        adapter = self.adapters.get(provider.provider)
        return adapter.reports() if adapter is not None else provider.adapter_type.supports.receipts


def lint_installation(installation: Installation, files: Collection[PolicyFile] = ()) -> None:
    """Report everything that is wrong beyond a single value or policy."""
    settings, report = installation.settings, installation.report
    if settings.store.kind == "sqlite" and settings.store.path is None:
        what = "the store is in memory and forgets everything at the end"
        report.warn(installation.written("store"), what, "name a file")
    for one in settings.providers.values():
        if one.adapter_settings.allow_unsigned:
            what = f"anyone can forge receipts of {one.provider}, because `allow_unsigned` is on"
            report.warn(one.position, what, "set up signatures at the provider and remove it")
        if (
            isinstance(one.adapter_settings, DeclaredSettings)
            and one.adapter_settings.secret_in_url
        ):
            what = f"a secret stands in the URLs of {one.provider}, and every proxy logs it"
            report.warn(
                one.position, what, "move it to `headers` or `auth` if the gateway lets you"
            )
    _ = installation.settings_have_errors  # before the lints below add errors of their own
    _ = installation.adapters  # an adapter that cannot be made is reported when it is made
    lint_countries(installation)
    lint_currencies(installation)
    lint_rules(installation)
    lint_conversation(installation, files)
    lint_answers(installation, files)
    lint_delays(installation, files)
    lint_retention(installation, files)
    if not installation.settings_have_errors:
        lint_one_click(installation)


def lint_answers(installation: Installation, files: Iterable[PolicyFile]) -> None:
    """Report policies of `replies` that are not there, have a trigger, or deduplicate."""
    policies = {file.policy.name: file.policy for file in files}
    replies, root = installation.governance.replies, installation.governance_root
    for word, name in (("help", replies.help), ("stop", replies.stop)):
        if not name or root is None:
            continue
        policy, position = policies.get(name), place(root, "replies", word)
        if policy is None:
            fix = suggestion(name, policies, "write it among the policies, without a trigger")
            installation.report.error(position, f"there is no policy {clip(name)!r}", fix)
        elif policy.event:
            what = f"{name} has a trigger; what answers {word.upper()} must have none"
            installation.report.error(position, what, "remove `trigger` from the policy")
        elif policy.dedupe is not None or policy.digest is not None:
            what = f"{name} has `dedupe` or `digest`, but answers at most once a day as it is"
            installation.report.error(position, what, "remove them from the policy")


def lint_conversation(installation: Installation, files: Iterable[PolicyFile]) -> None:
    """Report a policy that answers within a session, and could not answer."""
    file = next((one for one in files if one.policy.name == CONVERSATION), None)
    if file is None:
        return
    position, policy = place(file.root, "policy"), file.policy
    what = f"{CONVERSATION} is the policy of `POST /v1/recipients/{{id}}/messages`, and"
    if policy.message_class != CONVERSATIONAL:
        fix = f"write class: {CONVERSATIONAL}"
        installation.report.error(position, f"{what} has another class", fix)
    if policy.dedupe is not None or policy.digest is not None:
        said = f"{what} has `dedupe` or `digest`, but every answer is sent"
        installation.report.error(position, said, "remove them from the policy")


def lint_countries(installation: Installation) -> None:
    """Report missing SMS countries, which have no default."""
    known, root = channels(), installation.governance_root
    ruled = [name for name in installation.declared if name in known and known[name].country_rule]
    # an empty or wrong list, and a file that cannot be read, have been reported
    unread = installation.settings.governance is not None and (root is None or root.kind != "map")
    if not ruled or unread or find(root, "sms_countries") is not None:
        return
    position = installation.written("channels", ruled[0])
    if root is not None:
        position = place(root, "sms_countries")
    what = "an SMS provider is configured, but not where SMS may go"
    fix = "write sms_countries: [UA] in the governance file"
    installation.report.error(position, what, fix)


def lint_currencies(installation: Installation) -> None:
    """Report costs and budgets in a second currency."""
    found = list(currencies(installation))
    for node in found[1:]:
        first = found[0].position
        if node.text != found[0].text:
            used = f"{found[0].text}, which {first.path}:{first.line} uses"
            what = f"the currency {node.text} is not {used}"
            fix = "use one currency in the whole installation"
            installation.report.error(node.position, what, fix)


def currencies(installation: Installation) -> Iterator[Node]:
    """Every currency that is written."""
    root = installation.governance_root
    nodes = [
        find(provider, "cost", "currency")
        for providers in children(find(installation.settings.written, "channels")).values()
        for provider in elements(providers)
    ]
    nodes += [
        find(root, "budget", one.channel, "currency") for one in installation.governance.budgets
    ]
    return (node for node in nodes if node is not None and CURRENCY.fullmatch(node.text))


def lint_rules(installation: Installation) -> None:
    """Report unused channels in governance, budgets that count nothing, and OTP held at night."""
    governance, root = installation.governance, installation.governance_root
    report = installation.report
    if root is None:
        return
    known = {*channels(), *installation.declared}
    for key in ("quiet_hours", "frequency_caps", "min_gaps"):
        for rule in children(find(root, key)).values():
            for node in elements(find(rule, "channels")):
                unknown_channel(report, node.position, node.text, known)
    for budget in governance.budgets:
        position, channel = place(root, "budget", budget.channel), budget.channel
        unknown_channel(report, position, channel, known)
        providers = installation.settings.channels.get(channel, ())
        if providers and not any(provider.cost for provider in providers):
            why = "because none of its providers has a `cost`"
            what = f"the budget of {channel} counts nothing, {why}"
            report.warn(position, what, "give its providers a cost")
    for hours in governance.quiet_hours:
        if OTP in hours.classes:
            position = place(root, "quiet_hours", hours.name, "classes")
            what = "one-time codes are held in these quiet hours"
            report.warn(position, what, "remove otp from `classes`")


RARE_MS = 31 * DAY_MS
"""A cap over a longer time holds messages for longer than this."""


def lint_delays(installation: Installation, files: Collection[PolicyFile]) -> None:
    """Warn of gaps, and of caps like them, that hold a message past every deadline."""
    governance, root = installation.governance, installation.governance_root
    rules: list[tuple[str, str, Cap | Gap, int]] = [
        ("min_gaps", gap.name, gap, gap.gap_ms) for gap in governance.gaps
    ]
    for cap in governance.caps:
        single = cap.limit == 1 and cap.window_ms is not None
        if cap.window_ms is not None and (single or cap.window_ms > RARE_MS):
            rules.append(("frequency_caps", cap.name, cap, cap.window_ms))
    for key, name, rule, held_ms in rules:
        covered = [
            file.policy.deadline_ms
            for file in files
            if covers(rule.classes, file.policy.message_class)
        ]
        if root is None or rule.on_hit != "defer" or not covered or held_ms <= max(covered):
            continue
        held, longest = duration(held_ms, units=4), duration(max(covered), units=4)
        what = f"a message that hits this waits up to {held}, and the longest deadline is {longest}"
        fix = f"write on_hit: drop, or less than {longest}"
        field_name = "gap" if key == "min_gaps" else "per"
        installation.report.warn(place(root, key, name, field_name), what, fix)


def lint_retention(installation: Installation, files: Collection[PolicyFile]) -> None:
    """Warn of times to keep things that end before what needs them does."""
    kept = installation.settings.retention
    longest = max((file.policy.deadline_ms for file in files), default=0)
    for key, called, kept_ms in (
        ("messages", "finished messages are", kept.messages_ms),
        ("events", "event ids are", kept.events_ms),
    ):
        if kept_ms < longest:
            what = f"{called} kept for {duration(kept_ms, units=4)}, and a deadline is"
            what += f" {duration(longest, units=4)}"
            position = installation.written("retention", key)
            installation.report.warn(position, what, "keep them longer than the longest deadline")


def unknown_channel(report: Report, position: Position, channel: str, known: set[str]) -> None:
    """Report a channel that is neither built in nor configured."""
    if channel not in known:
        fix = suggestion(channel, known, f"known are: {', '.join(sorted(known))}")
        report.error(position, f"there is no channel {clip(channel)!r}", fix)


def lint_one_click(installation: Installation) -> None:
    """Warn if the public address keeps mails from having one-click unsubscribe."""
    settings = installation.settings
    written = find(settings.written, "http", "public_url")
    parts = split_url(settings.http.public_url)
    used = (channels()[name] for name, providers in settings.channels.items() if providers)
    if not any(channel.one_click for channel in used) or parts is None:
        return
    if written is not None and settings.http.public_url == f"http://{settings.http.listen}":
        return  # its reference cannot be looked up on this machine
    if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
        header = "mails go out without the one-click unsubscribe header"
        what = f"{header}, because `public_url` is not https"
        position = installation.written("http", "public_url")
        installation.report.warn(position, what, "write https://…")
