"""API keys: `Authorization: Bearer kk_…`, scoped by the first word of the path."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from orchestrator.api.ports import DEPS
from orchestrator.api.problems import Handler, problem

OPEN = ("receipts", "inbox")
SCOPES = {
    "events": "events",
    "messages": "messages",
    "recipients": "recipients",
    "opt-outs": "recipients",
    "dead-letters": "dead_letters",
}
CACHE_MS = 5_000
CACHE_MAX = 1_000
FAILURES_PER_MINUTE = 60


class KeyRing:
    """Keys that were looked up within the last seconds, and how often somebody guessed."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[int, Mapping[str, Any] | None]] = OrderedDict()
        self._failures: OrderedDict[str, tuple[int, int]] = OrderedDict()

    async def find(self, request: web.Request, key: str) -> Mapping[str, Any] | None:
        deps = request.app[DEPS]
        hash = hashlib.sha256(key.encode()).hexdigest()
        at, found = self._known.get(hash, (0, None))
        if deps.now() - at > CACHE_MS:
            found = await deps.reader.api_key(hash)
            self._known[hash] = (deps.now(), found)
            if len(self._known) > CACHE_MAX:
                self._known.popitem(last=False)
        return found if found is not None and found["revoked_at"] is None else None

    def guessing(self, remote: str, now: int, failed: bool) -> bool:
        """Whether too many wrong keys came from one address within a minute."""
        minute = now // 60_000
        at, count = self._failures.get(remote, (minute, 0))
        count = (count if at == minute else 0) + failed
        self._failures[remote] = (minute, count)
        if len(self._failures) > CACHE_MAX:
            self._failures.popitem(last=False)
        return count > FAILURES_PER_MINUTE


RING: web.AppKey[KeyRing] = web.AppKey("ring", KeyRing)


def needed_scope(path: str) -> str | None:
    """The scope of a path under ``/v1``; None where no key is needed."""
    words = path.strip("/").split("/")
    if "v1" not in words[:2]:
        return None
    rest = words[words.index("v1") + 1 :]
    if not rest or rest[0] in OPEN:
        return None
    return SCOPES.get(rest[0], "all")


@web.middleware
async def authenticate(request: web.Request, handler: Handler) -> web.StreamResponse:
    """401 without a good key, 403 with one for something else."""
    deps = request.app[DEPS]
    scope = needed_scope(request.path)
    if deps.auth == "off" or scope is None:
        return await handler(request)
    ring = request.app[RING]
    remote = request.remote or ""
    if ring.guessing(remote, deps.now(), False):
        return problem(429, "too_many_failures", "too many wrong keys came from here; wait a minute")
    kind, _, key = request.headers.get("Authorization", "").partition(" ")
    found = await ring.find(request, key.strip()) if kind.lower() == "bearer" and key else None
    if found is None:
        ring.guessing(remote, deps.now(), bool(key))
        answer = problem(401, "unauthorized", "send Authorization: Bearer kk_… (kaskad keys create makes one)")
        answer.headers["WWW-Authenticate"] = 'Bearer realm="kaskad"'
        return answer
    if scope not in found["scopes"] and "all" not in found["scopes"]:
        return problem(403, "forbidden", f"this key has no scope {scope}; make one with kaskad keys create --scope {scope}")
    return await handler(request)
