"""What comes back: receipts, replies, and providers' word on opt-outs."""

from __future__ import annotations

from orchestrator.channels import Receipt
from orchestrator.core.facts import ReceiptReceived
from orchestrator.core.recipient import Consent
from orchestrator.core.status import Engagement
from orchestrator.core.values import replace
from orchestrator.engine.applying import apply_fact, opt
from orchestrator.engine.batch import BatchContext
from orchestrator.engine.commands import FactApplied, RecordInbound, RecordPreference, RecordReceipt
from orchestrator.history.codec import encode_fact
from orchestrator.recipients.opt_out_words import opt_out_word
from orchestrator.stores.rows import OrphanRow


def hear_receipt(context: BatchContext, command: RecordReceipt) -> FactApplied | None:
    """
    Hand a receipt to its attempt, if that is this provider's; keep it where nobody knows the
    attempt yet.
    """
    receipt = command.receipt
    fact = heard(context, receipt)
    if command.message is not None and command.attempt is not None:
        place: tuple[str, int] | None = (command.message, command.attempt)
    else:
        place = context.work.references.get((command.provider, receipt.provider_id or ""))
    if place is None:
        if receipt.provider_id:
            row = OrphanRow(command.provider, receipt.provider_id, context.now, encode_fact(fact))
            context.work.changes.orphans.append(row)
            # the answer that tells whose it is may stand behind it in this very batch
            context.work.orphans.setdefault(row[:2], []).append(row.receipt)
        return None
    entry = context.work.entries.get(place[0])
    if entry is None or place[1] >= len(entry.message.attempts):
        return None
    if entry.message.attempts[place[1]].provider != command.provider:
        return None
    if receipt.state in (Engagement.UNSUBSCRIBED, Engagement.COMPLAINED):
        attempt = entry.message.attempts[place[1]]
        consent = Consent(
            attempt.channel, "*", "out", fact.at, f"{command.provider} {receipt.state}"
        )
        opt(context, context.work.person(entry.message.recipient), attempt.address_hash, consent)
    return apply_fact(context, entry, replace(fact, attempt=place[1]))


def heard(context: BatchContext, receipt: Receipt) -> ReceiptReceived:
    """The fact in a receipt; what the provider says of the time counts, but never the future."""
    at = min(int(receipt.at * 1000), context.now) if receipt.at is not None else context.now
    return ReceiptReceived(
        0, receipt.state.value, at, receipt.failure, receipt.detail[:500], receipt.provider_id
    )


def hear_inbound(context: BatchContext, command: RecordInbound) -> None:
    """
    A recipient wrote. A STOP is an opt-out from that channel, a START undoes one; anything else is
    an answer to the last message that went to this address there. It opens a session on that
    channel.
    """
    inbound = command.inbound
    hash = context.address_hash(inbound.kind, inbound.value)
    at = min(int(inbound.at * 1000), context.now) if inbound.at is not None else context.now
    document = context.work.address_document(hash)
    document["inbound"] = {**document.get("inbound", {}), command.channel: at}
    place = context.work.references.get((command.provider, inbound.answers or ""))
    place = place or context.work.contacts.get((hash, command.channel))
    entry = context.work.entries.get(place[0]) if place else None
    person = context.work.person(entry.message.recipient) if entry else None
    word = inbound.keyword or opt_out_word(inbound.text)
    if word == "stop":
        opt(context, person, hash, Consent(command.channel, "*", "out", at, "stop"))
    elif word == "start":
        opt(context, person, hash, Consent(command.channel, "*", "in", at, "start"))
    if entry is None or place is None:
        return
    state = Engagement.CLICKED if inbound.clicked else Engagement.REPLIED
    if word == "stop":
        state = Engagement.UNSUBSCRIBED
    apply_fact(context, entry, ReceiptReceived(place[1], state.value, at, None, inbound.id))


def hear_preference(context: BatchContext, command: RecordPreference) -> None:
    """
    The provider says so: recorded for the address, and for the last recipient it was used for.
    """
    preference = command.preference
    hash = context.address_hash(preference.kind, preference.value)
    at = min(int(preference.at * 1000), context.now) if preference.at is not None else context.now
    place = context.work.contacts.get((hash, command.channel))
    entry = context.work.entries.get(place[0]) if place else None
    person = context.work.person(entry.message.recipient) if entry else None
    source = f"{command.provider} {preference.source}"
    opt(
        context,
        person,
        hash,
        Consent(command.channel, "*", preference.state, at, source, preference.classes),
    )
