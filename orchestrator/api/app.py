"""The two listeners: the public one, and the admin one for those who run the service."""

from __future__ import annotations

from aiohttp import web
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from orchestrator.api import events, receipts, resources, tracking, unsubscribe
from orchestrator.api.auth import RING, KeyRing, authenticate
from orchestrator.api.openapi import document
from orchestrator.api.ports import DEPS, ApiDeps
from orchestrator.api.problems import problems, safe_headers
from orchestrator.intake.cloudevents import BATCH_BYTES_MAX

__all__ = ["ApiDeps", "build_admin_app", "build_public_app"]


def build_public_app(deps: ApiDeps) -> web.Application:
    """Events, API, receipts, unsubscribe pages, probes."""
    app = web.Application(middlewares=[safe_headers, problems, authenticate], client_max_size=BATCH_BYTES_MAX)
    app[DEPS] = deps
    app[RING] = KeyRing()
    route = app.router
    if deps.settings().http_source:
        route.add_post("/v1/events", events.publish)
    route.add_get("/v1/messages", resources.list_messages)
    route.add_get("/v1/messages/{id}", resources.get_message)
    route.add_post("/v1/messages/{id}/cancel", resources.cancel_message)
    route.add_get("/v1/dead-letters", resources.list_dead_letters)
    route.add_get("/v1/dead-letters/{id}", resources.get_dead_letter)
    route.add_post("/v1/dead-letters/{id}/replay", resources.replay_dead_letter)
    route.add_put("/v1/recipients/{id}", resources.put_recipient)
    route.add_get("/v1/recipients/{id}", resources.get_recipient)
    route.add_delete("/v1/recipients/{id}", resources.delete_recipient)
    route.add_get("/v1/recipients/{id}/export", resources.export_recipient)
    route.add_put("/v1/recipients/{id}/consents", resources.put_consents)
    route.add_get("/v1/recipients/{id}/consents", resources.get_consents)
    route.add_post("/v1/opt-outs", resources.post_opt_outs)
    route.add_route("OPTIONS", "/v1/receipts/{provider}", receipts.preflight)
    route.add_post("/v1/receipts/{provider}", receipts.receive)
    route.add_get("/v1/receipts/{provider}", receipts.receive)
    route.add_get("/u/{token}", unsubscribe.page)
    route.add_post("/u/{token}", unsubscribe.unsubscribe)
    route.add_get("/o/{token}", tracking.pixel)
    route.add_get("/c/{token}", tracking.link)
    route.add_get("/openapi.json", openapi)
    add_probes(app)
    return app


def build_admin_app(deps: ApiDeps) -> web.Application:
    """Metrics, probes, reload; on loopback unless somebody says otherwise."""
    app = web.Application(middlewares=[safe_headers, problems])
    app[DEPS] = deps
    app.router.add_get("/metrics", metrics)
    app.router.add_post("/-/reload", reload)
    add_probes(app)
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
