"""How parts of a process end: side by side, and no failure of one keeps another from it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import structlog

from orchestrator.stores.port import StoreBusy

log = structlog.get_logger()


async def end(*parts: Awaitable[Any]) -> None:
    """Let parts end side by side; the failure of one is logged."""
    for result in await asyncio.gather(*parts, return_exceptions=True):
        if isinstance(result, StoreBusy | TimeoutError):
            log.info("service.stop_incomplete", why=str(result) or type(result).__name__)
        elif isinstance(result, Exception):
            log.error("service.stop_failed", exc_info=result)
