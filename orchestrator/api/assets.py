"""
Scripts for browsers, and the page that shows the OpenAPI document.

The inbox (``static/kaskad-inbox.js``) is served without its comments and indentation, and for any
origin, because it runs in the shop's own pages. The viewer of the OpenAPI document is OpenAPI
Explorer 2.4.820 as its authors publish it, compressed (``static/openapi-explorer.js.gz``).
"""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

from aiohttp import web

FILES = Path(__file__).parent
INBOX_MODULE = FILES / "static" / "kaskad-inbox.js"
VIEWER = FILES / "static" / "openapi-explorer.js.gz"
LEFT_OUT = re.compile(r"^ *(?:/\*.*?\*/\n|//[^\n]*\n|\n)?", re.MULTILINE | re.DOTALL)
"""The indentation of a line, or all of one that is empty or a comment."""
HEADERS = {
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Cache-Control": "public, max-age=3600, stale-while-revalidate=86400",
    "Vary": "Accept-Encoding",
}
DOCS_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; img-src data:;"
        " connect-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Robots-Tag": "noindex, nofollow",
}
"""The viewer writes styles into its elements; scripts come from this service alone."""


async def docs_page(request: web.Request) -> web.Response:
    """The OpenAPI document, to read and to try. Nothing is loaded from another host."""
    text = (FILES / "docs.html").read_text("utf-8")
    return web.Response(text=text, content_type="text/html", headers=DOCS_HEADERS)


async def inbox_module(request: web.Request) -> web.Response:
    return script(request, inbox_module_as)


async def docs_viewer(request: web.Request) -> web.Response:
    return script(request, viewer_as)


def script(request: web.Request, body_as: Callable[[bool], tuple[bytes, str]]) -> web.Response:
    """A script, compressed where the browser takes that; 304 if it has this version already."""
    packed = accepts_gzip(request.headers.get("Accept-Encoding", ""))
    body, tag = body_as(packed)
    headers = {**HEADERS, "ETag": f'"{tag}"'}
    if any(known.value in (tag, "*") for known in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    if packed:
        headers["Content-Encoding"] = "gzip"
    return web.Response(body=body, content_type="text/javascript", charset="utf-8", headers=headers)


@cache
def inbox_module_as(packed: bool) -> tuple[bytes, str]:
    """The module as it is sent, and its entity tag (RFC 9110 8.8.3)."""
    body = LEFT_OUT.sub("", INBOX_MODULE.read_text("utf-8")).encode()
    if packed:
        body = gzip.compress(body, 9, mtime=0)
    return body, tag_of(body)


@cache
def viewer_as(packed: bool) -> tuple[bytes, str]:
    """The viewer of the OpenAPI document as it is sent, and its entity tag."""
    body = VIEWER.read_bytes()
    if not packed:
        body = gzip.decompress(body)
    return body, tag_of(body)


def tag_of(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:20]


def accepts_gzip(accept: str) -> bool:
    """Whether an ``Accept-Encoding`` header (RFC 9110 12.5.3) names gzip and does not refuse it."""
    for part in accept.lower().split(","):
        name, _, weight = part.partition(";")
        if name.strip() == "gzip":
            return not re.fullmatch(r"\s*q=0(\.0*)?\s*", weight)
    return False
