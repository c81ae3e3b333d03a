"""Messages: one with its trace, lists, and cancelling."""

from __future__ import annotations

from typing import Annotated, Literal, TypedDict

from aiohttp import web
from msgspec import UNSET, Meta, Struct, UnsetType

from orchestrator.api.bodies import read_object
from orchestrator.api.ports import DEPS
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
    read_word,
)
from orchestrator.api.route import Parameter
from orchestrator.api.whose import people_of
from orchestrator.channels import Delivery, Receipt
from orchestrator.core.message import Status
from orchestrator.core.outcomes import OutcomeKind
from orchestrator.core.reasons import Reason
from orchestrator.engine.commands import Cancel, NotRetryable, RecordReceipt, RetryMessage
from orchestrator.explain.views import MessageView, full_view, message_view
from orchestrator.primitives.durations import parse_duration

FILTERS = (
    Parameter(
        "recipient",
        "Only to this recipient, or to all with this phone or mailbox.",
        QueryText,
    ),
    Parameter("policy", "Only messages of this policy.", QueryText),
    Parameter("status", "Only messages with this status.", Status),
    Parameter("reason", "Only messages that ended for this reason.", Reason),
    *SPAN,
    *PAGING,
)
SAME_DEADLINE = "original"
DEADLINE_MS_MAX = 366 * 86_400_000


DeadlineText = Annotated[
    str,
    Meta(
        description=(
            "`2h`: that long from now; `original`: the message's own. Without it, the policy's"
            " from now."
        )
    ),
]


class RetryBody(Struct):
    """What the retry differs in."""

    deadline: DeadlineText | UnsetType = UNSET
    dry_run: bool | UnsetType = UNSET


class ResolveBody(Struct):
    """What became of a send."""

    delivered: bool


class RetriedView(TypedDict):
    """What became of it; ``message`` is the retry, null if it was only asked."""

    status: Literal["started", "already_retried", "would_start"]
    message: str | None


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
    status, reason = read_word(query, "status", Status), read_word(query, "reason", Reason)
    limit = read_limit(query)
    since, before = read_span(query)
    deps = request.app[DEPS]
    who = query.get("recipient")
    found = await deps.reader.messages(
        recipients=None if who is None else await people_of(deps, who, "recipient"),
        policy=query.get("policy"),
        status=status,
        reason=reason,
        since=since,
        before=before,
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


async def retry_message(request: web.Request) -> web.Response:
    """
    Start a message that ended without a send again, under today's version of its policy. Retrying
    twice is harmless: the answer then names the first retry.
    """
    body = await read_object(request) if request.can_read_body else {}
    for name in body.keys() - {"deadline", "dry_run"}:
        raise bad_field(name[:64], "there is no such field; send `deadline` and `dry_run`")
    deadline, dry_run = body.get("deadline"), body.get("dry_run", False)
    if not isinstance(dry_run, bool):
        raise bad_field("dry_run", "it must be true or false")
    same = deadline == SAME_DEADLINE
    lasts = parse_duration(deadline) if isinstance(deadline, str) and not same else None
    if deadline is not None and not same and not (lasts and lasts <= DEADLINE_MS_MAX):
        raise bad_field("deadline", "it must be a duration of at most 366d (`2h`), or `original`")
    id = request.match_info["id"]
    try:
        answer = await request.app[DEPS].engine.submit(RetryMessage(id, lasts, same, dry_run))
    except NotRetryable as error:
        detail = f"message {id} is not retried: {error.what}"
        raise Refusal(409, error.code, detail) from None
    return web.json_response({"status": answer.status, "message": answer.message})


def bad_field(name: str, what: str) -> Refusal:
    return Refusal(400, "bad_field", what, field=name)


async def resolve_attempt(request: web.Request) -> web.Response:
    """
    Record what became of a send whose outcome is unknown, as its provider's receipt would have.
    """
    id, number = request.match_info["id"], request.match_info["attempt"]
    body = await read_object(request)
    delivered = body.get("delivered")
    if body.keys() != {"delivered"} or not isinstance(delivered, bool):
        raise bad_field("delivered", 'send {"delivered": true} or {"delivered": false}')
    stored = await request.app[DEPS].reader.message(id)
    if stored is None:
        raise unknown("message", id)
    attempts = {str(attempt.number): attempt for attempt in stored.message.attempts}
    attempt = attempts.get(number)
    if attempt is None:
        raise unknown("attempt", number)
    if attempt.outcome is not OutcomeKind.UNKNOWN:
        detail = (
            f"the outcome of attempt {number} is {attempt.outcome}; only an unknown one is open"
        )
        raise Refusal(409, "not_unknown", detail)
    state = Delivery.DELIVERED if delivered else Delivery.FAILED
    receipt = Receipt(state=state, detail="resolved by an operator")
    await request.app[DEPS].engine.submit(
        RecordReceipt(attempt.provider, receipt, id, attempt.number)
    )
    return await get_message(request)
