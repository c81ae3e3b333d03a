"""What could not be processed: looked at, and tried again under the policies as they are now."""

from __future__ import annotations

from aiohttp import web

from orchestrator.api.ports import DEPS, ApiDeps
from orchestrator.api.problems import Refusal, unknown
from orchestrator.api.queries import listed, read_cursor, read_limit, read_query
from orchestrator.api.views import dead_letter_view
from orchestrator.engine.commands import Conflict, Publish
from orchestrator.events.cloudevents import Malformed, parse_kafka
from orchestrator.events.event import Event
from orchestrator.stores.rows import DeadLetterRow


async def list_dead_letters(request: web.Request) -> web.Response:
    """The newest first."""
    query = read_query(request, ())
    limit = read_limit(query)
    found = await request.app[DEPS].reader.dead_letters(read_cursor(query), limit + 1)
    return listed([dead_letter_view(letter) for letter in found], limit)


async def letter_of(deps: ApiDeps, id: str) -> DeadLetterRow:
    letter = await deps.reader.dead_letter(id)
    if letter is None:
        raise unknown("dead letter", id)
    return letter


async def get_dead_letter(request: web.Request) -> web.Response:
    """One of them, with its body."""
    return web.json_response(
        dead_letter_view(await letter_of(request.app[DEPS], request.match_info["id"]))
    )


async def replay_dead_letter(request: web.Request) -> web.Response:
    """
    Process it again, under the policies as they are now; deadlines count from now. It stays where
    it still cannot be processed. A second replay finds the messages that the first has made, and
    makes no others.
    """
    deps, id = request.app[DEPS], request.match_info["id"]
    event = event_of(await letter_of(deps, id))
    try:
        published = await deps.engine.submit(Publish(event, replayed=True))
    except Conflict:
        detail = (
            "this source and id were published before, with another body; publish it under"
            " another id"
        )
        raise Refusal(409, "conflict", detail, field="id") from None
    await deps.reader.resolve_dead_letter(id, deps.now())
    return web.json_response({"status": published.status, "messages": list(published.messages)})


def event_of(letter: DeadLetterRow) -> Event:
    """
    The event in a dead letter, read as it would have been when it came. Raises ``Refusal`` where it
    still cannot be.
    """
    headers = {name.lower(): value for name, value in letter.headers.items()}
    try:
        return parse_kafka(letter.body or None, headers)
    except Malformed as error:
        what = f"it still cannot be processed: {error.what}"
        raise Refusal(422, error.code, what, field=error.field) from None
