"""
What a batch is going to look at, as far as its commands themselves say: the first stage of loading.

Whatever a handler reads must be named here, or it would not be there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.core import facts
from orchestrator.core.outcomes import Accepted
from orchestrator.engine import profiles
from orchestrator.engine import publish as publishing
from orchestrator.engine.book import Book
from orchestrator.engine.commands import (
    Cancel,
    Command,
    Erase,
    HearInbound,
    HearPreference,
    HearReceipt,
    OptOut,
    Publish,
    PutConsents,
    PutRecipient,
    Tell,
)
from orchestrator.engine.people import SINGLE_ADDRESSES
from orchestrator.engine.rules import AddressHash, Evaluate, Rules
from orchestrator.stores.port import Wanted


class Needs:
    """Reads commands under the rules of one batch."""

    def __init__(self, rules: Rules, address_hash: AddressHash, evaluate: Evaluate) -> None:
        self.rules = rules
        self._hash = address_hash
        self._evaluate = evaluate

    def add(self, wanted: Wanted, command: Command) -> None:
        """What a command is going to look at, as far as the command itself says."""
        match command:
            case Publish():
                self._event(wanted, command)
            case Tell() | Cancel():
                wanted.messages.add(command.message)
            case HearReceipt(message=None):
                wanted.references.add((command.provider, command.receipt.provider_id or ""))
            case HearReceipt():
                wanted.messages.add(command.message or "")
            case HearInbound():
                self._contact(wanted, command.inbound.kind, command.inbound.value, command.channel)
                wanted.references.add((command.provider, command.inbound.answers or ""))
            case HearPreference():
                self._contact(wanted, command.preference.kind, command.preference.value, command.channel)
            case PutRecipient():
                wanted.recipients.add(command.id)
                wanted.addresses.update(self._hashes(command.profile))
            case PutConsents():
                wanted.recipients.add(command.id)
            case OptOut():
                self._opt_out(wanted, command)
            case Erase():
                wanted.recipients.add(command.id)
                wanted.live_of.add(command.id)

    def _event(self, wanted: Wanted, command: Publish) -> None:
        event = command.event
        wanted.events.add((event.source, event.id))
        for profile in event.recipients:
            wanted.recipients.add(profile["id"])
            wanted.addresses.update(self._hashes(profile))
            if event.type in self.rules.goals:
                wanted.live_of.add(profile["id"])
        self._dedupes(wanted, command)

    def _contact(self, wanted: Wanted, kind: str, value: str, channel: str) -> None:
        hash = self._hash(kind, value)
        wanted.addresses.add(hash)
        wanted.contacts.add((hash, channel))

    def _opt_out(self, wanted: Wanted, command: OptOut) -> None:
        if command.recipient:
            wanted.recipients.add(command.recipient)
        if command.address_hash:
            wanted.addresses.add(command.address_hash)
        if command.address:
            kinds = profiles.kinds_of(command.address)
            wanted.addresses.update(self._hash(kind, command.address) for kind in kinds)

    def _dedupes(self, wanted: Wanted, command: Publish) -> None:
        scope = {"event": command.event.data, "ce": command.event.attributes, "recipient": {}}
        for policy in self.rules.by_event.get(command.event.type, ()):
            if policy.dedupe is None:
                continue
            for profile in command.event.recipients:
                try:
                    value = self._evaluate(policy.dedupe.key, scope | {"recipient": profile})
                except ValueError:
                    continue
                if value is not None:
                    wanted.dedupes.add((policy.name, profile["id"], publishing.key_text(value)))

    def add_orphans(self, wanted: Wanted, command: Command, book: Book) -> None:
        if not isinstance(command, Tell) or not isinstance(command.fact, facts.Answered):
            return
        outcome, entry = command.fact.outcome, book.entries.get(command.message)
        if isinstance(outcome, Accepted) and outcome.provider_id and entry is not None:
            attempt = entry.message.attempts[command.fact.attempt]
            wanted.orphans.add((attempt.provider, outcome.provider_id))

    def _hashes(self, profile: Mapping[str, Any]) -> set[str]:
        """The hashes of the addresses in a profile that is about to be merged."""
        hashes = {self._hash(kind, profile[kind]) for kind in SINGLE_ADDRESSES if profile.get(kind)}
        for subscription in profile.get("web_push") or ():
            hashes.add(self._hash("web_push", subscription["endpoint"]))
        return hashes
