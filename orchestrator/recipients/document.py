"""
Recipients as documents: profile, consents, cap usages, goals; and the state of each address.

A recipient's document::

    {"id", <profile fields>, "attributes": {…},
     "consents": [rows of ``recipients.consents``],
     "cap_usages": [[message, class, channel, step, at, first]],
     "engagement": {"hours": [answers by hour], "channels": {channel: [answered, sent]}},
     "goals": [{"type", "time", "at", "source", "id", "data"}],
     "chains": [[chain, messages]],                       # of what inside events have started
     "links": [[hash, channel, until, message, used]]}    # links that connect a messenger

Every part of it has a limit, and says here which of its entries go when it is reached.

An address's document::

    {"consents": […], "suppressions": {channel: {reason, provider, at, detail}},
     "bounces": {channel: [at]}, "inbound": {channel: at}}
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

import orjson
from msgspec.structs import astuple

from orchestrator.channels.address_kinds import Keys
from orchestrator.channels.registry import (
    address_fields,
    address_kinds,
    all_address_kinds,
    channels,
    otp_limited_kinds,
    own_id_kinds,
)
from orchestrator.core.caps import horizon_ms
from orchestrator.core.effects import BounceRecorded
from orchestrator.core.policy import Governance
from orchestrator.core.recipient import (
    Address,
    AddressState,
    CapUsage,
    Consent,
    Instant,
    Suppression,
)
from orchestrator.recipients.consents import add_consents, consent_of, consents_from

AddressHash = Callable[[str, str], str]
"""The keyed hash of an address's kind and value."""

FIELDS = ("first_name", "last_name", "gender", "locale", "time_zone")
"""The fields of a profile besides its addresses (``registry.address_fields``)."""
PROFILE_BYTES_MAX = 64 * 1024
"""Of a profile with its attributes, as JSON."""
ATTRIBUTE_BYTES_MAX = 16 * 1024
"""Attributes above this are the first to go from a profile that is too large."""
DEVICES_BYTES_MAX = 16 * 1024
"""Of a profile's devices, and of its subscriptions: twenty real ones have about 10 KiB."""
GOALS_MAX = 20
GOALS_BYTES_MAX = 64 * 1024
CAP_USAGES_MAX = 100
"""
Of one class and channel: so many more than the largest limit of a cap are kept, the newest. A rule
never counts further than its limit.
"""
LINKS_MAX = 20
CHAINS_MAX = 20
NOT_PROFILE = frozenset(
    {"consents", "cap_usages", "goals", "links", "chains", "engagement", "experiments", "awaited"}
)
"""The parts of a document that Kaskad itself adds to a profile."""
BOUNCES_APART_MS = 86_400_000
CAP_USAGES_KEPT_MS = 8 * 86_400_000


class Person:
    """
    One recipient within one batch. ``dirty`` says whether the document must be written;
    ``opted_out`` are the noes of this batch that nobody has been told of yet.
    """

    def __init__(self, id: str, document: dict[str, Any] | None, address_hash: AddressHash) -> None:
        self.id = id
        self.known = document is not None
        self.document: dict[str, Any] = (
            document if document is not None else {"id": id, "attributes": {}}
        )
        self.dirty = False
        self.trimmed: list[str] = []
        self.opted_out: list[Consent] = []
        self._hash = address_hash
        self._addresses: tuple[Address, ...] | None = None
        self._owned: frozenset[str] | None = None if self.known else frozenset()

    def merge(self, profile: Mapping[str, Any], at: Instant) -> None:
        """
        Lay a profile over the stored one: null removes, consents are added, unknown keys are
        attributes. What has become too large loses attributes (``trim``).
        """
        document = self.document
        for name, value in profile.items():
            if name == "id":
                continue
            if name == "consents":
                self.add_consents(consents_from(value, at))
            elif name == "attributes":
                self._merge_into(document.setdefault("attributes", {}), value)
            elif name in FIELDS or name in address_fields():
                self._merge_into(document, {name: value})
            else:
                self._merge_into(document.setdefault("attributes", {}), {name: value})
        if not self.known and not self.dirty:
            self.dirty = len(document) > 2 or bool(document["attributes"])
        if self.dirty:
            self.trim()

    def trim(self) -> None:
        """
        Bring the profile down to ``PROFILE_BYTES_MAX``, noting in ``trimmed`` what went: the first
        devices and subscriptions above ``DEVICES_BYTES_MAX``, attributes above
        ``ATTRIBUTE_BYTES_MAX``, then those that were set longest ago, so that what an event brings
        stays. The other fields are short (``recipients.fields``).
        """
        if profile_bytes(self.document) <= PROFILE_BYTES_MAX:
            return
        for name in [name for name, kind in address_fields().items() if kind.several]:
            if len(orjson.dumps(self.document.get(name))) > DEVICES_BYTES_MAX:
                self.trimmed.append(name)
                self._addresses = None  # owned addresses are never in a list
                while len(orjson.dumps(self.document[name])) > DEVICES_BYTES_MAX:
                    self.document[name] = self.document[name][1:]
        excess = profile_bytes(self.document) - PROFILE_BYTES_MAX
        attributes = self.document["attributes"]
        sizes = {name: attribute_bytes(name, value) for name, value in attributes.items()}
        for name in sorted(sizes, key=lambda name: sizes[name] <= ATTRIBUTE_BYTES_MAX):
            if excess > 0:
                del attributes[name]
                self.trimmed.append(name)
                excess -= sizes[name]

    def _merge_into(self, target: dict[str, Any], values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            if self._owned is None and name in address_fields() and target is self.document:
                self._owned = self.owned_now()
            if value is None:
                self.dirty |= target.pop(name, None) is not None
                self._addresses = None
            elif target.get(name) != value:
                target.pop(name, None)  # the order is that of the last change
                target[name] = value
                self.dirty = True
                self._addresses = None

    def add_consents(self, entries: Iterable[Consent]) -> None:
        """Add entries to the history; what was said already is not added again."""
        added: list[Consent] = []
        self.dirty |= add_consents(self.document.setdefault("consents", []), entries, added)
        if added:
            self.opted_out += [one for one in added if one.state == "out"]

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Every address of the profile, in the profile's order."""
        if self._addresses is None:
            self._addresses = tuple(addresses_in(self.document, self._hash))
        return self._addresses

    def usable_addresses(self, kinds: Collection[str]) -> tuple[Address, ...]:
        """Its addresses of these kinds; for those that are nobody's field, its own id."""
        return (*[one for one in self.addresses if one.kind in kinds], *self.own_ids(kinds))

    def own_ids(self, kinds: Iterable[str]) -> tuple[Address, ...]:
        """Its own id as an address of each of these kinds that are one."""
        own = own_id_kinds()
        return tuple(address_of(kind, self.id, (), self._hash) for kind in kinds if kind in own)

    def owned_now(self) -> frozenset[str]:
        """
        The hashes of its plain addresses and of its open links; those of devices and browsers are
        not among them.
        """
        kinds = address_kinds()
        plain = (one.hash for one in self.addresses if not kinds[one.kind].several)
        return frozenset(
            (*plain, *(row[0] for row in self.document.get("links", ()) if not row[4]))
        )

    def owned_before(self) -> frozenset[str]:
        """The same as it was loaded."""
        return self.owned_now() if self._owned is None else self._owned

    def open_link(
        self, hash: str, channel: str, until: Instant, message: str, now: Instant
    ) -> bool:
        """
        Keep a link that connects a messenger, the newest ``LINKS_MAX`` of them; False if the one
        that stood in this ``message`` ("": in none) was followed already.
        """
        rows = self._links(now)
        if message and any(row[3] == message and row[1] == channel and row[4] for row in rows):
            return False
        self.document["links"] = [*rows, [hash, channel, until, message, False]][-LINKS_MAX:]
        self.dirty = True
        return True

    def use_link(self, hash: str, channel: str, now: Instant) -> bool:
        """Whether the link is open, and then it is no longer; all others of its message are not."""
        rows = self._links(now)
        used = next((row for row in rows if row[:2] == [hash, channel] and not row[4]), None)
        if used is None:
            return False
        for row in rows:
            row[4] = (
                row[4] or row is used or bool(used[3] and row[3] == used[3] and row[1] == channel)
            )
        self.document["links"] = rows
        self.dirty = True
        return True

    def _links(self, now: Instant) -> list[list[Any]]:
        """Copies of the links whose time is not over. What was owned so far is kept first."""
        if self._owned is None:
            self._owned = self.owned_now()
        return [list(row) for row in self.document.get("links", ()) if row[2] > now]

    @property
    def consents(self) -> tuple[Consent, ...]:
        return tuple(consent_of(row) for row in self.document.get("consents", ()))

    @property
    def cap_usages(self) -> tuple[CapUsage, ...]:
        return tuple(CapUsage(*row) for row in self.document.get("cap_usages", ()))

    def reserve(self, usage: CapUsage, governance: Governance, now: Instant) -> None:
        """Add a cap usage, and drop those that no rule counts any more."""
        kept = [
            row
            for row in self.document.get("cap_usages", ())
            if row[0] == usage.message
            or row[4] > now - max(CAP_USAGES_KEPT_MS, horizon_ms(governance, row[1]))
        ]
        most = CAP_USAGES_MAX + max((cap.limit for cap in governance.caps), default=0)
        if len(kept) > most:
            alike = [row for row in kept if row[1:3] == [usage.message_class, usage.channel]]
            others = [row for row in alike if row[0] != usage.message]
            for row in sorted(others, key=lambda row: row[4])[: len(alike) - most]:
                kept.remove(row)
        kept.append(list(astuple(usage)))
        self.document["cap_usages"] = kept
        self.dirty = True

    def release_cap(self, message: str, step: int) -> None:
        """
        Remove a step's cap usage; if it was the message's first, the next oldest becomes the first.
        """
        rows = self.document.get("cap_usages", [])
        kept = [row for row in rows if not (row[0] == message and row[3] == step)]
        own = [row for row in kept if row[0] == message]
        if own and not any(row[5] for row in own):
            min(own, key=lambda row: row[4])[5] = True
        if len(kept) != len(rows):
            self.document["cap_usages"] = kept
            self.dirty = True

    def remember_goal(self, goal: dict[str, Any], keep_ms: int, now: Instant) -> None:
        """Keep a goal for triggers that are accepted after it."""
        kept = [known for known in self.document.get("goals", ()) if known["at"] > now - keep_ms]
        kept = [*kept[-GOALS_MAX + 1 :], goal]
        while len(orjson.dumps(kept)) > GOALS_BYTES_MAX:
            del kept[0]
        self.document["goals"] = kept
        self.dirty = True

    def lengthen_chain(self, chain: str) -> int:
        """
        Count one more message of a chain, and return how many there are. The chains that grew last
        are kept, ``CHAINS_MAX`` of them.
        """
        rows = self.document.get("chains", ())
        count = 1 + next((row[1] for row in rows if row[0] == chain), 0)
        others = [row for row in rows if row[0] != chain]
        self.document["chains"] = [*others, [chain, count]][-CHAINS_MAX:]
        self.dirty = True
        return count

    def view(self) -> dict[str, Any]:
        """
        The ``recipient`` of templates and conditions: the profile with its attributes, without
        addresses' keys.
        """
        document = self.document
        seen = dict(document.get("attributes", {}))
        plain = (name for name, kind in address_fields().items() if not kind.several)
        for name in (*FIELDS, *plain):
            if name in document:
                seen[name] = document[name]
        seen["id"] = self.id
        return seen


def profile_bytes(document: Mapping[str, Any]) -> int:
    """The size of a document's profile as JSON, without what Kaskad itself adds to it."""
    return len(orjson.dumps({k: v for k, v in document.items() if k not in NOT_PROFILE}))


def attribute_bytes(name: str, value: Any) -> int:
    """What an attribute adds to the JSON of its profile."""
    return len(orjson.dumps({name: value})) - 1


def address_state(hash: str, document: Mapping[str, Any]) -> AddressState:
    """An address's document as decisions see it."""
    inbound = document.get("inbound") or {}
    return AddressState(
        hash,
        tuple(consent_of(row) for row in document.get("consents", ())),
        {
            channel: Suppression(**suppression)
            for channel, suppression in document.get("suppressions", {}).items()
        },
        {
            name: at + channel.session_ms
            for name, at in inbound.items()
            if (channel := channels().get(name)) is not None and channel.session_ms
        },
    )


def record_bounce(document: dict[str, Any], proof: BounceRecorded, now: Instant) -> bool:
    """
    Count one proof that an address is dead on a channel; True if that suppresses it. Proofs within
    a day count once.
    """
    suppressions = document.setdefault("suppressions", {})
    if proof.channel in suppressions:
        return False
    known = document.setdefault("bounces", {}).setdefault(proof.channel, [])
    if not known or now - known[-1] > BOUNCES_APART_MS:
        known.append(now)
    if len(known) < proof.suppress_after:
        return False
    suppressions[proof.channel] = {
        "reason": "refused_address",
        "provider": proof.provider,
        "at": now,
        "detail": proof.code,
    }
    return True


def addresses_in(profile: Mapping[str, Any], address_hash: AddressHash) -> Iterator[Address]:
    """Every address in a profile, or in the part of one that is about to be merged."""
    for name, kind in address_kinds().items():
        if field := profile.get(kind.written_as):
            for value, keys in kind.entries(field):
                yield address_of(name, value, keys, address_hash)


@lru_cache(maxsize=65_536)
def address_of(kind: str, value: str, keys: Keys, address_hash: AddressHash) -> Address:
    """An address with everything that follows from its value."""
    asked = all_address_kinds()[kind]
    country = asked.country(value) if asked.country is not None else ""
    shown = asked.masked(value) if asked.masked is not None else ""
    return Address(kind, value, address_hash(kind, value), keys, country, shown)


def otp_limited_values(profile: Mapping[str, Any]) -> list[str]:
    """The addresses in a profile whose one-time codes count against the velocity limits."""
    kinds = address_kinds()
    return [
        value
        for name in otp_limited_kinds()
        if (field := profile.get(kinds[name].written_as))
        for value, _ in kinds[name].entries(field)
    ]
