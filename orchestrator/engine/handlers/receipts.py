"""Handlers of receipts, replies, and providers' opt-outs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from orchestrator.channels import Receipt
from orchestrator.channels.outline import outline
from orchestrator.core.facts import ReceiptReceived
from orchestrator.core.message import Message
from orchestrator.core.outcomes import Refused
from orchestrator.core.recipient import Consent, ConsentState
from orchestrator.core.status import Engagement
from orchestrator.core.values import replace
from orchestrator.engine.applying import apply_fact, record_consent, record_names, record_opt_out
from orchestrator.engine.batch import BatchContext
from orchestrator.engine.commands import (
    FactApplied,
    FollowLink,
    RecordInbound,
    RecordPreference,
    RecordReceipt,
    RecordWebhook,
)
from orchestrator.engine.handlers.handler import Handler
from orchestrator.engine.handlers.links import FollowLinkHandler
from orchestrator.engine.needs import Needs
from orchestrator.engine.rules import Rules
from orchestrator.engine.unit_of_work import UnitOfWork
from orchestrator.history.codec import encode_fact
from orchestrator.recipients.document import Person
from orchestrator.recipients.opt_out_words import opt_out_word
from orchestrator.stores.rows import AttemptPlace, RawReceiptRow, ReferenceKey

CODE = re.compile(r"[A-Z0-9_./-]{1,32}")


class ReceiptHandler(Handler[RecordReceipt]):
    def needs(self, needs: Needs, command: RecordReceipt) -> None:
        if command.message is not None and command.attempt is not None:
            needs.rows.messages.add(command.message)
        needs.rows.references.update(references_of(needs.rules, command))

    def needs_addresses(self, needs: Needs, command: RecordReceipt, work: UnitOfWork) -> None:
        if (place := attempt_of(needs.rules, work, command)) is not None:
            needs.message_addresses(work, place.message)
        else:
            needs.addresses.unknown.update(references_of(needs.rules, command))

    def handle(self, context: BatchContext, command: RecordReceipt) -> FactApplied | None:
        """
        Apply a receipt to its attempt, if that is this provider's, by whatever name. A receipt
        whose attempt nobody knows yet is stored until the provider's answer brings its reference.
        """
        receipt, work = command.receipt, context.work
        fact = fact_of(context, receipt)
        place = attempt_of(context.rules, work, command)
        if place is None:
            # whose message it is, and what of the words is theirs, is not known yet
            bare = replace(fact, detail="", failure=wordless(fact.failure))
            for provider, reference in references_of(context.rules, command):
                work.add_orphan(provider, reference, encode_fact(bare))
            return None
        entry = work.messages.get(place.message)
        if entry is None or place.attempt >= len(entry.message.attempts):
            return None
        attempt = entry.message.attempts[place.attempt]
        if attempt.provider not in context.rules.reported_by(command.provider):
            return None
        record_names(context, place.message, attempt, receipt.known_as)
        record_opt_out(context, entry, attempt, fact)
        return apply_fact(context, entry, replace(fact, attempt=place.attempt))


def wordless(failure: Refused | None) -> Refused | None:
    """A failure without the provider's words for it; its code is kept where it is no word."""
    if failure is None:
        return None
    plain = failure.code is not None and CODE.fullmatch(failure.code)
    return replace(failure, detail="", code=failure.code if plain else None)


def references_of(rules: Rules, command: RecordReceipt) -> list[ReferenceKey]:
    """What the attempt may be known by if the receipt does not name it: one for each name."""
    id = command.receipt.provider_id
    if not id or (command.message is not None and command.attempt is not None):
        return []
    return [(name, id) for name in rules.reported_by(command.provider)]


def attempt_of(rules: Rules, work: UnitOfWork, command: RecordReceipt) -> AttemptPlace | None:
    """The attempt that a receipt names itself, or that its provider's reference belongs to."""
    if command.message is not None and command.attempt is not None:
        return AttemptPlace(command.message, command.attempt)
    found = map(work.references.get, references_of(rules, command))
    return next(filter(None, found), None)


def fact_of(context: BatchContext, receipt: Receipt) -> ReceiptReceived:
    """The fact in a receipt, for an attempt still to be named."""
    at = reported_at(context, receipt.at)
    return ReceiptReceived(
        0, receipt.state.value, at, receipt.failure, receipt.detail[:500], receipt.provider_id
    )


def reported_at(context: BatchContext, at: float | None) -> int:
    """A provider's time (UTC seconds) in milliseconds; never in the future."""
    return min(int(at * 1000), context.now) if at is not None else context.now


class InboundHandler(Handler[RecordInbound]):
    def needs(self, needs: Needs, command: RecordInbound) -> None:
        inbound = command.inbound
        hash = needs.address_hash(inbound.kind, inbound.value)
        needs.rows.contacts.add((hash, command.channel))
        needs.rows.references.update(answers_of(needs.rules, command))
        if command.message is not None:
            needs.rows.messages.add(command.message)

    def needs_addresses(self, needs: Needs, command: RecordInbound, work: UnitOfWork) -> None:
        hash = needs.address_hash(command.inbound.kind, command.inbound.value)
        needs.addresses.addresses.update(names_of(work, hash, command.channel))
        if (place := answered_attempt(needs.rules, work, command, hash)) is not None:
            needs.message_addresses(work, place.message)

    def handle(self, context: BatchContext, command: RecordInbound) -> None:
        """
        A recipient wrote. STOP is an opt-out from that channel and START undoes one; anything else
        answers the message that it names, or the last one that went to this address. Each of them
        opens a session on the channel.

        An answer may come from another address than the message went to: a second mailbox, or the
        provider's own form of a number. A STOP then holds for both, and for the recipient. A START
        from an address that the provider does not know as theirs holds for that address alone.
        """
        inbound, work = command.inbound, context.work
        hash = context.address_hash(inbound.kind, inbound.value)
        at = reported_at(context, inbound.at)
        names = names_of(work, hash, command.channel)
        for name in names:
            document = work.address_document(name)
            document["inbound"] = {**document.get("inbound", {}), command.channel: at}
        place = answered_attempt(context.rules, work, command, hash)
        entry = work.messages.get(place.message) if place else None
        attempt = entry.message.attempts[place.attempt] if entry and place else None
        word = inbound.keyword or opt_out_word(inbound.text)
        if word in ("stop", "start"):
            person = work.person(entry.message.recipient) if entry else None
            state: ConsentState = "out" if word == "stop" else "in"
            if attempt is not None and word == "stop":
                names = dict.fromkeys((*names, attempt.address_hash))
            elif attempt is not None and attempt.address_hash not in names:
                person = None
            consent = Consent(command.channel, "*", state, at, word)
            answered = entry.message if entry is not None else None
            record_consents(context, person, names, consent, answered)
        if entry is None or place is None:
            return
        engagement = Engagement.CLICKED if inbound.clicked else Engagement.REPLIED
        if word == "stop":
            engagement = Engagement.UNSUBSCRIBED
        apply_fact(
            context, entry, ReceiptReceived(place.attempt, engagement.value, at, None, inbound.id)
        )


def answers_of(rules: Rules, command: RecordInbound) -> list[ReferenceKey]:
    """The references that a reply names, under every name of its provider."""
    names = rules.reported_by(command.provider)
    return [(name, id) for id in command.inbound.answers for name in names]


def answered_attempt(
    rules: Rules, work: UnitOfWork, command: RecordInbound, hash: str
) -> AttemptPlace | None:
    """The attempt that a reply names, else the last one that went to its address."""
    contact = work.contacts.get((hash, command.channel))
    named = [work.references.get(key) for key in answers_of(rules, command)]
    if command.message is not None and command.attempt is not None:
        named.insert(0, AttemptPlace(command.message, command.attempt))
    for place in (*named, AttemptPlace(*contact[:2]) if contact else None):
        entry = work.messages.get(place.message) if place is not None else None
        if place is None or entry is None or place.attempt >= len(entry.message.attempts):
            continue
        if entry.message.attempts[place.attempt].channel == command.channel:
            return place
    return None


def names_of(work: UnitOfWork, hash: str, channel: str) -> dict[str, None]:
    """An address, and the one of ours by which the provider means the same person."""
    contact = work.contacts.get((hash, channel))
    return dict.fromkeys((hash, contact.written_to) if contact is not None else (hash,))


def record_consents(
    context: BatchContext,
    person: Person | None,
    hashes: Iterable[str],
    consent: Consent,
    message: Message | None = None,
) -> None:
    """Write one consent to the recipient and to several addresses."""
    record_consent(context, person, None, consent, message)
    for hash in hashes:
        record_consent(context, None, hash, consent)


class PreferenceHandler(Handler[RecordPreference]):
    def needs(self, needs: Needs, command: RecordPreference) -> None:
        needs.rows.contacts.add((preference_hash(needs, command), command.channel))

    def needs_addresses(self, needs: Needs, command: RecordPreference, work: UnitOfWork) -> None:
        hash = preference_hash(needs, command)
        needs.addresses.addresses.update(names_of(work, hash, command.channel))

    def handle(self, context: BatchContext, command: RecordPreference) -> None:
        """
        A provider reports a consent: record it for the address, and for the recipient to whom the
        last message on it went.
        """
        preference, work = command.preference, context.work
        hash = preference_hash(context, command)
        place = work.contacts.get((hash, command.channel))
        entry = work.messages.get(place.message) if place else None
        consent = Consent(
            command.channel,
            "*",
            preference.state,
            reported_at(context, preference.at),
            f"{command.provider} {preference.source}",
            preference.classes,
        )
        person = work.person(entry.message.recipient) if entry else None
        record_consents(context, person, names_of(work, hash, command.channel), consent)


def preference_hash(at_hand: Needs | BatchContext, command: RecordPreference) -> str:
    return at_hand.address_hash(command.preference.kind, command.preference.value)


class WebhookHandler(Handler[RecordWebhook]):
    """Asks for what its items ask for."""

    def needs(self, needs: Needs, command: RecordWebhook) -> None:
        for item in command.items:
            ITEMS[type(item)].needs(needs, item)

    def needs_addresses(self, needs: Needs, command: RecordWebhook, work: UnitOfWork) -> None:
        for item in command.items:
            ITEMS[type(item)].needs_addresses(needs, item, work)

    def handle(self, context: BatchContext, command: RecordWebhook) -> None:
        """
        Store an outline of the webhook and apply what it reports; items about unknown messages are
        dropped.
        """
        if command.body:
            row = RawReceiptRow(context.now, command.provider, outline(command.body))
            context.work.changes.raw_receipts.append(row)
        for item in command.items:
            with suppress(LookupError):
                ITEMS[type(item)].handle(context, item)


ITEMS: Mapping[type[Any], Handler[Any]] = {
    RecordReceipt: ReceiptHandler(),
    RecordInbound: InboundHandler(),
    RecordPreference: PreferenceHandler(),
    FollowLink: FollowLinkHandler(),
}
