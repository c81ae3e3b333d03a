"""Errors as RFC 9457 problem documents, and the headers that no answer goes without."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import structlog
from aiohttp import web

from orchestrator.api.ports import DEPS, ApiDeps
from orchestrator.channels import Misshapen
from orchestrator.engine.commands import UnknownMessage, UnknownRecipient
from orchestrator.engine.engine import Busy, Stopped
from orchestrator.events.cloudevents import Malformed
from orchestrator.stores.port import StoreAway, StoreBusy

log = structlog.get_logger()
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
SHOWN_MAX = 64
SERVER = "kaskad"
SAFE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


class Refusal(Exception):
    """
    Ends a request with a problem: ``code`` is a short word, ``detail`` says what is wrong and how
    to fix it.
    """

    def __init__(self, status: int, code: str, detail: str, **more: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.more = more


def problem(status: int, code: str, detail: str, **more: Any) -> web.Response:
    """
    A problem document: ``type`` is about:blank, so ``title`` is the status's own phrase; ``code``
    is a word for programs, ``detail`` what is wrong and how to fix it. What may be tried again
    says when.
    """
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
    more = {"field": error.field, **more} | (
        {"example": error.example} if error.example is not None else {}
    )
    return problem(status_of(error.code), error.code, error.what, **more)


def status_of(code: str) -> int:
    """The HTTP status of a word for what is wrong with an event."""
    return {"too_large": 413, "conflict": 409}.get(code, 400)


def unknown(what: str, id: str) -> Refusal:
    """There is no such thing."""
    return Refusal(404, f"unknown_{what.replace(' ', '_')}", f"there is no {what} {shown(id)}")


def shown(id: str) -> str:
    """An id from a path, short enough for an error."""
    return id if len(id) <= SHOWN_MAX else f"{id[:SHOWN_MAX]}…"


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """
    Every error that a handler may raise, as a problem; whatever nobody thought of is a logged 500
    that tells nothing.
    """
    try:
        return await handler(request)
    except web.HTTPException as error:
        return of_http(error)
    except Exception as error:
        resource = request.match_info.route.resource
        return of_any(error, resource.canonical if resource is not None else "none", request.method)


def of_any(error: Exception, route: str, method: str) -> web.Response:
    """The problem that an error stands for; one that stands for none is logged."""
    found = of_error(error)
    if found is not None:
        return found
    log.error("api.failed", route=route, method=method, exc_info=error)
    return problem(
        500,
        "internal_error",
        "something went wrong here; it is logged, and nothing was acknowledged",
    )


def of_error(error: Exception) -> web.Response | None:
    """The problem that an error stands for, None where it stands for none."""
    match error:
        case Refusal():
            answer = problem(error.status, error.code, error.detail, **error.more)
            if error.status in (408, 413):
                answer.force_close()
            return answer
        case Malformed():
            return of_malformed(error)
        case Misshapen():
            return problem(400, "bad_field", f"{error.what}; {error.fix}", field=error.field)
        case UnknownMessage():
            return problem(
                404, "unknown_message", f"there is no message {shown(str(error.args[0]))}"
            )
        case UnknownRecipient():
            return problem(
                404, "unknown_recipient", f"there is no recipient {shown(str(error.args[0]))}"
            )
        case Busy():
            return problem(
                429, "busy", "too much is waiting already; nothing was taken, try again in a second"
            )
        case Stopped() | StoreBusy():
            return problem(
                503, "unavailable", "the service is stopping or its store has no time; try again"
            )
    return None


def of_http(error: web.HTTPException) -> web.Response:
    """aiohttp's own refusals: no such route, a method that a route does not have."""
    words = {
        404: "there is nothing at this path; see /openapi.json",
        405: "this path does not take this method",
    }
    detail = words.get(error.status, error.reason)
    answer = problem(error.status, error.reason.lower().replace(" ", "_"), detail)
    if "Allow" in error.headers:
        answer.headers["Allow"] = error.headers["Allow"]
    return answer


@web.middleware
async def store_away(request: web.Request, handler: Handler) -> web.StreamResponse:
    """
    While the store is away nothing can be accepted; whoever waits for it would only fill the house.
    """
    if request.method in ("POST", "PUT", "DELETE"):
        reachable(request.app[DEPS])
    return await handler(request)


def reachable(deps: ApiDeps) -> None:
    """Raise ``StoreAway`` while it is."""
    if deps.engine.away:
        raise StoreAway("the store cannot be reached")


async def safe_headers(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """Signal handler: what no answer goes without."""
    for name, value in SAFE_HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers["Server"] = SERVER
