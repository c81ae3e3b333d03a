"""
CORS for the calls that web pages make (Fetch, "CORS protocol"): `http.browser_origins` names the
pages. Tokens come in a header, never in a cookie, so no credentials are allowed.
"""

from __future__ import annotations

from aiohttp import web

from orchestrator.api.auth import ROWS
from orchestrator.api.ports import DEPS
from orchestrator.api.problems import problem
from orchestrator.configuration.kinds import ANY_ORIGIN

ALLOWED = {
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Last-Event-ID",
    "Access-Control-Max-Age": "7200",
}


def allowed_origin(request: web.BaseRequest, origins: tuple[str, ...]) -> str | None:
    """The page's origin if it may call, else None."""
    origin = request.headers.get("Origin")
    return origin if origin is not None and (ANY_ORIGIN in origins or origin in origins) else None


async def preflight(request: web.Request) -> web.Response:
    """A browser asks whether a page may call."""
    if allowed_origin(request, request.app[DEPS].settings().http.browser_origins) is None:
        detail = "pages of this origin may not call; name it under `http.browser_origins`"
        return problem(403, "foreign_origin", detail)
    return web.Response(status=204, headers=ALLOWED)


async def cors_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Signal handler: let a page that may call read the answer, a refusal as well."""
    row = request.app[ROWS].get(request.match_info.route)
    if row is None or not (row.personal or row.handler is preflight):
        return
    response.headers["Vary"] = "Origin"
    origin = allowed_origin(request, request.app[DEPS].settings().http.browser_origins)
    if origin is not None:
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Expose-Headers"] = "Retry-After"
