"""
P1 for digests: each event is in exactly one message, what a message says is what it has gathered,
and while one gathers no other of its key is opened. Nothing starts outside of the hours that its
policy names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from orchestrator.core.message import Message
from orchestrator.core.policy import MINUTE_MS, QuietHours, Window
from tests.simulation.checks.calendar import is_quiet
from tests.simulation.checks.evidence import Evidence, Sent
from tests.simulation.policies import DIGEST_EVENT


def check(evidence: Evidence) -> Iterator[str]:
    """Each broken promise in a sentence."""
    digests = [one for one in evidence.messages.values() if one.event_type == DIGEST_EVENT]
    erased = {deed.what["recipient"] for deed in evidence.deeds("erase")}
    gathered = {one.id: events_of(evidence, one) for one in digests if one.recipient not in erased}
    yield from each_event_once(evidence, gathered, erased)
    for sent in evidence.sent:
        if sent.message.id in gathered:
            yield from says_what_it_gathered(evidence, sent, gathered[sent.message.id])
            yield from starts_in_its_hours(evidence, sent)
    yield from one_at_a_time(evidence, [one for one in digests if one.id in gathered])


def events_of(evidence: Evidence, message: Message) -> list[str]:
    """The ids of a message's own event and of those that have joined it, in their order."""
    history = evidence.run.stored[message.id].history
    facts = (entry["fact"] for entry in history)
    return [message.event_id, *(fact["id"] for fact in facts if fact["kind"] == "Joined")]


def each_event_once(
    evidence: Evidence, gathered: dict[str, list[str]], erased: set[str]
) -> Iterator[str]:
    places = Counter(event for events in gathered.values() for event in events)
    for deed in evidence.deeds("publish"):
        what = deed.what
        if what["type"] != DIGEST_EVENT or what["people"][0] in erased:
            continue
        if places[what["id"]] != 1:
            yield f"P1 event {what['id']} is in {places[what['id']]} digests, not 1"


def says_what_it_gathered(evidence: Evidence, sent: Sent, events: list[str]) -> Iterator[str]:
    """The first four, which is the policy's `max`; the names of events and topics differ."""
    wanted = " ".join(f"n{id.removeprefix('d')}" for id in events[:4])
    if f"<{wanted}," not in sent.write.text:
        name = evidence.name(sent.message.id)
        yield f"P1 {name} gathered {wanted!r}, and said {sent.write.text[:80]!r}"


def one_at_a_time(evidence: Evidence, digests: list[Message]) -> Iterator[str]:
    if evidence.ledger.jumps:  # a clock that was set back shows the time of a digest again
        return
    topics = {deed.what["id"]: deed.what["cart"] for deed in evidence.deeds("publish")}
    open_until: dict[tuple[str, str], Message] = {}
    for message in sorted(digests, key=lambda one: evidence.created[one.id].order):
        key = (message.recipient, topics[message.event_id])
        before = open_until.get(key)
        if before is not None:
            ended = evidence.ended.get(before.id)
            gone = ended is not None and ended.order < evidence.created[message.id].order
            starts_at = before.not_before or before.created_at
            if not gone and message.created_at < starts_at:
                name = evidence.name(message.id)
                yield f"P1 {name} was opened while {evidence.name(before.id)} gathers"
        open_until[key] = message


def starts_in_its_hours(evidence: Evidence, sent: Sent) -> Iterator[str]:
    message = sent.message
    send_at = evidence.policy(message).send_at
    zone = evidence.humans[message.recipient].zone
    hours = send_at.between if send_at is not None else None
    if hours is None or zone is None or evidence.ledger.jumps:
        return
    ready_at = message.not_before or message.created_at
    opens_at = opening(hours, ready_at, zone)
    if sent.write.moment.wall < opens_at:
        yield f"P4 {evidence.name(message.id)} left before its hours"


def opens_too_late(evidence: Evidence, message: Message) -> bool:
    """Whether the hours of a message's policy begin only after its deadline."""
    send_at, zone = evidence.policy(message).send_at, evidence.humans[message.recipient].zone
    if send_at is None or send_at.between is None:
        return False
    if zone is None:  # the installation's, which a reload may have changed
        return True
    at = opening(send_at.between, message.finished_at or 0, zone)
    return at >= message.deadline_at


def opening(hours: Window, at: int, zone: str) -> int:
    """
    The first minute from ``at`` on that is within the hours. They end as quiet hours begin: in the
    night in which clocks are set back, when these first show the end.
    """
    closed = QuietHours("closed", (Window(hours.end, hours.start),) * 7)
    while is_quiet(closed, at, zone):
        at = at // MINUTE_MS * MINUTE_MS + MINUTE_MS
    return at
