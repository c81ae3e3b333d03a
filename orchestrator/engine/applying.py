"""
Apply one fact to one message: gather the inputs, decide, and turn the decision into what is to be
written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from orchestrator.channels.registry import channels, otp_limited_kinds
from orchestrator.core import effects
from orchestrator.core.cascade.decide import Decision, decide
from orchestrator.core.counts import MILLIONTHS, add_journey, add_message
from orchestrator.core.facts import Answered, Fact, ReceiptReceived, RulesChanged, Triggered
from orchestrator.core.inputs import Inputs, Pause, Provider
from orchestrator.core.message import Attempt, Message
from orchestrator.core.outcomes import Accepted
from orchestrator.core.policy import OTP, Policy
from orchestrator.core.recipient import Consent
from orchestrator.core.status import Engagement
from orchestrator.core.values import replace
from orchestrator.engine.batch import BatchContext, Decided
from orchestrator.engine.codes import return_codes
from orchestrator.engine.commands import FactApplied
from orchestrator.engine.emitting import emit_opt_outs, emit_status, queue_end
from orchestrator.engine.experiments import await_conversion, note_outcome
from orchestrator.engine.inbox import update_items
from orchestrator.engine.learning import engagement_inputs, record_engagement
from orchestrator.engine.rules import Reach
from orchestrator.engine.unit_of_work import WorkingMessage
from orchestrator.history.codec import decode_fact, encode_entry
from orchestrator.primitives.durations import rfc3339
from orchestrator.primitives.masking import without
from orchestrator.recipients.consents import add_consents
from orchestrator.recipients.document import NOT_PROFILE, Person, record_bounce
from orchestrator.stores.rows import AttemptPlace, ContactRow, ReferenceRow

BOOKKEEPING = NOT_PROFILE - {"goals"}
"""Parts of a recipient's document that hold names of ours (channels, classes, topics)."""


def apply_fact(
    context: BatchContext,
    entry: WorkingMessage,
    fact: Fact,
    *,
    inputs: Inputs | None = None,
    **more: Any,
) -> FactApplied:
    """
    Decide about one fact and add the decision to the unit of work. ``inputs`` are those of the
    decision just before, if nothing has changed since; ``more`` are inputs that only the caller
    knows.
    """
    before, work = entry.message, context.work
    policy = context.policies[before.policy, before.policy_version].variant(before.arm)
    person = work.person(before.recipient)
    fact = without_echo(fact, entry, person)
    decision = decide(
        policy,
        before,
        lambda: inputs or inputs_for(context, policy, entry, person, **more),
        fact,
        context.now,
    )
    asked = decision.checks and not isinstance(fact, RulesChanged)
    if not decision.effects and not asked and decision.message == before:
        return FactApplied(decision)
    if context.keeps_history:
        entry.lines.append(encode_entry(context.now, fact, before, decision))
    entry.message = decision.message
    if before.journey is not None:
        queue_end(context, before, decision.message)
    earlier = None if isinstance(fact, Triggered) else before
    context.decided.append(
        Decided(earlier, fact, decision, entry.event, person, work.addresses.rows, context.now)
    )
    calls = apply_effects(context, policy, entry, person, decision)
    record_spending(context, before, decision.message)
    record_references(context, before, decision.message)
    if context.rules.learns:
        record_engagement(context, person, before, decision.message)
    update_items(context, before, decision.message, fact)
    if before.arm:
        note_outcome(context, policy, fact, person)
    if "codes" in entry.event and decision.message.never_left and not before.never_left:
        return_codes(context.work, entry, context.address_hash)
    decision = apply_orphans(context, entry, fact) or decision
    return FactApplied(decision, calls, context.started_at)


def without_echo(fact: Fact, entry: WorkingMessage, person: Person) -> Fact:
    """
    The fact without what a provider repeats of the person and of the message: it would stand in the
    history, in explanations and in status events. Of an erased person nothing is kept of its words.
    """

    def plain(text: str) -> str:
        if not text or not (person.known or person.dirty):
            return ""
        written = [value for name, value in person.document.items() if name not in BOOKKEEPING]
        codes = [code for _, code in entry.event.get("codes", {}).values()]
        return without(text, (*written, entry.event["data"], *codes))

    def clean(said: Any) -> Any:
        detail, code = getattr(said, "detail", ""), getattr(said, "code", None)
        if not detail and code is None:
            return said
        code = None if code is None else plain(code) or without(code, ())
        return replace(said, detail=plain(detail), code=code)

    match fact:
        case Answered(outcome=outcome) if not isinstance(outcome, Accepted):
            return replace(fact, outcome=clean(outcome))
        case ReceiptReceived(failure=failure, detail=detail) if failure is not None or detail:
            refusal = clean(failure) if failure is not None else None
            return replace(fact, failure=refusal, detail=plain(detail))
    return fact


def inputs_for(
    context: BatchContext, policy: Policy, entry: WorkingMessage, person: Person, **more: Any
) -> Inputs:
    """Everything a decision about this message rests on, as it is in this transaction."""
    rules, message = context.rules, entry.message
    reach = rules.reach(policy)
    scope = scope_of(entry.event, person, message, context.now) if reach.conditions else {}
    return Inputs(
        governance=rules.governance,
        zone=person.document.get("time_zone"),
        addresses=person.addresses + person.own_ids(reach.own_ids)
        if reach.own_ids
        else person.addresses,
        address_states=context.work.address_states(person),
        consents=person.consents,
        cap_usages=person.cap_usages,
        conditions={
            name: context.truth(when, scope, policy.name) for name, when in reach.conditions
        },
        providers=with_breakers(context, reach.providers) if context.shut else reach.providers,
        channels=reach.channels,
        currency=rules.currency,
        over_budget=over_budget(context),
        outages=tuple(
            channel
            for channel in context.outages
            if any(step.channel == channel for step in policy.plan)
        ),
        too_fast=too_fast(context, message, person),
        pauses=pauses_of(context, policy, reach) if context.work.pauses else (),
        **(engagement_inputs(context, policy, message, person) if context.rules.learns else {}),
        **more,
    )


def pauses_of(context: BatchContext, policy: Policy, reach: Reach) -> tuple[Pause, ...]:
    """What is paused of a policy, its channels and their providers."""
    concerned = {("policy", policy.name)}
    concerned |= {("channel", name) for name in reach.channels}
    concerned |= {("provider", name) for name in reach.providers}
    return tuple(
        Pause(row.kind, row.name, row.until)
        for row in context.work.pauses
        if row[:2] in concerned and row.holds(context.now)
    )


def with_breakers(context: BatchContext, providers: Mapping[str, Provider]) -> dict[str, Provider]:
    """Providers with the states of their breakers."""
    shut = context.shut
    return {
        name: replace(one, shut_until=shut[name]) if name in shut else one
        for name, one in providers.items()
    }


def scope_of(
    event: Mapping[str, Any], person: Person, message: Message | None, now: int | None = None
) -> dict[str, Any]:
    """The names that conditions may use; ``now`` is a text, as in templates."""
    scope: dict[str, Any] = {"event": event["data"], "ce": event["ce"], "recipient": person.view()}
    if now is not None:
        scope["now"] = rfc3339(now)
    if message is not None:
        scope["message"] = {
            "id": message.id,
            "policy": message.policy,
            "class": message.message_class,
            "topic": message.topic,
        }
    return scope


def over_budget(context: BatchContext) -> dict[str, int]:
    """The channels that have spent today's budget, with the end of the day."""
    return {
        budget.channel: context.day_ends
        for budget in context.rules.governance.budgets
        if context.spent.get(budget.channel, 0) >= int(Decimal(budget.per_day) * MILLIONTHS)
    }


def too_fast(context: BatchContext, message: Message, person: Person) -> tuple[str, ...]:
    """The hashes of the phones that no further OTP may go to now."""
    if message.message_class != OTP:
        return ()
    kinds = otp_limited_kinds()
    return tuple(
        address.hash
        for address in person.addresses
        if address.kind in kinds and context.velocity.too_fast(address.value, context.now)
    )


def apply_effects(
    context: BatchContext,
    policy: Policy,
    entry: WorkingMessage,
    person: Person,
    decision: Decision,
) -> tuple[effects.Call, ...]:
    """Write what the effects say. Returns the calls to make once that is committed."""
    calls: list[effects.Call] = []
    work, message, now = context.work, decision.message, context.now
    for effect in decision.effects:
        match effect:
            case effects.Call():
                calls.append(effect)
                attempt = message.attempts[effect.attempt]
                channel = channels()[attempt.channel]
                if channel.two_way:
                    work.changes.contacts.append(
                        contact_row(message.id, attempt, attempt.address_hash, now)
                    )
                if message.message_class == OTP and channel.otp_limits:
                    context.velocity.record(effect.target.value, now)
            case effects.ReserveCap():
                person.reserve(effect.usage, context.rules.governance, now)
                await_conversion(context, policy, message, person, message.deadline_at)
            case effects.ReleaseCap():
                person.release_cap(message.id, effect.step)
            case effects.BounceRecorded():
                record_bounce(work.address_document(effect.hash), effect, now)
            case effects.RecordOptOut():
                consent = Consent(effect.channel, "*", "out", now, effect.source, effect.classes)
                record_consent(context, person, effect.hash, consent, message)
            case effects.EmitStatus():
                if context.rules.emits_statuses or effect.what in context.rules.inside:
                    emit_status(context, entry, effect)
    return tuple(calls)


def record_consent(
    context: BatchContext,
    person: Person | None,
    hash: str | None,
    consent: Consent,
    message: Message | None = None,
) -> None:
    """
    Write one consent to the recipient and to the address, so that it holds for everyone who shares
    the address. ``message`` is the one that it answers.
    """
    if person is not None:
        person.add_consents([consent])
        emit_opt_outs(context, person, message)
    if hash is not None:
        rows = list((context.work.addresses.get(hash) or {}).get("consents", ()))
        if add_consents(rows, [consent]):
            context.work.address_document(hash)["consents"] = rows


def record_spending(context: BatchContext, before: Message, after: Message) -> None:
    """Add to the day's spending what this decision has cost, or take back what it has not."""
    if all(attempt.cost is None for attempt in after.attempts):
        return
    changes = context.work.changes
    for channel in {attempt.channel for attempt in after.attempts}:
        delta = int((after.spent(channel) - before.spent(channel)) * MILLIONTHS)
        if delta:
            key = (channel, context.day)
            changes.spent[key] = changes.spent.get(key, 0) + delta
            context.spent[channel] = context.spent.get(channel, 0) + delta


def record_counts(context: BatchContext) -> None:
    """Count what the batch has made of messages and journeys; once, when all is decided."""
    counts, zone = context.work.changes.counts, context.rules.governance.time_zone
    for entry in context.work.messages:
        if entry.message is not entry.before:
            add_message(counts, entry.before, entry.message, zone)
    for one in context.work.journeys:
        if one.run is not one.before:
            journey = context.journeys.get((one.run.journey, one.run.version))
            stage = journey.stage if journey is not None else ""
            add_journey(counts, one.before, one.run, stage, zone)


def contact_row(message: str, attempt: Attempt, hash: str, now: int) -> ContactRow:
    """The row of an address under which an attempt's provider knows the one that it went to."""
    written_to = attempt.address_hash
    return ContactRow(hash, attempt.channel, message, attempt.number, written_to, now)


def record_names(
    context: BatchContext, message: str, attempt: Attempt, known_as: Iterable[tuple[str, str]]
) -> None:
    """Remember other addresses by which a provider knows the one that an attempt went to."""
    channel = channels().get(attempt.channel)  # it may have been uninstalled since
    for kind, value in known_as if channel is not None and channel.two_way else ():
        hash = context.address_hash(kind, value)
        if hash != attempt.address_hash:
            row = contact_row(message, attempt, hash, context.now)
            context.work.changes.contacts.append(row)


def record_references(context: BatchContext, before: Message, after: Message) -> None:
    """Store the providers' ids that have just become known."""
    known = {a.number for a in before.attempts if a.provider_id is not None}
    for attempt in after.attempts:
        if attempt.provider_id is None or attempt.number in known:
            continue
        key, place = (attempt.provider, attempt.provider_id), AttemptPlace(after.id, attempt.number)
        context.work.references[key] = place
        context.work.changes.references.append(ReferenceRow(*key, *place))


def record_opt_out(
    context: BatchContext, entry: WorkingMessage, attempt: Attempt, fact: Fact
) -> None:
    """Record what a receipt says of its recipient's will: they unsubscribed, or complained."""
    match fact:
        case ReceiptReceived(state=Engagement.UNSUBSCRIBED | Engagement.COMPLAINED):
            source = f"{attempt.provider} {fact.state}"
            consent = Consent(attempt.channel, "*", "out", fact.at, source)
            person = context.work.person(entry.message.recipient)
            record_consent(context, person, attempt.address_hash, consent, entry.message)


def apply_orphans(context: BatchContext, entry: WorkingMessage, fact: Fact) -> Decision | None:
    """
    Apply the receipts that came before the answer that brings their reference. Returns the last
    decision, None if there were none.
    """
    decision = None
    match fact:
        case Answered(number, Accepted(provider_id=str(reference))):
            provider = entry.message.attempts[number].provider
            for receipt in context.work.take_orphans(provider, reference):
                fact = replace(decode_fact(receipt), attempt=number)
                record_opt_out(context, entry, entry.message.attempts[number], fact)
                decision = apply_fact(context, entry, fact).decision
    return decision
