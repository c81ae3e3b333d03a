"""
One fact, one message: gather the inputs, decide, and turn the decision into what is to be written.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import orjson

from orchestrator.core import effects
from orchestrator.core.cascade.decide import Decision, decide
from orchestrator.core.facts import Answered, Fact, Triggered
from orchestrator.core.inputs import Inputs, Provider
from orchestrator.core.message import Message
from orchestrator.core.policy import OTP, Policy
from orchestrator.core.recipient import Consent
from orchestrator.core.values import replace
from orchestrator.engine.batch import Decided, Desk
from orchestrator.engine.commands import Told
from orchestrator.engine.unit_of_work import Entry
from orchestrator.history.codec import decode_fact, encode_entry
from orchestrator.primitives.durations import rfc3339
from orchestrator.recipients.document import Person, strike

MILLIONTHS = 1_000_000
REPLY_CHANNELS = ("sms", "viber", "whatsapp", "email")


def tell(desk: Desk, entry: Entry, fact: Fact, **more: Any) -> Told:
    """
    Decide about one fact and write the decision into the book. ``more`` are inputs that only the
    caller knows.
    """
    before = entry.message
    policy = desk.shelf[before.policy, before.policy_version]
    person = desk.book.person(before.recipient)
    decision = decide(
        policy, before, lambda: inputs_for(desk, policy, entry, person, **more), fact, desk.now
    )
    if not decision.effects and not decision.checks and decision.message == before:
        return Told(decision)
    entry.message = decision.message
    entry.lines.append(encode_entry(desk.now, fact, decision))
    earlier = None if isinstance(fact, Triggered) else before
    desk.decided.append(Decided(earlier, fact, decision, entry.event, person, desk.book.addresses))
    calls = carry_out(desk, entry, person, decision)
    spend(desk, before, decision.message)
    note_references(desk, before, decision.message)
    return join_orphans(desk, entry, fact, Told(decision, calls, desk.started_at))


def inputs_for(desk: Desk, policy: Policy, entry: Entry, person: Person, **more: Any) -> Inputs:
    """Everything a decision about this message rests on, as it is in this transaction."""
    rules, message = desk.rules, entry.message
    reach = rules.reach(policy)
    scope = scope_of(entry.event, person, message) if reach.conditions else {}
    return Inputs(
        governance=rules.governance,
        zone=person.document.get("time_zone"),
        addresses=person.addresses,
        address_states=desk.book.address_states(person),
        consents=person.consents,
        charges=person.charges,
        conditions={name: desk.truth(when, scope) for name, when in reach.conditions},
        providers=live(desk, reach.providers) if desk.shut else reach.providers,
        channels=reach.channels,
        currency=rules.currency,
        over_budget=over_budget(desk),
        outages=tuple(
            channel
            for channel in desk.outages
            if any(step.channel == channel for step in policy.plan)
        ),
        too_fast=too_fast(desk, message, person),
        **more,
    )


def live(desk: Desk, providers: Mapping[str, Provider]) -> dict[str, Provider]:
    """Providers with the states of their breakers."""
    shut = desk.shut
    return {
        name: replace(one, shut_until=shut[name]) if name in shut else one
        for name, one in providers.items()
    }


def scope_of(event: Mapping[str, Any], person: Person, message: Message | None) -> dict[str, Any]:
    """The names that conditions may use."""
    scope: dict[str, Any] = {"event": event["data"], "ce": event["ce"], "recipient": person.view()}
    if message is not None:
        scope["message"] = {
            "id": message.id,
            "policy": message.policy,
            "class": message.klass,
            "topic": message.topic,
        }
    return scope


def over_budget(desk: Desk) -> dict[str, int]:
    """The channels whose money for today is spent."""
    return {
        budget.channel: desk.day_ends
        for budget in desk.rules.governance.budgets
        if desk.spent.get(budget.channel, 0) >= int(Decimal(budget.per_day) * MILLIONTHS)
    }


def too_fast(desk: Desk, message: Message, person: Person) -> tuple[str, ...]:
    """The numbers that may not be sent one more code now."""
    if message.klass != OTP:
        return ()
    phones = [address for address in person.addresses if address.kind == "phone"]
    return tuple(a.hash for a in phones if desk.velocity.too_fast(a.value, desk.now))


def carry_out(
    desk: Desk, entry: Entry, person: Person, decision: Decision
) -> tuple[effects.Call, ...]:
    """Write what the effects say; the calls are the caller's to make once this is committed."""
    calls: list[effects.Call] = []
    message = decision.message
    for effect in decision.effects:
        match effect:
            case effects.Call():
                calls.append(effect)
                attempt = message.attempts[effect.attempt]
                if attempt.channel in REPLY_CHANNELS:
                    row = (
                        attempt.address_hash,
                        attempt.channel,
                        message.id,
                        attempt.number,
                        desk.now,
                    )
                    desk.book.changes.contacts.append(row)
                if message.klass == OTP and attempt.channel == "sms":
                    desk.velocity.record(effect.target.value, desk.now)
            case effects.Reserve():
                person.reserve(effect.charge, desk.rules.governance, desk.now)
            case effects.GiveBack():
                person.give_back(message.id, effect.step)
            case effects.Strike():
                document = desk.book.address_document(effect.hash)
                strike(document, effect, desk.now)
            case effects.OptOut():
                entry_out = Consent(
                    effect.channel, "*", "out", desk.now, effect.source, effect.classes
                )
                opt(desk, person, effect.hash, entry_out)
            case effects.Tell() if desk.rules.tells:
                desk.book.changes.outbox.append(status_event(desk, entry, effect))
    return tuple(calls)


def opt(desk: Desk, person: Person | None, hash: str | None, consent: Consent) -> None:
    """
    Write one consent entry to the recipient and to the address, so that it holds for whoever else
    has that.
    """
    if person is not None:
        person.add_consents([consent])
    if hash is not None:
        rows = desk.book.address_document(hash).setdefault("consents", [])
        row = [
            consent.channel,
            consent.topic,
            consent.state,
            consent.at,
            consent.source,
            list(consent.classes),
        ]
        if row not in rows:
            rows.append(row)


def status_event(desk: Desk, entry: Entry, effect: effects.Tell) -> tuple[str, str, bytes]:
    """A status event as it goes out: a CloudEvent that carries the message."""
    id = desk.new_id()
    data = desk.view(entry.message, entry.event)
    if effect.attempt is not None:
        data["attempt"] = effect.attempt
    body = {
        "specversion": "1.0",
        "id": id,
        "source": "kaskad",
        "type": f"kaskad.{effect.what}",
        "subject": entry.message.id,
        "time": rfc3339(desk.now),
        "datacontenttype": "application/json",
        "data": data,
    }
    return id, entry.message.recipient, orjson.dumps(body)


def spend(desk: Desk, before: Message, after: Message) -> None:
    """Add to the day's spending what this decision has cost, or take back what it has not."""
    if all(attempt.cost is None for attempt in after.attempts):
        return
    for channel in {attempt.channel for attempt in after.attempts}:
        delta = int((after.spent(channel) - before.spent(channel)) * MILLIONTHS)
        if delta:
            key = (channel, desk.day)
            desk.book.changes.spent[key] = desk.book.changes.spent.get(key, 0) + delta
            desk.spent[channel] = desk.spent.get(channel, 0) + delta


def note_references(desk: Desk, before: Message, after: Message) -> None:
    """Remember the providers' ids that have just become known."""
    for attempt in after.attempts:
        if attempt.provider_id is None:
            continue
        known = (
            attempt.number < len(before.attempts)
            and before.attempts[attempt.number].provider_id is not None
        )
        if not known:
            row = (attempt.provider, attempt.provider_id, after.id, attempt.number)
            desk.book.changes.references.append(row)
            desk.book.references[attempt.provider, attempt.provider_id] = (after.id, attempt.number)


def join_orphans(desk: Desk, entry: Entry, fact: Fact, told: Told) -> Told:
    """Receipts that came before their attempt was known are heard now."""
    if not isinstance(fact, Answered):
        return told
    attempt = entry.message.attempts[fact.attempt]
    key = (attempt.provider, attempt.provider_id or "")
    waiting = desk.book.orphans.pop(key, None)
    if not waiting:
        return told
    desk.book.changes.orphans_joined.append(key)
    for receipt in waiting:
        heard = replace(decode_fact(receipt), attempt=fact.attempt)
        told = Told(tell(desk, entry, heard).decision, told.calls, told.decided_at)
    return told
