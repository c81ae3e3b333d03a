"""
What a batch is going to look at: the messages and people that its commands name, then the
addresses.

Whatever a handler reads must be named here, or it would not be there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.channels.registry import kinds_like
from orchestrator.core import facts
from orchestrator.core.outcomes import Accepted
from orchestrator.core.policy import OTP
from orchestrator.engine.commands import (
    ApplyFact,
    Cancel,
    Command,
    Erase,
    OptOut,
    Publish,
    PutConsents,
    PutRecipient,
    RecordInbound,
    RecordPreference,
    RecordReceipt,
    RecordWebhook,
)
from orchestrator.engine.handlers import events as publishing
from orchestrator.engine.rules import Evaluate, Rules
from orchestrator.engine.unit_of_work import UnitOfWork
from orchestrator.engine.velocity import velocity_hashes
from orchestrator.recipients.document import (
    AddressHash,
    Person,
    addresses_in,
    otp_limited_values,
)
from orchestrator.stores.rows import Wanted, WantedAddresses


class Needs:
    """Reads commands under the rules of one batch."""

    def __init__(self, rules: Rules, address_hash: AddressHash, evaluate: Evaluate) -> None:
        self.rules = rules
        self._hash = address_hash
        self._evaluate = evaluate
        self.wanted = Wanted()
        self.addresses = WantedAddresses()
        self._codes: set[str] = set()

    def add(self, command: Command) -> None:
        """What a command is going to look at, as far as the command itself says."""
        wanted = self.wanted
        match command:
            case Publish():
                self._event(command)
            case ApplyFact() | Cancel():
                wanted.messages.add(command.message)
            case RecordReceipt(message=None):
                wanted.references.add((command.provider, command.receipt.provider_id or ""))
            case RecordReceipt():
                wanted.messages.add(command.message or "")
            case RecordWebhook():
                for one in command.said:
                    self.add(one)
            case RecordInbound():
                self._contact(command.inbound.kind, command.inbound.value, command.channel)
                wanted.references.add((command.provider, command.inbound.answers or ""))
            case RecordPreference():
                self._contact(command.preference.kind, command.preference.value, command.channel)
            case PutRecipient():
                wanted.recipients.add(command.id)
                self.addresses.addresses.update(self._hashes(command.profile))
            case PutConsents():
                wanted.recipients.add(command.id)
            case OptOut():
                self._opt_out(command)
            case Erase():
                wanted.recipients.add(command.id)
                wanted.live_of.add(command.id)

    def _event(self, command: Publish) -> None:
        event = command.event
        self.wanted.events.add((event.source, event.id))
        otp = any(policy.message_class == OTP for policy in self.rules.by_event.get(event.type, ()))
        for profile in event.recipients:
            if otp:
                self._codes.add(profile["id"])
                self.add_codes(profile)
            self.wanted.recipients.add(profile["id"])
            self.addresses.addresses.update(self._hashes(profile))
            if event.type in self.rules.goals:
                self.wanted.live_of.add(profile["id"])
        self._dedupes(command)

    def _contact(self, kind: str, value: str, channel: str) -> None:
        hash = self._hash(kind, value)
        self.addresses.addresses.add(hash)
        self.wanted.contacts.add((hash, channel))

    def _opt_out(self, command: OptOut) -> None:
        if command.recipient:
            self.wanted.recipients.add(command.recipient)
        if command.address_hash:
            self.addresses.addresses.add(command.address_hash)
        if command.address:
            kinds = kinds_like(command.address)
            self.addresses.addresses.update(self._hash(kind, command.address) for kind in kinds)

    def _dedupes(self, command: Publish) -> None:
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
                    self.wanted.dedupes.add(
                        (policy.name, profile["id"], publishing.key_text(value))
                    )

    def add_references(self, command: Command, work: UnitOfWork) -> None:
        """
        The provider's reference that an answer brings, or that a receipt names and nobody knows
        yet.
        """
        match command:
            case RecordReceipt(message=None):
                key = (command.provider, command.receipt.provider_id or "")
                if key not in work.references:
                    self.addresses.unknown.add(key)
            case RecordWebhook():
                for one in command.said:
                    self.add_references(one, work)
            case ApplyFact(
                message=id,
                fact=facts.Answered(attempt=number, outcome=Accepted(provider_id=str(reference))),
            ):
                entry = work.entries.get(id)
                if entry is not None:
                    self.addresses.references.add(
                        (entry.message.attempts[number].provider, reference)
                    )

    def add_person(self, person: Person) -> None:
        """The addresses of somebody who was loaded."""
        self.addresses.addresses.update(address.hash for address in person.addresses)
        if person.id in self._codes:
            self.add_codes(person.document)

    def add_codes(self, profile: Mapping[str, Any]) -> None:
        """How many codes went to a number: it may be about to get another one."""
        for value in otp_limited_values(profile):
            self.addresses.addresses |= velocity_hashes(value, self.rules.limits, self._hash)

    def _hashes(self, profile: Mapping[str, Any]) -> set[str]:
        """The hashes of the addresses in a profile that is about to be merged."""
        return {address.hash for address in addresses_in(profile, self._hash)}
