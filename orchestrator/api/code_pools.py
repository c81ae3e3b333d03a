"""
Pools of codes: importing codes, how many are left, and where one went.

A code is worth money: none stands in a path, a log, a metric or the audit log.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from typing import Annotated, Any, Literal, TypedDict

from aiohttp import web
from msgspec import UNSET, Meta, Struct, UnsetType

from orchestrator.api.audit import note_of
from orchestrator.api.bodies import read_object
from orchestrator.api.ports import DEPS, ApiDeps
from orchestrator.api.problems import Refusal
from orchestrator.api.route import Time
from orchestrator.channels import Misshapen
from orchestrator.engine.codes import CODE_KIND
from orchestrator.engine.rules import Rules
from orchestrator.primitives.durations import rfc3339
from orchestrator.recipients.fields import refuse_unknown
from orchestrator.stores.code_rows import CodePlace, CodePool, FreeCode, Imported

CODES_MAX = 10_000
"""Of one call."""
CODE_CHARS_MAX = 128
SOURCE_CHARS_MAX = 64
HASHES_AT_ONCE = 500
"""Between two turns of everything else."""
POOL = re.compile(r"[a-z][a-z0-9_-]{0,63}")


class CodesBody(Struct, forbid_unknown_fields=True):
    """`source` names the file of the codes: what an earlier call for it brought is no double."""

    codes: Annotated[
        list[Annotated[str, Meta(min_length=1, max_length=CODE_CHARS_MAX)]],
        Meta(min_length=1, max_length=CODES_MAX),
    ]
    source: Annotated[str, Meta(min_length=1, max_length=SOURCE_CHARS_MAX)] | UnsetType = UNSET


class CodeBody(Struct, forbid_unknown_fields=True):
    code: Annotated[str, Meta(min_length=1, max_length=CODE_CHARS_MAX)]


class RefusedCodeView(TypedDict):
    """The place of a code in the call, and what is wrong with it."""

    index: int
    code: Literal["double", "bad_code"]
    what: str


class CodesImportedView(TypedDict):
    """`known` are those that an earlier call of the same `source` has recorded."""

    recorded: int
    known: int
    refused: list[RefusedCodeView]


class CodePoolView(TypedDict):
    """`taken` are with a message; `policies` are those whose messages get codes of it."""

    pool: str
    imported: int
    free: int
    taken: int
    imported_at: Time | None
    policies: list[str]


class CodePoolsView(TypedDict):
    items: list[CodePoolView]


class CodePlaceView(TypedDict):
    """The last two are null while the code is free."""

    pool: str
    status: Literal["free", "taken"]
    imported_at: Time
    message: str | None
    taken_at: Time | None


class CodePlacesView(TypedDict):
    items: list[CodePlaceView]


async def import_codes(request: web.Request) -> web.Response:
    """Record the codes of one call; the bad ones and the doubles are listed."""
    deps, pool = request.app[DEPS], request.match_info["pool"]
    if POOL.fullmatch(pool) is None:
        raise Refusal(400, "bad_parameter", "a pool is named with a-z, 0-9, _ and -", field="pool")
    body = await read_object(request)
    refuse_unknown(body, ("codes", "source"), "")
    given = body.get("codes")
    if not isinstance(given, list) or not 0 < len(given) <= CODES_MAX:
        fix = 'send {"codes": ["SPRING-7F3K", …]}'
        raise Misshapen("codes", f"it must be a list of 1 to {CODES_MAX} codes", fix)
    source = source_of(body, given)
    good, refused = await read_codes(deps, given)
    note = note_of(request, "codes.imported", f"pool:{pool}", {"source": source})
    rows = list(good.values())
    found = await deps.reader.import_codes(pool, source, rows, deps.now(), note) if rows else []
    for index, status in zip(good, found, strict=True):
        if status is Imported.DOUBLE:
            what = "the pool has it already; remove it"
            refused.append({"index": index, "code": "double", "what": what})
    view: CodesImportedView = {
        "recorded": found.count(Imported.RECORDED),
        "known": found.count(Imported.KNOWN),
        "refused": sorted(refused, key=lambda one: one["index"]),
    }
    return web.json_response(view)


def source_of(body: dict[str, Any], codes: list[Any]) -> str:
    """The file that codes are from; a call that names none is known by its codes."""
    source = body.get("source")
    if source is None:
        return hashlib.sha256(repr(codes).encode("utf-8", "replace")).hexdigest()[:32]
    if not isinstance(source, str) or not 0 < len(source) <= SOURCE_CHARS_MAX:
        fix = "write the name of the file, or leave it out"
        raise Misshapen("source", f"it must be a text of 1 to {SOURCE_CHARS_MAX} characters", fix)
    return source


async def read_codes(
    deps: ApiDeps, given: list[Any]
) -> tuple[dict[int, FreeCode], list[RefusedCodeView]]:
    """The codes that can be recorded, by their places, and those that cannot."""
    good: dict[int, FreeCode] = {}
    refused: list[RefusedCodeView] = []
    seen: set[str] = set()
    for index, code in enumerate(given):
        if index % HASHES_AT_ONCE == 0:
            await asyncio.sleep(0)
        problem = code_problem(code)
        if problem is not None:
            refused.append({"index": index, "code": "bad_code", "what": problem})
        elif code in seen:
            what = "it stands in the same list before; remove it"
            refused.append({"index": index, "code": "double", "what": what})
        else:
            seen.add(code)
            good[index] = FreeCode(deps.address_hash(CODE_KIND, code), code)
    return good, refused


def code_problem(code: Any) -> str | None:
    """What is wrong with a code, None if nothing is."""
    if not isinstance(code, str) or not code.strip():
        return "it is no text; write a code"
    if len(code) > CODE_CHARS_MAX:
        return f"it has more than {CODE_CHARS_MAX} characters; is it a code?"
    if code != code.strip() or not code.isprintable():
        return "it has a blank around it, or a character that is not printed; remove that"
    return None


async def list_pools(request: web.Request) -> web.Response:
    deps = request.app[DEPS]
    return web.json_response({"items": await pool_views(deps)})


async def pool_views(deps: ApiDeps) -> list[CodePoolView]:
    """Every pool that has codes or that a policy names."""
    rules = deps.engine.rules
    known = {row.pool: row for row in await deps.reader.code_pools()}
    names = known.keys() | {pool for one in rules.with_codes for pool in one.codes.values()}
    return [pool_view(name, known.get(name), rules) for name in sorted(names)]


def pool_view(name: str, row: CodePool | None, rules: Rules) -> CodePoolView:
    imported, free = (row.imported, row.free) if row is not None else (0, 0)
    return {
        "pool": name,
        "imported": imported,
        "free": free,
        "taken": imported - free,
        "imported_at": rfc3339(row.imported_at) if row is not None else None,
        "policies": sorted(one.name for one in rules.with_codes if name in one.codes.values()),
    }


async def find_code(request: web.Request) -> web.Response:
    """Where a code is. The code is in the body, because paths are logged."""
    deps, body = request.app[DEPS], await read_object(request)
    refuse_unknown(body, ("code",), "")
    code = body.get("code")
    if (problem := code_problem(code)) is not None:
        raise Misshapen("code", *problem.split("; ", 1))
    hash = deps.address_hash(CODE_KIND, str(code))
    await deps.reader.append_audit(note_of(request, "code.read", f"code:{hash}"))
    found = await deps.reader.code_places(hash)
    if not found:
        raise Refusal(404, "unknown_code", "no pool has this code; GET /v1/codes has the pools")
    return web.json_response({"items": [place_view(one) for one in found]})


def place_view(row: CodePlace) -> CodePlaceView:
    return {
        "pool": row.pool,
        "status": "free" if row.taken_at is None else "taken",
        "imported_at": rfc3339(row.imported_at),
        "message": row.message,
        "taken_at": rfc3339(row.taken_at) if row.taken_at is not None else None,
    }
