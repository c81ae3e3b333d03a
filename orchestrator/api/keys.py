"""API keys: made, listed and revoked by operators; and the signing key."""

from __future__ import annotations

import secrets
from typing import Any, TypedDict

from aiohttp import web

from orchestrator.api.audit import note_of
from orchestrator.api.auth import key_hash
from orchestrator.api.bodies import read_object
from orchestrator.api.ports import DEPS, ApiDeps
from orchestrator.api.problems import Refusal
from orchestrator.api.route import Scope
from orchestrator.configuration.scalars import NAME, NAME_FIX, parse_rate
from orchestrator.primitives.durations import duration, parse_duration
from orchestrator.primitives.tokens import new_key
from orchestrator.stores.rows import ApiKeyRow

KEY_PREFIX = "kk_"
LASTS_MS_MAX = 3_650 * 86_400_000
FIELDS = ("scopes", "name", "expires_in", "rate")


class KeyBody(TypedDict, total=False):
    """``expires_in`` is a duration (`90d`), ``rate`` as in `http.key_rate` (`600/1m`)."""

    scopes: list[Scope]
    name: str
    expires_in: str
    rate: str


class NewKeyView(TypedDict):
    """The key is shown once."""

    id: str
    key: str


class ApiKeyView(TypedDict):
    """
    A key without its secret. Times are UTC milliseconds; ``used_at`` is exact to a minute. ``rate``
    is null if `http.key_rate` holds.
    """

    id: str
    name: str
    scopes: list[str]
    created_at: int
    expires_at: int | None
    revoked_at: int | None
    used_at: int | None
    rate: str | None


class ApiKeysView(TypedDict):
    items: list[ApiKeyView]


async def create_key(request: web.Request) -> web.Response:
    """Create an API key. This answer is the only place where it is ever shown."""
    deps = request.app[DEPS]
    key = KEY_PREFIX + secrets.token_urlsafe(32)
    row = await read_key(deps, await read_object(request), key_hash(key))
    view = key_view(row)
    details = {name: view[name] for name in ("name", "scopes", "expires_at", "rate")}
    await deps.reader.add_api_key(row, note_of(request, "key.created", f"key:{row.id}", details))
    return web.json_response({"id": row.id, "key": key})


async def read_key(deps: ApiDeps, body: dict[str, Any], hash: str) -> ApiKeyRow:
    """The key that a body asks for. Raises ``Refusal``."""
    for given in body.keys() - set(FIELDS):
        raise bad(given[:64], f"there is no such field; send {', '.join(FIELDS)}")
    scopes = [str(scope) for scope in body.get("scopes") or ()]
    wrong = [scope for scope in scopes if scope not in set(Scope)]
    if wrong or not scopes:
        raise bad("scopes", f"scopes are {', '.join(Scope)}, not {', '.join(wrong) or 'none'}")
    name, lasts, rate = (body.get(field) for field in FIELDS[1:])
    if name and not (isinstance(name, str) and NAME.fullmatch(name)):
        raise bad("name", f"this is no name; use {NAME_FIX}")
    now = deps.now()
    if name and any(one.name == name and one.works(now) for one in await deps.reader.api_keys()):
        detail = f"a key {name!r} is valid already; revoke it first, or take another name"
        raise Refusal(409, "name_taken", detail, field="name")
    lasts_ms = parse_duration(lasts) if isinstance(lasts, str) else None
    if lasts is not None and not (lasts_ms and lasts_ms <= LASTS_MS_MAX):
        raise bad("expires_in", "it must be a duration of at most 3650d, such as 90d")
    limit = parse_rate(rate) if isinstance(rate, str) else None
    if rate is not None and limit is None:
        raise bad("rate", "it must be a count and a time, such as 600/1m")
    return ApiKeyRow(
        deps.new_id(),
        hash,
        tuple(scopes),
        now,
        None,
        name or "",
        now + lasts_ms if lasts_ms else None,
        limit,
    )


def bad(field: str, detail: str) -> Refusal:
    return Refusal(400, "bad_field", detail, field=field)


def key_view(row: ApiKeyRow) -> ApiKeyView:
    return {
        "id": row.id,
        "name": row.name,
        "scopes": list(row.scopes),
        "created_at": row.created_at,
        "expires_at": row.expires_at,
        "revoked_at": row.revoked_at,
        "used_at": row.used_at,
        "rate": f"{row.rate[0]}/{duration(row.rate[1])}" if row.rate is not None else None,
    }


async def list_keys(request: web.Request) -> web.Response:
    return web.json_response(
        {"items": [key_view(row) for row in await request.app[DEPS].reader.api_keys()]}
    )


async def revoke_key(request: web.Request) -> web.Response:
    deps, id = request.app[DEPS], request.match_info["id"]
    note = note_of(request, "key.revoked", f"key:{id[:64]}")
    if not await deps.reader.revoke_api_key(id, deps.now(), note):
        raise Refusal(404, "unknown_key", "there is no such key, or it was revoked before")
    return web.json_response({"revoked": id})


async def rotate_signing_key(request: web.Request) -> web.Response:
    """Add a signing key; what the one before it signed stays valid for 400 days."""
    deps = request.app[DEPS]
    note = note_of(request, "signing_key.rotated")
    await deps.reader.add_secret("signing", new_key(), deps.now(), note=note)
    await deps.rotated()
    return web.json_response({"rotated": True})
