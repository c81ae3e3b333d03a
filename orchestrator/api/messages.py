"""Messages: one with its whole story, lists of them, and stopping what has not left."""

from __future__ import annotations

from aiohttp import web

from orchestrator.api.ports import DEPS
from orchestrator.api.problems import Refusal, unknown
from orchestrator.api.queries import listed, read_cursor, read_limit, read_query, wrong
from orchestrator.api.views import full_view, message_view
from orchestrator.core.message import Status
from orchestrator.engine.commands import Cancel

STATUSES = tuple(status.value for status in Status)


async def get_message(request: web.Request) -> web.Response:
    """The whole story of one message."""
    return await show(request)


async def show(request: web.Request) -> web.Response:
    id = request.match_info["id"]
    stored = await request.app[DEPS].reader.message(id)
    if stored is None:
        raise unknown("message", id)
    return web.json_response(full_view(stored))


async def list_messages(request: web.Request) -> web.Response:
    """Newest first, without traces."""
    query = read_query(request, ("recipient", "policy", "status"))
    status = query.get("status")
    if status is not None and status not in STATUSES:
        raise wrong("status", "there is no such status", f"use {', '.join(STATUSES)}")
    limit = read_limit(query)
    found = await request.app[DEPS].reader.messages(
        recipient=query.get("recipient"),
        policy=query.get("policy"),
        status=status,
        before=read_cursor(query),
        limit=limit + 1,
    )
    return listed([message_view(stored.message, stored.event) for stored in found], limit)


async def cancel_message(request: web.Request) -> web.Response:
    """Stop what has not left. Cancelling twice is harmless; what has ended otherwise is a 409."""
    deps = request.app[DEPS]
    told = await deps.engine.submit(Cancel(request.match_info["id"]))
    message = told.decision.message
    if message.terminal and message.status is not Status.CANCELLED:
        detail = (
            f"the message has ended already ({message.status.value}); there is nothing left to stop"
        )
        raise Refusal(409, "already_ended", detail, message_status=message.status.value)
    return await show(request)
