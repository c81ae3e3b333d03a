"""The account of each channel, from the declarations of channels, adapters and stand-ins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from orchestrator.channels import Adapter, AddressKind, Channel
from orchestrator.channels.registry import (
    BrokenAdapter,
    adapter_points,
    all_address_kinds,
    channels,
    load_adapter,
    usable_kinds,
)
from orchestrator.configuration.adapter_settings import keys_of, needs_of
from orchestrator.configuration.reading import suggestion
from orchestrator.sandbox import Accounts
from orchestrator.sandbox.accounts import DIALECTS, STAND_INS

SENDERS = ("Shop", "Shop <hello@shop.example.com>")
"""What a message may be from; an adapter gets the first that it takes."""
REPORTS_MORE = {"open_pixel": "without it nothing reports that a mail was read"}
"""Settings that are turned on where an adapter has them, and why."""
REMARKS_AT = 38
WAITS = {"delivered": "2m", "read": "10m", "clicked": "10m"}
"""What a step waits for, the first that its account reports, and for how long."""


class Unavailable(Exception):
    """A channel that no project can start with; the text says why, and how to fix it."""


@dataclass(frozen=True, slots=True)
class SettingLine:
    """A line of a provider: its key, its value as written, and a remark."""

    key: str
    written: str
    remark: str = ""

    @property
    def text(self) -> str:
        line = f"{self.key}: {self.written}"
        return f"{line:<{REMARKS_AT}} # {self.remark}" if self.remark else line


@dataclass(frozen=True, kw_only=True)
class StarterAccount:
    """
    A channel with its adapter and the settings it has. ``variables`` are what the settings read
    from the environment; ``state`` is what a step waits for, None if nothing is reported.
    """

    channel: Channel
    adapter: type[Adapter[Any]]
    provider: str
    settings: tuple[SettingLine, ...]
    variables: Mapping[str, str]
    state: str | None
    kind: AddressKind

    @property
    def wait(self) -> str:
        return WAITS[self.state] if self.state is not None else ""

    @property
    def parts(self) -> tuple[str, ...]:
        """The template parts to write: what the adapter needs, and HTML if there can be any."""
        needed = (one if isinstance(one, str) else one[0] for one in self.adapter.supports.parts)
        html = ("html",) if "html" in self.channel.parts else ()
        return tuple(dict.fromkeys((*needed, *html)))


def accounts_for(
    names: Sequence[str], http_port: int, mail_port: int, smpp_port: int
) -> tuple[StarterAccount, ...]:
    """One account a channel, in the order given. Raises ``Unavailable``."""
    ports = {"smtp": mail_port, "smpp": smpp_port}
    *before, last = (
        account_of(name, adapter_of(name), ports, http_port) for name in dict.fromkeys(names)
    )
    if last.state != "delivered":  # nothing comes after it, so it need not wait to be read
        last = replace(last, state=None)
    return (*before, last)


def startable() -> list[str]:
    """The channels that a project can start with."""
    return [name for name in channels() if next(adapters_for(name), None) is not None]


def adapter_of(channel: str) -> str:
    """The adapter of a channel. Raises ``Unavailable``."""
    if channel not in channels():
        known = startable()
        fix = suggestion(channel, known, f"there are {', '.join(known)}")
        raise Unavailable(f"there is no channel {channel!r}; {fix}")
    found = next(adapters_for(channel), None)
    if found is None:
        what = f"no project can start with {channel}: its accounts are made by a sandbox that runs"
        if channel not in {load_adapter(one).supports.channel for one in STAND_INS}:
            what = f"no project can start with {channel}, because it has no stand-in"
        raise Unavailable(f"{what}; take some of {', '.join(startable())}, and add it later")
    return found


def adapters_for(channel: str) -> Iterator[str]:
    """Adapters that have a stand-in with a fixed account, then those that need no account."""
    accounts = Accounts()
    for name in STAND_INS:
        if load_adapter(name).supports.channel == channel and accounts.settings_of(name):
            yield name
    for name in adapter_points():
        try:
            adapter = load_adapter(name)
        except BrokenAdapter:
            continue
        if adapter.supports.channel == channel and not needs_of(adapter.settings_type):
            yield name


def account_of(channel: str, name: str, ports: Mapping[str, int], http_port: int) -> StarterAccount:
    """The account of an adapter on a channel."""
    adapter = load_adapter(name)
    known = keys_of(adapter.settings_type)
    own = Accounts().settings_of(name)
    plain: dict[str, Any] = {}
    lines: list[SettingLine] = []
    if "base_url" in known:
        plain["base_url"] = f"http://127.0.0.1:{http_port}"
        real = adapter.settings_type.model_fields["base_url"]
        there = "the account's own address" if real.is_required() else real.default
        lines.append(SettingLine("base_url", plain["base_url"], f"the stand-in; later {there}"))
    elif name in ports:
        plain |= {"host": "127.0.0.1", "port": ports[name]}
        lines += [
            SettingLine("host", "127.0.0.1", "the stand-in"),
            SettingLine("port", str(ports[name])),
        ]
    for key, value in DIALECTS.get(name, {}).items():
        plain[key] = value
        lines.append(SettingLine(key, value, "as the stand-in speaks"))
    for key, (variable, value) in own.items():
        plain[key] = value
        lines.append(SettingLine(key, f"${{env:{variable}}}"))
    for key, remark in REPORTS_MORE.items():
        if key in known:
            plain[key] = True
            lines.append(SettingLine(key, "true", remark))
    missing = [key for key in needs_of(adapter.settings_type) if key not in plain]
    built, sender = validated(adapter, plain, missing)
    lines += [SettingLine(key, sender) for key in missing]
    reports = built.reports()
    return StarterAccount(
        channel=channels()[channel],
        adapter=adapter,
        provider=STAND_INS.get(name, name),
        settings=tuple(lines),
        variables=dict(own.values()),
        state=next((state for state in WAITS if state in reports), None),
        kind=all_address_kinds()[usable_kinds(adapter.supports, channel)[0]],
    )


def validated(
    adapter: type[Adapter[Any]], plain: Mapping[str, Any], missing: Sequence[str]
) -> tuple[Adapter[Any], str]:
    """The adapter with its settings, and what stands for those that no account has."""
    for sender in SENDERS:
        settings = {**plain, **dict.fromkeys(missing, sender)}
        try:
            return adapter(adapter.settings_type.model_validate(settings), adapter.name), sender
        except ValidationError as error:
            last = error
    raise last
