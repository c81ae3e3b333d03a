"""``/v1/receipts/{provider}``: reports of providers and browsers, durable before the answer."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeVar

import msgspec
import structlog
from aiohttp import web

from orchestrator.api.bodies import read_body
from orchestrator.api.links import link_hash
from orchestrator.api.outbound import evidence_at, follow
from orchestrator.api.ports import DEPS, ApiDeps
from orchestrator.api.problems import Refusal, unknown
from orchestrator.channels import (
    Adapter,
    Answer,
    Forged,
    Inbound,
    InboundMedia,
    Linked,
    Receipt,
    Report,
    Webhook,
)
from orchestrator.channels.registry import channels
from orchestrator.core.replies import MEDIA_MAX, Media
from orchestrator.engine.commands import (
    Command,
    FollowLink,
    RecordInbound,
    RecordPreference,
    RecordReceipt,
    RecordWebhook,
    WebhookItem,
)
from orchestrator.engine.engine import Busy, Stopped
from orchestrator.primitives.strict_json import KEYS_MAX, has_too_many_keys
from orchestrator.stores.port import StoreBusy

log = structlog.get_logger()
T = TypeVar("T")

BODY_BYTES_MAX = 4 * 1024 * 1024
MAIL_BYTES_MAX = 26 * 1024 * 1024
DEVICE_BODY_BYTES_MAX = 2 * 1024
"""A webhook, a raw mail, and the report of a browser, which anybody can post."""
AT_ONCE_BYTES_MAX = 16 * 1024
DEPTH_MAX = 32
VALUES_MAX = 100_000
"""One call of a JSON parser keeps every thread waiting for this many values."""
BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)
"""A whole string, or a bracket outside of strings."""
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

    A large body is read in a thread, and nothing in there keeps the others waiting for long: JSON
    has a limit of values besides its limit of bytes, and a mail is shortened as it comes in.
    """
    adapter, channel = adapter_of(deps, provider)
    intake = adapter.intake()
    device = from_device(channel)
    hook = webhook(deps, provider, request, device)
    if intake is not None:
        verify(deps, adapter, hook)
    limit = MAIL_BYTES_MAX if intake else DEVICE_BODY_BYTES_MAX if device else BODY_BYTES_MAX
    hook = replace(hook, body=await read_body(request, limit, intake))
    body, proven = hook.body, intake is not None
    proof = None if proven else await call(hook, evidence_of, adapter, hook)
    if proof is not None:
        hook = replace(hook, evidence=await evidence_at(proof))
    commands, answer, asked = await call(hook, read_webhook, deps, adapter, channel, hook, proven)
    commands = await with_recipients(deps, commands)
    if asked is not None:
        await follow(asked)
    if device:
        # anybody who has a token can post as a browser, any number of times: no body is kept
        await submit_all(deps, commands)
        return replace(answer, headers={**answer.headers, **CORS})
    if body or commands:
        await record_webhook(deps, provider, body, commands)
    return answer


async def call(hook: Webhook, work: Callable[..., T], *arguments: Any) -> T:
    """What reads a webhook is called in a thread if its body is large."""
    if len(hook.body) > AT_ONCE_BYTES_MAX:
        return await asyncio.to_thread(work, *arguments)
    return work(*arguments)


def evidence_of(adapter: Adapter[Any], hook: Webhook) -> str | None:
    """The URL of what its proof needs besides the webhook. Raises ``Refusal``."""
    check_json(hook.body)
    return None if adapter.settings.allow_unsigned else adapter.evidence(hook)


async def record_reports(
    deps: ApiDeps, provider: str, channel: str, reports: Sequence[Report]
) -> None:
    """Apply what came over a connection of the adapter's own. Raises what the engine raised."""
    commands = commands_of(deps, provider, channel, reports)
    await submit_all(deps, await with_recipients(deps, commands))


async def with_recipients(deps: ApiDeps, commands: list[WebhookItem]) -> list[WebhookItem]:
    """
    The commands, those of links and of replies with their recipients; a link that nobody has any
    more is left out.
    """
    if not any(isinstance(one, FollowLink | RecordInbound) for one in commands):
        return commands
    found: list[WebhookItem] = []
    for one in commands:
        if isinstance(one, RecordInbound):
            found.append(one if one.message else await with_owner(deps, one))
        elif not isinstance(one, FollowLink):
            found.append(one)
        elif owners := (await deps.reader.owners([one.hash], 1)).get(one.hash):
            found.append(FollowLink(one.provider, one.channel, one.linked, one.hash, owners[0]))
        else:
            log.info("links.void", provider=one.provider)
    return found


async def with_owner(deps: ApiDeps, command: RecordInbound) -> RecordInbound:
    """The command with the only recipient who has the address in their profile."""
    hash = deps.address_hash(command.inbound.kind, command.inbound.value)
    owners = (await deps.reader.owners([hash], 2)).get(hash, [])
    return msgspec.structs.replace(command, recipient=owners[0]) if len(owners) == 1 else command


def verify(deps: ApiDeps, adapter: Adapter[Any], hook: Webhook) -> None:
    """Raises ``Refusal`` unless the webhook is the provider's."""
    try:
        if not adapter.settings.allow_unsigned:
            adapter.verify(hook)
    except Forged as error:
        raise forged(deps, adapter.provider, error) from None


def forged(deps: ApiDeps, provider: str, error: Forged) -> Refusal:
    deps.metrics.webhook_signature_failures.labels(provider).inc()
    log.warning("receipts.signature_invalid", provider=provider, why=str(error))
    detail = "this is not the provider's: its signature or token is missing or wrong"
    return Refusal(403, "forged", detail)


def read_webhook(
    deps: ApiDeps, adapter: Adapter[Any], channel: str, hook: Webhook, proven: bool
) -> tuple[list[WebhookItem], Answer, str | None]:
    """
    What a webhook reports, after its proof, its answer, and the URL that it asks us to GET. Raises
    ``Refusal``.
    """
    provider = adapter.provider
    if not proven:
        verify(deps, adapter, hook)
    try:
        reports = list(adapter.receipts(hook))
        answer, asked = adapter.answer(hook), adapter.follow_up(hook)
    except Forged as error:
        raise forged(deps, provider, error) from None
    return commands_of(deps, provider, channel, reports), answer, asked


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


def webhook(deps: ApiDeps, provider: str, request: web.BaseRequest, device: bool) -> Webhook:
    """
    The request as adapters see it, without its body: the public address that the provider called,
    and the query as it was sent. The first of two equal names counts, because a parameter that was
    added on the way must not replace one that was signed.
    """
    url = f"{deps.settings().http.public_url}/v1/receipts/{provider}"
    _, mark, query = request.raw_path.partition("?")
    return Webhook(
        method=request.method,
        url=url + mark + query,
        query=request.query if query else NO_QUERY,
        headers=request.headers,
        body=b"",
        now=deps.now() / 1000,
        is_ours=lambda reference: reader(deps, device)(reference) is not None,
    )


def check_json(body: bytes) -> None:
    """Raises ``Refusal`` if a JSON body has too many values or keys, or nests too deeply."""
    opened = body.count(b"{") + body.count(b"[")
    if body.lstrip()[:1] not in (b"{", b"["):
        return
    if opened + body.count(b",") > VALUES_MAX:
        detail = f"the body has more than {VALUES_MAX} values; send less at once"
        raise Refusal(413, "too_large", detail)
    if has_too_many_keys(body):
        detail = f"the body has more than {KEYS_MAX} different keys; send less at once"
        raise Refusal(413, "too_large", detail)
    if opened <= DEPTH_MAX:
        return
    level = 0
    for found in BRACKETS.finditer(body):
        level += 1 if found[0] in (b"{", b"[") else -1 if found[0] in (b"}", b"]") else 0
        if level > DEPTH_MAX:
            raise Refusal(400, "too_deep", f"the body is nested more than {DEPTH_MAX} levels deep")


def medium(deps: ApiDeps, provider: str, found: InboundMedia) -> Media:
    """A medium of a reply, with the link by which it is fetched."""
    id = deps.keys.medium(provider, found.reference)
    return Media(found.kind, f"{deps.settings().http.public_url}/v1/media/{id}", found.bytes)


def reader(deps: ApiDeps, device: bool) -> Callable[[str], tuple[str, int] | None]:
    """What reads the references of a provider, or the tokens of devices."""
    return deps.keys.read_receipt_token if device else deps.keys.read_reference


def commands_of(
    deps: ApiDeps, provider: str, channel: str, reports: Iterable[Report]
) -> list[WebhookItem]:
    """
    A command for each report. One whose reference we have not signed is dropped, because only the
    provider has ours.
    """
    read = reader(deps, from_device(channel))
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
            id, number = next(filter(None, map(read, one.answers)), (None, None))
            media = tuple(medium(deps, provider, found) for found in one.media[:MEDIA_MAX])
            commands.append(RecordInbound(provider, channel, one, id, number, media))
        elif isinstance(one, Linked):
            link = deps.keys.read_messenger_link(one.token)
            if link is None:
                log.warning("links.foreign_token", provider=provider)
            else:
                commands.append(FollowLink(provider, channel, one, link_hash(deps, link), ""))
        else:
            commands.append(RecordPreference(provider, channel, one))
    return commands
