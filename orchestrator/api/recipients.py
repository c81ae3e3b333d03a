"""Recipients: profiles, consents, opt-outs, export, erasure."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Annotated, Any, Literal, NotRequired, TypedDict

from aiohttp import web
from msgspec import UNSET, Meta, Struct, UnsetType

from orchestrator.api.bodies import read_object
from orchestrator.api.ports import DEPS, ApiDeps
from orchestrator.api.problems import unknown
from orchestrator.api.route import Time
from orchestrator.channels import Misshapen
from orchestrator.channels.address_kinds import (
    ENDPOINT_LENGTH_MAX,
    ID_LENGTH_MAX,
    TEXT_LENGTH_MAX,
)
from orchestrator.channels.registry import address_kinds
from orchestrator.core.recipient import Address
from orchestrator.engine.commands import Erase, OptOut, PutConsents, PutRecipient
from orchestrator.explain.views import FullMessageView, full_view
from orchestrator.primitives.durations import rfc3339
from orchestrator.recipients import fields
from orchestrator.recipients.consents import consent_of
from orchestrator.recipients.document import PROFILE_BYTES_MAX, Person
from orchestrator.recipients.fields import (
    bare_address,
    consents,
    recipient_id,
    recipient_profile,
    refuse_unknown,
    scope_of,
)

OPT_OUTS_MAX = 1_000
OPT_OUT_KEYS = ("recipient", "address", "channel", "topic")
EXPORT_PAGE = 100
NOT_SHOWN = ("cap_usages", "goals", "consents")

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


class AppDevice(TypedDict):
    platform: Literal["fcm", "apns"]
    token: Annotated[str, Meta(min_length=1, max_length=ENDPOINT_LENGTH_MAX)]


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
    devices: Annotated[list[AppDevice], Meta(max_length=fields.DEVICES_MAX)] | None
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


class OptOutBody(Struct, forbid_unknown_fields=True):
    """Of a recipient, of an address, or of both. An omitted channel or topic is `*`."""

    recipient: Id | UnsetType = UNSET
    address: Annotated[str, Meta(min_length=1)] | UnsetType = UNSET
    channel: Channel = "*"
    topic: Topic = "*"


OneOptOut = Annotated[
    OptOutBody,
    Meta(extra_json_schema={"anyOf": [{"required": ["recipient"]}, {"required": ["address"]}]}),
]


class OptOutsBody(Struct, forbid_unknown_fields=True):
    opt_outs: Annotated[list[OneOptOut], Meta(min_length=1, max_length=OPT_OUTS_MAX)]


class RecordedView(TypedDict):
    recorded: int


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


class ConsentHistoryView(TypedDict):
    """The whole history, oldest first."""

    consents: list[StoredConsentView]


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
    messages: list[FullMessageView]


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
    deps, id = request.app[DEPS], id_of(request)
    return web.json_response(await recipient_view(deps, id, await find_recipient(deps, id)))


async def erase_recipient(request: web.Request) -> web.Response:
    """Erase: running messages are cancelled; hashes of opted-out addresses stay."""
    await request.app[DEPS].engine.submit(Erase(id_of(request)))
    return web.Response(status=204)


async def put_consents(request: web.Request) -> web.Response:
    """Add entries; none is removed. The answer is the whole history."""
    body = await read_object(request)
    refuse_unknown(body, ("consents",), "")
    entries = consents(body.get("consents"), "consents")
    await request.app[DEPS].engine.submit(PutConsents(id_of(request), entries))
    return await get_consents(request)


async def get_consents(request: web.Request) -> web.Response:
    document = await find_recipient(request.app[DEPS], id_of(request))
    return web.json_response({"consents": consents_view(document)})


def add_addresses(components: Mapping[str, Any]) -> None:
    """Add an optional field for every kind of address to the schemas that have profiles in them."""
    for name in components.keys() & {"Profile", "InlineRecipient", "Recipient"}:
        for field, kind in address_kinds().items():
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
    shown = {name: value for name, value in document.items() if name not in NOT_SHOWN}
    return shown | {"consents": consents_view(document), "suppressions": suppressions}


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


# ---- opt-outs in bulk


async def opt_out(request: web.Request) -> web.Response:
    """For recipients and for bare addresses, known or not. One bad entry refuses all of them."""
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
    One checked entry. A misspelt key is refused: an opt-out whose ``channel`` is lost would be one
    from everything.
    """
    if not isinstance(entry, Mapping):
        fix = 'write {"recipient": "user-42", "channel": "*"}'
        raise Misshapen(field, "it must be an object", fix)
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
    """Everything that is stored about a recipient, streamed because there may be years of it."""
    deps, id = request.app[DEPS], id_of(request)
    document = await deps.reader.recipient(id)
    if document is None and not await deps.reader.messages(recipient=id, limit=1):
        raise unknown("recipient", id)
    stored = document or {"id": id}
    profile = {**stored, **await recipient_view(deps, id, stored)}
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
    """A recipient's messages with their traces and events, the newest first."""
    before: str | None = None
    while page := await deps.reader.messages(recipient=id, before=before, limit=EXPORT_PAGE):
        for one in page:
            stored = await deps.reader.message(one.message.id)
            if stored is not None:
                yield {
                    **full_view(stored),
                    "event_attributes": stored.event["ce"],
                    "event_data": stored.event["data"],
                }
        before = page[-1].message.id
