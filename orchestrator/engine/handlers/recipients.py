"""Handlers of the API's changes to recipients: profiles, consents, opt-outs, erasure."""

from __future__ import annotations

from typing import Any

import orjson

from orchestrator.channels.registry import kinds_like
from orchestrator.core.facts import Cancelled
from orchestrator.core.journey.facts import PersonErased
from orchestrator.core.reasons import Reason
from orchestrator.core.recipient import Consent
from orchestrator.engine.applying import apply_fact, record_consent
from orchestrator.engine.batch import BatchContext, QueuedFact
from orchestrator.engine.commands import (
    Erase,
    Forget,
    OptOut,
    ProfileTooLarge,
    PutConsents,
    PutRecipient,
    UnknownRecipient,
)
from orchestrator.engine.emitting import emit_opt_outs
from orchestrator.engine.handlers.handler import Handler
from orchestrator.engine.handlers.journeys import apply_journey_fact
from orchestrator.engine.journeys import running_of
from orchestrator.engine.needs import Needs
from orchestrator.engine.unit_of_work import UnitOfWork
from orchestrator.recipients.consents import consents_from
from orchestrator.recipients.document import (
    AddressHash,
    Person,
    addresses_in,
)
from orchestrator.stores.named import Named


class PutRecipientHandler(Handler[PutRecipient]):
    def needs(self, needs: Needs, command: PutRecipient) -> None:
        needs.rows.recipients.add(command.id)

    def needs_addresses(self, needs: Needs, command: PutRecipient, work: UnitOfWork) -> None:
        needs.profile_addresses(command.profile, needs.rules.inside_otp)

    def handle(self, context: BatchContext, command: PutRecipient) -> dict[str, Any]:
        """
        Merge a profile and return the document. An address that is put again is trusted again: its
        suppressions are cleared for everyone who shares it. Raises ``ProfileTooLarge``.
        """
        work = context.work
        person = work.person(command.id)
        copy = Person(command.id, orjson.loads(orjson.dumps(person.document)), context.address_hash)
        copy.merge(command.profile, context.now)
        if copy.trimmed:
            raise ProfileTooLarge(command.id)
        person.merge(command.profile, context.now)
        person.dirty = True
        emit_opt_outs(context, person)
        lifted = command.profile if command.lifts_suppressions else {}
        for address in addresses_in(lifted, context.address_hash):
            if (work.addresses.get(address.hash) or {}).get("suppressions"):
                document = work.address_document(address.hash)
                document.pop("suppressions", None)
                document.pop("bounces", None)
        return person.document


class PutConsentsHandler(Handler[PutConsents]):
    def needs(self, needs: Needs, command: PutConsents) -> None:
        needs.rows.recipients.add(command.id)

    def handle(self, context: BatchContext, command: PutConsents) -> dict[str, Any]:
        """Add consents to a recipient, who need not be known yet, and return the document."""
        person = context.work.person(command.id)
        person.add_consents(consents_from(command.entries, context.now))
        emit_opt_outs(context, person)
        return person.document


class OptOutHandler(Handler[OptOut]):
    def needs(self, needs: Needs, command: OptOut) -> None:
        if command.recipient:
            needs.rows.recipients.add(command.recipient)

    def needs_addresses(self, needs: Needs, command: OptOut, work: UnitOfWork) -> None:
        needs.addresses.addresses.update(opt_out_hashes(command, needs.address_hash))

    def handle(self, context: BatchContext, command: OptOut) -> None:
        """Record an opt-out of a recipient, an address, or both."""
        consent = Consent(
            command.channel,
            command.topic,
            command.state,
            context.now if command.at is None else min(command.at, context.now),
            command.source,
            command.classes,
        )
        if command.recipient:
            record_consent(context, context.work.person(command.recipient), None, consent)
        for hash in opt_out_hashes(command, context.address_hash):
            record_consent(context, None, hash, consent)


def opt_out_hashes(command: OptOut, address_hash: AddressHash) -> list[str]:
    """The addresses that an opt-out is for: a bare address may be of several kinds."""
    hashes = [command.address_hash] if command.address_hash else []
    if command.address:
        kinds = (command.kind,) if command.kind else kinds_like(command.address)
        hashes += [address_hash(kind, command.address) for kind in kinds]
    return hashes


class EraseHandler(Handler[Erase]):
    def needs(self, needs: Needs, command: Erase) -> None:
        needs.rows.recipients.add(command.id)
        needs.rows.live_of.add(command.id)
        needs.rows.journeys_of.add(command.id)

    def needs_addresses(self, needs: Needs, command: Erase, work: UnitOfWork) -> None:
        needs.person_addresses(work.person(command.id))
        for id in work.live_of.get(command.id) or ():
            needs.message_addresses(work, id)

    def handle(self, context: BatchContext, command: Erase) -> None:
        """
        Forget a recipient. Unfinished messages are cancelled. Opt-outs stay under the keyed hashes
        of the addresses, so that nobody writes to these again. Raises ``UnknownRecipient``.
        """
        work = context.work
        person, live = work.person(command.id), work.live_of.get(command.id) or ()
        journeys = list(running_of(work, command.id))
        if not person.known and not live and not journeys:
            raise UnknownRecipient(command.id)
        for journey in journeys:
            for _ in apply_journey_fact(context, QueuedFact(journey.run.id, PersonErased())):
                pass  # it sends nothing
        for id in live:
            entry = work.messages.get(id)
            if entry is not None and not entry.message.terminal:
                apply_fact(context, entry, Cancelled(Reason.ERASED))
        keep_opt_outs(context, person)
        owned = sorted(person.owned_before() | person.owned_now())
        work.changes.owners_out += [(hash, command.id) for hash in owned]
        del work.people.rows[command.id]
        work.changes.erased.append(command.id)
        addresses = tuple(one.value for one in person.addresses)
        work.changes.unwanted.append(Named(command.id, addresses))
        work.write_down(command.note)


class ForgetHandler(Handler[Forget]):
    def needs(self, needs: Needs, command: Forget) -> None:
        needs.rows.recipients.add(command.id)
        needs.rows.live_of.add(command.id)
        needs.rows.journeys_of.add(command.id)

    def needs_addresses(self, needs: Needs, command: Forget, work: UnitOfWork) -> None:
        needs.person_addresses(work.person(command.id))

    def handle(self, context: BatchContext, command: Forget) -> bool:
        """
        Of a profile with consents these stay, under the recipient's id and, if it is a no, under
        the hashes of the addresses; one without consents goes altogether.
        """
        work = context.work
        person = work.person(command.id)
        under_way = work.live_of.get(command.id) or work.journeys_of.get(command.id)
        if person.document != command.document or under_way:
            return False
        consents = person.document.get("consents")
        bare: dict[str, Any] = {"id": command.id, "attributes": {}, "consents": consents}
        if person.document == bare:
            return False  # it was forgotten before
        keep_opt_outs(context, person)
        owned = sorted(person.owned_before() | person.owned_now())
        work.changes.owners_out += [(hash, command.id) for hash in owned]
        del work.people.rows[command.id]
        if consents:
            work.changes.recipients[command.id] = orjson.dumps(bare)
        else:
            work.changes.erased.append(command.id)
        return True


def keep_opt_outs(context: BatchContext, person: Person) -> None:
    """Record the opt-outs of a person who is to be forgotten for each of their addresses."""
    opt_outs = [consent for consent in person.consents if consent.state == "out"]
    for address in person.addresses:
        for consent in opt_outs:
            record_consent(context, None, address.hash, consent)
