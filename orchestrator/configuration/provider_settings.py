"""
The keys of ``channels``: which accounts serve which channel, in the order of preference.

An adapter's own settings are validated by the adapter's ``settings_type`` (``adapter_settings``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

from pydantic import SecretStr

from orchestrator.channels import Adapter, AdapterSettings
from orchestrator.channels.registry import (
    ANY_CHANNEL,
    BrokenAdapter,
    BrokenChannel,
    adapter_points,
    adapters_available,
    channel_points,
    load_adapter,
    load_channel,
)
from orchestrator.configuration.adapter_settings import (
    keys_of,
    needs_of,
    read_adapter_settings,
)
from orchestrator.configuration.keys import (
    Kind,
    Schema,
    array,
    describe,
    nested,
    obj,
    setting,
    show,
    table_of,
)
from orchestrator.configuration.kinds import (
    AMOUNT,
    CURRENCY,
    DURATION,
    MASK,
    NAME,
    TEXT_SCHEMA,
    whole,
    word,
    words,
)
from orchestrator.configuration.reading import Report, Section, clip, suggestion
from orchestrator.configuration.scalars import meant, name_of, rate_of
from orchestrator.configuration.yaml_file import Position
from orchestrator.core.policy import SECOND_MS

NOWHERE = Position("<none>", 1, 1)
EXAMPLE = "configure one: sms: [{provider: …}]"


@dataclass(frozen=True)
class CostSettings:
    """What one message, or one part of it, costs."""

    amount: Decimal = setting(AMOUNT, "An exact amount.", need='write amount: "1.20"')
    currency: str = setting(CURRENCY, "ISO 4217; one for all costs.", need="write currency: UAH")
    per: Literal["message", "part"] = setting(
        word("message", "part"), "What costs that much.", "message"
    )


def read_rate(section: Section, key: str, default: float | None) -> float | None:
    """``80/s`` or ``90/1m`` as a number a second."""
    rate = section.value(key, None, rate_of)
    return rate[0] * SECOND_MS / rate[1] if rate is not None else default


PER_SECOND: Kind[float] = Kind(
    "rate",
    read_rate,
    {"type": "string", "pattern": "^[0-9]+/[0-9]*(ms|s|m|h|d)$", "description": "80/s or 5/1h"},
    lambda rate: f"{rate:g}/s",
)


def adapter_schema() -> Schema:
    """The name of an adapter that is installed."""
    names = sorted(adapter_points())
    return {"enum": names} if names else TEXT_SCHEMA


ADAPTER: Kind[str] = Kind(
    "adapter", lambda section, key, default: section.text(key, default), adapter_schema
)


@dataclass(frozen=True, kw_only=True)
class ProviderSettings:
    """
    One configured account. ``adapter_settings`` are what the adapter validated itself;
    ``position`` is where the account stands in the file; it is not ``complete`` if a reference in
    it could not be looked up.
    """

    provider: str = setting(
        NAME, "Its name, unique in the file; receipts come to it.", need="name it: provider: twilio"
    )
    aliases: tuple[str, ...] = setting(
        words("names", empty=None), "Names that it had before; receipts still come to them.", ()
    )
    adapter: str = setting(
        ADAPTER, "The adapter that speaks to it.", need="name its adapter: adapter: twilio_sms"
    )
    timeout_ms: int = setting(DURATION, "The hard deadline of one request.", 10 * SECOND_MS)
    connections: int = setting(whole(1, 10_000), "Requests at once in one process.", 64)
    rate_per_second: float | None = setting(
        PER_SECOND, "The limit of the whole installation.", name="rate", otherwise="no limit"
    )
    cost: CostSettings | None = setting(nested(CostSettings), "What a message costs.")
    channel: str = ""
    adapter_settings: AdapterSettings = field(repr=False)
    adapter_type: type[Adapter[Any]] = field(repr=False)
    position: Position = field(default=NOWHERE, repr=False, compare=False)
    complete: bool = field(default=True, repr=False, compare=False)

    def build(self) -> Adapter[Any]:
        """A new adapter with these settings."""
        return self.adapter_type(self.adapter_settings, self.provider)


PROVIDER = table_of(ProviderSettings)


class ProvidersByChannel(dict[str, tuple[ProviderSettings, ...]]):
    """
    The providers of each channel that are in order. ``declared`` has the names of all that are
    written, so that a mistake in one is not reported again wherever it is named.
    """

    def __init__(self) -> None:
        super().__init__()
        self.declared: dict[str, set[str]] = {}


def read_channels(
    section: Section, key: str, default: Any
) -> Mapping[str, tuple[ProviderSettings, ...]]:
    """The providers of each channel; one whose settings are wrong is reported and left out."""
    channels = section.section(key)
    if not channels.nodes and section.has(key) and section.nodes[key].kind == "map":
        section.error(key, "`channels` names no channel", EXAMPLE)
    seen: dict[str, Position] = {}
    found = ProvidersByChannel()
    for channel in look_at_channel_names(channels):
        position = channels.keys[channel]
        if channel not in channel_points() or not channel_loads(section.report, position, channel):
            continue
        nodes = channels.items(channel, "providers")
        if not nodes and channels.nodes[channel].kind in ("list", "null"):
            what = f"the channel {channel!r} has no provider"
            section.report.error(position, what, "add one, or remove the channel")
        sections = [channels.item(node, "the provider", "provider") for node in nodes]
        made = [read_provider(one, channel, seen) for one in sections]
        named = (one.nodes.get("provider") for one in sections)
        found.declared[channel] = {node.text for node in named if node is not None}
        found[channel] = tuple(one for one in made if one is not None)
    return found


def look_at_channel_names(channels: Section) -> list[str]:
    """The names under ``channels``. One that is unknown is reported, and read as a near one."""
    names = sorted(channel_points())
    for written in list(channels.keys):
        if written in names:
            continue
        near = meant(written, names)
        fix = f"did you mean {near!r}?" if near else f"known are: {', '.join(names)}"
        channels.report.error(channels.keys[written], f"there is no channel {clip(written)!r}", fix)
        if near is not None and near not in channels.nodes:
            channels.rename(written, near)
    return list(channels.keys)


def channel_loads(report: Report, position: Position, channel: str) -> bool:
    """Whether a channel that is installed can be loaded; if not, that is reported."""
    try:
        load_channel(channel)
    except BrokenChannel as error:
        fix = "fix or reinstall the package it is in"
        report.error(position, f"the channel {channel!r} is broken: {error}", fix)
        return False
    return True


def read_provider(
    section: Section, channel: str, seen: dict[str, Position]
) -> ProviderSettings | None:
    """
    One provider. Its names, former ones included, are unique in the whole file, because receipts
    come to it by name.
    """
    look_at_provider_keys(section, channel)
    values = {one.field: one.read(section, None) for one in PROVIDER.keys}
    name = values["provider"]
    if name in seen:
        what = f"the provider {section.shown('provider')!r} is already on line {seen[name].line}"
        section.error("provider", what, "give each provider a name of its own")
    elif name is not None:
        seen[name] = section.at("provider")
    look_at_aliases(section, values["aliases"], seen)
    adapter = find_adapter(section, values["adapter"], channel)
    if adapter is None:
        return None
    own = read_adapter_settings(section, adapter)
    if own is None or name is None or seen[name] != section.at("provider"):
        return None
    values["adapter"] = adapter.name
    return ProviderSettings(
        **values,
        channel=channel,
        adapter_settings=own,
        adapter_type=adapter,
        position=section.position,
        complete=not any(node.unresolved for node in section.nodes.values()),
    )


def look_at_aliases(section: Section, aliases: Sequence[str], seen: dict[str, Position]) -> None:
    """Report former names that are no names, or that a provider has or had already."""
    for node in section.items("aliases", "names") if aliases else ():
        alias = section.parse(node, "an entry of `aliases`", name_of, None)
        if alias in seen:
            what = f"the name {clip(alias)!r} is already on line {seen[alias].line}"
            fix = "name only what this provider was called before, and nobody else is now"
            section.report.error(node.position, what, fix)
        elif alias is not None:
            seen[alias] = node.position


def look_at_provider_keys(section: Section, channel: str) -> None:
    """Report keys that no provider or its adapter has, and those that every provider needs."""
    common = [one.name for one in PROVIDER.keys]
    needed = [one.name for one in PROVIDER.keys if one.need is not None]
    section.needed.update(needed)
    written = section.nodes.get("adapter") or next(
        (node for key, node in section.nodes.items() if meant(key, ["adapter"])), None
    )
    if written is not None and written.word in adapter_points():
        try:
            adapter = load_adapter(written.word)
        except BrokenAdapter:
            return
        if adapter.supports.channel in (channel, ANY_CHANNEL):
            section.lacks = f"the adapter {adapter.name} has no setting"
            own = adapter.settings_type
            section.adopt([*common, *keys_of(own)], [*needed, *needs_of(own)])
    for one in PROVIDER.keys:
        if one.need is not None:
            section.need(one.name, one.need)


def find_adapter(section: Section, name: str | None, channel: str) -> type[Adapter[Any]] | None:
    """The adapter that a provider names, if it can be loaded and serves the channel."""
    if name is None:
        return None
    shown = section.shown("adapter")
    try:
        found = load_adapter(name)
    except KeyError:
        names = sorted(adapter_points())
        known = f"known are: {', '.join(names)}"
        otherwise = known if names else "install Kaskad, so that its adapters are registered"
        fix = suggestion(name, names, otherwise)
        section.error("adapter", f"there is no adapter {shown!r}", fix)
        return None
    except BrokenAdapter as error:
        fix = "fix or reinstall the package it is in"
        section.error("adapter", f"the adapter {shown!r} is broken: {error}", fix)
        return None
    serves = found.supports.channel
    if serves not in (channel, ANY_CHANNEL):
        what = f"the adapter {shown!r} serves {serves}, not {channel}"
        section.error("adapter", what, f"put it under {serves}")
        return None
    return found


def show_channels(channels: Mapping[str, tuple[ProviderSettings, ...]]) -> dict[str, Any]:
    """The providers of each channel with their adapters' own settings."""
    return {
        name: [
            show(PROVIDER, one) | masked(one.adapter_settings.model_dump(by_alias=True))
            for one in providers
        ]
        for name, providers in channels.items()
    }


def masked(value: Any) -> Any:
    """Plain JSON types with every secret masked; keys without a value are left out."""
    match value:
        case SecretStr():
            return MASK
        case dict():
            return {str(key): masked(inner) for key, inner in value.items() if inner is not None}
        case list() | tuple() | set() | frozenset():
            return [masked(inner) for inner in value]
        case None | bool() | int() | float() | str():
            return value
        case _:
            return str(value)


def channels_schema() -> Schema:
    """The providers of each channel, with the settings of every adapter that is installed."""
    one = describe(PROVIDER) | {"additionalProperties": True}
    by_adapter = [
        {
            "if": {"properties": {"adapter": {"const": name}}},
            "then": own_schema(adapter.settings_type, one["properties"]),
        }
        for name, adapter in adapters_available().items()
    ]
    one |= {"allOf": by_adapter} if by_adapter else {}
    return {"type": "object", "additionalProperties": array(one, 1)}


def own_schema(settings_type: Any, common: Mapping[str, Schema]) -> Schema:
    """
    The settings of an adapter. Every text may be a reference, so only the keys and what is required
    are described.
    """
    described: Schema = settings_type.model_json_schema(by_alias=True)
    properties: dict[str, Schema] = {
        key: {"description": inner.get("description", "")}
        for key, inner in described["properties"].items()
    }
    return obj(properties | {key: {} for key in common}, *described.get("required", ()))


CHANNELS: Kind[Mapping[str, tuple[ProviderSettings, ...]]] = Kind(
    "lists of providers by channel",
    read_channels,
    channels_schema,
    show_channels,
    table=PROVIDER,
    path=".<channel>[].",
)
