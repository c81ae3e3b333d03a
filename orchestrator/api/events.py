"""
``POST /v1/events``: one structured event, one in binary mode, or a batch. The answer comes when the
accepted events are durable.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Annotated, Any, Literal, NamedTuple, NotRequired, TypedDict

import orjson
from aiohttp import web
from msgspec import Meta
from msgspec.structs import asdict

from orchestrator.api.bodies import read_body
from orchestrator.api.ports import DEPS, ApiDeps
from orchestrator.api.problems import Refusal, of_malformed, problem, status_of
from orchestrator.api.recipients import InlineRecipient
from orchestrator.api.route import JSON, Time
from orchestrator.engine.commands import Conflict, Publish, Published
from orchestrator.engine.engine import Busy, Stopped
from orchestrator.engine.rules import Rules
from orchestrator.events.cloudevents import (
    BATCH_BYTES_MAX,
    BATCH_EVENTS_MAX,
    EVENT_BYTES_MAX,
    TEXT_LENGTH_MAX,
    parse_batch,
    parse_binary,
    parse_structured,
    refuse_at_the_door,
    with_trace,
)
from orchestrator.events.data import RECIPIENTS_MAX, is_json
from orchestrator.events.event import Event
from orchestrator.events.malformed import Malformed
from orchestrator.primitives.trace_context import TRACEPARENT
from orchestrator.stores.port import StoreBusy

AT_ONCE_BYTES_MAX = 16 * 1024
"""A larger body is read in a thread."""
STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
ATTRIBUTE_PREFIX = "ce-"
COMPARED_MAX, COMPARED_LENGTH_MAX, CLOSE = 10, 100, 0.8
"""How many unmatched types of a request are compared, how long, and how alike is close."""

Attribute = Annotated[str, Meta(min_length=1, max_length=TEXT_LENGTH_MAX)]


class EventData(TypedDict, total=False):
    """What happened. Policies and templates read it as `event`."""

    recipient: InlineRecipient
    recipients: Annotated[list[InlineRecipient], Meta(max_length=RECIPIENTS_MAX)]


class EventBody(TypedDict):
    """A CloudEvent 1.0. Other attributes are extensions: lower-case letters and digits."""

    specversion: Literal["1.0"]
    id: Annotated[
        Attribute, Meta(description="With `source` it names the event: a repeat does nothing.")
    ]
    source: Attribute
    type: Attribute
    subject: NotRequired[
        Annotated[
            Annotated[str, Meta(max_length=TEXT_LENGTH_MAX)] | None,
            Meta(description="The recipient, if `data` names none."),
        ]
    ]
    time: NotRequired[
        Annotated[Time | None, Meta(description="When it happened; deadlines count from it.")]
    ]
    datacontenttype: NotRequired[str]
    data: NotRequired[EventData]
    data_base64: NotRequired[Annotated[str, Meta(extra_json_schema={"contentEncoding": "base64"})]]


class EventErrorView(TypedDict):
    code: str
    field: str
    what: str


class WarningView(TypedDict):
    """A part of a recipient that could not be used. `recipient` is null where none can be named."""

    recipient: str | None
    field: str
    what: str
    fix: str


class ResultView(TypedDict):
    """
    What became of one event. `source`, `id` and `messages` are there unless it was refused,
    `error` if it was; `messages` are those that a `goal` has ended, else those that were started.
    `journeys`, if there are any, are those that it began, or of a `goal` those that it ended or
    led on.
    `nearest` is a type that a policy listens to and that looks like this `unmatched` one.
    """

    index: int
    status: Literal["accepted", "duplicate", "goal", "unmatched", "refused"]
    source: NotRequired[str]
    id: NotRequired[str]
    messages: NotRequired[list[str]]
    journeys: NotRequired[list[str]]
    warnings: NotRequired[list[WarningView]]
    nearest: NotRequired[str]
    error: NotRequired[EventErrorView]


class ResultsView(TypedDict):
    """One result for each event, in their order."""

    results: list[ResultView]


BODIES = {
    STRUCTURED: EventBody,
    JSON: EventBody,
    BATCH: Annotated[list[EventBody], Meta(max_length=BATCH_EVENTS_MAX)],
}


def is_source(deps: ApiDeps) -> bool:
    """
    Whether this listener takes events: HTTP is a source of the configuration, or the listener has
    no authentication, as the control socket through which the command line publishes.
    """
    return deps.settings().sources.http or deps.auth == "off"


async def publish(request: web.Request) -> web.Response:
    """
    202 with a result for each event, in their order. If none was accepted: 400 with what is wrong
    with each, 409 if all of them conflict, 413 if a single one is too large. Nothing is
    acknowledged before it is durable: if the store fails halfway the whole request fails, and
    sending it again repeats nothing.
    """
    deps, header = request.app[DEPS], request.headers.get(TRACEPARENT)
    began_at = deps.now()
    given = [in_time(one, deps.now(), header) for one in await parse(request)]
    results = await accept(deps, given, EventRequest(began_at, header))
    refusals = [result for result in results if isinstance(result, Malformed)]
    body = [
        refused(i, one) if isinstance(one, Malformed) else {"index": i, **one}
        for i, one in enumerate(results)
    ]
    if not refusals or len(refusals) < len(results):
        return web.Response(
            body=orjson.dumps({"results": body}),
            status=202,
            content_type="application/json",
            charset="utf-8",
        )
    if len(results) == 1:
        return of_malformed(refusals[0], results=body)
    code = "conflict" if {one.code for one in refusals} == {"conflict"} else "refused"
    detail = f"none of the {len(results)} events was accepted; see results"
    return problem(status_of(code), code, detail, results=body)


async def parse(request: web.Request) -> Sequence[Event | Malformed]:
    """
    The events of a request, by its content mode. Raises ``Refusal``, or ``Malformed`` if the batch
    as a whole cannot be read.
    """
    kind = request.content_type if "Content-Type" in request.headers else ""
    if not is_json(request.headers.get("Content-Type", JSON)):
        fix = f"send {STRUCTURED}, {BATCH}, or JSON data with ce-… headers, in UTF-8"
        raise Refusal(415, "unsupported_media_type", f"this media type is not read here; {fix}")
    body = await read_body(request, BATCH_BYTES_MAX if kind == BATCH else EVENT_BYTES_MAX)
    if len(body) > AT_ONCE_BYTES_MAX:
        return await asyncio.to_thread(read_events, request, kind, body)
    return read_events(request, kind, body)


def read_events(request: web.Request, kind: str, body: bytes) -> Sequence[Event | Malformed]:
    """The events of a body. Raises ``Malformed`` if the batch as a whole cannot be read."""
    if kind == BATCH:
        return parse_batch(body)
    binary = kind != STRUCTURED and any(
        name.lower().startswith(ATTRIBUTE_PREFIX) for name in request.headers
    )
    try:
        if binary:
            return [parse_binary(headers_of(request), body)]
        return [parse_structured(body)]
    except Malformed as error:
        return [error]


def in_time(
    given: Event | Malformed, now: int, traceparent: str | None = None
) -> Event | Malformed:
    """The same with its request's trace context, or the error of an event from the future."""
    try:
        if isinstance(given, Event):
            refuse_at_the_door(given, now)
            return with_trace(given, traceparent)
    except Malformed as error:
        return error
    return given


def headers_of(request: web.Request) -> dict[str, str]:
    """The headers by lower-case name. Raises ``Malformed`` for an attribute that is given twice."""
    found: dict[str, str] = {}
    for name, value in request.headers.items():
        lower = name.lower()
        if lower in found and lower.startswith(ATTRIBUTE_PREFIX):
            attribute = lower.removeprefix(ATTRIBUTE_PREFIX)
            raise Malformed("bad_attribute", attribute, "it is given twice", "send it once")
        found[lower] = value
    return found


class EventRequest(NamedTuple):
    """The request that brought events: when it began (UTC ms), and its ``traceparent``."""

    at: int
    traceparent: str | None


async def accept(
    deps: ApiDeps, given: Sequence[Event | Malformed], brought: EventRequest | None = None
) -> list[dict[str, Any] | Malformed]:
    """
    Publish the good events; the result of each event, counted. Raises what the engine raised for
    any of them.
    """
    answers = iter(
        await deps.engine.submit_many(
            [Publish(event) for event in given if isinstance(event, Event)]
        )
    )
    results: list[dict[str, Any] | Malformed] = []
    failure: BaseException | None = None
    unforeseen: BaseException | None = None
    for event in given:
        if isinstance(event, Malformed):
            results.append(event)
            continue
        match next(answers):
            case Published() as answer:
                results.append(result_of(event, answer))
                deps.metrics.published("http", answer.status, *answer.warnings)
                if deps.tracing is not None and brought is not None:
                    deps.tracing.published("http", event, answer, *brought)
            case Conflict():
                what = "this source and id were published before with another body"
                results.append(Malformed("conflict", "id", what, "give another event another id"))
            case Busy() | Stopped() | StoreBusy() as error:
                failure = error
            case BaseException() as error:  # the engine has logged it
                unforeseen = error
                what = "it could not be processed, and the error is logged"
                results.append(Malformed("internal_error", "data", what, "send it again later"))
    refusals = sum(isinstance(one, Malformed) for one in results)
    if refusals:
        deps.metrics.events.labels("http", "refused").inc(refusals)
    name_nearest(results, given, deps.engine.rules)
    if failure is not None:
        raise failure
    if unforeseen is not None and all(is_internal(one) for one in results):
        raise unforeseen
    return results


def is_internal(result: dict[str, Any] | Malformed) -> bool:
    return isinstance(result, Malformed) and result.code == "internal_error"


def result_of(event: Event, answer: Published) -> dict[str, Any]:
    result: dict[str, Any] = {"source": event.source, "id": event.id, "status": answer.status}
    result["messages"] = list(answer.messages)
    if answer.journeys:
        result["journeys"] = list(answer.journeys)
    if answer.warnings:
        result["warnings"] = [asdict(one) for one in answer.warnings]
    return result


def name_nearest(
    results: Sequence[dict[str, Any] | Malformed],
    given: Sequence[Event | Malformed],
    rules: Rules,
) -> None:
    """Tell the publishers of unmatched events which trigger they may have meant."""
    known = [*rules.by_event, *rules.goals, *rules.journeys_by_event, *rules.journey_events]
    nearest: dict[str, list[str]] = {}
    for result, event in zip(results, given, strict=False):
        if isinstance(result, Malformed) or result["status"] != "unmatched":
            continue
        assert isinstance(event, Event)
        if event.type in known or len(event.type) > COMPARED_LENGTH_MAX:
            continue
        if event.type not in nearest and len(nearest) < COMPARED_MAX:
            nearest[event.type] = get_close_matches(event.type, known, 1, CLOSE)
        if found := nearest.get(event.type):
            result["nearest"] = found[0]


def refused(index: int, error: Malformed) -> dict[str, Any]:
    detail = {"code": error.code, "field": error.field, "what": error.what}
    return {"index": index, "status": "refused", "error": detail}
