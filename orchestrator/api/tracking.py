"""Tracked links and pixels of mails. A link's target is signed inside the link."""

from __future__ import annotations

import asyncio
import base64
from urllib.parse import urlsplit

import structlog
from aiohttp import web

from orchestrator.api.pages import gone
from orchestrator.api.ports import DEPS, ApiDeps
from orchestrator.channels import Engagement, Receipt
from orchestrator.engine.commands import RecordReceipt
from orchestrator.engine.engine import Busy, Stopped
from orchestrator.stores.port import StoreBusy

log = structlog.get_logger()

GIF = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
RECORD_SECONDS = 2.0


async def opened(request: web.Request) -> web.Response:
    """
    A transparent picture. Loading it records that the mail was read; it is sent whatever the token
    is.
    """
    deps = request.app[DEPS]
    attempt = deps.keys.read_pixel(request.match_info["token"])
    if attempt is not None and request.method == "GET":
        await record(deps, attempt, Engagement.READ)
    return web.Response(body=GIF, content_type="image/gif")


async def clicked(request: web.Request) -> web.Response:
    """Redirect to the link's target. A HEAD, which only scanners send, is not a click."""
    deps = request.app[DEPS]
    found = deps.keys.read_link(request.match_info["token"])
    if found is None or not can_be_followed(found[2]):
        return gone(request)
    message, attempt, url = found
    if request.method == "GET":
        await record(deps, (message, attempt), Engagement.CLICKED)
    return web.Response(status=302, headers={"Location": url, "X-Robots-Tag": "noindex"})


def can_be_followed(url: str) -> bool:
    """Whether a browser can be redirected to a template's link."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return (
        parts.scheme in ("http", "https")
        and bool(parts.netloc)
        and not any(ord(letter) < 33 for letter in url)
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
