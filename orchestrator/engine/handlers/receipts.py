"""Handlers of receipts and of providers' opt-outs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from orchestrator.channels import Receipt
from orchestrator.channels.outline import outline
from orchestrator.core.facts import ReceiptReceived
from orchestrator.core.outcomes import Refused
from orchestrator.core.recipient import Consent
from orchestrator.core.values import replace
from orchestrator.engine.applying import apply_fact, record_names, record_opt_out
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
from orchestrator.engine.handlers.replies import (
    InboundHandler,
    names_of,
    record_consents,
    reported_at,
)
from orchestrator.engine.needs import Needs
from orchestrator.engine.rules import Rules
from orchestrator.engine.unit_of_work import UnitOfWork
from orchestrator.history.codec import encode_fact
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
