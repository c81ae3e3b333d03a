"""What the API does to recipients: profiles, consents, opt-outs, erasure."""

from __future__ import annotations

from typing import Any

from orchestrator.channels.registry import kinds_like
from orchestrator.core.facts import Cancelled
from orchestrator.core.reasons import Reason
from orchestrator.core.recipient import Consent
from orchestrator.engine.applying import apply_fact, opt
from orchestrator.engine.batch import BatchContext
from orchestrator.engine.commands import Erase, OptOut, PutConsents, PutRecipient, UnknownRecipient
from orchestrator.recipients.document import addresses_in, consents_from


def put_recipient(context: BatchContext, command: PutRecipient) -> dict[str, Any]:
    """
    Merge a profile. An address that is put again is trusted again: its mark is cleared, whoever
    shares it.
    """
    person = context.work.person(command.id)
    person.merge(command.profile, context.now)
    person.dirty = True
    for address in addresses_in(command.profile, context.address_hash):
        if context.work.addresses.get(address.hash, {}).get("suppressions"):
            document = context.work.address_document(address.hash)
            document.pop("suppressions", None)
            document.pop("bounces", None)
    return person.document


def put_consents(context: BatchContext, command: PutConsents) -> dict[str, Any]:
    """Add entries to a recipient's history, who need not be known yet."""
    person = context.work.person(command.id)
    person.add_consents(consents_from(command.entries, context.now))
    return person.document


def opt_out(context: BatchContext, command: OptOut) -> None:
    """Record an opt-out for a recipient, an address, or both; it holds from this transaction on."""
    consent = Consent(
        command.channel, command.topic, command.state, context.now, command.source, command.classes
    )
    person = context.work.person(command.recipient) if command.recipient else None
    hashes = [command.address_hash] if command.address_hash else []
    if command.address:
        hashes += [
            context.address_hash(kind, command.address) for kind in kinds_like(command.address)
        ]
    opt(context, person, None, consent)
    for hash in hashes:
        opt(context, None, hash, consent)


def erase(context: BatchContext, command: Erase) -> None:
    """
    Forget a recipient. What runs is cancelled; what they opted out of stays with the keyed hashes
    of their addresses, so that nobody writes to them again because they asked to be forgotten.
    """
    person = context.work.person(command.id)
    if not person.known and not context.work.live_of.get(command.id):
        raise UnknownRecipient(command.id)
    for id in context.work.live_of.get(command.id, ()):
        entry = context.work.entries.get(id)
        if entry is not None and not entry.message.terminal:
            apply_fact(context, entry, Cancelled(Reason.ERASED))
    outs = [consent for consent in person.consents if consent.state == "out"]
    for address in person.addresses:
        for consent in outs:
            opt(context, None, address.hash, consent)
    person.dirty = False
    context.work.people.pop(command.id, None)
    context.work.changes.erased.append(command.id)
