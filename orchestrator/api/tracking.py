"""Tracked links and pixels of mails. A link's target is signed inside the link."""

from __future__ import annotations

import asyncio
import base64
import re

import structlog
from aiohttp import web

from orchestrator.api.pages import gone
from orchestrator.api.ports import DEPS, ApiDeps
from orchestrator.channels import Engagement, Receipt, is_program
from orchestrator.engine.commands import RecordReceipt
from orchestrator.engine.engine import Busy, Stopped
from orchestrator.primitives.web_urls import encoded
from orchestrator.stores.port import StoreBusy

log = structlog.get_logger()

GIF = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
RECORD_SECONDS = 2.0
PURPOSE_CHARS_MAX = 200

PURPOSE_HEADERS = ("Sec-Purpose", "Purpose", "X-Purpose", "X-Moz", "Sec-Fetch-Purpose")
PURPOSE = re.compile(r"prefetch|prerender|preview|instant", re.IGNORECASE)
"""How browsers mark what nobody has clicked yet (Fetch standard, "Sec-Purpose")."""


async def opened(request: web.Request) -> web.Response:
    """
    A transparent picture. Loading it records that the mail was read; it is sent whatever the token
    is.
    """
    deps = request.app[DEPS]
    attempt = deps.keys.read_pixel(request.match_info["token"])
    if attempt is not None and not is_automatic(request):
        await record(deps, attempt, Engagement.READ)
    return web.Response(body=GIF, content_type="image/gif")


async def clicked(request: web.Request) -> web.Response:
    """Redirect to the link's target. What a program fetched for itself is not a click."""
    deps = request.app[DEPS]
    found = deps.keys.read_link(request.match_info["token"])
    if found is None:
        return gone(request)
    message, attempt, target = found
    try:
        url = encoded(target)
    except ValueError:
        return gone(request)
    if not is_automatic(request):
        await record(deps, (message, attempt), Engagement.CLICKED)
    return web.Response(status=302, headers={"Location": url, "X-Robots-Tag": "noindex"})


def is_automatic(request: web.Request) -> bool:
    """
    Whether a program fetched this before or without a person: a HEAD, a prefetch by its header, a
    link preview, a mail scanner or an image proxy by its name.
    """
    headers = request.headers
    said = ",".join(headers.get(name, "")[:PURPOSE_CHARS_MAX] for name in PURPOSE_HEADERS)
    return (
        request.method != "GET"
        or PURPOSE.search(said) is not None
        or is_program(headers.get("User-Agent", ""))
    )


async def record(deps: ApiDeps, attempt: tuple[str, int], state: Engagement) -> None:
    """
    Record an engagement with an attempt, given as message id and number. If that fails or takes too
    long it is only logged: the reader gets the page either way.
    """
    message, number = attempt
    try:
        async with asyncio.timeout(RECORD_SECONDS):
            stored = await deps.reader.message(message)
            if stored is None or number >= len(stored.message.attempts):
                return
            provider = stored.message.attempts[number].provider
            command = RecordReceipt(provider, Receipt(state=state), message, number)
            # shielded: the command goes on when the reader waits no longer
            await asyncio.shield(deps.engine.submit(command))
    except (Busy, Stopped, StoreBusy, LookupError, TimeoutError) as error:
        log.warning("tracking.not_recorded", state=state.value, reason=type(error).__name__)
