"""The calls of those who run the service: probes, metrics, reload, keys, explain."""

from __future__ import annotations

import secrets
from typing import TypedDict

from aiohttp import web
from prometheus_client.exposition import choose_encoder

from orchestrator.api.auth import key_hash
from orchestrator.api.bodies import read_object
from orchestrator.api.openapi import DOCUMENT
from orchestrator.api.ports import DEPS
from orchestrator.api.problems import Refusal, unknown
from orchestrator.api.route import Scope
from orchestrator.explain import explanation, gather
from orchestrator.primitives.tokens import new_key

KEY_PREFIX = "kk_"


class ReloadView(TypedDict):
    """
    ``problems`` are the errors of a configuration that was refused, else empty. ``open_attempts``
    are how many attempts of each provider that the configuration no longer has may still be
    reported.
    """

    problems: list[str]
    open_attempts: dict[str, int]


class KeyBody(TypedDict):
    scopes: list[Scope]


class NewKeyView(TypedDict):
    """The key is shown once."""

    id: str
    key: str


async def openapi(request: web.Request) -> web.Response:
    return web.json_response(request.app[DOCUMENT])


async def metrics(request: web.Request) -> web.Response:
    """OpenMetrics, which has exemplars, if the scraper accepts it; else Prometheus' text."""
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    body = encode(request.app[DEPS].metrics.registry)
    return web.Response(body=body, headers={"Content-Type": content_type})


async def live(request: web.Request) -> web.Response:
    return web.Response(text="ok\n")


async def ready(request: web.Request) -> web.Response:
    """503 until everything has started, and again from the moment the service is told to stop."""
    good = request.app[DEPS].is_ready()
    return web.Response(status=200 if good else 503, text="ready\n" if good else "not ready\n")


async def reload(request: web.Request) -> web.Response:
    """Load the configuration again; a bad one is refused and the old one stays in force."""
    deps = request.app[DEPS]
    found = await deps.reload()
    answer = {"problems": found, "open_attempts": dict(deps.left_open()) if not found else {}}
    return web.json_response(answer, status=200 if not found else 422)


async def configuration(request: web.Request) -> web.Response:
    """The configuration in force, its secrets masked."""
    return web.json_response(request.app[DEPS].effective())


async def explain(request: web.Request) -> web.Response:
    """The explanation of one message; docs/explain.md has its shape."""
    deps, id = request.app[DEPS], request.match_info["id"]
    material = await gather(deps.reader, id, deps.engine.rules, deps.now())
    if material is None:
        raise unknown("message", id)
    return web.json_response(explanation(material))


async def create_key(request: web.Request) -> web.Response:
    """Create an API key. This answer is the only place where it is ever shown."""
    deps = request.app[DEPS]
    scopes = [str(scope) for scope in (await read_object(request)).get("scopes") or ()]
    wrong = [scope for scope in scopes if scope not in set(Scope)]
    if wrong or not scopes:
        detail = f"scopes are {', '.join(Scope)}, not {', '.join(wrong) or 'none'}"
        raise Refusal(400, "bad_field", detail, field="scopes")
    id, key = deps.new_id(), KEY_PREFIX + secrets.token_urlsafe(32)
    await deps.reader.add_api_key(id, key_hash(key), scopes, deps.now())
    return web.json_response({"id": id, "key": key})


async def list_keys(request: web.Request) -> web.Response:
    keys = await request.app[DEPS].reader.api_keys()
    shown = [key._asdict() for key in keys]
    for key in shown:
        del key["hash"]
    return web.json_response({"items": shown})


async def revoke_key(request: web.Request) -> web.Response:
    deps, id = request.app[DEPS], request.match_info["id"]
    if not await deps.reader.revoke_api_key(id, deps.now()):
        raise Refusal(404, "unknown_key", "there is no such key, or it was revoked before")
    return web.json_response({"revoked": id})


async def rotate_signing_key(request: web.Request) -> web.Response:
    """Add a signing key; what the one before it signed stays valid for 400 days."""
    deps = request.app[DEPS]
    await deps.reader.add_secret("signing", new_key(), deps.now())
    await deps.rotated()
    return web.json_response({"rotated": True})
