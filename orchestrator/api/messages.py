"""Messages: one with its trace, lists, and cancelling."""

from __future__ import annotations

from typing import TypedDict

from aiohttp import web

from orchestrator.api.ports import DEPS
from orchestrator.api.problems import Refusal, unknown
from orchestrator.api.queries import (
    PAGING,
    Cursor,
    QueryText,
    page,
    read_cursor,
    read_limit,
    read_query,
    wrong,
)
from orchestrator.api.route import Parameter
from orchestrator.api.whose import people_of
from orchestrator.core.message import Status
from orchestrator.engine.commands import Cancel
from orchestrator.explain.views import MessageView, full_view, message_view

FILTERS = (
    Parameter(
        "recipient",
        "Only to this recipient, or to all with this phone or mailbox.",
        QueryText,
    ),
    Parameter("policy", "Only messages of this policy.", QueryText),
    Parameter("status", "Only messages with this status.", Status),
    *PAGING,
)


class MessagesView(TypedDict):
    """A page of messages, the newest first, without traces."""

    items: list[MessageView]
    next_cursor: Cursor


async def get_message(request: web.Request) -> web.Response:
    id = request.match_info["id"]
    stored = await request.app[DEPS].reader.message(id)
    if stored is None:
        raise unknown("message", id)
    return web.json_response(full_view(stored))


async def list_messages(request: web.Request) -> web.Response:
    query = read_query(request, FILTERS)
    status = query.get("status")
    if status is not None and status not in set(Status):
        raise wrong("status", "there is no such status", f"use {', '.join(Status)}")
    limit = read_limit(query)
    deps = request.app[DEPS]
    who = query.get("recipient")
    found = await deps.reader.messages(
        recipients=None if who is None else await people_of(deps, who, "recipient"),
        policy=query.get("policy"),
        status=status,
        before=read_cursor(query),
        limit=limit + 1,
    )
    return page([message_view(stored.message, stored.event) for stored in found], limit)


async def cancel_message(request: web.Request) -> web.Response:
    """
    Cancel what has not been sent. Cancelling twice is harmless; a message that has ended in another
    way is a 409.
    """
    applied = await request.app[DEPS].engine.submit(Cancel(request.match_info["id"]))
    message = applied.decision.message
    if message.terminal and message.status is not Status.CANCELLED:
        detail = f"the message has ended already ({message.status}); there is nothing left to stop"
        raise Refusal(409, "already_ended", detail, message_status=message.status)
    return await get_message(request)
