"""
Recipients as documents: profile, consents, cap usages, goals; and the state of each address.

A recipient's document::

    {"id", <profile fields>, "attributes": {…},
     "consents": [[channel, topic, state, at, source, [classes]]],
     "cap_usages": [[message, class, channel, step, at, first]],
     "goals": [{"type", "time", "at", "source", "id", "data"}]}

An address's document::

    {"consents": […], "suppressions": {channel: {reason, provider, at, detail}},
     "bounces": {channel: [at]}, "inbound": {channel: at}}
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from msgspec.structs import astuple

from orchestrator.channels.address_kinds import Keys
from orchestrator.channels.registry import address_kinds, otp_limited_kinds
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

AddressHash = Callable[[str, str], str]
"""The keyed hash of an address's kind and value."""

FIELDS = ("first_name", "last_name", "gender", "locale", "time_zone", "devices")
"""The fields of a profile besides its addresses, which are named as their kinds."""
GOALS_MAX = 20
BOUNCES_APART_MS = 86_400_000
CAP_USAGES_KEPT_MS = 8 * 86_400_000


class Person:
    """One recipient within one batch. ``dirty`` says whether the document must be written."""

    def __init__(self, id: str, document: dict[str, Any] | None, address_hash: AddressHash) -> None:
        self.id = id
        self.known = document is not None
        self.document: dict[str, Any] = (
            document if document is not None else {"id": id, "attributes": {}}
        )
        self.dirty = False
        self._hash = address_hash
        self._addresses: tuple[Address, ...] | None = None

    def merge(self, profile: Mapping[str, Any], at: Instant) -> None:
        """
        Lay a profile over the stored one: null removes, consents are added, unknown keys are
        attributes.
        """
        document = self.document
        for name, value in profile.items():
            if name == "id":
                continue
            if name == "consents":
                self.add_consents(consents_from(value, at))
            elif name == "attributes":
                self._merge_into(document.setdefault("attributes", {}), value)
            elif name in FIELDS or name in address_kinds():
                self._merge_into(document, {name: value})
            else:
                self._merge_into(document.setdefault("attributes", {}), {name: value})
        if not self.known and not self.dirty:
            self.dirty = len(document) > 2 or bool(document["attributes"])

    def _merge_into(self, target: dict[str, Any], values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            if value is None:
                self.dirty |= target.pop(name, None) is not None
                self._addresses = None
            elif target.get(name) != value:
                target[name] = value
                self.dirty = True
                self._addresses = None

    def add_consents(self, entries: Iterable[Consent]) -> None:
        """Add entries to the history; the very same entry is kept once."""
        rows = self.document.setdefault("consents", [])
        for entry in entries:
            row = consent_row(entry)
            if row not in rows:
                rows.append(row)
                self.dirty = True

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Every address of the profile, in the profile's order."""
        if self._addresses is None:
            self._addresses = tuple(addresses_in(self.document, self._hash))
        return self._addresses

    @property
    def consents(self) -> tuple[Consent, ...]:
        return tuple(consent_of(row) for row in self.document.get("consents", ()))

    @property
    def cap_usages(self) -> tuple[CapUsage, ...]:
        return tuple(CapUsage(*row) for row in self.document.get("cap_usages", ()))

    def reserve(self, usage: CapUsage, governance: Governance, now: Instant) -> None:
        """Add a cap usage, and drop those that no rule can count any more."""
        kept = [
            row
            for row in self.document.get("cap_usages", ())
            if row[0] == usage.message
            or row[4] > now - max(CAP_USAGES_KEPT_MS, horizon_ms(governance, row[1]))
        ]
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
        self.document["goals"] = [*kept[-GOALS_MAX + 1 :], goal]
        self.dirty = True

    def view(self) -> dict[str, Any]:
        """
        The ``recipient`` of templates and conditions: the profile with its attributes, without
        addresses' keys.
        """
        document = self.document
        seen = dict(document.get("attributes", {}))
        plain = (name for name, kind in address_kinds().items() if not kind.several)
        for name in (*FIELDS, *plain):
            if name in document:
                seen[name] = document[name]
        seen["id"] = self.id
        return seen


def consents_from(entries: Any, at: Instant) -> list[Consent]:
    """
    Consent entries as they come in: channel and topic default to ``*``, a time in the future
    becomes ``at``.
    """
    found = []
    for entry in entries or ():
        given = entry.get("at")
        when = min(int(given), at) if isinstance(given, int) else at
        found.append(
            Consent(
                entry.get("channel") or "*",
                entry.get("topic") or "*",
                entry["state"],
                when,
                entry.get("source") or "",
                tuple(entry.get("classes") or ()),
            )
        )
    return found


def consent_row(entry: Consent) -> list[Any]:
    return [entry.channel, entry.topic, entry.state, entry.at, entry.source, list(entry.classes)]


def consent_of(row: list[Any]) -> Consent:
    return Consent(row[0], row[1], row[2], row[3], row[4], tuple(row[5]))


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
        max(inbound.values(), default=None),
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
        if field := profile.get(name):
            for value, keys in kind.entries(field):
                yield address_of(name, value, keys, address_hash)


@lru_cache(maxsize=65_536)
def address_of(kind: str, value: str, keys: Keys, address_hash: AddressHash) -> Address:
    """An address with everything that follows from its value."""
    asked = address_kinds()[kind]
    country = asked.country(value) if asked.country is not None else ""
    shown = asked.masked(value) if asked.masked is not None else ""
    return Address(kind, value, address_hash(kind, value), keys, country, shown)


def otp_limited_values(profile: Mapping[str, Any]) -> list[str]:
    """The addresses in a profile whose one-time codes count against the velocity limits."""
    kinds = address_kinds()
    return [
        value
        for name in otp_limited_kinds()
        if (field := profile.get(name))
        for value, _ in kinds[name].entries(field)
    ]
