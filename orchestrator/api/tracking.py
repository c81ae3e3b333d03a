"""Links and pixels of mails: what was opened, what was clicked. The target stands signed inside the link."""

from __future__ import annotations

import base64

from aiohttp import web

from orchestrator.api.ports import DEPS, ApiDeps
from orchestrator.api.problems import problem
from orchestrator.channels import Engagement, Receipt
from orchestrator.engine.commands import HearReceipt
from orchestrator.engine.engine import Busy, Stopped

GIF = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")


async def pixel(request: web.Request) -> web.Response:
    """A picture of nothing; a mail program that shows it tells that the mail was opened."""
    deps = request.app[DEPS]
    place = deps.keys.read_pixel(request.match_info["token"])
    if place is not None and request.method == "GET":
        await record(deps, place, Engagement.READ)
    return web.Response(body=GIF, content_type="image/gif")


async def link(request: web.Request) -> web.Response:
    """On to where the link leads; a HEAD, which only scanners send, is not a click."""
    deps = request.app[DEPS]
    found = deps.keys.read_link(request.match_info["token"])
    if found is None:
        return problem(404, "unknown_link", "this link is not ours, or too old")
    message, attempt, url = found
    if request.method == "GET":
        await record(deps, (message, attempt), Engagement.CLICKED)
    return web.Response(status=302, headers={"Location": url})


async def record(deps: ApiDeps, place: tuple[str, int], state: Engagement) -> None:
    """Tell the engine; the person gets where they want to go even where it has no time."""
    message, attempt = place
    stored = await deps.reader.message(message)
    if stored is None or attempt >= len(stored.message.attempts):
        return
    provider = stored.message.attempts[attempt].provider
    try:
        await deps.engine.submit(HearReceipt(provider, Receipt(state=state), message, attempt))
    except (Busy, Stopped, LookupError):
        return
