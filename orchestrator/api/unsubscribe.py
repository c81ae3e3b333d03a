"""
The unsubscribe page and one-click unsubscribing (RFC 8058).

A GET only ever shows the page, because mail scanners follow links; a POST acts, at once, and never
redirects.
"""

from __future__ import annotations

from email import message_from_bytes
from urllib.parse import parse_qsl

from aiohttp import web

from orchestrator.api import pages
from orchestrator.api.bodies import read_body
from orchestrator.api.ports import DEPS, ApiDeps
from orchestrator.api.receipts import submit_all
from orchestrator.engine.commands import OptOut

FORM_BYTES_MAX = 16 * 1024
FIELDS_MAX = 10


async def unsubscribe_page(request: web.Request) -> web.Response:
    """The page with a button for each scope. Nothing is stopped yet."""
    deps = request.app[DEPS]
    found = deps.keys.read_unsubscribe(request.match_info["token"])
    if found is None:
        return pages.gone(request)
    return pages.choices(await language(deps, request, found[0]), found[1], found[2])


async def unsubscribe(request: web.Request) -> web.Response:
    """
    A mail program's one click, or a button of the page: opt out of the message's topic on the
    channel that the link was sent on, of that channel with ``scope=channel``, of everything with
    ``scope=all``. The opt-out is also kept for the address that the message went to, so it holds
    for others who share it.
    """
    deps = request.app[DEPS]
    found = deps.keys.read_unsubscribe(request.match_info["token"])
    if found is None:
        return pages.gone(request)
    recipient, channel, topic, message = found
    form = await read_form(request)
    scopes = {"all": ("*", "*"), "channel": (channel, "*"), "topic": (channel, topic)}
    chosen = form.get("scope", "")
    chosen = chosen if chosen in scopes else "topic"
    source = "one_click" if form.get("List-Unsubscribe") == "One-Click" else "unsubscribe_page"
    scope = scopes[chosen]
    commands = [OptOut(recipient=recipient, channel=scope[0], topic=scope[1], source=source)]
    for hash in await addresses_of(deps, message, channel):
        commands.append(OptOut(address_hash=hash, channel=scope[0], topic=scope[1], source=source))
    await submit_all(deps, commands)
    deps.metrics.optouts.labels(scope[0], source).inc()
    return pages.done(await language(deps, request, recipient), channel, topic, chosen)


async def read_form(request: web.Request) -> dict[str, str]:
    """
    The fields of a form, urlencoded or multipart, because mail programs send either. An unreadable
    form has no fields, and still unsubscribes.
    """
    body = await read_body(request, FORM_BYTES_MAX)
    if request.content_type == "multipart/form-data":
        return multipart_fields(request.headers["Content-Type"], body)
    text = body.decode("utf-8", "replace")
    try:
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=FIELDS_MAX))
    except ValueError:
        return {}


def multipart_fields(content_type: str, body: bytes) -> dict[str, str]:
    """The text fields of a multipart form (RFC 7578)."""
    head = f"Content-Type: {content_type}\r\n\r\n".encode("latin-1", "replace")
    fields: dict[str, str] = {}
    for part in message_from_bytes(head + body).walk():
        name = part.get_param("name", header="content-disposition")
        value = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(value, bytes) and len(fields) < FIELDS_MAX:
            fields[name] = value.decode("utf-8", "replace").strip()
    return fields


async def addresses_of(deps: ApiDeps, message: str, channel: str) -> list[str]:
    """Hashes of the addresses that a message went to on a channel; none once it was purged."""
    stored = await deps.reader.message(message)
    attempts = stored.message.attempts if stored is not None else []
    return list(
        dict.fromkeys(attempt.address_hash for attempt in attempts if attempt.channel == channel)
    )


async def language(deps: ApiDeps, request: web.Request, recipient: str) -> str:
    """The page's language: the recipient's own if it is known, else the browser's."""
    document = await deps.reader.recipient(recipient)
    locale = (document or {}).get("locale")
    if locale:
        return pages.of_locale(locale)
    return pages.preferred(request.headers.get("Accept-Language", ""))
