"""
The control socket: how command-line verbs reach a running service.

With an embedded store only the service may write the file, so verbs speak to it over a Unix socket
beside the database (mode 0600: whoever may read the database may use it). It carries the public API
without keys, and the few calls that only operators have.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

from orchestrator.engine.rules import Rules
from orchestrator.explain import explanation, gather
from orchestrator.primitives.tokens import new_key
from orchestrator.stores.port import Store

SCOPES = ("events", "messages", "recipients", "dead_letters", "all")
KEY_PREFIX = "kk_"


def key_hash(key: str) -> str:
    """How an API key is stored: it is 256 bits of chance, so one hash is enough."""
    return hashlib.sha256(key.encode()).hexdigest()


def remove(path: Path) -> None:
    path.unlink(missing_ok=True)


class Control:
    """
    ``public`` is the API to mount, ``reload`` reloads the configuration and returns what was wrong
    with it, ``rotated`` is called with a new signing key in the store, ``rules`` gives what is
    decided by now.
    """

    def __init__(
        self,
        store: Store,
        public: web.Application,
        now: Callable[[], int],
        new_id: Callable[[], str],
        reload: Callable[[], Awaitable[list[str]]],
        rotated: Callable[[], Awaitable[None]],
        rules: Callable[[], Rules],
    ) -> None:
        self.store = store
        self._public = public
        self._now = now
        self._new_id = new_id
        self._reload = reload
        self._rotated = rotated
        self._rules = rules
        self._runner: web.AppRunner | None = None

    async def start(self, path: Path) -> None:
        """Listen on ``path``; a socket that nobody listens on any more is replaced."""
        app = web.Application()
        app.router.add_get("/control/explain/{id}", self.explain)
        app.router.add_post("/control/keys", self.create_key)
        app.router.add_get("/control/keys", self.list_keys)
        app.router.add_post("/control/keys/{id}/revoke", self.revoke_key)
        app.router.add_post("/control/signing-key/rotate", self.rotate)
        app.router.add_post("/control/reload", self.reload)
        app.add_subapp("/api", self._public)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        remove(path)
        mask = os.umask(0o177)
        try:
            await web.UnixSite(self._runner, str(path)).start()
        finally:
            os.umask(mask)
        self._path = path

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            remove(self._path)
            self._runner = None

    async def explain(self, request: web.Request) -> web.Response:
        """Why one message went where it went, as a document (docs/explain.md)."""
        material = await gather(self.store, request.match_info["id"], self._rules(), self._now())
        if material is None:
            return web.json_response(
                {"error": f"there is no message {request.match_info['id']}"}, status=404
            )
        return web.json_response(explanation(material))

    async def create_key(self, request: web.Request) -> web.Response:
        """A new API key; it is shown here and never again."""
        scopes = [str(scope) for scope in (await request.json())["scopes"]]
        wrong = [scope for scope in scopes if scope not in SCOPES]
        if wrong or not scopes:
            return web.json_response(
                {"error": f"scopes are {', '.join(SCOPES)}, not {', '.join(wrong)}"}, status=400
            )
        id, key = self._new_id(), KEY_PREFIX + secrets.token_urlsafe(32)
        await self.store.add_api_key(id, key_hash(key), scopes, self._now())
        return web.json_response({"id": id, "key": key})

    async def list_keys(self, request: web.Request) -> web.Response:
        keys = [key._asdict() for key in await self.store.api_keys()]
        for key in keys:
            del key["hash"]
        return web.json_response({"items": keys})

    async def revoke_key(self, request: web.Request) -> web.Response:
        if not await self.store.revoke_api_key(request.match_info["id"], self._now()):
            return web.json_response(
                {"error": "there is no such key, or it was revoked before"}, status=404
            )
        return web.json_response({"revoked": request.match_info["id"]})

    async def rotate(self, request: web.Request) -> web.Response:
        """A new signing key; what the old ones signed stays valid for 400 days."""
        await self.store.add_secret("signing", new_key(), self._now())
        await self._rotated()
        return web.json_response({"rotated": True})

    async def reload(self, request: web.Request) -> web.Response:
        problems = await self._reload()
        return web.json_response({"problems": problems}, status=200 if not problems else 422)
