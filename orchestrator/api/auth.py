"""API keys: ``Authorization: Bearer kk_…``. The scope that a call needs stands in its row."""

from __future__ import annotations

import hashlib
import hmac
from collections import OrderedDict

from aiohttp import web

from orchestrator.api.ports import DEPS, ApiDeps
from orchestrator.api.problems import Handler, problem
from orchestrator.api.route import Route, Scope
from orchestrator.stores.rows import ApiKeyRow

CACHE_MS = 2_000
CACHE_MAX = 1_000
FAILURES_PER_MINUTE = 60

ROWS: web.AppKey[dict[web.AbstractRoute, Route]] = web.AppKey("rows", dict)
"""The row behind each route of an application's router."""


def key_hash(key: str) -> str:
    """The stored form of an API key: it has 256 random bits, so one plain hash is enough."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


class KeyRing:
    """
    The keys found within the last two seconds (for that long a revoked key may still be accepted),
    and the failures of each remote address. A good key is accepted however many wrong ones came
    from the same address, because others may share it.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[int, ApiKeyRow]] = OrderedDict()
        self._failures: OrderedDict[str, tuple[int, int]] = OrderedDict()

    async def find(self, deps: ApiDeps, key: str) -> ApiKeyRow | None:
        """The stored key, or None if it is unknown or revoked."""
        hash = key_hash(key)
        now = deps.now()
        known = self._known.get(hash)
        if known is not None and 0 <= now - known[0] < CACHE_MS:
            return known[1]
        found = await deps.reader.api_key(hash)
        self._known.pop(hash, None)
        if (
            found is None
            or found.revoked_at is not None
            or not hmac.compare_digest(found.hash, hash)
        ):
            return None
        self._known[hash] = (now, found)
        if len(self._known) > CACHE_MAX:
            self._known.popitem(last=False)
        return found

    def count_failure(self, remote: str, now: int) -> bool:
        """Count a wrong key; whether there were too many from one address within a minute."""
        minute = now // 60_000
        at, count = self._failures.pop(remote, (minute, 0))
        count = count + 1 if at == minute else 1
        self._failures[remote] = (minute, count)
        if len(self._failures) > CACHE_MAX:
            self._failures.popitem(last=False)
        return count > FAILURES_PER_MINUTE


KEY_RING: web.AppKey[KeyRing] = web.AppKey("key_ring", KeyRing)


def needed_scope(request: web.Request) -> Scope | None:
    """
    The scope of the matched row. A path or method that does not exist needs the scope of its first
    word under ``/v1``, so that a caller without a key cannot find out which ones do.
    """
    rows = request.app[ROWS]
    row = rows.get(request.match_info.route)
    if row is not None:
        return row.scope
    words = request.path.split("/")[1:3]
    if words[0] != "v1":
        return None
    beside = (row.scope for row in rows.values() if row.path.split("/")[1:3] == words)
    return next(beside, Scope.ALL)


@web.middleware
async def authenticate(request: web.Request, handler: Handler) -> web.StreamResponse:
    """401 without a valid key, 403 if it lacks the scope, 429 after too many wrong keys."""
    deps = request.app[DEPS]
    scope = needed_scope(request) if deps.auth != "off" else None
    if scope is None:
        return await handler(request)
    ring = request.app[KEY_RING]
    kind, _, key = request.headers.get("Authorization", "").partition(" ")
    found = await ring.find(deps, key.strip()) if kind.lower() == "bearer" and key.strip() else None
    if found is None:
        if ring.count_failure(request.remote or "", deps.now()):
            detail = "too many wrong keys came from this address; wait a minute"
            answer = problem(429, "too_many_failures", detail)
            answer.headers["Retry-After"] = "60"
            return answer
        fix = "send Authorization: Bearer kk_… with a valid key (kaskad keys create makes one)"
        answer = problem(401, "unauthorized", fix)
        invalid = ', error="invalid_token"' if key else ""
        answer.headers["WWW-Authenticate"] = 'Bearer realm="kaskad"' + invalid
        return answer
    if scope not in found.scopes and Scope.ALL not in found.scopes:
        detail = f"this key has no scope {scope}; make one with kaskad keys create --scope {scope}"
        answer = problem(403, "forbidden", detail, scope=scope)
        answer.headers["WWW-Authenticate"] = (
            f'Bearer realm="kaskad", error="insufficient_scope", scope="{scope}"'
        )
        return answer
    return await handler(request)
