"""Unfinished messages that no timer looks after: found, and given their timer again."""

from __future__ import annotations

from typing import Any, TypedDict

from aiohttp import web

from orchestrator.api.ports import DEPS
from orchestrator.api.queries import QueryText, read_query
from orchestrator.api.route import Parameter
from orchestrator.engine.commands import RestoreTimer
from orchestrator.explain.journeys import journey_run_view
from orchestrator.explain.views import message_view
from orchestrator.history.journeys import decode_run
from orchestrator.stores.journey_rows import is_journey
from orchestrator.stores.rows import Loaded, Wanted

PAGE = 1_000
AFTER = (Parameter("after", "`after` of the page before.", QueryText),)


class UntimedView(TypedDict):
    """
    Those among the next ``looked_at`` unfinished messages and running journeys, as in a list;
    ``policy`` of a journey is its name after the word ``journey``. ``after`` is where the
    next page begins, null on the last.
    """

    items: list[dict[str, Any]]
    looked_at: int
    after: str | None


class RestoredView(TypedDict):
    """``restored`` is false if the message has ended meanwhile and needs no timer."""

    restored: bool


async def list_untimed(request: web.Request) -> web.Response:
    """Those among one page of the unfinished messages of all processes."""
    reader = request.app[DEPS].reader
    after = read_query(request, AFTER).get("after", "")
    page = await reader.unfinished_after(after, PAGE, everyone=True)
    ids = {id for id, timed in page if not timed}
    runs = {id for id in ids if is_journey(id)}
    loaded = await reader.load(Wanted(messages=ids - runs, journeys=runs)) if ids else Loaded()
    rows, journeys = loaded.messages, loaded.journeys
    last = len(page) < PAGE
    view: UntimedView = {
        "items": [
            *(dict(message_view(rows[id].message, rows[id].event)) for id in sorted(rows)),
            *(
                journey_run_view(decode_run(row.state)) | {"policy": f"journey {row.journey}"}
                for _, row in sorted(journeys.items())
            ),
        ],
        "looked_at": len(page),
        "after": None if last else page[-1][0],
    }
    return web.json_response(view)


async def restore_timer(request: web.Request) -> web.Response:
    """Give a message its timer and have the engine ask about it. A repeat changes nothing."""
    command = RestoreTimer(request.match_info["id"])
    view: RestoredView = {"restored": await request.app[DEPS].engine.submit(command)}
    return web.json_response(view)
