"""
The channels and adapters that are installed: entry points of the groups ``kaskad.channels`` and
``kaskad.adapters``, the built-in ones and plug-ins alike.

A plug-in that cannot be loaded is reported where the configuration names it; it never stops the
others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from orchestrator.channels.adapter_api import Adapter, Capabilities
from orchestrator.channels.address_kinds import AddressKind
from orchestrator.channels.kinds import PARTS, Channel
from orchestrator.channels.unseen import trimmed

GROUP = "kaskad.adapters"
CHANNEL_GROUP = "kaskad.channels"
ANY_CHANNEL = "*"
"""What an adapter that serves every channel says in place of one."""


class BrokenAdapter(Exception):
    """An adapter that is registered but cannot be loaded; the text says why."""


class BrokenChannel(Exception):
    """A channel that is registered but cannot be loaded; the text says why."""


@cache
def adapter_points() -> Mapping[str, EntryPoint]:
    """The registered adapters by name, none of them loaded."""
    return points(GROUP)


@cache
def channel_points() -> Mapping[str, EntryPoint]:
    """The registered channels by name, none of them loaded."""
    return points(CHANNEL_GROUP)


def points(group: str) -> Mapping[str, EntryPoint]:
    """The installed entry points of a group, by name."""
    return {point.name: point for point in sorted(entry_points(group=group))}


@cache
def load_adapter(name: str) -> type[Adapter[Any]]:
    """
    The adapter of a name.

    Raises ``KeyError`` if nothing has registered it, ``BrokenAdapter`` if it cannot be imported or
    is not an adapter.
    """
    return loaded(adapter_points()[name])


def loaded(point: EntryPoint) -> type[Adapter[Any]]:
    """The adapter of an entry point. Raises ``BrokenAdapter``."""
    try:
        found = point.load()
    except Exception as error:
        raise BrokenAdapter(unloadable(point, error)) from error
    if not (isinstance(found, type) and issubclass(found, Adapter)):
        raise BrokenAdapter(f"{point.value} is not a subclass of orchestrator.channels.Adapter")
    if not hasattr(found, "supports"):
        raise BrokenAdapter(f"{point.value} does not say what it supports")
    return found


def adapters_available() -> dict[str, type[Adapter[Any]]]:
    """Every adapter that can be loaded, by name."""
    found = {}
    for name in sorted(adapter_points()):
        try:
            found[name] = load_adapter(name)
        except BrokenAdapter:
            continue  # it is reported where a provider names it
    return found


@cache
def load_channel(name: str) -> Channel:
    """
    The channel of a name.

    Raises ``KeyError`` if nothing has registered it, ``BrokenChannel`` if it cannot be imported or
    is not a well-formed channel.
    """
    point = channel_points()[name]
    try:
        found = point.load()
    except Exception as error:
        raise BrokenChannel(unloadable(point, error)) from error
    if not isinstance(found, Channel):
        raise BrokenChannel(f"{point.value} is not an orchestrator.channels.Channel")
    if found.name != name:
        raise BrokenChannel(f"{point.value} is named {found.name!r} but registered as {name!r}")
    unknown = [part for part in found.parts if part not in PARTS]
    if unknown:
        known = ", ".join(PARTS)
        raise BrokenChannel(f"{point.value} has a part {unknown[0]!r}; there are {known}")
    return found


def unloadable(point: EntryPoint, error: Exception) -> str:
    return f"{point.value} cannot be imported ({type(error).__name__}: {error})"


@cache
def channels() -> Mapping[str, Channel]:
    """Every channel that can be loaded, by name."""
    found = {}
    for name in channel_points():
        try:
            found[name] = load_channel(name)
        except BrokenChannel:
            continue  # it is reported where the configuration names it
    return found


@cache
def all_address_kinds() -> Mapping[str, AddressKind]:
    """The kinds of address of all channels, by name; the first channel to name one defines it."""
    found: dict[str, AddressKind] = {}
    for channel in channels().values():
        for kind in channel.addresses:
            found.setdefault(kind.name, kind)
    return found


@cache
def address_kinds() -> Mapping[str, AddressKind]:
    """Those of them that are fields of a profile."""
    return {name: kind for name, kind in all_address_kinds().items() if not kind.own_id}


@cache
def own_id_kinds() -> frozenset[str]:
    """The others: the recipient's own id is the address."""
    return frozenset(all_address_kinds()) - frozenset(address_kinds())


@cache
def address_fields() -> Mapping[str, AddressKind]:
    """The recipient's fields that hold addresses, each with the first kind that reads it."""
    found: dict[str, AddressKind] = {}
    for kind in address_kinds().values():
        found.setdefault(kind.written_as, kind)
    return found


@cache
def otp_limited_kinds() -> frozenset[str]:
    """The kinds of address whose one-time codes count against the velocity limits."""
    return frozenset(
        kind for channel in channels().values() if channel.otp_limits for kind in channel.kinds
    )


@cache
def identities() -> Mapping[str, Callable[[str], str]]:
    """What makes one text of all spellings of an address, by the kinds that have several."""
    kinds = address_kinds().values()
    return {kind.name: kind.identity for kind in kinds if kind.identity is not None}


@cache
def consent_channels() -> tuple[str, ...]:
    """The channel names that a consent or an opt-out may have."""
    return tuple(sorted({ANY_CHANNEL, *channels()}))


def usable_kinds(supports: Capabilities, channel: str) -> tuple[str, ...]:
    """
    The kinds of address that an adapter can use on a channel, the best first: its own, or the
    channel's if it names none.
    """
    return supports.address or channels()[channel].kinds


@lru_cache(maxsize=4_096)
def kinds_like(address: str) -> tuple[str, ...]:
    """The kinds that a bare address may be of; an id may be of any kind that has no form."""
    kinds = address_kinds().values()
    sure = tuple(one.name for one in kinds if one.looks_like and one.looks_like(address))
    return sure or tuple(one.name for one in kinds if one.looks_like is None)


def looks_like_address(text: str) -> bool:
    """Whether a text is surely an address, or a wrong attempt at one, and no id."""
    kinds = address_kinds().values()
    return any(one.looks_like is not None and one.looks_like(trimmed(text)) for one in kinds)


def refresh() -> None:
    """Forget what was found, after a plug-in was installed or removed in a running process."""
    for cached in (
        adapter_points,
        channel_points,
        load_adapter,
        load_channel,
        channels,
        all_address_kinds,
        address_kinds,
        address_fields,
        own_id_kinds,
        otp_limited_kinds,
        identities,
        consent_channels,
        kinds_like,
    ):
        cached.cache_clear()
