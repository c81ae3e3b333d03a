"""API keys: ``Authorization: Bearer kk_…``, scoped by the first word of the path."""

from __future__ import annotations

import hashlib
import hmac
from collections import OrderedDict

from aiohttp import web

from orchestrator.api.ports import DEPS, ApiDeps
from orchestrator.api.problems import Handler, problem
from orchestrator.stores.rows import ApiKeyRow

OPEN = ("receipts", "inbox")
SCOPES = {
    "events": "events",
    "messages": "messages",
    "recipients": "recipients",
    "opt-outs": "recipients",
    "dead-letters": "dead_letters",
}
CACHE_MS = 2_000
CACHE_MAX = 1_000
FAILURES_PER_MINUTE = 60
MAKE_ONE = "kaskad keys create makes one"


class KeyRing:
    """
    Keys that were looked up within the last two seconds (so long a revoked key may still be taken),
    and how often somebody guessed. A good key is taken however many wrong ones came from the same
    address: others may share that address.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[int, ApiKeyRow]] = OrderedDict()
        self._failures: OrderedDict[str, tuple[int, int]] = OrderedDict()

    async def find(self, deps: ApiDeps, key: str) -> ApiKeyRow | None:
        """The stored key, None where there is none or it was revoked."""
        hash = hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
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

    def guessed(self, remote: str, now: int) -> bool:
        """Count a wrong key; whether too many came from one address within a minute."""
        minute = now // 60_000
        at, count = self._failures.pop(remote, (minute, 0))
        count = count + 1 if at == minute else 1
        self._failures[remote] = (minute, count)
        if len(self._failures) > CACHE_MAX:
            self._failures.popitem(last=False)
        return count > FAILURES_PER_MINUTE


RING: web.AppKey[KeyRing] = web.AppKey("ring", KeyRing)


def needed_scope(path: str) -> str | None:
    """The scope of a path under ``/v1``; None where no key is needed."""
    words = path.strip("/").split("/")
    if words[0] != "v1" or (len(words) > 1 and words[1] in OPEN):
        return None
    return SCOPES.get(words[1], "all") if len(words) > 1 else "all"


@web.middleware
async def authenticate(request: web.Request, handler: Handler) -> web.StreamResponse:
    """401 without a good key, 403 with one for something else, 429 for those who guess."""
    deps = request.app[DEPS]
    scope = needed_scope(request.path) if deps.auth != "off" else None
    if scope is None:
        return await handler(request)
    ring = request.app[RING]
    kind, _, key = request.headers.get("Authorization", "").partition(" ")
    found = await ring.find(deps, key.strip()) if kind.lower() == "bearer" and key.strip() else None
    if found is None:
        if ring.guessed(request.remote or "", deps.now()):
            answer = problem(
                429,
                "too_many_failures",
                "too many wrong keys came from this address; wait a minute",
            )
            answer.headers["Retry-After"] = "60"
            return answer
        answer = problem(
            401,
            "unauthorized",
            f"send Authorization: Bearer kk_… with a key that is valid ({MAKE_ONE})",
        )
        answer.headers["WWW-Authenticate"] = 'Bearer realm="kaskad"' + (
            ', error="invalid_token"' if key else ""
        )
        return answer
    if scope not in found.scopes and "all" not in found.scopes:
        detail = f"this key has no scope {scope}; make one with kaskad keys create --scope {scope}"
        answer = problem(403, "forbidden", detail, scope=scope)
        answer.headers["WWW-Authenticate"] = (
            f'Bearer realm="kaskad", error="insufficient_scope", scope="{scope}"'
        )
        return answer
    return await handler(request)
