"""
The events that triggered messages, as they can be published or simulated again.

The store keeps an event with each of its messages, without its recipients; those are taken from
their profiles of today, with what they had consented to at the time of the event.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypedDict

from aiohttp import web

from orchestrator.api.ports import DEPS, ApiDeps
from orchestrator.api.queries import QueryText, read_instant, read_query
from orchestrator.api.route import Parameter, Time
from orchestrator.events.cloudevents import EVENT_BYTES_MAX
from orchestrator.primitives.durations import rfc3339
from orchestrator.primitives.ids import first_of
from orchestrator.recipients.consents import consent_of
from orchestrator.recipients.document import NOT_PROFILE, Person
from orchestrator.recipients.fields import CONSENTS_MAX, rfc3339_ms
from orchestrator.recipients.masks import Masks, words_of
from orchestrator.stores.rows import EventKey, StoredMessage, Wanted

PAGE = 250
ANSWER_BYTES = 4 * 1024 * 1024
"""An answer ends after the event with which it becomes longer."""
ROOM_BYTES = 1_024
"""Left of an event's size for what is written around its data."""
SPAN = (
    Parameter("since", "Only events accepted then or later.", Time),
    Parameter("until", "Only events accepted before then.", Time),
    Parameter("after", "`after` of the page before.", QueryText),
    Parameter("masked", "`true`: with made-up personal data.", QueryText),
    Parameter("mask", "Further fields that are personal, separated by commas.", QueryText),
)


class EventsView(TypedDict):
    """
    CloudEvents in the order in which they were accepted. ``erased`` counts messages whose events
    are gone with their recipients. ``after`` is where the next page begins, null on the last;
    ``at`` is how far this one came (RFC 3339, null if there was nothing).
    """

    events: list[dict[str, Any]]
    erased: int
    after: str | None
    at: str | None


async def export_events(request: web.Request) -> web.Response:
    """One page; an event with several messages stands where its first one does."""
    deps, query = request.app[DEPS], read_query(request, SPAN)
    since, until = read_instant(query, "since"), read_instant(query, "until")
    masks = None
    if query.get("masked") == "true":
        masks = Masks(deps.address_hash, tuple(filter(None, query.get("mask", "").split(","))))
    begin = query.get("after") or (first_of(since) if since is not None else None)
    end = first_of(until) if until is not None else None
    page = await deps.reader.messages(since=begin, before=end, limit=PAGE, oldest_first=True)
    firsts = await first_messages(deps, page)
    view: EventsView = {"events": [], "erased": 0, "after": None, "at": None}
    size = 0
    for stored in page:
        if size > ANSWER_BYTES:
            view["after"] = stored.message.id
            break
        view["at"] = rfc3339(stored.message.created_at)
        if not stored.event["ce"]:
            view["erased"] += 1
        elif stored.message.id in firsts:
            for event in await events_of(deps, stored, firsts[stored.message.id], masks):
                view["events"].append(event)
                size += len(json.dumps(event))
    else:
        view["after"] = f"{page[-1].message.id}0" if len(page) == PAGE else None
    return web.json_response(view)


def key_of(stored: StoredMessage) -> EventKey:
    return stored.message.event_source, stored.message.event_id


async def first_messages(
    deps: ApiDeps, page: Sequence[StoredMessage]
) -> dict[str, tuple[str, ...]]:
    """
    The first message of each event, with all messages of that event. Those of an event whose row
    has been purged are taken as they stand on this page.
    """
    keys = {key_of(stored) for stored in page if stored.event["ce"]}
    rows = (await deps.reader.load(Wanted(events=keys))).events if keys else {}
    here: dict[EventKey, list[str]] = {}
    for stored in page:
        if stored.message.retry_of is None:
            here.setdefault(key_of(stored), []).append(stored.message.id)
    found = {}
    for key, ids in here.items():
        together = tuple(sorted(rows[key].messages)) if key in rows else tuple(ids)
        if together:
            found[together[0]] = together
    return found


async def events_of(
    deps: ApiDeps, stored: StoredMessage, messages: Iterable[str], masks: Masks | None
) -> list[dict[str, Any]]:
    """The event of some messages: several, if with all its recipients it would be too large."""
    loaded = await deps.reader.load(Wanted(messages=set(messages)))
    ids = list(
        dict.fromkeys(loaded.messages[id].message.recipient for id in sorted(loaded.messages))
    )
    people = [Person(id, loaded.recipients.get(id), deps.address_hash) for id in ids]
    hashes = [address.hash for person in people for address in person.addresses]
    states = await deps.reader.addresses(hashes)
    attributes, data = dict(stored.event["ce"]), dict(stored.event["data"])
    at = rfc3339_ms(attributes.get("time"))
    if at is None:
        at = stored.message.created_at
        attributes["time"] = rfc3339(at)
    profiles = [profile_of(person, states, at) for person in people]
    if masks is not None:
        known = frozenset[str]().union(*map(words_of, profiles))
        attributes = {
            name: value if name in ("id", "source", "type", "time") else masks.data(value, known)
            for name, value in attributes.items()
        }
        if attributes.get("subject") in ids:
            attributes["subject"] = masks.id(attributes["subject"])
        data = masks.data(data, known)
        profiles = list(map(masks.profile, profiles))
    return list(split(attributes, data, profiles))


def profile_of(person: Person, states: Mapping[str, Any], at: int) -> dict[str, Any]:
    """The profile of today as an event has it, with the consents of ``at`` (UTC milliseconds)."""
    document = person.document
    profile = {
        "id": person.id,
        **{name: value for name, value in document.items() if name not in NOT_PROFILE},
    }
    own = list(person.consents)
    for address in person.addresses:
        rows = map(consent_of, states.get(address.hash, {}).get("consents", ()))
        own += [one for one in rows if one not in own]
    said = sorted((one for one in own if one.said_at <= at), key=lambda one: one.said_at)
    entries = [
        {
            "channel": one.channel,
            "topic": one.topic,
            "state": one.state,
            "at": rfc3339(one.said_at),
            "source": one.source,
        }
        for one in said
        if not one.classes  # an event cannot say so little
    ]
    return profile | ({"consents": entries[-CONSENTS_MAX:]} if entries else {})


def split(
    attributes: Mapping[str, Any], data: Mapping[str, Any], profiles: list[dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    """One event, or parts of it (``id``, ``id/2``, …) that are small enough to be read again."""
    parts: list[list[dict[str, Any]]] = [[]]
    around = size_of(attributes) + size_of(data) + ROOM_BYTES
    size = around
    for profile in profiles:
        more = size_of(profile) + 1
        if parts[-1] and size + more > EVENT_BYTES_MAX:
            parts.append([])
            size = around
        parts[-1].append(profile)
        size += more
    for number, part in enumerate(parts, 1):
        id = attributes["id"] if number == 1 else f"{attributes['id']}/{number}"
        who = {"recipient": part[0]} if len(part) == 1 else {"recipients": part}
        yield {**attributes, "id": id, "data": {**data, **who}}


def size_of(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False).encode())
