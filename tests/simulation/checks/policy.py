"""
P4: nothing against policy. No send starts after an opt-out, a cancellation, an erasure, a goal or
its deadline, in quiet hours, over a cap or inside a gap, to a country that is not allowed, or for a
condition that is false.

A send starts when its intent commits; only intents whose request reached a provider are looked at.
Everything is worked out again from what was asked, the policies and what the providers got.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from orchestrator.core.message import Message
from orchestrator.core.policy import Cap, Gap, Governance, covers
from tests.simulation.checks.calendar import counted, is_quiet, zone_of
from tests.simulation.checks.consent import Words, forbidden
from tests.simulation.checks.evidence import Evidence, Sent
from tests.simulation.truth import Deed

COUNTRIES = {"+380": "UA", "+48": "PL"}
NEAR_MS = 1_500


def check(evidence: Evidence) -> Iterator[str]:
    """Each broken promise in a sentence."""
    words = Words(evidence)
    for sent in evidence.sent:
        if sent.intent is None:
            continue
        name = (
            f"{evidence.name(sent.message.id)}: attempt {sent.attempt.number} by"
            f" {sent.write.provider} started"
        )
        for why in stopped(evidence, sent):
            yield f"P4 {name} {why}"
        books = [rulebook.governance for rulebook in evidence.books_at(sent.intent)]
        for rule in (quiet, capped, gapped, abroad, unwanted(words)):
            reasons = [rule(evidence, sent, governance) for governance in books]
            if all(reasons):
                yield f"P4 {name} {reasons[-1]}"
    yield from doubles(evidence)


def stopped(evidence: Evidence, sent: Sent) -> Iterator[str]:
    """Rules that end a message or a step under any governance."""
    message, event = sent.message, evidence.published[sent.message.event_id]
    if sent.attempt.intent_at >= message.deadline_at:
        yield "after its deadline"
    yield from promised_deadline(evidence, sent, event)
    if evidence.step(sent).when is not None and event.what["total"] < 100:
        yield "though its step's condition is false"
    for deed in evidence.deeds("cancel", "erase"):
        mine = (
            deed.what.get("message") == message.id
            or deed.what.get("recipient") == message.recipient
        )
        if mine and known_before(deed, sent) and created_before(evidence, message, deed):
            yield f"after the {deed.kind} was acknowledged"
    goal = evidence.policy(message).goal
    for deed in evidence.deeds("publish") if goal is not None else ():
        mine = (
            deed.what["type"] == goal.event and message.recipient in deed.what["people"]
            if goal is not None
            else False
        )
        if mine and deed.what["cart"] == event.what["cart"] and known_before(deed, sent):
            if companion(evidence, sent) and evidence.ended_before(message.id, deed):
                # a goal ends cascades; what still goes beside one that had ended does not wait for
                # it
                continue
            if created_before(evidence, message, deed) or happened_before(event, deed):
                yield f"after its goal {deed.what['id']} was acknowledged"


def promised_deadline(evidence: Evidence, sent: Sent, event: Deed) -> Iterator[str]:
    """
    The deadline counts from the event's time, else from its acceptance, and never from later than
    that, unless the event says when its messages start; nothing leaves before that.
    """
    message, happened = sent.message, event.what["time"]
    created = evidence.created[message.id]
    if happened is None or message.journey is not None:
        since = created.wall
    else:
        since = min(happened, created.wall)
    if (starts_at := event.what.get("starts_at")) is not None:
        since = max(since, starts_at)
        if sent.attempt.intent_at < starts_at:
            yield "before its start"
    if (
        sent.attempt.intent_at >= since + evidence.policy(message).deadline_ms
        and sent.attempt.intent_at < message.deadline_at
    ):
        yield "after the deadline that its policy promises"


def known_before(deed: Deed, sent: Sent) -> bool:
    return (
        deed.answered is not None
        and sent.intent is not None
        and deed.answered.order < sent.intent.order
    )


def created_before(evidence: Evidence, message: Message, deed: Deed) -> bool:
    return deed.tried is not None and evidence.created[message.id].order < deed.tried.order


def companion(evidence: Evidence, sent: Sent) -> bool:
    return sent.step >= len(evidence.policy(sent.message).cascade)


def happened_before(event: Deed, goal: Deed) -> bool:
    """Whether a trigger that was accepted after its goal had happened before it."""
    return (
        event.what["time"] is not None
        and goal.what["time"] is not None
        and event.what["time"] <= goal.what["time"]
    )


# ---- governance


def quiet(evidence: Evidence, sent: Sent, governance: Governance) -> str | None:
    human = evidence.humans[sent.message.recipient]
    for rule in governance.quiet_hours:
        if not applies(rule.classes, rule.channels, sent):
            continue
        zone = zone_of(human, governance, rule)
        if is_quiet(rule, sent.attempt.intent_at, zone):
            return f"in the quiet hours {rule.name} ({zone})"
    return None


def capped(evidence: Evidence, sent: Sent, governance: Governance) -> str | None:
    human = evidence.humans[sent.message.recipient]
    for cap in governance.caps:
        if not applies(cap.classes, cap.channels, sent) or charged_before(evidence, sent, cap):
            continue
        zone = zone_of(human, governance)
        used = counted(others(evidence, sent, cap), sent.attempt.intent_at, cap.window_ms, zone)
        if used >= cap.limit:
            return f"over the cap {cap.name}: {used} of {cap.limit}"
    return None


def gapped(evidence: Evidence, sent: Sent, governance: Governance) -> str | None:
    for gap in governance.gaps:
        if not applies(gap.classes, gap.channels, sent) or charged_before(evidence, sent, gap):
            continue
        latest = max(others(evidence, sent, gap), default=None)
        if latest is not None and latest + gap.gap_ms > sent.attempt.intent_at:
            return f"inside the gap {gap.name}"
    return None


def abroad(evidence: Evidence, sent: Sent, governance: Governance) -> str | None:
    if sent.write.channel != "sms" or not governance.sms_countries:
        return None
    country = next(
        (name for prefix, name in COUNTRIES.items() if sent.write.address.startswith(prefix)), ""
    )
    return None if country in governance.sms_countries else f"to a number of {country or 'nowhere'}"


def unwanted(words: Words) -> Callable[[Evidence, Sent, Governance], str | None]:
    """The rule of consent, over everything that was said."""

    def rule(evidence: Evidence, sent: Sent, governance: Governance) -> str | None:
        assert sent.intent is not None
        default = governance.consent.get(sent.message.message_class, "opt_out")
        return forbidden(words, sent, sent.intent.order, default)

    return rule


def applies(classes: tuple[str, ...], channels: tuple[str, ...], sent: Sent) -> bool:
    exempt = ("otp", "conversational")
    kind = sent.message.message_class
    named = kind in classes if classes else kind not in exempt
    return named and (not channels or sent.write.channel in channels)


def charged_before(evidence: Evidence, sent: Sent, rule: Cap | Gap) -> bool:
    """
    Whether the message (for a rule of channels: the step) had been counted already: then it is not
    held again.
    """
    for attempt in sent.message.attempts[: sent.attempt.number]:
        if rule.channels and attempt.step != sent.step:
            continue
        if evidence.may_have_left(attempt, sent.message.id) or evidence.was_unknown(attempt):
            return True
        if attempt.intent_at == sent.attempt.intent_at and attempt.step == sent.step:
            return True
    return False


def others(evidence: Evidence, sent: Sent, rule: Cap | Gap) -> list[int]:
    """
    When each other message (for a rule of channels: step) of the recipient was counted, as far as
    it counts.
    """
    assert sent.intent is not None
    since = max(
        (
            deed.answered.order
            for deed in evidence.deeds("erase")
            if deed.what["recipient"] == sent.message.recipient and deed.answered is not None
        ),
        default=-1,
    )
    charged: dict[tuple[str, int], int] = {}
    for message in evidence.messages.values():
        if message.recipient != sent.message.recipient or not covers(
            rule.classes, message.message_class
        ):
            continue
        for attempt in message.attempts:
            moment = evidence.intents.get((message.id, attempt.number))
            step = attempt.step if rule.channels else 0
            own = message.id == sent.message.id and (not rule.channels or attempt.step == sent.step)
            if own or moment is None or not since < moment.order < sent.intent.order:
                continue
            if (
                rule.channels and attempt.channel not in rule.channels
            ) or not evidence.may_have_left(attempt, message.id):
                continue
            key = (message.id, step)
            charged[key] = min(attempt.intent_at, charged.get(key, attempt.intent_at))
    return list(charged.values())


def doubles(evidence: Evidence) -> Iterator[str]:
    """
    Of two messages with the same dedupe key within its window only one is sent. One whose every
    attempt was refused has reached nobody, so it frees its key.
    """
    first: dict[tuple[str, str, str], int] = {}
    left = {
        sent.message.id
        for sent in evidence.sent
        if any(evidence.may_have_left(one, sent.message.id) for one in sent.message.attempts)
    }
    for id in sorted(left, key=lambda one: evidence.created[one].order):
        message = evidence.messages[id]
        policy = evidence.policy(message)
        if policy.dedupe is None:
            continue
        key = (policy.name, message.recipient, evidence.published[message.event_id].what["cart"])
        before = first.get(key)
        if before is not None and message.created_at < before + policy.dedupe.window_ms:
            yield (
                f"P4 {evidence.name(id)} was sent {message.created_at - before} ms after another"
                " with its key"
            )
        first[key] = message.created_at
