"""Request bodies: bounded in size and time, never decompressed, and strict JSON."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from orchestrator.api.problems import Refusal
from orchestrator.channels import Intake
from orchestrator.events.malformed import malformed
from orchestrator.primitives import strict_json as strictjson

BODY_SECONDS = 20.0
PIECE_BYTES_MAX = 64 * 1024
JSON_BYTES_MAX = 1024 * 1024


async def read_body(
    request: web.BaseRequest, bytes_max: int, intake: Intake | None = None
) -> bytes:
    """
    The raw body, or what ``intake`` keeps of it. Raises ``Refusal``: 413 over ``bytes_max``, 415 if
    it is compressed, 408 if it does not end in time, 400 if it ends early.
    """
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Refusal(
            415, "compressed_body", "compressed bodies are not read; send it uncompressed"
        )
    if (request.content_length or 0) > bytes_max:
        raise too_large(bytes_max)
    try:
        # mostly the whole body came with the headers, and there is nothing to wait for
        whole = request.content.is_eof()
        if intake is not None:
            return await read_through(request, bytes_max, intake)
        body = request.content.read_nowait() if whole else await read_slowly(request, bytes_max)
    except TimeoutError:
        detail = f"the body did not end within {BODY_SECONDS:.0f} s; send it at once"
        raise Refusal(408, "body_timeout", detail) from None
    except (web.RequestPayloadError, HttpProcessingError):
        detail = "the body ended early, or its chunks are broken; send it again"
        raise Refusal(400, "bad_body", detail) from None
    if len(body) > bytes_max:
        raise too_large(bytes_max)
    return body


async def read_slowly(request: web.BaseRequest, bytes_max: int) -> bytes:
    """Read on, but not past ``bytes_max``. Raises ``Refusal`` or ``TimeoutError``."""
    body = bytearray()
    async with asyncio.timeout(BODY_SECONDS):
        async for chunk in request.content.iter_any():
            body += chunk
            if len(body) > bytes_max:
                raise too_large(bytes_max)
    return bytes(body)


async def read_through(request: web.BaseRequest, bytes_max: int, intake: Intake) -> bytes:
    """Give the body to ``intake`` as it comes in. Raises ``Refusal`` or ``TimeoutError``."""
    read = 0
    async with asyncio.timeout(BODY_SECONDS):
        while piece := await request.content.read(PIECE_BYTES_MAX):
            read += len(piece)
            if read > bytes_max:
                raise too_large(bytes_max)
            intake.feed(piece)
            await asyncio.sleep(0)
    return intake.result()


def too_large(bytes_max: int) -> Refusal:
    detail = f"the body is larger than {bytes_max // 1024} KiB; send less at once"
    return Refusal(413, "too_large", detail)


async def read_object(request: web.Request, bytes_max: int = JSON_BYTES_MAX) -> dict[str, Any]:
    """The JSON object of a request. Raises ``Refusal`` or ``Malformed``."""
    try:
        found = strictjson.parse(await read_body(request, bytes_max))
    except strictjson.NotJson as error:
        raise malformed(error) from None
    if not isinstance(found, dict):
        raise Refusal(400, "not_an_object", "the body must be a JSON object; send {…}", field="")
    return found
