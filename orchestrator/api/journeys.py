"""Journeys: lists, one with its history in words, ending one, moving them to today's version."""

from __future__ import annotations

from typing import Any, TypedDict

from aiohttp import web
from msgspec import UNSET, Struct, UnsetType

from orchestrator.api.audit import actor_of, note_of
from orchestrator.api.bodies import read_object
from orchestrator.api.ports import DEPS
from orchestrator.api.problems import Refusal, unknown
from orchestrator.api.queries import PAGING, Cursor, QueryText, read_limit, read_query, read_word
from orchestrator.api.route import Parameter, Time
from orchestrator.api.whose import people_of
from orchestrator.core.journey.facts import ExitAsked
from orchestrator.core.journey.state import JourneyReason, JourneyRun, JourneyStatus
from orchestrator.engine.commands import ApplyJourneyFact, MoveJourney
from orchestrator.explain.journeys import (
    gather_journey,
    journey_explanation,
    journey_run_view,
)
from orchestrator.history.journeys import decode_run
from orchestrator.render import ConditionError
from orchestrator.render.conditions import Conditions
from orchestrator.stores.journey_rows import StoredJourney

MOVED_AT_ONCE = 200
WHERE_NAMES = ("recipient", "journey")
MOVE_FIELDS: dict[str, type] = {"where": str, "dry_run": bool, "after": str}
FILTERS = (
    Parameter(
        "recipient", "Only of this recipient, or of all with this phone or mailbox.", QueryText
    ),
    Parameter("journey", "Only runs of this journey.", QueryText),
    Parameter("status", "Only runs with this status.", JourneyStatus),
    *PAGING,
)


class JourneyEventView(TypedDict):
    """The event that it began with."""

    source: str
    id: str
    type: str


class JourneyRunView(TypedDict):
    """One person's run of a journey."""

    id: str
    journey: str
    version: str
    recipient: str
    key: str
    status: JourneyStatus
    reason: JourneyReason | None
    reason_detail: str | None
    event: JourneyEventView
    created_at: Time
    deadline_at: Time
    finished_at: Time | None
    waits: dict[str, Any] | None
    last: dict[str, Any] | None
    open_messages: list[str]
    caused_by: str | None
    hops: int


class FullJourneyView(JourneyRunView):
    """A run with its history in words (docs/explain.md)."""

    waiting: str | None
    ends_by: list[str]
    story: list[dict[str, Any]]
    messages: list[dict[str, Any]]


class JourneysView(TypedDict):
    """A page of runs, the newest first."""

    items: list[JourneyRunView]
    next_cursor: Cursor


class MoveBody(Struct):
    """
    ``where`` is a condition over ``recipient`` and ``journey``; ``after`` is that of the answer.
    """

    where: str | UnsetType = UNSET
    dry_run: bool | UnsetType = UNSET
    after: str | UnsetType = UNSET


class MovedView(TypedDict):
    """
    Among the runs of one page: ``moved`` may go on (or did) in today's version, ``left`` stand at
    a step that the versions do not share. ``after`` is where the next page begins, null on the
    last.
    """

    version: str
    moved: list[str]
    left: list[str]
    after: str | None


async def list_journeys(request: web.Request) -> web.Response:
    deps, query = request.app[DEPS], read_query(request, FILTERS)
    limit, status = read_limit(query), read_word(query, "status", JourneyStatus)
    who = query.get("recipient")
    people = [None] if who is None else sorted(await people_of(deps, who, "recipient"))
    found: list[StoredJourney] = []
    for person in people:
        found += await deps.reader.journeys(
            recipient=person,
            journey=query.get("journey"),
            status=status,
            before=query.get("cursor"),
            limit=limit + 1,
        )
    found.sort(key=lambda one: one.row.id, reverse=True)
    items = [journey_run_view(decode_run(one.row.state)) for one in found[:limit]]
    cursor = items[-1]["id"] if len(found) > limit else None
    return web.json_response({"items": items, "next_cursor": cursor})


async def get_journey(request: web.Request) -> web.Response:
    deps, id = request.app[DEPS], request.match_info["id"]
    material = await gather_journey(deps.reader, id, deps.engine.rules, deps.now())
    if material is None:
        raise unknown("journey", id)
    document = journey_explanation(material)
    names = ("waiting", "ends_by", "story", "messages")
    return web.json_response(document["journey"] | {name: document[name] for name in names})


async def exit_journey(request: web.Request) -> web.Response:
    """
    End a run and cancel what it has under way. Doing it twice is harmless; one that has ended in
    another way is a 409.
    """
    deps, id = request.app[DEPS], request.match_info["id"]
    note = note_of(request, "journey.exited", f"journey:{id[:64]}")
    fact = ExitAsked(actor_of(request))
    await deps.engine.submit(ApplyJourneyFact(id, fact, note))
    stored = await deps.reader.journey(id)
    if stored is None:
        raise unknown("journey", id)
    run = decode_run(stored.row.state)
    if run.status is not JourneyStatus.EXITED:
        detail = f"the journey has ended already ({run.status}); there is nothing left to end"
        raise Refusal(409, "already_ended", detail, journey_status=run.status)
    return web.json_response(journey_run_view(run))


async def move_journeys(request: web.Request) -> web.Response:
    """One page of the running journeys of a name: have them go on in today's version."""
    deps, name = request.app[DEPS], request.match_info["name"]
    today = deps.engine.rules.journeys.get(name)
    if today is None:
        known = ", ".join(sorted(deps.engine.rules.journeys)) or "none"
        raise Refusal(
            404, "unknown_journey", f"there is no journey {name[:64]!r}; there are: {known}"
        )
    body = await read_object(request) if request.can_read_body else {}
    refuse_others(body)
    where, dry_run = body.get("where"), body.get("dry_run", True)
    condition = compiled(where)
    page = await deps.reader.journeys(
        journey=name, status="running", before=body.get("after"), limit=MOVED_AT_ONCE
    )
    moved: list[str] = []
    left: list[str] = []
    for stored in page:
        run = decode_run(stored.row.state)
        if run.version == today.version or not await applies(deps, condition, run):
            continue
        note = note_of(request, "journey.moved", f"journey:{run.id}", {"to": today.version})
        may = await deps.engine.submit(MoveJourney(run.id, dry_run, note))
        (moved if may else left).append(run.id)
    after = page[-1].row.id if len(page) == MOVED_AT_ONCE else None
    view: MovedView = {"version": today.version, "moved": moved, "left": left, "after": after}
    return web.json_response(view)


def refuse_others(body: dict[str, Any]) -> None:
    """Refuse what says nothing: a condition that is a number would move everybody."""
    for name, value in body.items():
        kind = MOVE_FIELDS.get(name)
        if kind is None or not isinstance(value, kind):
            what = "there is no such field" if kind is None else f"it must be a {kind.__name__}"
            fix = f"send {', '.join(MOVE_FIELDS)}"
            raise Refusal(400, "bad_field", f"{what}; {fix}", field=name[:64])


def compiled(where: Any) -> Any:
    """The condition, None without one. Raises ``Refusal``."""
    if where is None:
        return None
    try:
        return Conditions().compile(where, WHERE_NAMES)
    except ConditionError as error:
        raise Refusal(400, "bad_field", f"{where!r}: {error}", field="where") from None


async def applies(deps: Any, condition: Any, run: JourneyRun) -> bool:
    """Whether a condition is true of a run and its person; what cannot be evaluated is not."""
    if condition is None:
        return True
    document = await deps.reader.recipient(run.recipient) or {}
    person = {**document.get("attributes", {}), **document, "id": run.recipient}
    try:
        return bool(condition.evaluate({"recipient": person, "journey": journey_run_view(run)}))
    except ConditionError:
        return False
