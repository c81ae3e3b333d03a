"""
One fact, one message: gather the inputs, decide, and turn the decision into what is to be written.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import orjson

from orchestrator.channels.registry import channels, otp_limited_kinds
from orchestrator.core import effects
from orchestrator.core.cascade.decide import Decision, decide
from orchestrator.core.facts import Answered, Fact, Triggered
from orchestrator.core.inputs import Inputs, Provider
from orchestrator.core.message import Message
from orchestrator.core.policy import OTP, Policy
from orchestrator.core.recipient import Consent
from orchestrator.core.values import replace
from orchestrator.engine.batch import BatchContext, Decided
from orchestrator.engine.commands import FactApplied
from orchestrator.engine.unit_of_work import WorkingMessage
from orchestrator.history.codec import decode_fact, encode_entry
from orchestrator.primitives.durations import rfc3339
from orchestrator.recipients.document import Person, record_bounce
from orchestrator.stores.rows import AttemptPlace, ContactRow, NewStatusEvent, ReferenceRow

MILLIONTHS = 1_000_000


def apply_fact(
    context: BatchContext, entry: WorkingMessage, fact: Fact, **more: Any
) -> FactApplied:
    """
    Decide about one fact and write the decision into the book. ``more`` are inputs that only the
    caller knows.
    """
    before = entry.message
    policy = context.policies[before.policy, before.policy_version]
    person = context.work.person(before.recipient)
    decision = decide(
        policy,
        before,
        lambda: inputs_for(context, policy, entry, person, **more),
        fact,
        context.now,
    )
    if not decision.effects and not decision.checks and decision.message == before:
        return FactApplied(decision)
    entry.message = decision.message
    entry.lines.append(encode_entry(context.now, fact, decision))
    earlier = None if isinstance(fact, Triggered) else before
    context.decided.append(
        Decided(earlier, fact, decision, entry.event, person, context.work.addresses)
    )
    calls = carry_out(context, entry, person, decision)
    spend(context, before, decision.message)
    note_references(context, before, decision.message)
    return join_orphans(context, entry, fact, FactApplied(decision, calls, context.started_at))


def inputs_for(
    context: BatchContext, policy: Policy, entry: WorkingMessage, person: Person, **more: Any
) -> Inputs:
    """Everything a decision about this message rests on, as it is in this transaction."""
    rules, message = context.rules, entry.message
    reach = rules.reach(policy)
    scope = scope_of(entry.event, person, message) if reach.conditions else {}
    return Inputs(
        governance=rules.governance,
        zone=person.document.get("time_zone"),
        addresses=person.addresses,
        address_states=context.work.address_states(person),
        consents=person.consents,
        cap_usages=person.cap_usages,
        conditions={name: context.truth(when, scope) for name, when in reach.conditions},
        providers=live(context, reach.providers) if context.shut else reach.providers,
        channels=reach.channels,
        currency=rules.currency,
        over_budget=over_budget(context),
        outages=tuple(
            channel
            for channel in context.outages
            if any(step.channel == channel for step in policy.plan)
        ),
        too_fast=too_fast(context, message, person),
        **more,
    )


def live(context: BatchContext, providers: Mapping[str, Provider]) -> dict[str, Provider]:
    """Providers with the states of their breakers."""
    shut = context.shut
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
            "class": message.message_class,
            "topic": message.topic,
        }
    return scope


def over_budget(context: BatchContext) -> dict[str, int]:
    """The channels whose money for today is spent."""
    return {
        budget.channel: context.day_ends
        for budget in context.rules.governance.budgets
        if context.spent.get(budget.channel, 0) >= int(Decimal(budget.per_day) * MILLIONTHS)
    }


def too_fast(context: BatchContext, message: Message, person: Person) -> tuple[str, ...]:
    """The numbers that may not be sent one more code now."""
    if message.message_class != OTP:
        return ()
    kinds = otp_limited_kinds()
    return tuple(
        address.hash
        for address in person.addresses
        if address.kind in kinds and context.velocity.too_fast(address.value, context.now)
    )


def carry_out(
    context: BatchContext, entry: WorkingMessage, person: Person, decision: Decision
) -> tuple[effects.Call, ...]:
    """Write what the effects say; the calls are the caller's to make once this is committed."""
    calls: list[effects.Call] = []
    message = decision.message
    for effect in decision.effects:
        match effect:
            case effects.Call():
                calls.append(effect)
                attempt = message.attempts[effect.attempt]
                channel = channels()[attempt.channel]
                if channel.two_way:
                    row = ContactRow(
                        attempt.address_hash,
                        attempt.channel,
                        message.id,
                        attempt.number,
                        context.now,
                    )
                    context.work.changes.contacts.append(row)
                if message.message_class == OTP and channel.otp_limits:
                    context.velocity.record(effect.target.value, context.now)
            case effects.ReserveCap():
                person.reserve(effect.usage, context.rules.governance, context.now)
            case effects.ReleaseCap():
                person.release_cap(message.id, effect.step)
            case effects.BounceRecorded():
                document = context.work.address_document(effect.hash)
                record_bounce(document, effect, context.now)
            case effects.RecordOptOut():
                entry_out = Consent(
                    effect.channel, "*", "out", context.now, effect.source, effect.classes
                )
                opt(context, person, effect.hash, entry_out)
            case effects.EmitStatus() if context.rules.emits_statuses:
                context.work.changes.outbox.append(status_event(context, entry, effect))
    return tuple(calls)


def opt(context: BatchContext, person: Person | None, hash: str | None, consent: Consent) -> None:
    """
    Write one consent entry to the recipient and to the address, so that it holds for whoever else
    has that.
    """
    if person is not None:
        person.add_consents([consent])
    if hash is not None:
        rows = context.work.address_document(hash).setdefault("consents", [])
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


def status_event(
    context: BatchContext, entry: WorkingMessage, effect: effects.EmitStatus
) -> NewStatusEvent:
    """A status event as it goes out: a CloudEvent that carries the message."""
    id = context.new_id()
    data = context.view(entry.message, entry.event)
    if effect.attempt is not None:
        data = {**data, "attempt": effect.attempt}
    body = {
        "specversion": "1.0",
        "id": id,
        "source": "kaskad",
        "type": f"kaskad.{effect.what}",
        "subject": entry.message.id,
        "time": rfc3339(context.now),
        "datacontenttype": "application/json",
        "data": data,
    }
    return NewStatusEvent(id, entry.message.recipient, orjson.dumps(body))


def spend(context: BatchContext, before: Message, after: Message) -> None:
    """Add to the day's spending what this decision has cost, or take back what it has not."""
    if all(attempt.cost is None for attempt in after.attempts):
        return
    for channel in {attempt.channel for attempt in after.attempts}:
        delta = int((after.spent(channel) - before.spent(channel)) * MILLIONTHS)
        if delta:
            key = (channel, context.day)
            context.work.changes.spent[key] = context.work.changes.spent.get(key, 0) + delta
            context.spent[channel] = context.spent.get(channel, 0) + delta


def note_references(context: BatchContext, before: Message, after: Message) -> None:
    """Remember the providers' ids that have just become known."""
    for attempt in after.attempts:
        if attempt.provider_id is None:
            continue
        known = (
            attempt.number < len(before.attempts)
            and before.attempts[attempt.number].provider_id is not None
        )
        if not known:
            row = ReferenceRow(attempt.provider, attempt.provider_id, after.id, attempt.number)
            context.work.changes.references.append(row)
            context.work.references[attempt.provider, attempt.provider_id] = AttemptPlace(
                after.id, attempt.number
            )


def join_orphans(
    context: BatchContext, entry: WorkingMessage, fact: Fact, applied: FactApplied
) -> FactApplied:
    """Receipts that came before their attempt was known are heard now."""
    if not isinstance(fact, Answered):
        return applied
    attempt = entry.message.attempts[fact.attempt]
    key = (attempt.provider, attempt.provider_id or "")
    waiting = context.work.orphans.pop(key, None)
    if not waiting:
        return applied
    context.work.changes.orphans_joined.append(key)
    for receipt in waiting:
        heard = replace(decode_fact(receipt), attempt=fact.attempt)
        applied = FactApplied(
            apply_fact(context, entry, heard).decision, applied.calls, applied.decided_at
        )
    return applied
