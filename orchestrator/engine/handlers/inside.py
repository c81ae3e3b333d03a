"""
Inside events: what a command has led to starts and ends messages in the command's own transaction.

    apply_fact ─► BatchContext.inside ─► follow: end what it is the goal of, start what it triggers

What follows may lead to more, so it is a queue. A message knows how many have started each other up
to it, and its recipient how many all of its chain are, because each may start several. ``decide``
ends the one that is too many, from which nothing follows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from orchestrator.core.facts import Triggered
from orchestrator.core.hops import CHAIN_MAX, HOPS_MAX
from orchestrator.core.inside import PREFIX, REPLY, SOURCE
from orchestrator.engine.applying import scope_of
from orchestrator.engine.batch import BatchContext, InsideEvent, QueuedFact
from orchestrator.engine.goals import end_reached
from orchestrator.engine.handlers.events import Origin, start, wants
from orchestrator.engine.handlers.journeys import apply_journey_fact
from orchestrator.engine.journeys import Happening, entry_keys, take_event
from orchestrator.engine.needs import Needs
from orchestrator.engine.unit_of_work import UnitOfWork
from orchestrator.engine.windows import ask_for_windows
from orchestrator.primitives.durations import rfc3339
from orchestrator.primitives.trace_context import TRACEPARENT
from orchestrator.stores.rows import EventRow, NewEventRow, WantedAddresses


def ask_for_people(needs: Needs, work: UnitOfWork) -> None:
    """
    Ask for what following an inside event of any of the batch's people may need; of what has
    keys that are not known yet, see ``lookups_of``.
    """
    for person in list(work.people):
        needs.person_addresses(person, needs.rules.inside_otp)
    for recipient in sorted(needs.rows.live_of) if needs.rules.inside_goals else ():
        for id in work.live_of.get(recipient) or ():
            needs.message_addresses(work, id)


def follow_all(context: BatchContext) -> Iterator[WantedAddresses]:
    """
    Decide what follows from the inside events of the command under way, and the facts of journeys.
    Yields before each one what it looks up besides; the caller loads that, if there is a store.
    """
    while context.inside:
        one = context.inside.popleft()
        if isinstance(one, QueuedFact):
            yield from apply_journey_fact(context, one)
            continue
        document = document_of(context, one)
        yield lookups_of(context, one, document)
        follow(context, one, document)


def follow_in_memory(context: BatchContext) -> None:
    """The same where everything is known already."""
    for _ in follow_all(context):
        pass


def document_of(context: BatchContext, event: InsideEvent) -> dict[str, Any]:
    """The event as it is stored with its messages."""
    attributes = {
        "id": event.id,
        "source": SOURCE,
        "type": event.type,
        "subject": event.subject,
        "time": rfc3339(context.now),
    }
    if event.trace is not None:
        attributes[TRACEPARENT] = event.trace
    return {"ce": attributes, "data": event.data}


def lookups_of(
    context: BatchContext, event: InsideEvent, document: dict[str, Any]
) -> WantedAddresses:
    """
    The dedupe windows and digests of an event's policies, and the keys of the journeys that it
    begins.
    """
    person = context.work.person(event.recipient)
    found = WantedAddresses(entered=entry_keys(context, event.type, document, person))
    for policy in context.rules.by_event.get(event.type, ()):
        if policy.dedupe is not None or policy.digest is not None:
            scope = scope_of(document, person, None)
            ask_for_windows(context, policy, person, scope, None, found)
    return found


def follow(context: BatchContext, event: InsideEvent, document: dict[str, Any]) -> None:
    """End the messages whose goal an event is, and start those that it triggers."""
    work, rules = context.work, context.rules
    person = work.person(event.recipient)
    ended: list[str] = []
    if event.type in rules.goals:
        # what a message does itself is never its own goal; a reply is what its recipient does
        own = None if event.type == PREFIX + REPLY else event.caused_by
        others = [id for id in work.live_of.get(person.id) or () if id != own]
        ended = end_reached(context, event.type, event.data, person, (SOURCE, event.id), others)
    made: list[str] = []
    for policy in rules.by_event.get(event.type, ()):
        if not wants(context, policy, document, person):
            continue
        many = person.lengthen_chain(event.chain) > CHAIN_MAX
        origin = Origin(
            SOURCE,
            event.id,
            event.type,
            context.now,
            caused_by=event.caused_by,
            hops=HOPS_MAX + 1 if many else event.hops,
            chain=event.chain,
        )
        ends_at = context.now + policy.deadline_ms
        made.append(start(context, origin, Triggered(), policy, document, person, ends_at))
    if rules.is_for_journeys(event.type):
        where = (event.caused_by, event.hops, event.chain)
        happening = Happening(SOURCE, event.id, event.type, document, *where)
        taken = take_event(context, happening, person)
        made += taken.began
        ended += taken.moved
    if made or ended:
        row = EventRow(b"", tuple(made or ended), "accepted" if made else "goal")
        key = (SOURCE, event.id)
        stored = NewEventRow(*key, row.digest, row.status, row.messages, context.now)
        work.changes.events.append(stored)
