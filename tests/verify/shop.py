"""A shop on an origin of its own, whose pages show a person's inbox."""

from __future__ import annotations

import asyncio
import hashlib
import json
import subprocess
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
from aiohttp import web

AXE = "axe-core@4.14.1"
PAGE = """\
<!doctype html>
<html lang="{lang}"><head><meta charset="utf-8"><title>Крамниця</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="/shop.css"><script src="/shop.js"></script></head>
<body class="{theme}"><header><h1>Крамниця</h1>
<kaskad-inbox recipient="{recipient}" token-url="/token" theme="{theme}"{server}></kaskad-inbox>
</header><main><p>Товари <a href="/other">Далі</a></p></main>
<script type="module" src="{service}/static/kaskad-inbox.js"></script></body></html>
"""
STYLE = """\
body { margin: 0; font: 16px/1.4 system-ui, sans-serif; background: #f6f7f9; color: #16191d; }
body.dark { background: #101316; color: #eef0f3; } body.dark a { color: #9cc4ff; }
header { display: flex; justify-content: space-between; align-items: center; padding: 6px 16px; }
h1 { font-size: 20px; } main { padding: 16px; }
"""
SCRIPT = """\
window.faults = []; window.counts = []; window.chosen = [];
addEventListener("error", (event) => faults.push(event.message));
addEventListener("unhandledrejection", (event) => faults.push(String(event.reason)));
document.addEventListener("securitypolicyviolation", (event) => faults.push(event.blockedURI));
document.addEventListener("kaskad-counts", (event) => counts.push(event.detail));
document.addEventListener("kaskad-click", (event) => {
  chosen.push([event.detail.item.title, event.detail.action ?? null, event.detail.url]);
  if (window.stay) event.preventDefault();
});
"""
PICTURE = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 9">'
    '<rect width="16" height="9" fill="#7bb6d9"/>'
    '<circle cx="8" cy="4.5" r="3" fill="#205072"/></svg>'
)


class Shop:
    """
    ``service`` is Kaskad's address. ``hostile`` are items that no Kaskad would send, for a page
    that asks this shop for them (``?hostile=1``).
    """

    def __init__(self, service: str, recipient: str = "olena") -> None:
        self.service, self.recipient = service, recipient
        self.hostile: list[dict[str, Any]] = []
        self.tokens_given = 0
        self.token_seconds = 3_600

    async def __aenter__(self) -> Shop:
        app = web.Application()
        router = app.router
        router.add_get("/token", self._token)
        router.add_get("/shop.css", _file(STYLE, "text/css"))
        router.add_get("/shop.js", _file(SCRIPT, "text/javascript"))
        router.add_get("/p.svg", _file(PICTURE, "image/svg+xml"))
        router.add_get("/v1/inbox/{recipient}", self._hostile)
        router.add_get("/v1/inbox/{recipient}/{call}", self._hostile)
        router.add_get("/{page:.*}", self._page)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://localhost:{self._runner.addresses[0][1]}"
        self._session = aiohttp.ClientSession()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()
        await self._runner.cleanup()

    async def _token(self, request: web.Request) -> web.Response:
        """What a shop's own server does for the person who is logged in."""
        self.tokens_given += 1
        url = f"{self.service}/v1/inbox/{quote(self.recipient)}/tokens"
        async with self._session.post(url, json={"expires_in": self.token_seconds}) as answer:
            return web.json_response(await answer.json(), status=answer.status)

    async def _page(self, request: web.Request) -> web.Response:
        query = request.query
        text = PAGE.format(
            lang=query.get("lang", "uk"),
            theme=query.get("theme", "light"),
            recipient=self.recipient,
            service=self.service,
            server=f' server="{self.url}/"' if "hostile" in query else "",
        )
        places = f"'self' {self.service}"
        policy = (
            f"default-src 'none'; script-src {places}; connect-src {places}; style-src 'self';"
            " img-src 'self'; require-trusted-types-for 'script'"
        )
        return web.Response(
            text=text, content_type="text/html", headers={"Content-Security-Policy": policy}
        )

    async def _hostile(self, request: web.Request) -> web.StreamResponse:
        state = {"seq": 1, "counts": {"unseen": len(self.hostile), "unread": len(self.hostile)}}
        call = request.match_info.get("call")
        if call == "stream":
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            await response.write(f"event: change\ndata: {json.dumps(state)}\n\n".encode())
            await asyncio.sleep(60)
            return response
        shown = {"items": self.hostile, "next_cursor": None}
        return web.json_response(
            {**(shown if call is None else {"items": [], "gone": []}), **state}
        )


def _file(text: str, content_type: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def serve(request: web.Request) -> web.Response:
        return web.Response(text=text, content_type=content_type, charset="utf-8")

    return serve


def axe_script() -> str:
    """axe-core, the accessibility checker."""
    return npm_file(AXE, "axe.min.js").read_text("utf-8")


def npm_file(package: str, path: str) -> Path:
    """A file of a package (``name@version``) from the npm registry; kept for the next run."""
    name = package.rpartition("@")[0]
    mark = hashlib.sha256(package.encode()).hexdigest()[:8]
    folder = Path(tempfile.gettempdir()) / f"kaskad-{mark}"
    file = folder / "node_modules" / name / path
    if not file.exists():
        folder.mkdir(exist_ok=True)
        command = ["npm", "install", "--silent", "--no-save", "--prefix", str(folder), package]
        subprocess.run(command, check=True, timeout=120)
    return file
