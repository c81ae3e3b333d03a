"""What an agent or a bot answers to a recipient, within the session that they have opened."""

from __future__ import annotations

from typing import Annotated, TypedDict

from aiohttp import web
from msgspec import Meta, Struct

from orchestrator.api.bodies import read_object
from orchestrator.api.ports import DEPS
from orchestrator.api.problems import Refusal, unknown
from orchestrator.api.whose import person_of
from orchestrator.channels.registry import channels
from orchestrator.core.message import Status
from orchestrator.core.reasons import Reason
from orchestrator.core.replies import TEXT_CHARS_MAX
from orchestrator.engine.commands import Conflict, Converse, UnknownRecipient

KEY_HEADER = "Idempotency-Key"
KEY_CHARS_MAX = 128
BODY_BYTES_MAX = 64 * 1024


class ConversationBody(Struct):
    """A text, and the channel on which the recipient has written."""

    channel: str
    text: Annotated[str, Meta(min_length=1, max_length=TEXT_CHARS_MAX)]


class ConversedView(TypedDict):
    """The message; `suppressed` with `no_session`: the recipient has not written lately."""

    message: str
    status: Status
    reason: Reason | None


async def answer_recipient(request: web.Request) -> web.Response:
    """Send a text within a session; the same key again does nothing, and says the same."""
    deps, id = request.app[DEPS], await person_of(request)
    body = await read_object(request, BODY_BYTES_MAX)
    for name in body.keys() - {"channel", "text"}:
        raise wrong(str(name)[:64], "there is no such field; send `channel` and `text`")
    channel, text = body.get("channel"), body.get("text")
    if not isinstance(channel, str) or channel not in channels():
        raise wrong("channel", "name the channel on which the recipient has written")
    if not isinstance(text, str) or not text.strip() or len(text) > TEXT_CHARS_MAX:
        raise wrong("text", f"it must be a text of at most {TEXT_CHARS_MAX} characters")
    key = request.headers.get(KEY_HEADER, "") or deps.new_id()
    if len(key) > KEY_CHARS_MAX or not key.isprintable():
        raise wrong(KEY_HEADER, f"it must be a text of at most {KEY_CHARS_MAX} characters")
    try:
        made = await deps.engine.submit(Converse(id, channel, text, key))
    except Conflict as error:
        raise Refusal(409, "conflict", str(error)) from None
    except UnknownRecipient:
        raise unknown("recipient", id) from None
    except LookupError:
        detail = f"no provider is configured for {channel}, or nobody can answer there"
        raise Refusal(404, "unknown_channel", detail) from None
    stored = await deps.reader.message(made.message)
    if stored is None:
        raise unknown("message", made.message)
    message = stored.message
    view = {"message": message.id, "status": message.status, "reason": message.reason}
    return web.json_response(view, status=202)


def wrong(name: str, what: str) -> Refusal:
    return Refusal(400, "bad_field", what, field=name)
