"""The calls of those who run the service: probes, metrics, reload, explain."""

from __future__ import annotations

from typing import TypedDict

from aiohttp import web
from prometheus_client.exposition import choose_encoder

from orchestrator.api.audit import actor_of
from orchestrator.api.openapi import DOCUMENT
from orchestrator.api.ports import DEPS
from orchestrator.api.problems import unknown
from orchestrator.explain import explanation, gather
from orchestrator.explain.journeys import gather_journey, journey_explanation
from orchestrator.stores.journey_rows import is_journey


class ReloadView(TypedDict):
    """
    ``problems`` are the errors of a configuration that was refused, else empty. ``open_attempts``
    are how many attempts of each provider that the configuration no longer has may still be
    reported.
    """

    problems: list[str]
    open_attempts: dict[str, int]


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
    found = await deps.reload(actor_of(request))
    answer = {"problems": found, "open_attempts": dict(deps.left_open()) if not found else {}}
    return web.json_response(answer, status=200 if not found else 422)


async def configuration(request: web.Request) -> web.Response:
    """The configuration in force, its secrets masked."""
    return web.json_response(request.app[DEPS].effective())


async def explain(request: web.Request) -> web.Response:
    """The explanation of one message or one journey; docs/explain.md has its shape."""
    deps, id = request.app[DEPS], request.match_info["id"]
    if is_journey(id):
        lived = await gather_journey(deps.reader, id, deps.engine.rules, deps.now())
        if lived is None:
            raise unknown("journey", id)
        return web.json_response(journey_explanation(lived))
    material = await gather(deps.reader, id, deps.engine.rules, deps.now())
    if material is None:
        raise unknown("message", id)
    return web.json_response(explanation(material))
