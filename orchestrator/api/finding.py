"""
Which messages somebody means by what they have in hand: a message's id, an event, a person, or the
id that a provider gave.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal, TypedDict

from aiohttp import web

from orchestrator.api.ports import DEPS, ApiDeps
from orchestrator.api.problems import Refusal
from orchestrator.api.queries import QueryText, read_query, wrong
from orchestrator.api.route import Parameter
from orchestrator.api.whose import people_of
from orchestrator.core.journey.state import JourneyRun
from orchestrator.explain.journeys import journey_run_view
from orchestrator.explain.views import message_view
from orchestrator.history.journeys import decode_run
from orchestrator.stores.journey_rows import is_journey
from orchestrator.stores.rows import StoredMessage, Wanted

LIST_MAX = 20
SPLITS_MAX = 32
"""The slashes of a text at which an event's source may end."""

Way = Literal["journey", "message", "event", "recipient", "provider_id"]
FIND = (
    Parameter("text", "What is known of it.", QueryText),
    Parameter("by", "What the text is; otherwise everything but a provider's id is tried.", Way),
)


class FoundView(TypedDict):
    """
    ``items`` are messages, the newest first; ``more``: there are others. ``by`` found them.
    ``journeys`` are those that belong to them: of the person, or that the event began.
    """

    by: Way
    items: list[dict[str, Any]]
    more: bool
    journeys: list[dict[str, Any]]


async def find_messages(request: web.Request) -> web.Response:
    """404 if nothing is found; the detail says what was looked for."""
    deps, query = request.app[DEPS], read_query(request, FIND)
    text, by = query.get("text"), query.get("by")
    if not text:
        raise wrong("text", "it is empty", "name a message, an event or a person")
    ways: dict[Way, str] = {
        "message": "message with this id",
        "event": "event of this source and id",
        "recipient": "message to a recipient or an address like this",
        "journey": "journey with this id",
        "provider_id": "message with this id at a provider",
    }
    if by is not None and by not in ways:
        raise wrong("by", "there is no such way", f"use {', '.join(ways)}")
    tried: list[Way] = [way for way in ways if way == by or (by is None and way != "provider_id")]
    for way in tried:
        lived = await JOURNEYS[way](deps, text) if way in JOURNEYS else []
        found = await SEARCHES[way](deps, text) if way in SEARCHES else []
        if found or lived:
            newest = sorted(found, key=lambda one: one.message.id, reverse=True)
            items: list[dict[str, Any]] = [
                dict(message_view(one.message, one.event)) for one in newest[:LIST_MAX]
            ]
            view: FoundView = {
                "by": way,
                "items": items,
                "more": len(found) > LIST_MAX,
                "journeys": [journey_run_view(run) for run in lived[:LIST_MAX]],
            }
            return web.json_response(view)
    nothing = ", ".join(f"no {ways[way]}" for way in tried)
    raise Refusal(404, "nothing_found", f"{text}: there is {nothing}")


async def by_message(deps: ApiDeps, text: str) -> list[StoredMessage]:
    stored = await deps.reader.message(text)
    return [stored] if stored is not None else []


async def by_event(deps: ApiDeps, text: str) -> list[StoredMessage]:
    """
    The messages of the event ``source/id``; both may have slashes in them. Raises ``Refusal`` if
    the event made none.
    """
    places = [place for place, letter in enumerate(text) if letter == "/"][-SPLITS_MAX:]
    keys = {(text[:place], text[place + 1 :]) for place in places}
    events = (await deps.reader.load(Wanted(events=keys))).events
    both = (id for event in events.values() for id in event.messages)
    ids = sorted((id for id in both if not is_journey(id)), reverse=True)
    if events and not any(event.messages for event in events.values()):
        status = next(iter(events.values())).status
        detail = f"{text}: the event was accepted ({status}), and made no message"
        raise Refusal(404, "nothing_found", detail)
    return await messages_of(deps, ids)


async def by_recipient(deps: ApiDeps, text: str) -> list[StoredMessage]:
    """Raises ``Misshapen`` for an address whose right form is another one."""
    people = await people_of(deps, text, "text")
    return await deps.reader.messages(recipients=people, limit=LIST_MAX + 1) if people else []


async def by_provider_id(deps: ApiDeps, text: str) -> list[StoredMessage]:
    """Of the providers that the configuration has."""
    channels = deps.settings().channels
    references = {(one.provider, text) for providers in channels.values() for one in providers}
    found = (await deps.reader.load(Wanted(references=references))).references
    return await messages_of(deps, sorted({place.message for place in found.values()}))


async def messages_of(deps: ApiDeps, ids: Sequence[str]) -> list[StoredMessage]:
    """The first of these messages, one more than are listed."""
    wanted = Wanted(messages=set(ids[: LIST_MAX + 1]))
    loaded = (await deps.reader.load(wanted)).messages
    return [StoredMessage(row.message, row.event) for row in loaded.values()]


SEARCHES: Mapping[Way, Callable[[ApiDeps, str], Awaitable[list[StoredMessage]]]] = {
    "message": by_message,
    "event": by_event,
    "recipient": by_recipient,
    "provider_id": by_provider_id,
}


async def journey_by_id(deps: ApiDeps, text: str) -> list[JourneyRun]:
    stored = await deps.reader.journey(text) if is_journey(text) else None
    return [decode_run(stored.row.state)] if stored is not None else []


async def journeys_of_person(deps: ApiDeps, text: str) -> list[JourneyRun]:
    """The newest first. Raises ``Misshapen`` for an address whose right form is another one."""
    found = [
        decode_run(one.row.state)
        for person in await people_of(deps, text, "text")
        for one in await deps.reader.journeys(recipient=person, limit=LIST_MAX)
    ]
    return sorted(found, key=lambda run: run.id, reverse=True)


async def journeys_of_event(deps: ApiDeps, text: str) -> list[JourneyRun]:
    """The journeys that the event ``source/id`` began."""
    places = [place for place, letter in enumerate(text) if letter == "/"][-SPLITS_MAX:]
    keys = {(text[:place], text[place + 1 :]) for place in places}
    events = (await deps.reader.load(Wanted(events=keys))).events
    ids = {id for event in events.values() for id in event.messages if is_journey(id)}
    rows = (await deps.reader.load(Wanted(journeys=ids))).journeys if ids else {}
    return [decode_run(row.state) for _, row in sorted(rows.items(), reverse=True)]


JOURNEYS: Mapping[Way, Callable[[ApiDeps, str], Awaitable[list[JourneyRun]]]] = {
    "journey": journey_by_id,
    "recipient": journeys_of_person,
    "event": journeys_of_event,
}
