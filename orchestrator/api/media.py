"""
``GET /v1/media/{id}``: a picture, a file or a voice message that somebody has sent, fetched from
its provider with our credentials.

The id is signed: nobody can have us fetch anything else. Each request goes to a host that the
adapter names, whatever the provider answers.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urljoin, urlsplit

import structlog
from aiohttp import web

from orchestrator.api.outbound import trusted
from orchestrator.api.ports import DEPS
from orchestrator.api.problems import Refusal, unknown
from orchestrator.channels import HttpAdapter, HttpCall, HttpReply

log = structlog.get_logger()

SECONDS_MAX = 30.0
BYTES_MAX = 25 * 1024 * 1024
REQUESTS_MAX = 4
TYPE = re.compile(r"[a-z]+/[A-Za-z0-9.+-]{1,80}")
SHOWN = ("image/", "video/", "audio/")
"""Types that a browser may show; any other is handed out as a download."""
REDIRECTS = (301, 302, 303, 307, 308)


async def get_medium(request: web.Request) -> web.Response:
    """The medium, with the type that its provider says."""
    deps, id = request.app[DEPS], request.match_info["id"]
    named = deps.keys.read_medium(id)
    if named is None:
        raise unknown("medium", id[:64])
    provider, reference = named
    found = deps.adapters().get(provider)
    if found is None or not isinstance(found[0], HttpAdapter):
        raise unknown("medium", id[:64])
    adapter = found[0]
    call, reply = adapter.medium(reference, None), None
    for _ in range(REQUESTS_MAX):
        if call is None:
            break
        reply = await fetch(adapter, call, deps.now() / 1000)
        target = reply.headers.get("location") if reply.status in REDIRECTS else None
        if target is not None:
            # our credentials are for the first host alone
            call = HttpCall(method="GET", url=urljoin(call.url, target), headers={}, body=b"")
        else:
            call = adapter.medium(reference, reply)
    if reply is None or call is not None or reply.status != 200:
        raise unreachable(
            provider, f"status {reply.status}" if reply is not None else "no way to it"
        )
    kind = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
    kind = kind if TYPE.fullmatch(kind) else "application/octet-stream"
    shown = kind.startswith(SHOWN) and kind != "image/svg+xml"
    headers = {
        "Content-Disposition": "inline" if shown else "attachment",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Cache-Control": "private, no-store",
    }
    return web.Response(body=reply.body, content_type=kind, headers=headers)


async def fetch(adapter: HttpAdapter[Any], call: HttpCall, now: float) -> HttpReply:
    """The answer to one request. Raises ``Refusal`` for another host, and where nothing comes."""
    if not is_theirs(adapter, call.url):
        raise unreachable(adapter.provider, "a host that is not the provider's")
    async with answer_to(adapter, call) as (response, pieces):
        body = bytearray()
        async for piece in pieces:
            body += piece
            if len(body) > BYTES_MAX:
                detail = f"the medium has more than {BYTES_MAX // 1024**2} MiB"
                raise Refusal(413, "too_large", detail)
    headers = {name.lower(): value for name, value in response.headers.items()}
    return HttpReply(
        status=response.status_code, headers=headers, body=bytes(body), now=now, request=call
    )


@asynccontextmanager
async def answer_to(
    adapter: HttpAdapter[Any], call: HttpCall
) -> AsyncIterator[tuple[Any, AsyncIterator[bytes]]]:
    import httpx  # most installations never need it

    try:
        async with (
            httpx.AsyncClient(verify=trusted(), timeout=SECONDS_MAX) as client,
            client.stream(
                call.method, call.url, headers=dict(call.headers), content=call.body or None
            ) as response,
        ):
            yield response, response.aiter_bytes()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise unreachable(adapter.provider, type(error).__name__) from error


def is_theirs(adapter: HttpAdapter[Any], url: str) -> bool:
    """Whether a URL is of the adapter's own host, or of one that it serves media from."""
    parts, own = urlsplit(url), urlsplit(str(getattr(adapter.settings, "base_url", "")))
    if (parts.scheme, parts.netloc) == (own.scheme, own.netloc):
        return True
    host = (parts.hostname or "").lower()
    return (
        parts.scheme == "https"
        and parts.username is None
        and parts.port in (None, 443)
        and any(host == one or host.endswith(f".{one}") for one in adapter.media_hosts)
    )


def unreachable(provider: str, why: str) -> Refusal:
    log.warning("media.not_fetched", provider=provider, why=why)
    detail = f"{provider} does not hand the medium out ({why}); media are kept for a time only"
    return Refusal(503, "unavailable", detail)
