"""The two listeners: the public one, and the admin one for those who run the service."""

from __future__ import annotations

from typing import Any

from aiohttp import web
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from orchestrator.api import (
    dead_letters,
    events,
    messages,
    receipts,
    recipients,
    tracking,
    unsubscribe,
)
from orchestrator.api.auth import RING, KeyRing, authenticate
from orchestrator.api.fast_path import DOOR, ROUTE, WebhookFastPath
from orchestrator.api.openapi import document
from orchestrator.api.ports import DEPS, ApiDeps
from orchestrator.api.problems import problems, safe_headers, store_away
from orchestrator.events.cloudevents import BATCH_BYTES_MAX

__all__ = ["ApiDeps", "build_admin_app", "build_public_app"]


def build_public_app(deps: ApiDeps) -> web.Application:
    """
    Events, API, receipts, unsubscribe pages, tracked links, probes. Without ``auth`` (a loopback
    listener, or the control socket) events are taken even where HTTP is no source of the
    configuration: that is how the command line publishes.
    """
    app = new_app(deps, [problems, store_away, authenticate])
    app[RING] = KeyRing()
    app[DOOR] = WebhookFastPath(deps)
    route = app.router
    if deps.settings().sources.http or deps.auth == "off":
        route.add_post("/v1/events", events.publish)
    route.add_get("/v1/messages", messages.list_messages)
    route.add_get("/v1/messages/{id}", messages.get_message)
    route.add_post("/v1/messages/{id}/cancel", messages.cancel_message)
    route.add_get("/v1/dead-letters", dead_letters.list_dead_letters)
    route.add_get("/v1/dead-letters/{id}", dead_letters.get_dead_letter)
    route.add_post("/v1/dead-letters/{id}/replay", dead_letters.replay_dead_letter)
    route.add_put("/v1/recipients/{id}", recipients.put_recipient)
    route.add_get("/v1/recipients/{id}", recipients.get_recipient)
    route.add_delete("/v1/recipients/{id}", recipients.delete_recipient)
    route.add_get("/v1/recipients/{id}/export", recipients.export_recipient)
    route.add_put("/v1/recipients/{id}/consents", recipients.put_consents)
    route.add_get("/v1/recipients/{id}/consents", recipients.get_consents)
    route.add_post("/v1/opt-outs", recipients.post_opt_outs)
    route.add_route("OPTIONS", ROUTE, receipts.preflight)
    route.add_post(ROUTE, receipts.receive)
    route.add_get(ROUTE, receipts.receive, allow_head=False)
    route.add_get("/u/{token}", unsubscribe.page)
    route.add_post("/u/{token}", unsubscribe.unsubscribe)
    route.add_get("/o/{token}", tracking.pixel)
    route.add_get("/c/{token}", tracking.link)
    route.add_get("/openapi.json", openapi)
    add_probes(app)
    return app


def build_admin_app(deps: ApiDeps) -> web.Application:
    """Metrics, probes, reload; on loopback unless somebody says otherwise."""
    app = new_app(deps, [problems])
    app.router.add_get("/metrics", metrics)
    app.router.add_post("/-/reload", reload)
    add_probes(app)
    return app


def new_app(deps: ApiDeps, middlewares: list[Any]) -> web.Application:
    """
    Handlers read bodies themselves, each with its own limit; aiohttp's stands above the largest of
    them.
    """
    app = web.Application(middlewares=middlewares, client_max_size=BATCH_BYTES_MAX)
    app[DEPS] = deps
    app.on_response_prepare.append(safe_headers)
    return app


def add_probes(app: web.Application) -> None:
    app.router.add_get("/livez", live)
    app.router.add_get("/readyz", ready)


async def openapi(request: web.Request) -> web.Response:
    return web.json_response(document())


async def metrics(request: web.Request) -> web.Response:
    body = generate_latest(request.app[DEPS].metrics.registry)
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})


async def live(request: web.Request) -> web.Response:
    return web.Response(text="ok\n")


async def ready(request: web.Request) -> web.Response:
    """503 before everything is up, and from the moment it is told to stop."""
    good = request.app[DEPS].is_ready()
    return web.Response(status=200 if good else 503, text="ready\n" if good else "not ready\n")


async def reload(request: web.Request) -> web.Response:
    """Load the configuration again; a bad one is refused, and the old one stays."""
    found = await request.app[DEPS].reload()
    return web.json_response({"problems": found}, status=200 if not found else 422)
