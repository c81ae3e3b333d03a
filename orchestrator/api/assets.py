"""
The inbox for browsers, as one ES module (``static/kaskad-inbox.js``).

It is served without its comments and indentation, and for any origin, because it runs in the shop's
own pages.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from functools import cache
from pathlib import Path

from aiohttp import web

INBOX_MODULE = Path(__file__).parent / "static" / "kaskad-inbox.js"
LEFT_OUT = re.compile(r"^ *(?:/\*.*?\*/\n|//[^\n]*\n|\n)?", re.MULTILINE | re.DOTALL)
"""The indentation of a line, or all of one that is empty or a comment."""
HEADERS = {
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Cache-Control": "public, max-age=3600, stale-while-revalidate=86400",
    "Vary": "Accept-Encoding",
}


async def inbox_module(request: web.Request) -> web.Response:
    """The module, compressed where the browser takes that; 304 if it has this version already."""
    packed = accepts_gzip(request.headers.get("Accept-Encoding", ""))
    body, tag = inbox_module_as(packed)
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
    return body, hashlib.sha256(body).hexdigest()[:20]


def accepts_gzip(accept: str) -> bool:
    """Whether an ``Accept-Encoding`` header (RFC 9110 12.5.3) names gzip and does not refuse it."""
    for part in accept.lower().split(","):
        name, _, weight = part.partition(";")
        if name.strip() == "gzip":
            return not re.fullmatch(r"\s*q=0(\.0*)?\s*", weight)
    return False
