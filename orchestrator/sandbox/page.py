"""
The sandbox's page: every person's phone, live.

``/`` is the page, ``/_sandbox/stream`` what feeds it (server-sent events: one ``snapshot``, then
changes), and ``/_sandbox/mail/{seq}`` a mail's HTML, which runs nothing and loads nothing.
``/_sandbox/env`` has the accounts that the page shows, as an environment file.
``/_sandbox/token?person=`` does what a shop's own server does for its page: it asks Kaskad for a
token of the person's inbox.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from html import escape
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import quote

from aiohttp import ClientSession, web

from orchestrator.sandbox.standin import Common, as_json

FILES = Path(__file__).with_name("static")
SNAPSHOT_MESSAGES = 400
KEEPALIVE_SECONDS = 15.0
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'{service}; style-src 'self'; connect-src 'self'{service};"
    " frame-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
TOKEN_SECONDS = 86_400
MAIL_POLICY = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'self'"
)
TITLES = {"uk": "Каскад: телефони", "en": "Kaskad: phones"}
SAFE = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def routes(common: Common, environment_file: Callable[[], str]) -> list[web.RouteDef]:
    """The page, its two files, its stream, the accounts, and mails."""

    async def index(request: web.Request) -> web.Response:
        locale = locale_of(request)
        text = Template((FILES / "page.html").read_text("utf-8")).substitute(
            lang=locale, title=TITLES[locale], accounts=escape(environment_file())
        )
        service = common.inbox.in_app["service"]
        return _safe(
            text, "text/html", PAGE_POLICY.format(service=f" {service}" if service else "")
        )

    async def token(request: web.Request) -> web.Response:
        in_app, person = common.inbox.in_app, request.query.get("person", "")
        if person not in in_app["people"].values():
            return as_json(404, {"error": "PUT /_sandbox/in_app names nobody with this id"})
        url = f"{in_app['service']}/v1/inbox/{quote(person, safe='')}/tokens"
        body = {"expires_in": TOKEN_SECONDS}
        async with ClientSession() as session, session.post(url, json=body) as answer:
            return as_json(answer.status, await answer.json(content_type=None))

    async def mail(request: web.Request) -> web.Response:
        entry = common.inbox.find(int(request.match_info["seq"]))
        markup = entry.item.content.get("html") if entry else None
        if not markup:
            return _safe("There is no such mail.", "text/plain", MAIL_POLICY, status=404)
        return _safe(markup, "text/html", MAIL_POLICY)

    async def env(request: web.Request) -> web.Response:
        return _safe(environment_file(), "text/plain", MAIL_POLICY)

    async def stream(request: web.Request) -> web.StreamResponse:
        return await _stream(request, common)

    return [
        web.get("/", index),
        web.get("/_sandbox/page.css", _file("page.css", "text/css")),
        web.get("/_sandbox/page.js", _file("page.js", "text/javascript")),
        web.get(r"/_sandbox/mail/{seq:\d{1,15}}", mail),
        web.get("/_sandbox/env", env),
        web.get("/_sandbox/stream", stream),
        web.get("/_sandbox/token", token),
    ]


def locale_of(request: web.Request) -> str:
    """The language: ``?lang=``, else Ukrainian or English, whichever Accept-Language prefers."""
    asked = request.query.get("lang")
    if asked in TITLES:
        return asked
    weighed = []
    for position, part in enumerate(request.headers.get("Accept-Language", "").split(",")):
        tag, _, parameter = part.strip().partition(";")
        language = tag.split("-")[0].lower()
        with contextlib.suppress(ValueError):
            weight = float(parameter.strip().removeprefix("q=") or 1)
            if language in TITLES and weight > 0:
                weighed.append((-weight, position, language))
    return min(weighed)[2] if weighed else "en"


async def _stream(request: web.Request, common: Common) -> web.StreamResponse:
    response = web.StreamResponse(
        headers={**SAFE, "Content-Type": "text/event-stream; charset=utf-8"}
    )
    with common.inbox.listen() as changes:
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            await response.write(_event("snapshot", common.inbox.snapshot(SNAPSHOT_MESSAGES)))
            while not common.stopping.is_set():
                try:
                    change = await asyncio.wait_for(changes.get(), KEEPALIVE_SECONDS)
                except TimeoutError:
                    await response.write(b": still here\n\n")
                    continue
                if change is None:
                    break
                await response.write(_event(change["kind"], change["data"]))
    return response


def _event(kind: str, data: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


def _file(name: str, content_type: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def serve(request: web.Request) -> web.Response:
        policy = PAGE_POLICY.format(service="")
        return _safe((FILES / name).read_text("utf-8"), content_type, policy)

    return serve


def _safe(text: str, content_type: str, policy: str, status: int = 200) -> web.Response:
    headers = {**SAFE, "Content-Security-Policy": policy}
    return web.Response(
        status=status, text=text, content_type=content_type, charset="utf-8", headers=headers
    )
