"""``/v1/inbox/{recipient}``: what pages and apps show of a person's inbox, and what they report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import orjson
import structlog
from aiohttp import web
from msgspec import Meta

from orchestrator.api.auth import VISITOR
from orchestrator.api.bodies import read_object
from orchestrator.api.inbox_receipts import (
    pressed,
    receipts_of,
    report_delivered,
    submit,
)
from orchestrator.api.inbox_streams import STREAMS, change_of
from orchestrator.api.ports import DEPS
from orchestrator.api.problems import Refusal
from orchestrator.api.queries import PAGING, Cursor, QueryText, read_limit, read_query, wrong
from orchestrator.api.route import Parameter, Time
from orchestrator.primitives.durations import rfc3339
from orchestrator.recipients.fields import recipient_id, refuse_unknown
from orchestrator.stores.item_rows import FIRST_ITEM, ItemMark, ItemRow
from orchestrator.stores.item_tables import ITEM_STATUSES

log = structlog.get_logger()

TOKEN_SECONDS, TOKEN_SECONDS_MAX = 3_600, 86_400
CHANGES_MAX = 1_000
"""A page that has missed more changes reads the list again."""
RECEIPTS_AT_ONCE = 256
ACTION_CHARS_MAX = 100
BODY_BYTES_MAX = 2 * 1024

Status = Literal["unread", "unseen", "archived", "all"]
LIST_FILTERS = (
    Parameter("status", "Without it: all that are not archived. `all`: those, too.", Status),
    Parameter("category", "Of this category only.", QueryText),
    *PAGING,
)
AFTER = (Parameter("after", "`seq` of the last answer.", Annotated[int, Meta(ge=0)]),)
STREAM_QUERY = (Parameter("token", "The person's token, if a header cannot be sent.", str),)


class TokenBody(TypedDict, total=False):
    expires_in: Annotated[
        int, Meta(ge=1, le=TOKEN_SECONDS_MAX, description="Seconds; an hour if it is left out.")
    ]


class InboxTokenView(TypedDict):
    """A token for the person's own browser or app."""

    token: str
    recipient: str
    expires_at: Time


class CountsView(TypedDict):
    """Of the items that are not archived."""

    unseen: int
    unread: int


class ActionView(TypedDict):
    action: str
    title: str
    url: NotRequired[str]


class ItemView(TypedDict):
    """An item of an inbox. It is not shown any more once `expires_at` is over."""

    id: str
    seq: Annotated[int, Meta(description="The number of its last change.")]
    message: Annotated[str, Meta(description="The message that it belongs to.")]
    category: str
    pinned: bool
    title: str
    text: str
    locale: str
    url: NotRequired[str]
    icon: NotRequired[str]
    image: NotRequired[str]
    actions: NotRequired[list[ActionView]]
    data: NotRequired[dict[str, Any]]
    created_at: Time
    expires_at: Time
    seen_at: Time | None
    read_at: Time | None
    clicked_at: Time | None
    archived_at: Time | None


class GoneItemView(TypedDict):
    """An item that was withdrawn."""

    id: str
    seq: int


class InboxView(TypedDict):
    """A page of an inbox, pinned items first, then the newest."""

    items: list[ItemView]
    next_cursor: Cursor
    counts: CountsView
    seq: Annotated[int, Meta(description="The number of the inbox's last change.")]


class InboxChangesView(TypedDict):
    """What has changed, the oldest change first. An item that has expired is no change."""

    items: list[ItemView]
    gone: list[GoneItemView]
    counts: CountsView
    seq: int


class ChangeView(TypedDict):
    """The data of `event: change`, and the answer to every mark."""

    seq: int
    counts: CountsView


class UpToBody(TypedDict):
    up_to: Annotated[
        int, Meta(ge=0, description="`seq` of what was shown: what came since stays as it is.")
    ]


class ClickBody(TypedDict, total=False):
    action: Annotated[str, Meta(max_length=ACTION_CHARS_MAX, description="Which of `actions`.")]


def recipient_of(request: web.Request) -> str:
    return recipient_id(request.match_info["recipient"], "recipient")


async def create_inbox_token(request: web.Request) -> web.Response:
    """A token for a person's own browser or app; nothing is stored."""
    deps, recipient = request.app[DEPS], recipient_of(request)
    body = await read_optional(request, ("expires_in",))
    seconds = body.get("expires_in", TOKEN_SECONDS)
    if not is_whole(seconds) or not 1 <= seconds <= TOKEN_SECONDS_MAX:
        detail = f"it must be a number of seconds from 1 to {TOKEN_SECONDS_MAX}"
        raise Refusal(400, "bad_field", detail, field="expires_in")
    expires_at = deps.now() + seconds * 1000
    token = deps.keys.inbox_token(recipient, expires_at)
    return web.json_response(
        {"token": token, "recipient": recipient, "expires_at": rfc3339(expires_at)}
    )


async def list_items(request: web.Request) -> web.Response:
    """A page of the inbox. What it shows counts as delivered."""
    deps, recipient = request.app[DEPS], recipient_of(request)
    query = read_query(request, LIST_FILTERS)
    status = query.get("status", "")
    if status not in ITEM_STATUSES:
        raise wrong("status", "there is no such status", "use unread, unseen, archived or all")
    limit, now = read_limit(query), deps.now()
    state = await deps.reader.inbox(recipient, now)
    rows = await deps.reader.items(
        recipient,
        now,
        status=status,
        category=query.get("category"),
        before=before_of(query.get("cursor")),
        limit=limit + 1,
    )
    shown = rows[:limit]
    await report_delivered(deps, recipient, shown)
    cursor = cursor_of(shown[-1]) if len(rows) > limit else None
    items = [item_view(row) for row in shown]
    return answer({"items": items, "next_cursor": cursor, **change_of(state)})


async def list_changes(request: web.Request) -> web.Response:
    """What has changed since a number; 410 if that is not known any more."""
    deps, recipient, now = request.app[DEPS], recipient_of(request), request.app[DEPS].now()
    given = read_query(request, AFTER).get("after", "")
    if not (given.isascii() and given.isdigit() and len(given) <= 16):
        raise wrong("after", "it must be a number", "send `seq` of the last answer")
    after, state = int(given), await deps.reader.inbox(recipient, now)
    rows: Sequence[ItemRow] = ()
    known = after <= state.seq and (after >= state.forgotten or after == 0)
    if known:
        rows = await deps.reader.changed_items(recipient, after, now, CHANGES_MAX + 1)
    if not known or len(rows) > CHANGES_MAX:
        detail = "the changes since then are not known any more; read the list again"
        raise Refusal(410, "too_long_ago", detail)
    await report_delivered(deps, recipient, rows)
    items = [item_view(row) for row in rows if row.document is not None]
    gone = [{"id": row.id, "seq": row.seq} for row in rows if row.document is None]
    return answer({"items": items, "gone": gone, **change_of(state)})


async def stream_inbox(request: web.Request) -> web.StreamResponse:
    """Server-sent events: ``change`` at once, and whenever the inbox has changed."""
    recipient = recipient_of(request)
    read_query(request, STREAM_QUERY)
    visitor = request.get(VISITOR)
    until = visitor.until if visitor is not None else None
    return await request.app[STREAMS].serve(request, recipient, until)


async def see_item(request: web.Request) -> web.Response:
    return await mark_one(request, ItemMark.SEEN)


async def read_item(request: web.Request) -> web.Response:
    return await mark_one(request, ItemMark.READ)


async def unread_item(request: web.Request) -> web.Response:
    return await mark_one(request, ItemMark.UNREAD)


async def archive_item(request: web.Request) -> web.Response:
    return await mark_one(request, ItemMark.ARCHIVED)


async def click_item(request: web.Request) -> web.Response:
    body = await read_optional(request, ("action",))
    action = body.get("action", "")
    if not isinstance(action, str) or len(action) > ACTION_CHARS_MAX:
        detail = f"it must be a text of at most {ACTION_CHARS_MAX} characters"
        raise Refusal(400, "bad_field", detail, field="action")
    return await mark_one(request, ItemMark.CLICKED, action)


async def see_all(request: web.Request) -> web.Response:
    return await mark_all(request, ItemMark.SEEN)


async def read_all(request: web.Request) -> web.Response:
    return await mark_all(request, ItemMark.READ)


async def mark_one(request: web.Request, mark: ItemMark, detail: str = "") -> web.Response:
    """
    Mark one item. An item that is gone is no error: the list that was shown may be old. The receipt
    is durable before the mark, so that a mark without one never stays.
    """
    deps, recipient = request.app[DEPS], recipient_of(request)
    row = await deps.reader.item(recipient, request.match_info["item"], deps.now())
    if row is not None:
        found = [pressed(deps, recipient, row, detail)] if detail else receipts_of([row], mark)
        await submit(deps, found)
        await deps.reader.mark_item(recipient, row.id, mark, deps.now())
    return await marked(request, recipient)


async def mark_all(request: web.Request, mark: ItemMark) -> web.Response:
    """Mark everything that was there at ``up_to``."""
    deps, recipient = request.app[DEPS], recipient_of(request)
    body = await read_object(request, BODY_BYTES_MAX)
    up_to: Any = body.get("up_to")
    if not is_whole(up_to) or not 0 <= up_to < 2**53:
        raise Refusal(400, "bad_field", "it must be `seq` of what was shown", field="up_to")
    status, before = ("unseen" if mark is ItemMark.SEEN else "unread"), FIRST_ITEM
    while rows := await deps.reader.items(
        recipient, deps.now(), status=status, before=before, limit=RECEIPTS_AT_ONCE
    ):
        old = [row for row in rows if row.number <= up_to]
        await submit(deps, receipts_of(old, mark))
        before = (rows[-1].pinned, rows[-1].number)
    await deps.reader.mark_items(recipient, up_to, mark, deps.now())
    return await marked(request, recipient)


async def marked(request: web.Request, recipient: str) -> web.Response:
    request.app[STREAMS].announce_soon(recipient)
    deps = request.app[DEPS]
    return answer(change_of(await deps.reader.inbox(recipient, deps.now())))


# ---- bodies and views


async def read_optional(request: web.Request, known: Sequence[str]) -> dict[str, Any]:
    """The JSON object of a request, empty without a body. Raises ``Misshapen`` or ``Malformed``."""
    if not request.can_read_body:
        return {}
    body = await read_object(request, BODY_BYTES_MAX)
    refuse_unknown(body, known, "")
    return body


def is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def answer(body: Any) -> web.Response:
    return web.Response(body=orjson.dumps(body), content_type="application/json", charset="utf-8")


def item_view(row: ItemRow) -> dict[str, Any]:
    """An ``ItemView``."""

    def at(time: int | None) -> str | None:
        return rfc3339(time) if time is not None else None

    return {
        "id": row.id,
        "seq": row.seq,
        "message": row.message,
        "category": row.category,
        "pinned": bool(row.pinned),
        **orjson.loads(row.document or b"{}"),
        "created_at": at(row.created_at),
        "expires_at": at(row.expires_at),
        "seen_at": at(row.seen_at),
        "read_at": at(row.read_at),
        "clicked_at": at(row.clicked_at),
        "archived_at": at(row.archived_at),
    }


def cursor_of(row: ItemRow) -> str:
    return f"{row.pinned}-{row.number}"


def before_of(cursor: str | None) -> tuple[int, int]:
    """The place in the list at which a cursor stands."""
    if cursor is None:
        return FIRST_ITEM
    pinned, _, number = cursor.partition("-")
    if pinned not in ("0", "1") or not (number.isascii() and number.isdigit() and len(number) < 17):
        raise wrong("cursor", "this is no cursor", "send next_cursor of the page before, as it is")
    return int(pinned), int(number)
