"""The listeners, built from the route table."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from aiohttp import web

from orchestrator.api.audit import SEEN, audited
from orchestrator.api.auth import KEY_RING, ROWS, KeyRing, authenticate, refuse_other_pages
from orchestrator.api.connections import LISTENER, limits_of
from orchestrator.api.cors import cors_headers, preflight
from orchestrator.api.fast_path import FAST_PATH, WebhookFastPath
from orchestrator.api.inbox_streams import STREAMS, STREAMS_MAX, Streams, close_streams
from orchestrator.api.openapi import DOCUMENT, document
from orchestrator.api.ports import DEPS, ApiDeps
from orchestrator.api.problems import problems, refuse_without_store, safe_headers
from orchestrator.api.route import Listener, Route
from orchestrator.api.routes import ROUTES, WEBHOOK
from orchestrator.channels.registry import consent_channels
from orchestrator.events.cloudevents import BATCH_BYTES_MAX

__all__ = ["ApiDeps", "Listener", "build_app"]


def build_app(
    listener: Listener, deps: ApiDeps, routes: Sequence[Route] = ROUTES
) -> web.Application:
    """
    One listener's application. Handlers read bodies themselves, each with its own limit; aiohttp's
    limit stands above the largest of them.
    """
    public = listener is Listener.PUBLIC
    app = web.Application(
        middlewares=[
            problems,
            refuse_other_pages,
            *((refuse_without_store, authenticate) if public else ()),
        ],
        client_max_size=BATCH_BYTES_MAX,
    )
    app[DEPS] = deps
    app[LISTENER] = listener
    app[DOCUMENT] = whole_document(consent_channels()) if routes is ROUTES else document(routes)
    app[ROWS] = {}
    app[KEY_RING] = KeyRing()
    app[SEEN] = OrderedDict()
    app.on_response_prepare.append(safe_headers)
    app.on_response_prepare.append(cors_headers)
    app[STREAMS] = Streams(deps, min(STREAMS_MAX, limits_of(listener).most // 2))
    app.on_shutdown.append(close_streams)
    if public:
        app[FAST_PATH] = WebhookFastPath(deps, WEBHOOK.path)
    for row in routes:
        if listener in row.listeners and row.when(deps):
            add(app, row)
    return app


@lru_cache(maxsize=1)
def whole_document(channels: tuple[str, ...]) -> dict[str, Any]:
    """
    The document of all routes, which is the same for every listener and slow to make. ``channels``
    are what plug-ins change in it.
    """
    return document(ROUTES)


def add(app: web.Application, row: Route) -> None:
    """Serve a row, and remember it for authentication."""
    methods = ("GET", "HEAD") if row.method == "GET" and row.head else (row.method,)
    handler = row.handler if row.audited is None else audited(row, row.audited)
    for method in methods:
        app[ROWS][app.router.add_route(method, row.path, handler)] = row
    if row.personal:
        asked_first = replace(row, method="OPTIONS", handler=preflight, scope=None, personal=False)
        app[ROWS][app.router.add_route("OPTIONS", row.path, preflight)] = asked_first
