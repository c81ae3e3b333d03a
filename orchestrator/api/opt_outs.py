"""
Opt-outs in bulk, of recipients and of bare addresses, known or not. Each entry has its own result,
which says how it was understood and whom it concerns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NotRequired, TypedDict

from aiohttp import web
from msgspec import UNSET, Meta, Struct, UnsetType

from orchestrator.api.bodies import read_object
from orchestrator.api.ports import DEPS, ApiDeps
from orchestrator.api.problems import problem
from orchestrator.api.recipients import Channel, Id, Text, Topic
from orchestrator.api.route import Time
from orchestrator.api.whose import people_at
from orchestrator.channels import Misshapen
from orchestrator.channels.address_kinds import text
from orchestrator.channels.registry import address_kinds, kinds_like
from orchestrator.engine.commands import OptOut
from orchestrator.recipients.fields import (
    bare_address,
    instant,
    recipient_id,
    refuse_unknown,
    scope_of,
)
from orchestrator.stores.rows import Wanted

OPT_OUTS_MAX = 1_000
ENTRY_KEYS = ("recipient", "address", "kind", "channel", "topic", "at", "source")
SOURCE = "api"


class OptOutBody(Struct, forbid_unknown_fields=True):
    """
    Of a recipient, of an address, or of both. An omitted channel or topic is `*`. `kind` says what
    an address is that looks like something else; `at` is when they said so, by default now.
    """

    recipient: Id | UnsetType = UNSET
    address: Annotated[str, Meta(min_length=1)] | UnsetType = UNSET
    kind: Annotated[str, Meta(description="The recipient's field that has it.")] | UnsetType = UNSET
    channel: Channel = "*"
    topic: Topic = "*"
    at: Time | UnsetType = UNSET
    source: Text | UnsetType = UNSET


OneOptOut = Annotated[
    OptOutBody,
    Meta(extra_json_schema={"anyOf": [{"required": ["recipient"]}, {"required": ["address"]}]}),
]


class OptOutsBody(Struct, forbid_unknown_fields=True):
    opt_outs: Annotated[list[OneOptOut], Meta(min_length=1, max_length=OPT_OUTS_MAX)]


class OptOutErrorView(TypedDict):
    code: str
    field: str
    what: str


class OptOutResultView(TypedDict):
    """
    What became of one entry. `found` are the ids of the recipients it was found to be of: the named
    one if it is stored, those whose profile has the address, and those who were last written to
    there. It also holds for everybody who has the address, now or later.
    """

    index: int
    status: Literal["recorded", "refused"]
    recipient: NotRequired[str]
    address: NotRequired[Annotated[str, Meta(description="As profiles have it.")]]
    kinds: NotRequired[Annotated[list[str], Meta(description="What the address may be.")]]
    found: NotRequired[list[str]]
    error: NotRequired[OptOutErrorView]


class RecordedView(TypedDict):
    recorded: int
    results: list[OptOutResultView]


async def opt_out(request: web.Request) -> web.Response:
    """400 if no entry could be read; else the good ones are recorded and the others listed."""
    deps = request.app[DEPS]
    body = await read_object(request)
    if "opt_outs" not in body and body.keys() & {"recipient", "address"}:
        body = {"opt_outs": [body]}
    refuse_unknown(body, ("opt_outs",), "")
    entries = body.get("opt_outs")
    if not isinstance(entries, list) or not 0 < len(entries) <= OPT_OUTS_MAX:
        fix = 'send {"opt_outs": [{"recipient": "user-42", "channel": "sms"}]}'
        raise Misshapen("opt_outs", f"it must be a list of 1 to {OPT_OUTS_MAX} entries", fix)
    countries = deps.engine.rules.governance.sms_countries
    commands: dict[int, OptOut] = {}
    refused: dict[int, OptOutResultView] = {}
    for index, entry in enumerate(entries):
        try:
            commands[index] = opt_out_of(entry, f"opt_outs[{index}]", countries)
        except Misshapen as error:
            refused[index] = refusal(index, error)
    found = await whom(deps, list(commands.values()))
    for result in await deps.engine.submit_many(list(commands.values())):
        if isinstance(result, BaseException):
            raise result
    for command in commands.values():
        deps.metrics.optouts.labels(command.channel, SOURCE).inc()
    recorded = {
        index: recorded_view(index, command, people)
        for (index, command), people in zip(commands.items(), found, strict=True)
    }
    results = [refused.get(index) or recorded[index] for index in range(len(entries))]
    if commands:
        return web.json_response({"recorded": len(commands), "results": results})
    first = refused[0]["error"]
    return problem(400, "bad_field", first["what"], field=first["field"], results=results)


def opt_out_of(entry: Any, field: str, countries: Sequence[str]) -> OptOut:
    """
    One checked entry. A misspelt key is refused: an opt-out whose ``channel`` is lost would be one
    from everything.
    """
    if not isinstance(entry, Mapping):
        fix = 'write {"recipient": "user-42", "channel": "*"}'
        raise Misshapen(field, "it must be an object", fix)
    refuse_unknown(entry, ENTRY_KEYS, field)
    recipient, address, kind = (entry.get(name) for name in ("recipient", "address", "kind"))
    if recipient is None and address is None:
        raise Misshapen(field, "nobody is named", "name a recipient or an address")
    known = address_kinds()
    if kind is not None and (not isinstance(kind, str) or kind not in known):
        raise Misshapen(f"{field}.kind", "there is no such kind", f"use {', '.join(known)}")
    place = f"{field}.address"
    if address is not None and kind is not None and not known[kind].several:
        address = known[kind].read(address, place)
    elif address is not None:
        address = bare_address(address, place, countries)
    source = entry.get("source")
    return OptOut(
        recipient=recipient_id(recipient, f"{field}.recipient") if recipient is not None else None,
        address=address,
        kind=kind,
        at=instant(entry["at"], f"{field}.at") if entry.get("at") is not None else None,
        source=SOURCE if source is None else text(source, f"{field}.source"),
        **scope_of(entry, field),
    )


def kinds_of(command: OptOut) -> tuple[str, ...]:
    if command.address is None:
        return ()
    return (command.kind,) if command.kind else kinds_like(command.address)


async def whom(deps: ApiDeps, commands: Sequence[OptOut]) -> list[list[str]]:
    """The recipients that each opt-out is found to be of."""
    named = {command.recipient for command in commands if command.recipient is not None}
    known = (await deps.reader.load(Wanted(recipients=set(named)))).recipients
    at = await people_at(deps, [(one.address or "", kinds_of(one)) for one in commands])
    return [
        list(dict.fromkeys([*(id for id in [command.recipient] if id in known), *ids]))
        for command, ids in zip(commands, at, strict=True)
    ]


def recorded_view(index: int, command: OptOut, found: list[str]) -> OptOutResultView:
    view: OptOutResultView = {"index": index, "status": "recorded", "found": found}
    if command.recipient is not None:
        view["recipient"] = command.recipient
    if command.address is not None:
        view["address"], view["kinds"] = command.address, list(kinds_of(command))
    return view


def refusal(index: int, error: Misshapen) -> OptOutResultView:
    what = f"{error.what}; {error.fix}"
    detail: OptOutErrorView = {"code": "bad_field", "field": error.field, "what": what}
    return {"index": index, "status": "refused", "error": detail}
