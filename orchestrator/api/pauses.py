"""Pauses: what operators hold back for a while. Nothing is dropped for one."""

from __future__ import annotations

import asyncio
from difflib import get_close_matches
from typing import Annotated, Any, TypedDict, get_args

from aiohttp import web
from msgspec import UNSET, Meta, Struct, UnsetType, field

from orchestrator.api.audit import note_of
from orchestrator.api.bodies import read_object
from orchestrator.api.ports import DEPS, ApiDeps
from orchestrator.api.problems import Refusal
from orchestrator.api.route import Time
from orchestrator.core.inputs import UNTIL_RESUMED, PauseKind
from orchestrator.dispatch.sends import START_WITHIN_SECONDS
from orchestrator.engine.commands import EndPause, StartPause
from orchestrator.engine.rules import Rules
from orchestrator.primitives.durations import parse_duration, rfc3339
from orchestrator.stores.rows import PauseRow

KINDS: tuple[PauseKind, ...] = get_args(PauseKind)
FOR_MS_MAX = 366 * 86_400_000
WHY_CHARS_MAX = 500


class NewPauseBody(Struct):
    """How long, and why."""

    lasts: Annotated[str, Meta(description="`90s`, `1h`, `2d`; without it, until it is ended.")] | (
        UnsetType
    ) = field(default=UNSET, name="for")
    why: Annotated[str, Meta(max_length=WHY_CHARS_MAX)] | UnsetType = UNSET


class PauseView(TypedDict):
    """One of them; ``until`` is null if it lasts until it is ended."""

    kind: PauseKind
    name: str
    at: Time
    until: Time | None
    why: str


class PausesView(TypedDict):
    items: list[PauseView]


async def list_pauses(request: web.Request) -> web.Response:
    deps = request.app[DEPS]
    now, rows = deps.now(), await deps.reader.pauses()
    return web.json_response({"items": [pause_view(row) for row in rows if row.holds(now)]})


async def start_pause(request: web.Request) -> web.Response:
    """Begin a pause, or change its end; answered when nothing leaves any more."""
    deps = request.app[DEPS]
    kind, name = pausable(deps, request)
    until, why = read_pause(await read_object(request), deps.now())
    details = {"until": rfc3339(until) if until < UNTIL_RESUMED else None, "why": why}
    note = note_of(request, "pause.started", f"{kind}:{name}", details)
    row = await deps.engine.submit(StartPause(kind, name, until, why, note))
    await asyncio.sleep(START_WITHIN_SECONDS)  # what was decided before leaves by then, or never
    return web.json_response(pause_view(row))


async def end_pause(request: web.Request) -> web.Response:
    deps = request.app[DEPS]
    kind, name = named(request)
    note = note_of(request, "pause.ended", f"{kind}:{name[:64]}")
    row = await deps.engine.submit(EndPause(kind, name, note))
    if row is None:
        raise Refusal(404, "not_paused", f"the {kind} {name} is not paused; GET /v1/pauses has all")
    return web.json_response(pause_view(row))


def named(request: web.Request) -> tuple[PauseKind, str]:
    """The kind and the name in the path. Raises ``Refusal``."""
    kind, name = request.match_info["kind"], request.match_info["name"]
    for known in KINDS:
        if kind == known:
            return known, name
    detail = f"there is no kind {kind[:32]!r}; it is one of {', '.join(KINDS)}"
    raise Refusal(400, "bad_parameter", detail, field="kind")


def pausable(deps: ApiDeps, request: web.Request) -> tuple[PauseKind, str]:
    """The same, if the configuration has it. Raises ``Refusal``."""
    kind, name = named(request)
    known = names_of(kind, deps.engine.rules)
    if name not in known:
        near = get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known) or 'none'}"
        detail = f"the configuration has no {kind} {name[:64]!r}; {hint}"
        raise Refusal(404, f"unknown_{kind}", detail, field="name")
    return kind, name


def names_of(kind: PauseKind, rules: Rules) -> list[str]:
    match kind:
        case "provider":
            return sorted(rules.providers)
        case "channel":
            return sorted(rules.channels)
        case "policy":
            return sorted(rules.policies)


def read_pause(body: dict[str, Any], now: int) -> tuple[int, str]:
    """The end and the reason of a pause. Raises ``Refusal``."""
    for name in body.keys() - {"for", "why"}:
        raise wrong(name[:64], "there is no such field", "send `for` and `why`")
    lasts, why = body.get("for"), body.get("why", "")
    if not isinstance(why, str) or len(why) > WHY_CHARS_MAX:
        raise wrong("why", f"it must be a text of at most {WHY_CHARS_MAX} characters", "shorten it")
    if lasts is None:
        return UNTIL_RESUMED, why
    found = parse_duration(lasts) if isinstance(lasts, str) else None
    if not found or found > FOR_MS_MAX:
        what = "it must be a duration of at most 366d"
        raise wrong("for", what, "write 30m or 2h; without it, the pause lasts until it is ended")
    return now + found, why


def wrong(name: str, what: str, fix: str) -> Refusal:
    return Refusal(400, "bad_field", f"{what}; {fix}", field=name)


def pause_view(row: PauseRow) -> PauseView:
    return {
        "kind": row.kind,
        "name": row.name,
        "at": rfc3339(row.at),
        "until": rfc3339(row.until) if row.until < UNTIL_RESUMED else None,
        "why": row.why,
    }
