"""Recipients: profiles, consents, opt-outs, export, erasure."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from aiohttp import web

from orchestrator.api.bodies import read_object
from orchestrator.api.ports import DEPS, ApiDeps
from orchestrator.api.problems import unknown
from orchestrator.api.views import consents_view, full_view, mark_view, recipient_view
from orchestrator.channels import Misshapen
from orchestrator.engine.commands import Erase, OptOut, PutConsents, PutRecipient
from orchestrator.recipients.document import Person
from orchestrator.recipients.fields import (
    bare_address,
    consents,
    recipient_id,
    recipient_profile,
    refuse_unknown,
    scope_of,
)

PROFILE_BYTES_MAX = 256 * 1024
OPT_OUTS_MAX = 1_000
OPT_OUT_KEYS = ("recipient", "address", "channel", "topic")
EXPORT_PAGE = 100


def id_of(request: web.Request) -> str:
    """The recipient of the path, by the same rules as in an event."""
    return recipient_id(request.match_info["id"], "id")


async def document_of(deps: ApiDeps, id: str) -> dict[str, Any]:
    document = await deps.reader.recipient(id)
    if document is None:
        raise unknown("recipient", id)
    return document


async def put_recipient(request: web.Request) -> web.Response:
    """
    Merge a profile over what is stored; null removes a field, a repeated address is trusted again.
    """
    deps, id = request.app[DEPS], id_of(request)
    body = await read_object(request, PROFILE_BYTES_MAX)
    profile = recipient_profile(body, id, "")
    if profile["id"] != id:
        raise Misshapen("id", "it is another one than in the path", "leave it out")
    await deps.engine.submit(PutRecipient(id, profile))
    return await shown(deps, id)


async def get_recipient(request: web.Request) -> web.Response:
    """A profile with its consents and marks."""
    return await shown(request.app[DEPS], id_of(request))


async def shown(deps: ApiDeps, id: str) -> web.Response:
    document = await document_of(deps, id)
    return web.json_response(recipient_view(document, await marks_of(deps, id, document)))


async def marks_of(deps: ApiDeps, id: str, document: dict[str, Any]) -> list[dict[str, Any]]:
    """Which of a recipient's addresses are known to be dead."""
    marks = []
    addresses = Person(id, document, deps.address_hash).addresses
    states = await deps.reader.addresses([address.hash for address in addresses])
    for address in addresses:
        for channel, mark in (states.get(address.hash, {}).get("suppressions") or {}).items():
            marks.append({"channel": channel, **mark_view(address, mark)})
    return marks


async def delete_recipient(request: web.Request) -> web.Response:
    """Erase: what runs is cancelled, hashes of opted-out addresses stay."""
    await request.app[DEPS].engine.submit(Erase(id_of(request)))
    return web.Response(status=204)


async def put_consents(request: web.Request) -> web.Response:
    """Add entries; none is removed. The answer is the whole history."""
    deps, id = request.app[DEPS], id_of(request)
    body = await read_object(request)
    refuse_unknown(body, ("consents",), "")
    await deps.engine.submit(PutConsents(id, consents(body.get("consents"), "consents")))
    return await get_consents(request)


async def get_consents(request: web.Request) -> web.Response:
    """The history of a recipient's consents, oldest first."""
    document = await document_of(request.app[DEPS], id_of(request))
    return web.json_response({"consents": consents_view(document)})


# ---- opt-outs in bulk


async def post_opt_outs(request: web.Request) -> web.Response:
    """
    For recipients and for bare addresses, known or not. All of them are checked before any is
    recorded.
    """
    deps = request.app[DEPS]
    body = await read_object(request)
    refuse_unknown(body, ("opt_outs",), "")
    entries = body.get("opt_outs")
    if not isinstance(entries, list) or not 0 < len(entries) <= OPT_OUTS_MAX:
        fix = 'send {"opt_outs": [{"recipient": "user-42", "channel": "sms"}]}'
        raise Misshapen("opt_outs", f"it must be a list of 1 to {OPT_OUTS_MAX} entries", fix)
    commands = [opt_out_of(one, f"opt_outs[{index}]") for index, one in enumerate(entries)]
    for result in await deps.engine.submit_many(commands):
        if isinstance(result, BaseException):
            raise result
    for command in commands:
        deps.metrics.optouts.labels(command.channel, "api").inc()
    return web.json_response({"recorded": len(commands)})


def opt_out_of(entry: Any, field: str) -> OptOut:
    """
    One entry, checked. A misspelt key is refused: without its ``channel`` an opt-out would be one
    from everything.
    """
    if not isinstance(entry, Mapping):
        raise Misshapen(
            field, "it must be an object", 'write {"recipient": "user-42", "channel": "*"}'
        )
    refuse_unknown(entry, OPT_OUT_KEYS, field)
    recipient, address = entry.get("recipient"), entry.get("address")
    if recipient is None and address is None:
        raise Misshapen(field, "nobody is named", "name a recipient or an address")
    return OptOut(
        recipient=recipient_id(recipient, f"{field}.recipient") if recipient is not None else None,
        address=bare_address(address, f"{field}.address") if address is not None else None,
        **scope_of(entry, field),
    )


# ---- export


async def export_recipient(request: web.Request) -> web.StreamResponse:
    """Everything that is kept about a recipient, streamed: there may be years of it."""
    deps, id = request.app[DEPS], id_of(request)
    document = await deps.reader.recipient(id)
    if document is None and not await deps.reader.messages(recipient=id, limit=1):
        raise unknown("recipient", id)
    kept = document or {"id": id}
    profile = {**kept, **recipient_view(kept, await marks_of(deps, id, kept))}
    response = web.StreamResponse(headers={"Content-Type": "application/json; charset=utf-8"})
    await response.prepare(request)
    await response.write(
        f'{{"recipient": {json.dumps(profile, ensure_ascii=False)}, "messages": ['.encode()
    )
    comma = b""
    async for message in messages_of(deps, id):
        await response.write(comma + b"\n" + json.dumps(message, ensure_ascii=False).encode())
        comma = b","
    await response.write(b"]}\n")
    await response.write_eof()
    return response


async def messages_of(deps: ApiDeps, id: str) -> AsyncIterator[dict[str, Any]]:
    """A recipient's messages with their traces and their events' data, the newest first."""
    before: str | None = None
    while page := await deps.reader.messages(recipient=id, before=before, limit=EXPORT_PAGE):
        for one in page:
            stored = await deps.reader.message(one.message.id)
            if stored is not None:
                yield full_view(stored) | {
                    "event_attributes": stored.event["ce"],
                    "event_data": stored.event["data"],
                }
        before = page[-1].message.id
