"""What comes back: receipts, replies, and providers' word on opt-outs."""

from __future__ import annotations

from orchestrator.channels import Receipt
from orchestrator.core.facts import Heard
from orchestrator.core.recipient import Consent
from orchestrator.core.status import Engagement
from orchestrator.core.values import replace
from orchestrator.engine.applying import opt, tell
from orchestrator.engine.batch import Desk
from orchestrator.engine.commands import HearInbound, HearPreference, HearReceipt, Told
from orchestrator.history.codec import encode_fact
from orchestrator.recipients.opt_out_words import opt_out_word


def hear_receipt(desk: Desk, command: HearReceipt) -> Told | None:
    """
    Hand a receipt to its attempt, if that is this provider's; keep it where nobody knows the
    attempt yet.
    """
    receipt = command.receipt
    fact = heard(desk, receipt)
    if command.message is not None and command.attempt is not None:
        place: tuple[str, int] | None = (command.message, command.attempt)
    else:
        place = desk.book.references.get((command.provider, receipt.provider_id or ""))
    if place is None:
        if receipt.provider_id:
            row = (command.provider, receipt.provider_id, desk.now, encode_fact(fact))
            desk.book.changes.orphans.append(row)
            # the answer that tells whose it is may stand behind it in this very batch
            desk.book.orphans.setdefault(row[:2], []).append(row[3])
        return None
    entry = desk.book.entries.get(place[0])
    if entry is None or place[1] >= len(entry.message.attempts):
        return None
    if entry.message.attempts[place[1]].provider != command.provider:
        return None
    if receipt.state in (Engagement.UNSUBSCRIBED, Engagement.COMPLAINED):
        attempt = entry.message.attempts[place[1]]
        consent = Consent(
            attempt.channel, "*", "out", fact.at, f"{command.provider} {receipt.state}"
        )
        opt(desk, desk.book.person(entry.message.recipient), attempt.address_hash, consent)
    return tell(desk, entry, replace(fact, attempt=place[1]))


def heard(desk: Desk, receipt: Receipt) -> Heard:
    """The fact in a receipt; what the provider says of the time counts, but never the future."""
    at = min(int(receipt.at * 1000), desk.now) if receipt.at is not None else desk.now
    return Heard(
        0, receipt.state.value, at, receipt.failure, receipt.detail[:500], receipt.provider_id
    )


def hear_inbound(desk: Desk, command: HearInbound) -> None:
    """
    A recipient wrote. A STOP is an opt-out from that channel, a START undoes one; anything else is
    an answer to the last message that went to this address there. It opens a session on that
    channel.
    """
    inbound = command.inbound
    hash = desk.address_hash(inbound.kind, inbound.value)
    at = min(int(inbound.at * 1000), desk.now) if inbound.at is not None else desk.now
    document = desk.book.address_document(hash)
    document["inbound"] = {**document.get("inbound", {}), command.channel: at}
    place = desk.book.references.get((command.provider, inbound.answers or ""))
    place = place or desk.book.contacts.get((hash, command.channel))
    entry = desk.book.entries.get(place[0]) if place else None
    person = desk.book.person(entry.message.recipient) if entry else None
    word = inbound.keyword or opt_out_word(inbound.text)
    if word == "stop":
        opt(desk, person, hash, Consent(command.channel, "*", "out", at, "stop"))
    elif word == "start":
        opt(desk, person, hash, Consent(command.channel, "*", "in", at, "start"))
    if entry is None or place is None:
        return
    state = Engagement.CLICKED if inbound.clicked else Engagement.REPLIED
    if word == "stop":
        state = Engagement.UNSUBSCRIBED
    tell(desk, entry, Heard(place[1], state.value, at, None, inbound.id))


def hear_preference(desk: Desk, command: HearPreference) -> None:
    """
    The provider says so: recorded for the address, and for the last recipient it was used for.
    """
    preference = command.preference
    hash = desk.address_hash(preference.kind, preference.value)
    at = min(int(preference.at * 1000), desk.now) if preference.at is not None else desk.now
    place = desk.book.contacts.get((hash, command.channel))
    entry = desk.book.entries.get(place[0]) if place else None
    person = desk.book.person(entry.message.recipient) if entry else None
    source = f"{command.provider} {preference.source}"
    opt(
        desk,
        person,
        hash,
        Consent(command.channel, "*", preference.state, at, source, preference.classes),
    )
