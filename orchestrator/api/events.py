"""``POST /v1/events``: single structured, binary, or a batch. Answered when what it accepted is durable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from orchestrator.api.ports import DEPS
from orchestrator.api.problems import problem
from orchestrator.engine.commands import Conflict, Event, Publish, Published
from orchestrator.intake.cloudevents import (
    BATCH_BYTES_MAX,
    EVENT_BYTES_MAX,
    Malformed,
    parse_batch,
    parse_binary,
    parse_structured,
)

STRUCTURED = ("application/cloudevents+json", "application/json")
BATCH = "application/cloudevents-batch+json"


async def publish(request: web.Request) -> web.Response:
    """202 with a result for each event; 400 only where none was valid, 409 where a lone one conflicts."""
    deps = request.app[DEPS]
    given = await parse(request)
    single = len(given) == 1 and request.content_type != BATCH
    if single and isinstance(given[0], Malformed):
        raise given[0]
    good = [(index, event) for index, event in enumerate(given) if isinstance(event, Event)]
    answers = await deps.engine.submit_many([Publish(event) for _, event in good])
    results: list[dict[str, Any]] = [refused(i, one) for i, one in enumerate(given) if isinstance(one, Malformed)]
    failure: BaseException | None = None
    for (index, event), answer in zip(good, answers, strict=True):
        if isinstance(answer, Published):
            deps.metrics.events.labels("http", answer.status).inc()
            results.append(accepted(event, answer))
        elif isinstance(answer, Conflict):
            if single:
                return problem(409, "conflict", f"{answer}; give another event another id", field="id")
            what = f"{answer}; give another event another id"
            results.append(
                {"index": index, "status": "refused", "error": {"code": "conflict", "field": "id", "what": what}}
            )
        else:
            failure = answer
    if failure is not None:
        raise failure
    valid = any(result["status"] != "refused" for result in results)
    return web.json_response({"results": results}, status=202 if valid or not given else 400)


async def parse(request: web.Request) -> Sequence[Event | Malformed]:
    """The events of a request."""
    kind = request.content_type
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise web.HTTPUnsupportedMediaType(text="compressed bodies are not read; send it as it is")
    limit = BATCH_BYTES_MAX if kind == BATCH else EVENT_BYTES_MAX
    if request.content_length is not None and request.content_length > limit:
        raise Malformed("too_large", "", f"the body is larger than {limit // 1024} KiB", "send less at once")
    body = await request.read()
    if kind == BATCH:
        return parse_batch(body)
    if "ce-specversion" in request.headers:
        return [parse_binary(request.headers, body)]
    if kind in STRUCTURED:
        return [parse_structured(body)]
    mend = f"send {STRUCTURED[0]}, {BATCH}, or ce-… headers"
    raise web.HTTPUnsupportedMediaType(text=f"{kind} is not read here; {mend}")


def accepted(event: Event, answer: Published) -> dict[str, Any]:
    return {"source": event.source, "id": event.id, "status": answer.status, "messages": list(answer.messages)}


def refused(index: int, error: Malformed) -> dict[str, Any]:
    detail = {"code": error.code, "field": error.field, "what": error.what}
    return {"index": index, "status": "refused", "error": detail}
