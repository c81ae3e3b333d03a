"""Errors as RFC 9457 problem documents."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from aiohttp import web

from orchestrator.engine.commands import UnknownMessage, UnknownRecipient
from orchestrator.engine.engine import Busy, Stopped
from orchestrator.intake.cloudevents import Malformed
from orchestrator.intake.recipients import Misshapen
from orchestrator.stores.port import StoreBusy

log = structlog.get_logger()
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def problem(status: int, code: str, detail: str, **more: Any) -> web.Response:
    """A problem document: ``type`` about:blank, ``title`` the code, ``detail`` what is wrong and how to mend it."""
    body = {"type": "about:blank", "title": code, "status": status, "detail": detail, **more}
    headers = {"Retry-After": "1"} if status in (429, 503) else {}
    text = json.dumps(body, ensure_ascii=False)
    return web.Response(status=status, text=text, content_type="application/problem+json", headers=headers)


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every error that a handler may raise, as a problem; whatever nobody thought of is a logged 500 that tells nothing."""
    try:
        return await handler(request)
    except Malformed as error:
        return problem(413 if error.code == "too_large" else 400, error.code, error.what, field=error.field)
    except Misshapen as error:
        return problem(400, "bad_field", f"{error.what}; {error.mend}", field=error.field)
    except UnknownMessage as error:
        return problem(404, "unknown_message", f"there is no message {error}")
    except UnknownRecipient as error:
        return problem(404, "unknown_recipient", f"there is no recipient {error}")
    except Busy as error:
        return problem(429, "busy", f"{error}; try again in a second")
    except (Stopped, StoreBusy) as error:
        return problem(503, "unavailable", f"{error}; try again")
    except web.HTTPException as error:
        if error.status < 400 or error.content_type == "application/problem+json":
            raise
        return problem(error.status, error.reason.lower().replace(" ", "_"), error.text or error.reason)
    except Exception:
        log.exception("api.failed", route=request.path.split("/")[1:3])
        return problem(500, "internal_error", "something went wrong here; it is logged")


@web.middleware
async def safe_headers(request: web.Request, handler: Handler) -> web.StreamResponse:
    """What no answer goes without."""
    response = await handler(request)
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Referrer-Policy", "no-referrer")
    response.headers.setdefault("Cache-Control", "no-store")
    return response
