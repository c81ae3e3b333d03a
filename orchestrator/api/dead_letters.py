"""Dead letters: events and webhooks that could not be processed, and replaying them."""

from __future__ import annotations

import base64
from typing import NotRequired, TypedDict

from aiohttp import web

from orchestrator.api.audit import note_of
from orchestrator.api.ports import DEPS, ApiDeps
from orchestrator.api.problems import Refusal, unknown
from orchestrator.api.queries import (
    PAGING,
    SPAN,
    Cursor,
    QueryText,
    page,
    read_limit,
    read_query,
    read_span,
)
from orchestrator.api.route import Parameter, Time
from orchestrator.engine.commands import Conflict, EventStatus, Publish
from orchestrator.events.cloudevents import parse_kafka, refuse_reserved
from orchestrator.events.event import Event
from orchestrator.events.malformed import Malformed
from orchestrator.explain.views import instant
from orchestrator.primitives.durations import rfc3339
from orchestrator.stores.rows import DeadLetterRow

FILTERS = (
    Parameter("reason", "Only those of this reason.", QueryText),
    *SPAN,
    *PAGING,
)


class DeadLetterView(TypedDict):
    """One of them. The body is ``body`` if it is UTF-8, else ``body_base64``."""

    id: str
    at: Time
    origin: str
    reason: str
    detail: str
    headers: dict[str, str]
    body: NotRequired[str]
    body_base64: NotRequired[str]
    replayed_at: Time | None


class DeadLettersView(TypedDict):
    items: list[DeadLetterView]
    next_cursor: Cursor


class ReplayedView(TypedDict):
    status: EventStatus
    messages: list[str]


async def list_dead_letters(request: web.Request) -> web.Response:
    query = read_query(request, FILTERS)
    limit = read_limit(query)
    since, before = read_span(query)
    found = await request.app[DEPS].reader.dead_letters(
        before, limit + 1, query.get("reason"), since
    )
    return page([dead_letter_view(letter) for letter in found], limit)


async def delete_dead_letter(request: web.Request) -> web.Response:
    """Delete it for good; a 404 if it is gone already."""
    id = request.match_info["id"]
    note = note_of(request, "dead_letter.deleted", f"dead_letter:{id[:64]}")
    if not await request.app[DEPS].reader.delete_dead_letter(id, note):
        raise unknown("dead letter", id)
    return web.Response(status=204)


async def find_dead_letter(deps: ApiDeps, id: str) -> DeadLetterRow:
    letter = await deps.reader.dead_letter(id)
    if letter is None:
        raise unknown("dead letter", id)
    return letter


async def get_dead_letter(request: web.Request) -> web.Response:
    letter = await find_dead_letter(request.app[DEPS], request.match_info["id"])
    return web.json_response(dead_letter_view(letter))


async def replay_dead_letter(request: web.Request) -> web.Response:
    """
    Process it again under the current policies; deadlines count from now. If it still cannot be
    processed it stays. A second replay finds the messages of the first and starts no others.
    """
    deps, id = request.app[DEPS], request.match_info["id"]
    event = event_of(await find_dead_letter(deps, id))
    try:
        published = await deps.engine.submit(Publish(event, replayed=True))
    except Conflict:
        detail = "this source and id were published before with another body; use another id"
        raise Refusal(409, "conflict", detail, field="id") from None
    await deps.reader.resolve_dead_letter(id, deps.now())
    return web.json_response({"status": published.status, "messages": list(published.messages)})


def event_of(letter: DeadLetterRow) -> Event:
    """The event in a dead letter, read as a Kafka record. Raises ``Refusal`` if it cannot be."""
    headers = {name.lower(): value for name, value in letter.headers.items()}
    try:
        event = parse_kafka(letter.body or None, headers)
        refuse_reserved(event)
    except Malformed as error:
        detail = f"it still cannot be processed: {error.what}"
        raise Refusal(422, error.code, detail, field=error.field) from None
    return event


def dead_letter_view(letter: DeadLetterRow) -> DeadLetterView:
    view: DeadLetterView = {
        "id": letter.id,
        "at": rfc3339(letter.at),
        "origin": letter.origin,
        "reason": letter.reason,
        "detail": letter.detail,
        "headers": dict(letter.headers),
        "replayed_at": instant(letter.replayed_at),
    }
    try:
        view["body"] = letter.body.decode()
    except UnicodeDecodeError:
        view["body_base64"] = base64.b64encode(letter.body).decode()
    return view
