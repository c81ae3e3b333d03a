"""
Handler of what people write to us: an opt-out, an answer, or both; every one of it happens inside
as ``kaskad.reply``, once, however often its provider reports it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import orjson

from orchestrator.channels.registry import channels
from orchestrator.core.facts import ReceiptReceived, Triggered
from orchestrator.core.inside import PREFIX, REPLY, SOURCE
from orchestrator.core.message import Message
from orchestrator.core.policy import DAY_MS
from orchestrator.core.recipient import Consent, ConsentState
from orchestrator.core.replies import REPLIES_KEPT_MAX, TEXT_CHARS_MAX, Reply, chosen
from orchestrator.core.status import Engagement
from orchestrator.engine.applying import apply_fact, record_consent
from orchestrator.engine.batch import BatchContext
from orchestrator.engine.commands import RecordInbound
from orchestrator.engine.emitting import ReplyMade, emit_reply
from orchestrator.engine.handlers.events import Origin, start
from orchestrator.engine.handlers.handler import Handler
from orchestrator.engine.needs import Needs
from orchestrator.engine.rules import Rules
from orchestrator.engine.unit_of_work import UnitOfWork, WorkingMessage
from orchestrator.primitives.durations import rfc3339
from orchestrator.recipients.document import Person, address_of
from orchestrator.recipients.opt_out_words import is_help_word, opt_out_word
from orchestrator.stores.rows import AttemptPlace, NewEventRow, ReferenceKey

SEEN_MAX = 32
"""So many of the latest replies from an address on a channel are known if they come again."""
SEEN_CHARS = 12


def reported_at(context: BatchContext, at: float | None) -> int:
    """A provider's time (UTC seconds) in milliseconds; never in the future."""
    return min(int(at * 1000), context.now) if at is not None else context.now


class InboundHandler(Handler[RecordInbound]):
    def needs(self, needs: Needs, command: RecordInbound) -> None:
        inbound = command.inbound
        if inbound.kind:
            hash = needs.address_hash(inbound.kind, inbound.value)
            needs.rows.contacts.add((hash, command.channel))
        needs.rows.references.update(answers_of(needs.rules, command))
        if command.message is not None:
            needs.rows.messages.add(command.message)
        if command.recipient is not None:
            needs.rows.recipients.add(command.recipient)

    def needs_addresses(self, needs: Needs, command: RecordInbound, work: UnitOfWork) -> None:
        if not command.inbound.kind:
            if command.message is not None:
                needs.message_addresses(work, command.message)
            return
        hash = needs.address_hash(command.inbound.kind, command.inbound.value)
        needs.addresses.addresses.update(names_of(work, hash, command.channel))
        if command.recipient is not None:
            needs.person_addresses(work.person(command.recipient))
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
        if not inbound.kind:
            press(context, command, at)
            return
        if not is_new(context, command, hash):
            return
        names = names_of(work, hash, command.channel)
        for name in names:
            document = work.address_document(name)
            wrote = document.get("inbound", {})
            latest = max(at, wrote.get(command.channel, 0))
            document["inbound"] = {**wrote, command.channel: latest}
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
        said = record_reply(context, command, at, entry, place, stops=word == "stop")
        if word == "start":
            work.address_document(hash).get("answered", {}).pop(f"{command.channel} stop", None)
        elif word == "stop" or (said["choice"] is None and is_help_word(inbound.text)):
            answer_word(context, hash, "stop" if word == "stop" else "help", said)


def press(context: BatchContext, command: RecordInbound, at: int) -> None:
    """
    Somebody pressed a button of a notification or of an item, or followed a link of a mail: a
    signed token names the attempt instead of an address. The same button again is nothing new.
    """
    entry = context.work.messages.get(command.message) if command.message else None
    if entry is None or command.attempt is None or command.message is None:
        return
    if command.attempt >= len(entry.message.attempts):
        return
    attempt = entry.message.attempts[command.attempt]
    if attempt.channel != command.channel:
        return
    choice = chosen(entry.message.id, attempt.choices, "", command.inbound.choice)
    again = attempt.choice == choice if choice else Engagement.CLICKED in attempt.engagement
    if not again:
        place = AttemptPlace(command.message, command.attempt)
        record_reply(context, command, at, entry, place, stops=False)


def record_reply(
    context: BatchContext,
    command: RecordInbound,
    at: int,
    entry: WorkingMessage | None,
    place: AttemptPlace | None,
    stops: bool,
) -> dict[str, Any]:
    """
    Apply a reply to the attempt that it answers, and let it happen inside. Of one to a message
    whose recipient was erased the words are passed on, but not kept.
    """
    inbound = command.inbound
    text = inbound.text[:TEXT_CHARS_MAX]
    reply = Reply(text, None, command.media)
    if entry is None or place is None:
        return emit_reply(context, made(context, command, at, reply), None, command.recipient)
    attempt = entry.message.attempts[place.attempt]
    choice = None
    if not stops:
        choice = chosen(entry.message.id, attempt.choices, text, inbound.choice)
    reply = Reply(text, choice, command.media)
    pressed = inbound.clicked and choice is None
    engagement = Engagement.CLICKED if pressed else Engagement.REPLIED
    if stops:
        engagement = Engagement.UNSUBSCRIBED
    erased = not entry.event["ce"]
    keeps = not erased and attempt.replies < REPLIES_KEPT_MAX
    fact = ReceiptReceived(
        place.attempt, engagement.value, at, None, inbound.id, None, reply if keeps else None
    )
    apply_fact(context, entry, fact)
    what = made(context, command, at, reply, attempt.address)
    if erased:
        return emit_reply(context, what, None, None)
    return emit_reply(context, what, entry, entry.message.recipient)


def answer_word(
    context: BatchContext, hash: str, word: Literal["help", "stop"], said: dict[str, Any]
) -> None:
    """
    Start the policy that answers HELP, once a day for an address and a channel, or that confirms a
    STOP, once until a START. Of somebody unknown, and on a channel that the policy has no step of,
    nothing is answered.
    """
    rules, work, channel = context.rules, context.work, said["channel"]
    name = rules.governance.replies.help if word == "help" else rules.governance.replies.stop
    policy = rules.policies.get(name) if name else None
    if policy is None or said["recipient"] is None:
        return
    if channel not in {step.channel for step in policy.cascade}:
        return
    document = work.address_document(hash)
    answered: dict[str, int] = document.get("answered", {})
    key = f"{channel} {word}"
    last = answered.get(key)
    if last is not None and (word == "stop" or context.now - last < DAY_MS):
        return
    document["answered"] = {**answered, key: context.now}
    id = f"{context.new_id()}/{word}"
    attributes = {
        "id": id,
        "source": SOURCE,
        "type": f"{PREFIX}{REPLY}",
        "subject": said["message"] or said["recipient"],
        "time": rfc3339(context.now),
    }
    event = {"ce": attributes, "data": orjson.loads(orjson.dumps(said))}
    person = work.person(said["recipient"])
    origin = Origin(
        SOURCE,
        id,
        attributes["type"],
        context.now,
        caused_by=said["message"],
        only_channel=channel,
        answers=word,
    )
    ends_at = context.now + policy.deadline_ms
    made = start(context, origin, Triggered(), policy, event, person, ends_at)
    row = NewEventRow(SOURCE, id, b"", "accepted", (made,), context.now)
    work.changes.events.append(row)


def made(
    context: BatchContext, command: RecordInbound, at: int, reply: Reply, sent_to: str = ""
) -> ReplyMade:
    """What happened; a device without an address of its own has that of the attempt."""
    address = masked_address(context, command) if command.inbound.kind else sent_to
    session_ms = channels()[command.channel].session_ms
    return ReplyMade(
        context.new_id(),
        command.channel,
        address,
        reply,
        at,
        at + session_ms if session_ms else None,
    )


def is_new(context: BatchContext, command: RecordInbound, hash: str) -> bool:
    """
    Whether a reply was not recorded before; its provider's id tells, else its time and its words.
    One with neither is always new.
    """
    inbound = command.inbound
    name = inbound.id or (f"{inbound.at} {inbound.text}" if inbound.at is not None else "")
    if not name:
        return True
    key = context.address_hash("reply", f"{command.provider}\0{name}")[:SEEN_CHARS]
    document = context.work.address_document(hash)
    replies: dict[str, list[str]] = document.get("replies", {})
    seen = replies.get(command.channel, [])
    if key in seen:
        return False
    document["replies"] = {**replies, command.channel: [*seen, key][-SEEN_MAX:]}
    return True


def masked_address(context: BatchContext, command: RecordInbound) -> str:
    """The address that wrote, masked as everywhere."""
    inbound = command.inbound
    return address_of(inbound.kind, inbound.value, (), context.address_hash).masked()


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
