"""
What the commands of one batch ask the store for, in two stages.

A command names messages, recipients, events. Addresses and dedupe keys follow from the recipients,
so they are asked for once those are loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.core.policy import OTP
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
    """``rows`` are asked for in the first stage, ``addresses`` in the second."""

    def __init__(self, rules: Rules, address_hash: AddressHash, evaluate: Evaluate) -> None:
        self.rules = rules
        self.address_hash = address_hash
        self._evaluate = evaluate
        self.rows = Wanted()
        self.addresses = WantedAddresses()
        self.converting: list[tuple[str, str, int]] = []
        """Recipients with the type of an event that may count as converted, and when it was."""

    def message_addresses(self, work: UnitOfWork, id: str) -> None:
        """Ask for all that applying a fact to a message may read or write."""
        entry = work.messages.get(id)
        if entry is None:
            return
        message = entry.message
        self.person_addresses(work.person(message.recipient), message.message_class == OTP)
        # an attempt may have gone to an address that its recipient has left since
        for attempt in message.attempts:
            self.addresses.addresses.add(attempt.address_hash)

    def person_addresses(self, person: Person, otp: bool = False) -> None:
        """Ask for a recipient's addresses; ``otp``: also for their velocity counts."""
        self.addresses.addresses.update([address.hash for address in person.addresses])
        if otp:
            self.velocity_counts(person.document)

    def profile_addresses(self, profile: Mapping[str, Any], otp: bool = False) -> None:
        """Ask for the addresses in a profile that is about to be merged."""
        found = addresses_in(profile, self.address_hash)
        self.addresses.addresses.update([address.hash for address in found])
        if otp:
            self.velocity_counts(profile)

    def value(self, expression: str, scope: Mapping[str, Any], policy: str) -> Any:
        """As ``BatchContext.value``, which will count what fails here."""
        return self._evaluate(expression, scope)

    def velocity_counts(self, profile: Mapping[str, Any]) -> None:
        """Ask how many OTPs were sent to a profile's numbers and to their neighbours."""
        for value in otp_limited_values(profile):
            self.addresses.addresses |= velocity_hashes(value, self.rules.limits, self.address_hash)
