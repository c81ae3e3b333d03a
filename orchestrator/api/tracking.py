"""
Links and pixels of mails: what was opened, what was clicked. The target stands signed inside the
link.
"""

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


async def pixel(request: web.Request) -> web.Response:
    """
    A picture of nothing; a mail program that shows it tells that the mail was opened. It comes
    whatever the token is.
    """
    deps = request.app[DEPS]
    place = deps.keys.read_pixel(request.match_info["token"])
    if place is not None and request.method == "GET":
        await record(deps, place, Engagement.READ)
    return web.Response(body=GIF, content_type="image/gif")


async def link(request: web.Request) -> web.Response:
    """On to where the link leads; a HEAD, which only scanners send, is not a click."""
    deps = request.app[DEPS]
    found = deps.keys.read_link(request.match_info["token"])
    if found is None or not leads_somewhere(found[2]):
        return gone(request)
    message, attempt, url = found
    if request.method == "GET":
        await record(deps, (message, attempt), Engagement.CLICKED)
    return web.Response(status=302, headers={"Location": url, "X-Robots-Tag": "noindex"})


def leads_somewhere(url: str) -> bool:
    """Whether a template's link is one that a browser can be sent to."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return (
        parts.scheme in ("http", "https")
        and bool(parts.netloc)
        and not any(ord(letter) < 33 for letter in url)
    )


async def record(deps: ApiDeps, place: tuple[str, int], state: Engagement) -> None:
    """Tell the engine; the person gets where they want to go even where it has no time."""
    message, attempt = place
    try:
        async with asyncio.timeout(RECORD_SECONDS):
            stored = await deps.reader.message(message)
            if stored is None or attempt >= len(stored.message.attempts):
                return
            provider = stored.message.attempts[attempt].provider
            # the command goes on when the person does not wait for it any longer
            await asyncio.shield(
                deps.engine.submit(RecordReceipt(provider, Receipt(state=state), message, attempt))
            )
    except (Busy, Stopped, StoreBusy, LookupError, TimeoutError) as error:
        log.warning("tracking.not_recorded", state=state.value, reason=type(error).__name__)
