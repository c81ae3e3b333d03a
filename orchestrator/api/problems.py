"""Errors as RFC 9457 problem documents, and the headers that every answer has."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Annotated, Any, NotRequired, TypedDict

import structlog
from aiohttp import web
from msgspec import Meta

from orchestrator.api.ports import DEPS, ApiDeps
from orchestrator.channels import Misshapen
from orchestrator.engine.commands import (
    ProfileTooLarge,
    UnknownJourney,
    UnknownMessage,
    UnknownRecipient,
)
from orchestrator.engine.engine import Busy, Stopped
from orchestrator.events.malformed import Malformed
from orchestrator.recipients.document import PROFILE_BYTES_MAX
from orchestrator.stores.port import StoreAway, StoreBusy

log = structlog.get_logger()
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
SHOWN_MAX = 64
API_PATHS = ("/v1/", "/api/", "/control/")
SERVER = "kaskad"
SAFE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


class Refusal(Exception):
    """
    Ends a request with a problem document: ``code`` is a word for programs, ``detail`` says what is
    wrong and how to fix it.
    """

    def __init__(self, status: int, code: str, detail: str, **more: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.more = more


class ProblemView(TypedDict):
    """An error (RFC 9457)."""

    type: Annotated[str, Meta(description="Always `about:blank`.")]
    title: Annotated[str, Meta(description="The status's own phrase.")]
    status: int
    code: Annotated[str, Meta(description="A word for programs.")]
    detail: Annotated[str, Meta(description="What is wrong, and how to fix it.")]
    field: NotRequired[Annotated[str, Meta(description="Where it is wrong.")]]
    example: NotRequired[
        Annotated[dict[str, Any], Meta(description="An event that would have been accepted.")]
    ]
    results: NotRequired[
        Annotated[list[dict[str, Any]], Meta(description="What is wrong with each event.")]
    ]


def problem(status: int, code: str, detail: str, **more: Any) -> web.Response:
    """A ``ProblemView`` as a response. 429 and 503 say when to try again."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail,
    }
    headers = {"Retry-After": "1"} if status in (429, 503) else {}
    text = json.dumps(body | more, ensure_ascii=False)
    return web.Response(
        status=status, text=text, content_type="application/problem+json", headers=headers
    )


def of_malformed(error: Malformed, **more: Any) -> web.Response:
    """What is wrong with an event or a body, by field."""
    if error.example is not None:
        more["example"] = error.example
    return problem(status_of(error.code), error.code, error.what, field=error.field, **more)


def status_of(code: str) -> int:
    """The HTTP status of an event's error code."""
    return {"too_large": 413, "conflict": 409, "reserved": 422}.get(code, 400)


def unknown(kind: str, id: str) -> Refusal:
    """404 for an id that names nothing; ``kind`` is a noun."""
    shown = id if len(id) <= SHOWN_MAX else f"{id[:SHOWN_MAX]}…"
    return Refusal(404, f"unknown_{kind.replace(' ', '_')}", f"there is no {kind} {shown}")


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """
    Answer every error with a problem document; an unexpected one is a logged 500. In an answer that
    has begun there is no place for one: the connection ends.
    """
    try:
        if names_nothing(request):
            raise web.HTTPNotFound
        return await handler(request)
    except web.HTTPException as error:
        return of_http(error)
    except Exception as error:
        begun = request.writer.output_size > 0
        if begun and isinstance(error, ConnectionError):
            raise  # the caller has left
        resource = request.match_info.route.resource
        route = resource.canonical if resource is not None else "none"
        answer = problem_of(error, route, request.method)
        if begun:
            raise ConnectionError("an answer has begun already") from error
        return answer


def names_nothing(request: web.Request) -> bool:
    """
    Whether the path of an API call has a NUL in it, which PostgreSQL takes in no text. A PUT
    creates what its path names, so its handler says what is wrong with the name; pages for people
    have tokens in their paths, and an answer of their own to a wrong one.
    """
    asks = request.method != "PUT" and request.path.startswith(API_PATHS)
    return asks and "\0" in request.path


def problem_of(error: Exception, route: str, method: str) -> web.Response:
    """The problem document for an error. The words of an unexpected error stay in the log."""
    match error:
        case Malformed():
            return of_malformed(error)
        case Refusal():
            refusal = error
        case Misshapen():
            detail = f"{error.what}; {error.fix}"
            refusal = Refusal(400, "bad_field", detail, field=error.field)
        case ProfileTooLarge():
            detail = (
                f"with this the profile would have more than {PROFILE_BYTES_MAX // 1024} KiB;"
                " remove attributes (send them as null), or send smaller ones"
            )
            refusal = Refusal(413, "profile_too_large", detail)
        case UnknownMessage():
            refusal = unknown("message", str(error.args[0]))
        case UnknownJourney():
            refusal = unknown("journey", str(error.args[0]))
        case UnknownRecipient():
            refusal = unknown("recipient", str(error.args[0]))
        case Busy():
            detail = "too many requests are waiting; nothing was accepted, try again in a second"
            refusal = Refusal(429, "busy", detail)
        case Stopped() | StoreBusy():
            detail = "the service is stopping, or its store is busy or unreachable; try again"
            refusal = Refusal(503, "unavailable", detail)
        case _:
            log.error("api.failed", route=route, method=method, exc_info=error)
            detail = "an internal error, which is logged; nothing was acknowledged"
            refusal = Refusal(500, "internal_error", detail)
    answer = problem(refusal.status, refusal.code, refusal.detail, **refusal.more)
    if refusal.status in (408, 413):
        answer.force_close()  # the rest of the body may still be on its way
    return answer


def of_http(error: web.HTTPException) -> web.Response:
    """aiohttp's own refusals: no such path, or no such method of it."""
    details = {
        404: "there is nothing at this path; see /openapi.json",
        405: "this path does not take this method",
    }
    detail = details.get(error.status, error.reason)
    answer = problem(error.status, error.reason.lower().replace(" ", "_"), detail)
    if "Allow" in error.headers:
        answer.headers["Allow"] = error.headers["Allow"]
    return answer


@web.middleware
async def refuse_without_store(request: web.Request, handler: Handler) -> web.StreamResponse:
    """While the store is unreachable, answer 503 instead of queueing requests in memory."""
    if request.method in ("POST", "PUT", "DELETE"):
        require_store(request.app[DEPS])
    return await handler(request)


def require_store(deps: ApiDeps) -> None:
    """Raise ``StoreAway`` while the store is unreachable."""
    if deps.engine.store_away:
        raise StoreAway("the store cannot be reached")


async def safe_headers(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """Signal handler: add the headers that every answer has."""
    add_safe_headers(response)


def add_safe_headers(response: web.StreamResponse) -> None:
    for name, value in SAFE_HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers["Server"] = SERVER
