"""
Links by which recipients connect a messenger: made by an API call, or by the link in a message.

The token in a link names 16 bytes; under their keyed hash the link stands in the recipient's
document until it is followed, at most for a day.
"""

from __future__ import annotations

import os
from typing import Any, TypedDict

from aiohttp import web

from orchestrator.api.pages import gone
from orchestrator.api.ports import DEPS, ApiDeps
from orchestrator.api.problems import Refusal
from orchestrator.api.tracking import is_automatic
from orchestrator.api.whose import person_of
from orchestrator.engine.commands import OpenLinks
from orchestrator.engine.handlers.links import LINK_MS
from orchestrator.primitives.durations import rfc3339

LINK_BYTES = 16


class LinksView(TypedDict):
    """Besides, a URL for each channel that can be linked, under the channel's name."""

    expires_at: str


def link_hash(deps: ApiDeps, link: bytes) -> str:
    """What a link is stored under."""
    return deps.address_hash("messenger_link", link.hex())


def new_links(deps: ApiDeps, only: str | None = None) -> dict[str, tuple[str, str]]:
    """A new link for each channel that has one: its URL, and what it is stored under."""
    found: dict[str, tuple[str, str]] = {}
    for adapter, channel in deps.adapters().values():
        if channel in found or only not in (None, channel):
            continue
        link = os.urandom(LINK_BYTES)
        url = adapter.link(deps.keys.messenger_link(link))
        if url is not None:
            found[channel] = (url, link_hash(deps, link))
    return found


def opening(recipient: str, links: dict[str, tuple[str, str]], message: str = "") -> OpenLinks:
    stored = tuple((hash, channel) for channel, (_, hash) in links.items())
    return OpenLinks(recipient, stored, message)


async def make_links(request: web.Request) -> web.Response:
    """New links for a recipient, one for each messenger; each works once, for a day."""
    deps, id = request.app[DEPS], await person_of(request)
    links = new_links(deps)
    if not links:
        detail = (
            "no provider can be linked; give the one of a messenger what its links need, such as"
            " the bot's `username`"
        )
        raise Refusal(409, "not_linkable", detail)
    until = await deps.engine.submit(opening(id, links))
    view: dict[str, Any] = {channel: url for channel, (url, _) in links.items()}
    return web.json_response({**view, "expires_at": rfc3339(until)}, status=201)


async def follow(request: web.Request) -> web.Response:
    """
    Redirect to a messenger by a new link, for a day after its message and until one was followed.
    What a program fetches for itself gets none.
    """
    deps = request.app[DEPS]
    found = deps.keys.read_link_to(request.match_info["token"])
    if found is None or is_automatic(request):
        return gone(request)
    id, channel = found
    stored, links = await deps.reader.message(id), new_links(deps, channel)
    if stored is None or not links or deps.now() - stored.message.created_at > LINK_MS:
        return gone(request)
    try:
        await deps.engine.submit(opening(stored.message.recipient, links, id))
    except LookupError:
        return gone(request)
    url = links[channel][0]
    return web.Response(status=302, headers={"Location": url, "X-Robots-Tag": "noindex"})
