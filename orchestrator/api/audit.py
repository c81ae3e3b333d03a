"""
The audit log: writing down who asks, and reading it.

What changes a row is written down in its transaction. A look, and a call that changes many rows, is
written down before it is served, so none goes unseen.
"""

from __future__ import annotations

import os
import pwd
import socket
import struct
from collections import OrderedDict
from typing import Annotated, Any, TypedDict

import orjson
from aiohttp import web
from msgspec import Meta

from orchestrator.api.auth import CALLER
from orchestrator.api.connections import LISTENER
from orchestrator.api.ports import DEPS, ApiDeps
from orchestrator.api.problems import Handler, Refusal
from orchestrator.api.queries import (
    PAGING,
    SPAN,
    Cursor,
    QueryText,
    page,
    read_limit,
    read_query,
    read_span,
)
from orchestrator.api.route import Audited, Parameter, Route, Time
from orchestrator.api.whose import people_of, person_of
from orchestrator.primitives.durations import rfc3339
from orchestrator.stores.audit import AuditEntry, AuditNote, verify

LOOK_AGAIN_MS = 600_000
"""A look that is repeated within this time has one entry: some verbs ask again and again."""
LOOKS_MAX = 1_000
UNIX_USER = struct.Struct("3i")
"""Linux's ``ucred``: process, user and group."""
SEEN: web.AppKey[OrderedDict[tuple[str, ...], int]] = web.AppKey("looks_seen", OrderedDict)

FILTERS = (
    Parameter("actor", "Only what this one did: `key:shop`, `user:olena`.", QueryText),
    Parameter("action", "Only this: `pause.started`.", QueryText),
    Parameter("recipient", "Only what concerns this recipient: an id or an address.", QueryText),
    *SPAN,
    *PAGING,
)
EXPECTED = (
    Parameter(
        "expected",
        "An entry that was noted before: its sequence, a colon and its hash.",
        Annotated[str, Meta(pattern="^[0-9]{1,18}:[0-9a-f]{64}$")],
    ),
)


class AuditView(TypedDict):
    """An entry. People are in it as keyed hashes."""

    id: str
    sequence: int
    at: Time
    actor: str
    action: str
    subject: str
    details: dict[str, Any]
    hash: str


class AuditLogView(TypedDict):
    items: list[AuditView]
    next_cursor: Cursor


class VerificationView(TypedDict):
    """
    ``broken`` is empty if the chain holds. ``head`` is the last good entry, to be noted elsewhere;
    ``expected_found`` is null if nothing was expected.
    """

    entries: int
    since: Time | None
    head: str | None
    broken: str
    expected_found: bool | None


def note_of(
    request: web.Request, action: str, subject: str = "", details: dict[str, Any] | None = None
) -> AuditNote:
    """What to write down of this request."""
    deps = request.app[DEPS]
    return AuditNote(
        deps.new_id(), deps.now(), actor_of(request), action, subject, dict(details or {})
    )


def actor_of(request: web.Request) -> str:
    """Who asks: an API key, the user at the other end of the control socket, or a listener."""
    key = request.get(CALLER)
    if key is not None:
        return f"key:{key.name or key.id}"
    uid = user_of(request)
    if uid is None:
        return f"listener:{request.app[LISTENER]}"
    try:
        return f"user:{pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"user:{uid}"


def user_of(request: web.Request) -> int | None:
    """The user id of a verb, as the kernel has it; None if the request came over the network."""
    found = request.get_extra_info("socket")
    if found is None or found.family != socket.AF_UNIX:
        return None
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:  # not on Linux: the socket's mode lets its owner in, and nobody else
        return os.getuid()
    uid: int = UNIX_USER.unpack(found.getsockopt(socket.SOL_SOCKET, option, UNIX_USER.size))[1]
    return uid


def person_subject(deps: ApiDeps, id: str) -> str:
    """A recipient in the log: the keyed hash of the id, which outlives an erasure."""
    return f"recipient:{deps.address_hash('recipient', id)}"


def audited(row: Route, how: Audited) -> Handler:
    """The row's handler, behind the writing down of who calls it."""

    async def handler(request: web.Request) -> web.StreamResponse:
        if how.all_callers or user_of(request) is not None:
            await write_down(request, how.action)
        return await row.handler(request)

    return handler


async def write_down(request: web.Request, action: str) -> None:
    deps, subject = request.app[DEPS], ""
    if request.path.partition("/v1/")[2].startswith("recipients/"):
        subject = person_subject(deps, await person_of(request))
    elif "id" in request.match_info:
        subject = f"{action.partition('.')[0]}:{request.match_info['id'][:64]}"
    elif "what" in request.match_info:
        subject = request.match_info["what"][:64]
    note = note_of(request, action, subject)
    if request.method == "GET" and seen_before(request.app[SEEN], note):
        return
    await deps.reader.append_audit(note)


def seen_before(seen: OrderedDict[tuple[str, ...], int], note: AuditNote) -> bool:
    """Whether the same look has an entry of the last minutes."""
    key = (note.actor, note.action, note.subject)
    at = seen.get(key)
    if at is not None and 0 <= note.at - at < LOOK_AGAIN_MS:
        return True
    seen[key] = note.at
    seen.move_to_end(key)
    if len(seen) > LOOKS_MAX:
        seen.popitem(last=False)
    return False


async def list_audit(request: web.Request) -> web.Response:
    deps, query = request.app[DEPS], read_query(request, FILTERS)
    limit = read_limit(query)
    since, before = read_span(query)
    who = query.get("recipient")
    subject = None
    if who is not None:
        found = await people_of(deps, who, "recipient")
        if len(found) > 1:
            detail = f"several recipients have this address: {', '.join(found)}; name one of them"
            raise Refusal(409, "several_recipients", detail)
        subject = person_subject(deps, found[0] if found else who)
    entries = await deps.reader.audit_entries(
        actor=query.get("actor"),
        action=query.get("action"),
        subject=subject,
        since=since,
        before=before,
        limit=limit + 1,
    )
    return page([audit_view(entry) for entry in entries], limit)


async def verify_audit(request: web.Request) -> web.Response:
    """Read the whole log and check its chain."""
    given = read_query(request, EXPECTED).get("expected")
    expected = None
    if given is not None:
        sequence, _, hash = given.partition(":")
        if not (sequence.isascii() and sequence.isdigit() and len(hash) == 64):
            fix = "write what `kaskad audit verify` has printed: 42:9f86…"
            raise Refusal(400, "bad_parameter", f"this is no entry; {fix}", field="expected")
        expected = (int(sequence[:18]), hash)
    found = await verify(request.app[DEPS].reader, expected)
    view: VerificationView = {
        "entries": found.entries,
        "since": rfc3339(found.first.at) if found.first is not None else None,
        "head": f"{found.last.sequence}:{found.last.hash}" if found.last is not None else None,
        "broken": found.broken,
        "expected_found": found.expected_found,
    }
    return web.json_response(view)


def audit_view(entry: AuditEntry) -> AuditView:
    return {
        "id": entry.id,
        "sequence": entry.sequence,
        "at": rfc3339(entry.at),
        "actor": entry.actor,
        "action": entry.action,
        "subject": entry.subject,
        "details": orjson.loads(entry.details),
        "hash": entry.hash,
    }
