"""``/v1/receipts/{provider}``: what providers, and browsers, report. Durable before it is answered."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import structlog
from aiohttp import web

from orchestrator.api.ports import DEPS, ApiDeps
from orchestrator.api.problems import problem
from orchestrator.channels import Adapter, Forged, Inbound, Preference, Receipt, Webhook
from orchestrator.engine.commands import Command, HearInbound, HearPreference, HearReceipt
from orchestrator.intake.strictjson import depth

log = structlog.get_logger()

BODY_BYTES_MAX = 256 * 1024
DEPTH_MAX = 32
CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "POST",
    "Access-Control-Allow-Headers": "Content-Type",
    "Access-Control-Max-Age": "86400",
}


async def preflight(request: web.Request) -> web.Response:
    """The service worker lives on the shop's origin."""
    return web.Response(status=204, headers=CORS)


async def receive(request: web.Request) -> web.StreamResponse:
    """Verify, read, hand to the engine, and answer as the provider wants it once that has committed."""
    deps = request.app[DEPS]
    provider = request.match_info["provider"]
    found = deps.adapters().get(provider)
    if found is None:
        return problem(404, "unknown_provider", "no provider of this name is configured")
    adapter, channel = found
    if "Content-Encoding" in request.headers:
        raise web.HTTPUnsupportedMediaType(text="compressed webhooks are not read")
    if request.content_length is not None and request.content_length > BODY_BYTES_MAX:
        return problem(413, "too_large", "the body is larger than 256 KiB")
    body = await request.read()
    if len(body) > BODY_BYTES_MAX:
        return problem(413, "too_large", "the body is larger than 256 KiB")
    if too_deep(body):
        return problem(400, "too_deep", f"the body is nested more than {DEPTH_MAX} levels deep")
    hook = webhook(deps, request, body)
    try:
        verify(adapter, hook)
        heard = list(adapter.receipts(hook))
        answer = adapter.answer(hook)
    except Forged as error:
        deps.metrics.forged.labels(provider).inc()
        log.warning("receipts.forged", provider=provider, why=str(error))
        return problem(403, "forged", "the signature does not match")
    commands = list(commands_of(deps, provider, channel, heard))
    for result in await deps.engine.submit_many(commands):
        if isinstance(result, BaseException) and not isinstance(result, LookupError):
            raise result
    headers = {**answer.headers, **CORS}
    return web.Response(status=answer.status, text=answer.body, content_type=answer.content_type, headers=headers)


def verify(adapter: Adapter[Any], hook: Webhook) -> None:
    """An adapter's own check, unless the operator has said that unsigned ones are taken."""
    if not adapter.settings.allow_unsigned:
        adapter.verify(hook)


def webhook(deps: ApiDeps, request: web.Request, body: bytes) -> Webhook:
    """The request as adapters see it, with the public address that the provider called."""
    public_path = request.path if request.path.startswith("/v1/") else request.path[request.path.index("/v1/") :]
    url = deps.settings().http.public_url + public_path
    if request.query_string:
        url += "?" + request.rel_url.raw_query_string
    return Webhook(
        method=request.method,
        url=url,
        query=dict(request.query),
        headers={name.lower(): value for name, value in request.headers.items()},
        body=body,
        now=deps.now() / 1000,
    )


def too_deep(body: bytes) -> bool:
    """Whether a JSON body nests deeper than any provider's does."""
    if body.count(b"{") + body.count(b"[") <= DEPTH_MAX:
        return False
    try:
        return depth(json.loads(body), DEPTH_MAX) > DEPTH_MAX
    except RecursionError:
        return True
    except ValueError:
        return False


def commands_of(
    deps: ApiDeps, provider: str, channel: str, heard: Iterable[Receipt | Inbound | Preference]
) -> Iterable[Command]:
    """Each thing heard, for the engine. A reference that is not ours is dropped: nobody but the provider has ours."""
    for one in heard:
        match one:
            case Receipt(client_reference=None):
                yield HearReceipt(provider, one)
            case Receipt():
                reference = one.client_reference or ""
                place = deps.keys.read_reference(reference) or deps.keys.read_receipt_token(reference)
                if place is not None:
                    yield HearReceipt(provider, one, *place)
                elif one.provider_id:
                    yield HearReceipt(provider, one)
                else:
                    deps.metrics.forged.labels(provider).inc()
            case Inbound():
                yield HearInbound(provider, channel, one)
            case Preference():
                yield HearPreference(provider, channel, one)
