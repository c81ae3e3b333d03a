"""API keys: ``Authorization: Bearer kk_…``. The scope that a call needs stands in its row."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import math
from collections import OrderedDict
from collections.abc import Mapping
from typing import NamedTuple

from aiohttp import web

from orchestrator.api.ports import DEPS, ApiDeps
from orchestrator.api.problems import Handler, problem
from orchestrator.api.route import Listener, Route, Scope
from orchestrator.primitives.durations import rfc3339
from orchestrator.primitives.tokens import INBOX_TOKEN
from orchestrator.stores.rows import ApiKeyRow

CACHE_MS = 2_000
CACHE_MAX = 1_000
FAILURES_PER_MINUTE = 60
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
BusyUntil = OrderedDict[str, float]
"""When (UTC milliseconds) each caller's requests so far would be over, made at an even pace."""

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
        self.keys_busy: BusyUntil = OrderedDict()
        self.people_busy: BusyUntil = OrderedDict()
        self._used: dict[str, int] = {}

    async def find(self, deps: ApiDeps, key: str) -> ApiKeyRow | None:
        """The stored key, which may be over; None if it is unknown or revoked."""
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

    def note_use(self, id: str, now: int) -> None:
        self._used[id] = now

    def take_used(self) -> list[tuple[str, int]]:
        """The keys that were used since the last call, by their ids, and when last."""
        used, self._used = self._used, {}
        return list(used.items())

    def count_failure(self, remote: str, now: int) -> bool:
        """Count a wrong key; whether there were too many from one address within a minute."""
        minute = now // 60_000
        at, count = self._failures.pop(remote, (minute, 0))
        count = count + 1 if at == minute else 1
        self._failures[remote] = (minute, count)
        if len(self._failures) > CACHE_MAX:
            self._failures.popitem(last=False)
        return count > FAILURES_PER_MINUTE


def count_call(busy_until: BusyUntil, caller: str, rate: tuple[int, int], now: int) -> float:
    """
    0 if a caller may make one more request, which is counted; else how long it has to wait. GCRA:
    one number a caller, and no burst above the ``rate`` (requests, window in ms).
    """
    count, window_ms = rate
    each_ms = window_ms / count
    until = busy_until.pop(caller, 0.0)
    if not now < until <= now + window_ms:  # idle, or the clock went back
        until = now
    early_ms = until + each_ms - now - window_ms
    busy_until[caller] = until if early_ms > 0 else until + each_ms
    if len(busy_until) > CACHE_MAX:
        busy_until.popitem(last=False)
    return max(early_ms, 0.0)


class Visitor(NamedTuple):
    """A person who calls with a token of their own, good until ``until`` (UTC milliseconds)."""

    recipient: str
    until: int


VISITOR = web.RequestKey("visitor", Visitor)
"""Where a request keeps its visitor."""
VISITOR_RATE = (600, 60_000)
"""Requests of one person, and the time (ms) that they are counted in."""

CALLER = web.RequestKey("caller", ApiKeyRow)
"""Where a request keeps its API key."""
KEY_RING: web.AppKey[KeyRing] = web.AppKey("key_ring", KeyRing)


def token_of(request: web.Request, row: Route) -> str:
    """
    The token of a person's own, "" if none came. A browser's ``EventSource`` can send no header, so
    the query may have it if the row says so.
    """
    kind, _, given = request.headers.get("Authorization", "").partition(" ")
    given = given.strip() if kind.lower() == "bearer" else ""
    if not given and any(one.name == "token" for one in row.query):
        given = request.query.get("token", "")
    return given if given.startswith(INBOX_TOKEN) else ""


async def as_visitor(request: web.Request, token: str, handler: Handler) -> web.StreamResponse:
    """Serve a person by their token: 401 if it is not good, 403 in another person's inbox."""
    deps, ring = request.app[DEPS], request.app[KEY_RING]
    found = deps.keys.read_inbox_token(token)
    if found is None or found[1] <= deps.now():
        if found is None and ring.count_failure(request.remote or "", deps.now()):
            return too_many_failures()
        code, what = ("token_expired", "is over") if found else ("unauthorized", "is not ours")
        answer = problem(401, code, f"this token {what}; ask your own server for another one")
        answer.headers["WWW-Authenticate"] = 'Bearer realm="kaskad", error="invalid_token"'
        return answer
    recipient, until = found
    if recipient != request.match_info["recipient"]:
        return problem(403, "forbidden", "this token is for another person's inbox")
    wait_ms = count_call(ring.people_busy, recipient, VISITOR_RATE, deps.now())
    if wait_ms > 0:
        answer = problem(429, "too_many_requests", "too many requests of one person; wait")
        answer.headers["Retry-After"] = str(math.ceil(wait_ms / 1000))
        return answer
    request[VISITOR] = Visitor(recipient, until)
    return await handler(request)


def too_many_failures() -> web.Response:
    detail = "too many wrong keys came from this address; wait a minute"
    answer = problem(429, "too_many_failures", detail)
    answer.headers["Retry-After"] = "60"
    return answer


def expired(key: ApiKeyRow) -> web.Response:
    ended = rfc3339(key.expires_at or 0)
    detail = f"this key was good until {ended}; make another one with kaskad keys create"
    answer = problem(401, "key_expired", detail)
    answer.headers["WWW-Authenticate"] = 'Bearer realm="kaskad", error="invalid_token"'
    return answer


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
async def refuse_other_pages(request: web.Request, handler: Handler) -> web.StreamResponse:
    """
    403 for a change that a web page of another origin asks for where no key or token is needed: a
    browser on this machine reaches what listens on loopback.
    """
    row = request.app[ROWS].get(request.match_info.route)
    if row is not None and row.personal and (token := token_of(request, row)):
        return await as_visitor(request, token, handler)
    if row is not None and row.method not in SAFE_METHODS:
        open_to_all = row.scope is not None or Listener.PUBLIC not in row.listeners
        if open_to_all and request.app[DEPS].auth == "off" and is_foreign(request.headers):
            detail = "a web page of another origin may not do this; use a program, or an API key"
            return problem(403, "foreign_origin", detail)
    return await handler(request)


def is_foreign(headers: Mapping[str, str]) -> bool:
    """
    Whether a browser says that a page of another origin is asking (Fetch, "Origin header"; Fetch
    Metadata 2.1). Our own origin is believed only by address: a name may be made to point here.
    """
    if headers.get("Sec-Fetch-Site", "none").strip().lower() not in ("none", "same-origin"):
        return True
    origin = headers.get("Origin")
    if origin is None:
        return False
    scheme, _, place = origin.strip().lower().partition("://")
    if scheme not in ("http", "https") or place != headers.get("Host", "").strip().lower():
        return True
    host = place.rpartition(":")[0] if place.rpartition(":")[2].isdigit() else place
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return host != "localhost"
    return False


@web.middleware
async def authenticate(request: web.Request, handler: Handler) -> web.StreamResponse:
    """401 without a valid key, 403 if it lacks the scope, 429 after too many requests."""
    deps = request.app[DEPS]
    scope = needed_scope(request) if deps.auth != "off" else None
    if scope is None or VISITOR in request:
        return await handler(request)
    ring = request.app[KEY_RING]
    kind, _, key = request.headers.get("Authorization", "").partition(" ")
    found = await ring.find(deps, key.strip()) if kind.lower() == "bearer" and key.strip() else None
    if found is None:
        if ring.count_failure(request.remote or "", deps.now()):
            return too_many_failures()
        fix = "send Authorization: Bearer kk_… with a valid key (kaskad keys create makes one)"
        answer = problem(401, "unauthorized", fix)
        invalid = ', error="invalid_token"' if key else ""
        answer.headers["WWW-Authenticate"] = 'Bearer realm="kaskad"' + invalid
        return answer
    if not found.works(deps.now()):
        return expired(found)
    rate = found.rate or deps.settings().http.key_rate
    wait_ms = count_call(ring.keys_busy, found.id, rate, deps.now())
    if wait_ms > 0:
        allowed = "its own rate" if found.rate is not None else "`http.key_rate`"
        detail = f"this key makes more requests than {allowed} allows; wait, or send batches"
        answer = problem(429, "too_many_requests", detail)
        answer.headers["Retry-After"] = str(math.ceil(wait_ms / 1000))
        return answer
    if scope not in found.scopes and Scope.ALL not in found.scopes:
        detail = f"this key has no scope {scope}; make one with kaskad keys create --scope {scope}"
        answer = problem(403, "forbidden", detail, scope=scope)
        answer.headers["WWW-Authenticate"] = (
            f'Bearer realm="kaskad", error="insufficient_scope", scope="{scope}"'
        )
        return answer
    ring.note_use(found.id, deps.now())
    request[CALLER] = found
    return await handler(request)
