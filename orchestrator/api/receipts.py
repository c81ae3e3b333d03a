"""
``/v1/receipts/{provider}``: what providers, and browsers, report. Durable before it is answered.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import structlog
from aiohttp import web

from orchestrator.api.bodies import read_body
from orchestrator.api.ports import DEPS, ApiDeps
from orchestrator.api.problems import Refusal, unknown
from orchestrator.channels import Adapter, Answer, Forged, Inbound, Preference, Receipt, Webhook
from orchestrator.channels.registry import channels
from orchestrator.engine.commands import (
    Command,
    RecordInbound,
    RecordPreference,
    RecordReceipt,
    RecordWebhook,
    Said,
)
from orchestrator.engine.engine import Busy, Stopped
from orchestrator.primitives.strict_json import depth
from orchestrator.stores.port import StoreBusy

log = structlog.get_logger()

BODY_BYTES_MAX = 256 * 1024
DEPTH_MAX = 32
TOGETHER_MAX = 16
"""So much of what a webhook says is one command; more would make a batch long."""
NO_QUERY: dict[str, str] = {}
CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "POST",
    "Access-Control-Allow-Headers": "Content-Type",
    "Access-Control-Max-Age": "86400",
}


async def preflight(request: web.Request) -> web.Response:
    """
    Service workers live on the shop's origin and may report from there; providers' servers need no
    such leave.
    """
    _, channel = adapter_of(request.app[DEPS], request.match_info["provider"])
    if not from_device(channel):
        raise Refusal(
            405, "method_not_allowed", "only reports of browsers need a preflight; POST the webhook"
        )
    return web.Response(status=204, headers=CORS)


def from_device(channel: str) -> bool:
    """Whether the recipients' devices report, each with the token it was given."""
    return channels()[channel].receipts_from == "device"


def adapter_of(deps: ApiDeps, provider: str) -> tuple[Adapter[Any], str]:
    """The adapter and channel of a provider. Raises ``Refusal``."""
    found = deps.adapters().get(provider)
    if found is None:
        raise unknown("provider", provider)
    return found


async def receive(request: web.Request) -> web.StreamResponse:
    """A webhook, answered as the provider wants it; most come in by the ``WebhookFastPath``."""
    answer = await take(request.app[DEPS], request.match_info["provider"], request)
    return web.Response(
        status=answer.status,
        text=answer.body,
        content_type=answer.content_type,
        headers=answer.headers,
    )


async def take(deps: ApiDeps, provider: str, request: web.BaseRequest) -> Answer:
    """
    Verify, read, hand to the engine; how to answer, once that has committed. Raises ``Refusal``, or
    what the engine could not do, so that the provider sends it again.
    """
    adapter, channel = adapter_of(deps, provider)
    body = await read_body(request, BODY_BYTES_MAX)
    if too_deep(body):
        raise Refusal(400, "too_deep", f"the body is nested more than {DEPTH_MAX} levels deep")
    hook = webhook(deps, provider, request, body)
    try:
        if not adapter.settings.allow_unsigned:
            adapter.verify(hook)
        heard = list(adapter.receipts(hook))
        answer = adapter.answer(hook)
    except Forged as error:
        deps.metrics.webhook_signature_failures.labels(provider).inc()
        log.warning("receipts.signature_invalid", provider=provider, why=str(error))
        detail = "this is not the provider's: its signature or token is missing or wrong"
        raise Refusal(403, "forged", detail) from None
    said = commands_of(deps, provider, channel, heard)
    if not from_device(channel):
        if body or said:
            await hear_webhook(deps, provider, body, said)
        return answer
    if said:  # anybody can report as a browser: without a token of ours, no row
        await hear_webhook(deps, provider, body, said)
    return replace(answer, headers={**answer.headers, **CORS})


async def hear_webhook(deps: ApiDeps, provider: str, body: bytes, said: Sequence[Said]) -> None:
    """
    Have it committed, mostly all of it at once. Raises as ``hear``; what cannot be understood is
    kept as it came all the same.
    """
    try:
        await hear(
            deps, [RecordWebhook(provider, body, tuple(said[:TOGETHER_MAX])), *said[TOGETHER_MAX:]]
        )
    except (Busy, Stopped, StoreBusy):
        raise
    except Exception:
        with suppress(Exception):
            await deps.engine.submit(RecordWebhook(provider, body))
        raise


async def hear(deps: ApiDeps, commands: Sequence[Command]) -> None:
    """
    Have everything committed. Raises what the engine could not do, so that whoever asked sends it
    again.
    """
    for answer in await deps.engine.submit_many(commands):
        if isinstance(answer, BaseException) and not isinstance(answer, LookupError):
            raise answer


def webhook(deps: ApiDeps, provider: str, request: web.BaseRequest, body: bytes) -> Webhook:
    """
    The request as adapters see it: with the public address that the provider called, its query as
    it was sent. Of a name that stands there twice the first counts: what is added behind it on the
    way must not replace what was signed.
    """
    url = f"{deps.settings().http.public_url}/v1/receipts/{provider}"
    _, mark, query = request.raw_path.partition("?")
    return Webhook(
        method=request.method,
        url=url + mark + query,
        query=request.query if query else NO_QUERY,
        headers=request.headers,
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
) -> list[Said]:
    """
    Each thing heard, for the engine. A reference that is not ours is dropped: nobody but the
    provider has ours.
    """
    read = deps.keys.read_receipt_token if from_device(channel) else deps.keys.read_reference
    said: list[Said] = []
    for one in heard:
        if isinstance(one, Receipt):
            place = read(one.client_reference) if one.client_reference else None
            if place is not None:
                said.append(RecordReceipt(provider, one, place[0], place[1]))
            elif one.provider_id:
                said.append(RecordReceipt(provider, one))
            else:
                deps.metrics.webhook_signature_failures.labels(provider).inc()
                log.warning("receipts.foreign_reference", provider=provider)
        elif isinstance(one, Inbound):
            said.append(RecordInbound(provider, channel, one))
        else:
            said.append(RecordPreference(provider, channel, one))
    return said
