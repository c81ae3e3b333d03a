"""Recipients: profiles, consents, opt-outs, export, erasure."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import orjson
from aiohttp import web
from msgspec import UNSET, Meta, Struct, UnsetType

from orchestrator.api.audit import note_of, person_subject
from orchestrator.api.bodies import read_object
from orchestrator.api.inbox import ItemView, item_view
from orchestrator.api.ports import DEPS, ApiDeps
from orchestrator.api.problems import unknown
from orchestrator.api.route import Time
from orchestrator.api.whose import person_of
from orchestrator.channels import Misshapen
from orchestrator.channels.address_kinds import (
    ID_LENGTH_MAX,
    TEXT_LENGTH_MAX,
)
from orchestrator.channels.registry import address_fields
from orchestrator.core.recipient import Address
from orchestrator.engine.commands import Erase, PutConsents, PutRecipient
from orchestrator.explain.views import FullMessageView, full_view
from orchestrator.primitives.durations import rfc3339
from orchestrator.recipients import fields
from orchestrator.recipients.consents import consent_of
from orchestrator.recipients.document import NOT_PROFILE, PROFILE_BYTES_MAX, Person
from orchestrator.recipients.fields import (
    consents,
    recipient_id,
    recipient_profile,
    refuse_unknown,
)
from orchestrator.stores.item_rows import FIRST_ITEM

EXPORT_PAGE = 100

Text = Annotated[str, Meta(max_length=TEXT_LENGTH_MAX)]
Id = Annotated[str, Meta(min_length=1, max_length=ID_LENGTH_MAX)]
Channel = Annotated[
    str,
    Meta(
        description="A channel's name, or `*` for all.",
        extra_json_schema={"enum": "consent_channels"},
    ),
]
Topic = Annotated[
    str,
    Meta(min_length=1, max_length=TEXT_LENGTH_MAX, description="A topic, or `*` for all."),
]
State = Literal["in", "out"]


class ConsentBody(Struct, forbid_unknown_fields=True):
    """One entry of a consent history. An omitted channel or topic is `*`."""

    state: State
    channel: Channel = "*"
    topic: Topic = "*"
    at: Time | UnsetType = UNSET
    source: Text | UnsetType = UNSET


class ProfileFields(TypedDict, total=False):
    """The fields of a person, but for the addresses, which ``add_addresses`` adds."""

    first_name: Text | None
    last_name: Text | None
    gender: Literal["female", "male", None]
    locale: Annotated[
        Annotated[str, Meta(max_length=35)] | None, Meta(description="BCP 47, such as uk-UA.")
    ]
    time_zone: Annotated[str | None, Meta(description="IANA, such as Europe/Kyiv.")]
    attributes: (
        Annotated[dict[str, Any], Meta(extra_json_schema={"maxProperties": fields.KEYS_MAX})] | None
    )


class Profile(ProfileFields, total=False):
    """A field given as null is removed. Keys that are not listed are kept as attributes."""

    consents: Annotated[list[ConsentBody], Meta(max_length=fields.CONSENTS_MAX)] | None


ProfileBody = Annotated[Profile, Meta(extra_json_schema={"maxProperties": fields.KEYS_MAX})]


class InlineRecipient(Profile, total=False):
    """A profile in an event. `id` is your own id of the person; without it `subject` counts."""

    id: str | int


class ConsentsBody(Struct, forbid_unknown_fields=True):
    consents: Annotated[list[ConsentBody], Meta(max_length=fields.CONSENTS_MAX)]


class StoredConsentView(TypedDict):
    """
    An entry as it is stored; `classes` narrows it to message classes, `repeated_at` is when the
    same was said last.
    """

    channel: Channel
    topic: Topic
    state: State
    at: Time
    repeated_at: NotRequired[Time]
    source: str
    classes: NotRequired[list[str]]
    address: NotRequired[
        Annotated[str, Meta(description="It is kept for this address and all who have it.")]
    ]


class ConsentHistoryView(TypedDict):
    """The recipient's consents, oldest first; then those of their addresses."""

    consents: list[StoredConsentView]


class AddressRecordView(TypedDict):
    """What is kept of an address: opt-outs, and when somebody last wrote from it, by channel."""

    kind: str
    address: str
    consents: list[StoredConsentView]
    inbound: dict[str, Time]


class SuppressionView(TypedDict):
    """An address that a provider has proven dead on a channel."""

    channel: str
    kind: str
    address: str
    at: Time
    reason: str
    provider: str | None
    detail: str | None


class RecipientView(ProfileFields):
    """A profile with its consents and its suppressed addresses."""

    id: str
    consents: list[StoredConsentView]
    suppressions: list[SuppressionView]


class ExportView(TypedDict):
    """
    Everything that is stored. A message also has `event_attributes` and `event_data`, which are
    those of its event.
    """

    recipient: dict[str, Any]
    addresses: list[AddressRecordView]
    messages: list[FullMessageView]
    inbox: list[ItemView]


def id_of(request: web.Request) -> str:
    """The recipient's id in the path, checked as in an event."""
    return recipient_id(request.match_info["id"], "id")


async def find_recipient(deps: ApiDeps, id: str) -> dict[str, Any]:
    document = await deps.reader.recipient(id)
    if document is None:
        raise unknown("recipient", id)
    return document


async def put_recipient(request: web.Request) -> web.Response:
    """
    Merge a profile over what is stored. Null removes a field; an address that is given again loses
    its suppression.
    """
    deps, id = request.app[DEPS], id_of(request)
    body = await read_object(request, PROFILE_BYTES_MAX)
    profile = recipient_profile(body, id, "")
    if profile["id"] != id:
        raise Misshapen("id", "it is another one than in the path", "leave it out")
    await deps.engine.submit(PutRecipient(id, profile))
    return await get_recipient(request)


async def get_recipient(request: web.Request) -> web.Response:
    deps, id = request.app[DEPS], await person_of(request)
    return web.json_response(await recipient_view(deps, id, await find_recipient(deps, id)))


async def erase_recipient(request: web.Request) -> web.Response:
    """Erase: running messages are cancelled; hashes of opted-out addresses stay."""
    deps, id = request.app[DEPS], await person_of(request)
    note = note_of(request, "recipient.erased", person_subject(deps, id))
    await deps.engine.submit(Erase(id, note))
    return web.Response(status=204)


async def put_consents(request: web.Request) -> web.Response:
    """Add entries; none is removed. The answer is the whole history."""
    body = await read_object(request)
    refuse_unknown(body, ("consents",), "")
    entries = consents(body.get("consents"), "consents")
    await request.app[DEPS].engine.submit(PutConsents(id_of(request), entries))
    return await get_consents(request)


async def get_consents(request: web.Request) -> web.Response:
    deps, id = request.app[DEPS], await person_of(request)
    document = await find_recipient(deps, id)
    kept = await addresses_view(deps, id, document)
    return web.json_response({"consents": [*consents_view(document), *unsaid(document, kept)]})


def add_addresses(components: Mapping[str, Any]) -> None:
    """Add an optional field for every kind of address to the schemas that have profiles in them."""
    for name in components.keys() & {"Profile", "InlineRecipient", "Recipient"}:
        for field, kind in address_fields().items():
            schema = {"anyOf": [dict(kind.schema), {"type": "null"}]}
            components[name]["properties"][field] = schema


# ---- views


async def recipient_view(deps: ApiDeps, id: str, document: Mapping[str, Any]) -> dict[str, Any]:
    """A ``RecipientView`` of a stored document."""
    suppressions: list[SuppressionView] = []
    addresses = Person(id, dict(document), deps.address_hash).addresses
    states = await deps.reader.addresses([address.hash for address in addresses])
    for address in addresses:
        found = states.get(address.hash, {}).get("suppressions") or {}
        suppressions += [suppression_view(channel, address, one) for channel, one in found.items()]
    shown = {name: value for name, value in document.items() if name not in NOT_PROFILE}
    return shown | {"consents": consents_view(document), "suppressions": suppressions}


async def addresses_view(
    deps: ApiDeps, id: str, document: Mapping[str, Any]
) -> list[AddressRecordView]:
    """What is kept of each of the recipient's addresses; others may share it."""
    addresses = Person(id, dict(document), deps.address_hash).addresses
    states = await deps.reader.addresses([address.hash for address in addresses])
    return [
        {
            "kind": address.kind,
            "address": address.value,
            "consents": [consent_view(row) for row in state.get("consents", ())],
            "inbound": {
                channel: rfc3339(at) for channel, at in (state.get("inbound") or {}).items()
            },
        }
        for address in addresses
        if (state := states.get(address.hash))
    ]


def unsaid(
    document: Mapping[str, Any], kept: Sequence[AddressRecordView]
) -> list[StoredConsentView]:
    """The consents of addresses that the recipient's own history does not have."""
    own = [{**one, "at": ""} for one in consents_view(document)]
    return [
        {**consent, "address": one["address"]}
        for one in kept
        for consent in one["consents"]
        if {**consent, "at": ""} not in own
    ]


def suppression_view(channel: str, address: Address, stored: Mapping[str, Any]) -> SuppressionView:
    return {
        "channel": channel,
        "kind": address.kind,
        "address": address.value,
        "at": rfc3339(stored["at"]),
        "reason": stored["reason"],
        "provider": stored.get("provider"),
        "detail": stored.get("detail"),
    }


def consents_view(document: Mapping[str, Any]) -> list[StoredConsentView]:
    return [consent_view(row) for row in document.get("consents", ())]


def consent_view(row: Sequence[Any]) -> StoredConsentView:
    entry = consent_of(list(row))
    view: StoredConsentView = {
        "channel": entry.channel,
        "topic": entry.topic,
        "state": entry.state,
        "at": rfc3339(entry.at),
        "source": entry.source,
    }
    if entry.repeated_at:
        view["repeated_at"] = rfc3339(entry.repeated_at)
    if entry.classes:
        view["classes"] = list(entry.classes)
    return view


# ---- export


async def export_recipient(request: web.Request) -> web.StreamResponse:
    """Everything that is stored about a recipient, streamed because there may be years of it."""
    deps, id = request.app[DEPS], await person_of(request)
    document = await deps.reader.recipient(id)
    if document is None and not await deps.reader.messages(recipients=(id,), limit=1):
        raise unknown("recipient", id)
    stored = document or {"id": id}
    profile = {**stored, **await recipient_view(deps, id, stored)}
    response = web.StreamResponse(headers={"Content-Type": "application/json; charset=utf-8"})
    await response.prepare(request)
    kept = await addresses_view(deps, id, stored)
    head = json.dumps({"recipient": profile, "addresses": kept}, ensure_ascii=False)
    await response.write(f'{head[:-1]}, "messages": ['.encode())
    comma = b""
    async for message in messages_of(deps, id):
        await response.write(comma + b"\n" + json.dumps(message, ensure_ascii=False).encode())
        comma = b","
    await response.write(b'], "inbox": [')
    comma = b""
    async for item in items_of(deps, id):
        await response.write(comma + b"\n" + orjson.dumps(item))
        comma = b","
    await response.write(b"]}\n")
    await response.write_eof()
    return response


async def items_of(deps: ApiDeps, id: str) -> AsyncIterator[dict[str, Any]]:
    """Everything in a recipient's inbox, archived items included."""
    before, now = FIRST_ITEM, deps.now()
    while page := await deps.reader.items(id, now, status="all", before=before, limit=EXPORT_PAGE):
        for row in page:
            yield item_view(row)
        before = (page[-1].pinned, page[-1].number)


async def messages_of(deps: ApiDeps, id: str) -> AsyncIterator[dict[str, Any]]:
    """A recipient's messages with their traces and events, the newest first."""
    before: str | None = None
    while page := await deps.reader.messages(recipients=(id,), before=before, limit=EXPORT_PAGE):
        for one in page:
            stored = await deps.reader.message(one.message.id)
            if stored is not None:
                found = await deps.reader.joined_events([one.message.id])
                yield {
                    **full_view(stored),
                    "event_attributes": stored.event["ce"],
                    "event_data": stored.event["data"],
                    "joined_events": found.get(one.message.id, []),
                }
        before = page[-1].message.id
