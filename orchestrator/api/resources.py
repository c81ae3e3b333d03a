"""Messages, recipients, opt-outs, dead letters."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from orchestrator.api.ports import DEPS, ApiDeps
from orchestrator.api.problems import problem
from orchestrator.api.views import consent_view, dead_letter_view, full_view, message_view, recipient_view
from orchestrator.core.message import Status
from orchestrator.engine.commands import Cancel, Conflict, Erase, OptOut, Publish, PutConsents, PutRecipient
from orchestrator.engine.people import Person
from orchestrator.intake import strictjson
from orchestrator.intake.cloudevents import Malformed, parse_kafka, parse_structured
from orchestrator.intake.recipients import (
    CHANNELS,
    Misshapen,
    consents,
    normal_email,
    normal_phone,
    recipient_profile,
    text,
)

LIMIT_DEFAULT, LIMIT_MAX = 100, 1_000
OPT_OUTS_MAX = 10_000


async def body_of(request: web.Request) -> dict[str, Any]:
    """The JSON object of a request."""
    try:
        found = strictjson.parse(await request.read())
    except strictjson.NotJson as error:
        raise Malformed(error.code, error.where, error.what, error.mend) from None
    if not isinstance(found, dict):
        raise Malformed("not_an_object", "", "the body must be a JSON object", "send {…}")
    return found


def limit_of(request: web.Request) -> int:
    given = request.query.get("limit", str(LIMIT_DEFAULT))
    if not given.isdigit() or not 1 <= int(given) <= LIMIT_MAX:
        raise Misshapen("limit", f"it must be a number from 1 to {LIMIT_MAX}", f"the default is {LIMIT_DEFAULT}")
    return int(given)


# ---- messages


async def get_message(request: web.Request) -> web.Response:
    """The whole story of one message."""
    id = request.match_info["id"]
    stored = await request.app[DEPS].reader.message(id)
    if stored is None:
        return problem(404, "unknown_message", f"there is no message {id[:40]}")
    return web.json_response(full_view(stored))


async def list_messages(request: web.Request) -> web.Response:
    """Newest first, without traces."""
    query = request.query
    status = query.get("status")
    if status is not None and status not in {word.value for word in Status}:
        raise Misshapen("status", "there is no such status", f"use {', '.join(word.value for word in Status)}")
    limit = limit_of(request)
    found = await request.app[DEPS].reader.messages(
        recipient=query.get("recipient"),
        policy=query.get("policy"),
        status=status,
        before=query.get("cursor"),
        limit=limit,
    )
    items = [message_view(stored.message, stored.event) for stored in found]
    return web.json_response({"items": items, "next_cursor": items[-1]["id"] if len(items) == limit else None})


async def cancel_message(request: web.Request) -> web.Response:
    """Stop what has not left."""
    deps, id = request.app[DEPS], request.match_info["id"]
    await deps.engine.submit(Cancel(id))
    stored = await deps.reader.message(id)
    return web.json_response(full_view(stored) if stored is not None else {})


# ---- recipients


async def put_recipient(request: web.Request) -> web.Response:
    """Merge a profile over what is stored."""
    deps, id = request.app[DEPS], request.match_info["id"]
    profile = recipient_profile({**await body_of(request), "id": id}, None, "")
    await deps.engine.submit(PutRecipient(id, profile))
    return await shown(deps, id)


async def get_recipient(request: web.Request) -> web.Response:
    return await shown(request.app[DEPS], request.match_info["id"])


async def shown(deps: ApiDeps, id: str) -> web.Response:
    document = await deps.reader.recipient(id)
    if document is None:
        return problem(404, "unknown_recipient", f"there is no recipient {id[:40]}")
    return web.json_response(recipient_view(document, await marks_of(deps, id, document)))


async def marks_of(deps: ApiDeps, id: str, document: dict[str, Any]) -> dict[str, Any]:
    """What is known to be dead of a recipient's addresses, by kind and value."""
    marks: dict[str, Any] = {}
    for address in Person(id, document, deps.address_hash).addresses:
        state = await deps.reader.address(address.hash)
        if state is not None and state.get("mark"):
            marks[f"{address.kind}:{address.value}"] = state["mark"]
    return marks


async def delete_recipient(request: web.Request) -> web.Response:
    """Erase: what runs is cancelled, hashes of opted-out addresses stay."""
    await request.app[DEPS].engine.submit(Erase(request.match_info["id"]))
    return web.Response(status=204)


async def export_recipient(request: web.Request) -> web.Response:
    """Everything kept about a recipient."""
    deps, id = request.app[DEPS], request.match_info["id"]
    document = await deps.reader.recipient(id)
    if document is None:
        return problem(404, "unknown_recipient", f"there is no recipient {id[:40]}")
    messages = await deps.reader.messages(recipient=id, limit=10_000)
    stored = await asyncio.gather(*(deps.reader.message(one.message.id) for one in messages))
    exported = {
        "recipient": document | {"marks": await marks_of(deps, id, document)},
        "messages": [full_view(one) | {"event_data": one.event.get("data")} for one in stored if one is not None],
    }
    return web.json_response(exported)


async def put_consents(request: web.Request) -> web.Response:
    """Add entries; none is removed."""
    deps, id = request.app[DEPS], request.match_info["id"]
    body = await body_of(request)
    await deps.engine.submit(PutConsents(id, consents(body.get("consents"), "consents")))
    return await get_consents(request)


async def get_consents(request: web.Request) -> web.Response:
    document = await request.app[DEPS].reader.recipient(request.match_info["id"])
    if document is None:
        return problem(404, "unknown_recipient", "there is no such recipient")
    return web.json_response({"consents": [consent_view(row) for row in document.get("consents", ())]})


async def post_opt_outs(request: web.Request) -> web.Response:
    """Opt-outs in bulk, for recipients and for bare addresses."""
    deps = request.app[DEPS]
    entries = (await body_of(request)).get("opt_outs")
    if not isinstance(entries, list) or not 0 < len(entries) <= OPT_OUTS_MAX:
        mend = 'send {"opt_outs": [{"recipient": "user-42", "channel": "sms"}]}'
        raise Misshapen("opt_outs", f"it must be a list of 1 to {OPT_OUTS_MAX} entries", mend)
    commands = [opt_out_of(one, f"opt_outs[{index}]") for index, one in enumerate(entries)]
    for result in await deps.engine.submit_many(commands):
        if isinstance(result, BaseException):
            raise result
    for command in commands:
        deps.metrics.opt_outs.labels(command.channel, "api").inc()
    return web.json_response({"accepted": len(commands)})


def opt_out_of(entry: Any, field: str) -> OptOut:
    """One entry, checked."""
    if not isinstance(entry, Mapping):
        raise Misshapen(field, "it must be an object", 'write {"recipient": "user-42", "channel": "*"}')
    recipient, address = entry.get("recipient"), entry.get("address")
    if not (isinstance(recipient, str) and recipient) and not (isinstance(address, str) and address):
        raise Misshapen(field, "nobody is named", "name a recipient or an address")
    channel = entry.get("channel") or "*"
    if channel not in CHANNELS:
        raise Misshapen(f"{field}.channel", "there is no such channel", f"use {', '.join(sorted(CHANNELS))}")
    topic = text(entry.get("topic") or "*", f"{field}.topic")
    if address:
        normal = normal_email(address) if "@" in address else normal_phone(address) if address.startswith("+") else address
        if normal is None:
            raise Misshapen(f"{field}.address", "it is no address", 'write "+380501234567" or "olena@example.com"')
        address = normal
    return OptOut(recipient=recipient or None, address=address or None, channel=channel, topic=topic)


# ---- dead letters


async def list_dead_letters(request: web.Request) -> web.Response:
    limit = limit_of(request)
    found = await request.app[DEPS].reader.dead_letters(request.query.get("cursor"), limit)
    items = [dead_letter_view(letter) for letter in found]
    return web.json_response({"items": items, "next_cursor": items[-1]["id"] if len(items) == limit else None})


async def get_dead_letter(request: web.Request) -> web.Response:
    letter = await request.app[DEPS].reader.dead_letter(request.match_info["id"])
    if letter is None:
        return problem(404, "unknown_dead_letter", "there is no such dead letter")
    return web.json_response(dead_letter_view(letter))


async def replay_dead_letter(request: web.Request) -> web.Response:
    """Process it again, under the current policies; it stays where it still cannot be processed."""
    deps, id = request.app[DEPS], request.match_info["id"]
    letter = await deps.reader.dead_letter(id)
    if letter is None:
        return problem(404, "unknown_dead_letter", "there is no such dead letter")
    headers = {name.lower(): value for name, value in letter["headers"].items()}
    kafka = letter["origin"].startswith("kafka:")
    try:
        event = parse_kafka(letter["body"], headers) if kafka else parse_structured(letter["body"])
        published = await deps.engine.submit(Publish(event, replayed=True))
    except Malformed as error:
        return problem(422, error.code, f"it still cannot be processed: {error.what}", field=error.field)
    except Conflict as error:
        return problem(409, "conflict", str(error))
    await deps.reader.resolve_dead_letter(id, deps.now())
    return web.json_response({"status": published.status, "messages": list(published.messages)})
