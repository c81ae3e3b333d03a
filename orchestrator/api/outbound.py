"""
The two requests that a webhook can cause: for the certificate that signed it, and for the address
that confirms a subscription. The adapter has limited both to its provider's hosts.
"""

from __future__ import annotations

import ssl
from functools import cache

import structlog

from orchestrator.api.problems import Refusal
from orchestrator.stores.lru_cache import LruCache

log = structlog.get_logger()

SECONDS_MAX = 5.0
BYTES_MAX = 64 * 1024
KEPT_MAX = 16

kept = LruCache[bytes](KEPT_MAX)
"""Documents by their URL; what stands at one never changes."""


async def evidence_at(url: str) -> bytes:
    """The document at a URL. Raises ``Refusal`` (503), so that the webhook is sent again."""
    found = kept.get(url)
    if found is None:
        found = await get(url)
        kept.put(url, found)
    return found


async def follow(url: str) -> None:
    """Confirm a subscription. Raises ``Refusal`` (503) where the provider did not take it."""
    await get(url)
    log.info("receipts.subscription_confirmed")


@cache
def trusted() -> ssl.SSLContext:
    """Whom we trust; made once, because reading the certificates holds the loop up."""
    import httpx

    return httpx.create_ssl_context()


async def get(url: str) -> bytes:
    """The body at a URL, without redirects."""
    import httpx  # most installations never need it

    try:
        async with (
            httpx.AsyncClient(verify=trusted(), timeout=SECONDS_MAX) as client,
            client.stream("GET", url) as response,
        ):
            body = b""
            async for piece in response.aiter_bytes():
                body += piece
                if len(body) > BYTES_MAX:
                    raise unreachable("its answer is too large")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise unreachable(type(error).__name__) from error
    if response.status_code != 200:
        raise unreachable(f"status {response.status_code}")
    return body


def unreachable(why: str) -> Refusal:
    """Our own failure, not the webhook's: the provider sends it again."""
    log.warning("receipts.provider_unreachable", why=why)
    detail = "the provider's certificate or confirmation cannot be fetched now; send it again"
    return Refusal(503, "unavailable", detail)
