"""``/v1/receipts/{provider}``: reports of providers and browsers, durable before the answer."""

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
    WebhookItem,
)
from orchestrator.engine.engine import Busy, Stopped
from orchestrator.primitives.strict_json import depth
from orchestrator.stores.port import StoreBusy

log = structlog.get_logger()

BODY_BYTES_MAX = 256 * 1024
DEVICE_BODY_BYTES_MAX = 2 * 1024
DEPTH_MAX = 32
TOGETHER_MAX = 16
"""So many reports of a webhook are one command; more would make a batch long."""
NO_QUERY: dict[str, str] = {}
CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "POST",
    "Access-Control-Allow-Headers": "Content-Type",
    "Access-Control-Max-Age": "86400",
}


async def preflight(request: web.Request) -> web.Response:
    """
    CORS for service workers, which report from the shop's origin. Providers' servers need none.
    """
    _, channel = adapter_of(request.app[DEPS], request.match_info["provider"])
    if not from_device(channel):
        detail = "only a browser's report needs a preflight; POST the webhook"
        raise Refusal(405, "method_not_allowed", detail)
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


async def receive_webhook(request: web.Request) -> web.StreamResponse:
    """A webhook that did not qualify for the ``WebhookFastPath``."""
    answer = await process(request.app[DEPS], request.match_info["provider"], request)
    return web.Response(
        status=answer.status,
        text=answer.body,
        content_type=answer.content_type,
        headers=answer.headers,
    )


async def verify_webhook(request: web.Request) -> web.StreamResponse:
    """A provider that verifies the address does so by a GET; the adapter knows what to answer."""
    return await receive_webhook(request)


async def process(deps: ApiDeps, provider: str, request: web.BaseRequest) -> Answer:
    """
    Verify and read a webhook, and apply what it reports; the answer for the provider, once that has
    committed. Raises ``Refusal``, or what the engine raised, so that the provider sends it again.
    """
    adapter, channel = adapter_of(deps, provider)
    device = from_device(channel)
    body = await read_body(request, DEVICE_BODY_BYTES_MAX if device else BODY_BYTES_MAX)
    if too_deep(body):
        raise Refusal(400, "too_deep", f"the body is nested more than {DEPTH_MAX} levels deep")
    hook = webhook(deps, provider, request, body)
    try:
        if not adapter.settings.allow_unsigned:
            adapter.verify(hook)
        reports = list(adapter.receipts(hook))
        answer = adapter.answer(hook)
    except Forged as error:
        deps.metrics.webhook_signature_failures.labels(provider).inc()
        log.warning("receipts.signature_invalid", provider=provider, why=str(error))
        detail = "this is not the provider's: its signature or token is missing or wrong"
        raise Refusal(403, "forged", detail) from None
    commands = commands_of(deps, provider, channel, reports)
    if device:
        # anybody who has a token can post as a browser, any number of times: no body is kept
        await submit_all(deps, commands)
        return replace(answer, headers={**answer.headers, **CORS})
    if body or commands:
        await record_webhook(deps, provider, body, commands)
    return answer


async def record_webhook(
    deps: ApiDeps, provider: str, body: bytes, commands: Sequence[WebhookItem]
) -> None:
    """
    Store a raw webhook and apply what it reports, mostly in one command. If that fails for a reason
    of its own the raw webhook is stored all the same. Raises what the engine raised.
    """
    first = RecordWebhook(provider, body, tuple(commands[:TOGETHER_MAX]))
    try:
        await submit_all(deps, [first, *commands[TOGETHER_MAX:]])
    except (Busy, Stopped, StoreBusy):
        raise
    except Exception:
        # one by one: the report that fails takes no other with it
        with suppress(Exception):
            await deps.engine.submit_many([RecordWebhook(provider, body), *commands])
        raise


async def submit_all(deps: ApiDeps, commands: Sequence[Command]) -> None:
    """
    Have every command committed. Raises the first error, so that the caller sends it again; a
    command about something unknown is dropped.
    """
    for answer in await deps.engine.submit_many(commands):
        if isinstance(answer, BaseException) and not isinstance(answer, LookupError):
            raise answer


def webhook(deps: ApiDeps, provider: str, request: web.BaseRequest, body: bytes) -> Webhook:
    """
    The request as adapters see it: the public address that the provider called, and the query as it
    was sent. The first of two equal names counts, because a parameter that was added on the way
    must not replace one that was signed.
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
    """Whether a JSON body nests deeper than ``DEPTH_MAX``."""
    if body.count(b"{") + body.count(b"[") <= DEPTH_MAX:
        return False
    try:
        return depth(json.loads(body), DEPTH_MAX) > DEPTH_MAX
    except RecursionError:
        return True
    except ValueError:
        return False


def commands_of(
    deps: ApiDeps, provider: str, channel: str, reports: Iterable[Receipt | Inbound | Preference]
) -> list[WebhookItem]:
    """
    A command for each report. One whose reference we have not signed is dropped, because only the
    provider has ours.
    """
    read = deps.keys.read_receipt_token if from_device(channel) else deps.keys.read_reference
    commands: list[WebhookItem] = []
    for one in reports:
        if isinstance(one, Receipt):
            attempt = read(one.client_reference) if one.client_reference else None
            if attempt is not None:
                commands.append(RecordReceipt(provider, one, attempt[0], attempt[1]))
            elif one.provider_id:
                commands.append(RecordReceipt(provider, one))
            else:
                deps.metrics.webhook_signature_failures.labels(provider).inc()
                log.warning("receipts.foreign_reference", provider=provider)
        elif isinstance(one, Inbound):
            named = next(filter(None, map(read, one.answers)), (None, None))
            commands.append(RecordInbound(provider, channel, one, *named))
        else:
            commands.append(RecordPreference(provider, channel, one))
    return commands
