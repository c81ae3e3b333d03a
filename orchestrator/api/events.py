"""
``POST /v1/events``: single structured, binary, or a batch. Answered when what it accepted is
durable.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import orjson
from aiohttp import web

from orchestrator.api.bodies import read_body
from orchestrator.api.ports import DEPS, ApiDeps
from orchestrator.api.problems import Refusal, of_malformed, problem, status_of
from orchestrator.engine.commands import Conflict, Publish, Published
from orchestrator.events.cloudevents import (
    BATCH_BYTES_MAX,
    EVENT_BYTES_MAX,
    Malformed,
    is_json,
    parse_batch,
    parse_binary,
    parse_structured,
)
from orchestrator.events.event import Event

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
ATTRIBUTE_PREFIX = "ce-"


async def publish(request: web.Request) -> web.Response:
    """
    202 with a result for each event, in their order. Where none was accepted: 400 with what is
    wrong with each, 409 where all of them conflict, 413 where a lone one is too large. Nothing is
    acknowledged before it is durable: where the store fails in the middle the whole request fails,
    and is to be sent again, which repeats nothing.
    """
    deps = request.app[DEPS]
    given = await parse(request)
    results = await accept(deps, given)
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
    codes = {one.code for one in refusals}
    code = "conflict" if codes == {"conflict"} else "refused"
    return problem(
        status_of(code),
        code,
        f"none of the {len(results)} events was accepted; see results",
        results=body,
    )


async def parse(request: web.Request) -> Sequence[Event | Malformed]:
    """
    The events of a request, by its content mode. Raises ``Refusal``, or ``Malformed`` for all of
    it.
    """
    kind = request.content_type if "Content-Type" in request.headers else ""
    if not is_json(request.headers.get("Content-Type", "application/json")):
        fix = f"send {STRUCTURED}, {BATCH}, or JSON data with ce-… headers, in UTF-8"
        raise Refusal(415, "unsupported_media_type", f"this media type is not read here; {fix}")
    body = await read_body(request, BATCH_BYTES_MAX if kind == BATCH else EVENT_BYTES_MAX)
    if kind == BATCH:
        return parse_batch(body)
    binary = kind != STRUCTURED and any(
        name.lower().startswith(ATTRIBUTE_PREFIX) for name in request.headers
    )
    try:
        if binary:
            return [parse_binary(headers_of(request), body)]
        return [parse_structured(body)]
    except Malformed as problem:
        return [problem]


def headers_of(request: web.Request) -> dict[str, str]:
    """The headers, each once. Raises ``Malformed`` for an attribute that came twice."""
    found: dict[str, str] = {}
    for name, value in request.headers.items():
        lower = name.lower()
        if lower in found and lower.startswith(ATTRIBUTE_PREFIX):
            raise Malformed(
                "bad_attribute",
                lower[len(ATTRIBUTE_PREFIX) :],
                "it stands there twice",
                "send it once",
            )
        found[lower] = value
    return found


async def accept(
    deps: ApiDeps, given: Sequence[Event | Malformed]
) -> list[dict[str, Any] | Malformed]:
    """What became of each event, counted. Raises what the engine could not do for any of them."""
    answers = iter(
        await deps.engine.submit_many(
            [Publish(event) for event in given if isinstance(event, Event)]
        )
    )
    results: list[dict[str, Any] | Malformed] = []
    failure: BaseException | None = None
    for event in given:
        if isinstance(event, Malformed):
            results.append(event)
            continue
        match next(answers):
            case Published() as answer:
                messages = list(answer.messages)
                results.append(
                    {
                        "source": event.source,
                        "id": event.id,
                        "status": answer.status,
                        "messages": messages,
                    }
                )
            case Conflict():
                what = "this source and id were published before, with another body"
                results.append(Malformed("conflict", "id", what, "give another event another id"))
            case BaseException() as error:
                failure = error
    statuses = Counter(
        "refused" if isinstance(one, Malformed) else one["status"] for one in results
    )
    for status, count in statuses.items():
        deps.metrics.events.labels("http", status).inc(count)
    if failure is not None:
        raise failure
    return results


def refused(index: int, error: Malformed) -> dict[str, Any]:
    detail = {"code": error.code, "field": error.field, "what": error.what}
    return {"index": index, "status": "refused", "error": detail}
