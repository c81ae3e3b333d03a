"""
The access token of a provider that wants one: asked for once, kept, and renewed before it ends.

A renewal runs beside the sends, which go on with the old token. A token that the provider refuses
is forgotten, and the message that had it goes again with a new one; if that is refused, too, it is
not the token that is wrong.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from orchestrator.channels import Access, HttpCall, HttpReply, LoginAdapter
from orchestrator.core.outcomes import NotSent, Outcome, Refused, Unknown
from orchestrator.core.reasons import Reason
from orchestrator.engine.failing import delay_seconds

log = structlog.get_logger()

EARLY_SECONDS = 300.0
EARLY_SHARE = 0.2
"""A token that is good for less than 25 minutes is renewed when this share of its time is left."""
TIMEOUT_MS = 10_000

Ask = Callable[[HttpCall], Awaitable[HttpReply | NotSent | Unknown | Refused]]
"""Makes the request for a token."""


class Login:
    """``monotonic`` gives seconds, ``now`` UTC seconds."""

    def __init__(self, adapter: LoginAdapter[Any]) -> None:
        self._adapter = adapter
        self._token = ""
        self._renew_at = self._ends_at = self._not_before = 0.0
        self._failures = self._refused = 0
        self._problem: Outcome | None = None
        self._asking: asyncio.Task[None] | None = None

    async def token(
        self, ask: Ask, monotonic: Callable[[], float], now: Callable[[], float], start_by: float
    ) -> str | NotSent | Refused:
        """A token that is good now, or why a message cannot go without."""
        at = monotonic()
        if at >= self._renew_at and self._asking is None and at >= self._not_before:
            self._asking = asyncio.create_task(self._ask(ask, monotonic, now))
        if at < self._ends_at:
            return self._token
        if self._asking is not None:
            try:
                await asyncio.wait_for(asyncio.shield(self._asking), max(0.0, start_by - at))
            except (TimeoutError, asyncio.CancelledError):
                return NotSent(Reason.START_TOO_LATE, detail="no access token in time")
        if monotonic() < self._ends_at:
            return self._token
        if isinstance(self._problem, NotSent | Refused):
            return self._problem
        return NotSent(Reason.NOT_TAKEN, detail="no access token")

    def goes_again(self, reply: HttpReply, token: str) -> bool:
        """Whether an answer refuses the token of its message, so that it goes with a new one."""
        if not self._adapter.token_ended(reply):
            if token == self._token:
                self._refused = 0
            return False
        if token == self._token:
            self._refused += 1
            self._token, self._ends_at, self._renew_at = "", 0.0, 0.0
        return self._refused < 2

    async def _ask(
        self, ask: Ask, monotonic: Callable[[], float], now: Callable[[], float]
    ) -> None:
        """Ask once. After a failure the next one waits, longer each time."""
        asked_at = monotonic()
        found: Access | Outcome
        try:
            reply = await ask(self._adapter.login(now()))
            found = self._adapter.access(reply) if isinstance(reply, HttpReply) else reply
        except Exception as error:
            log.exception("login.failed", provider=self._adapter.provider)
            found = NotSent(Reason.NOT_TAKEN, detail=type(error).__name__)
        finally:
            self._asking = None
        if isinstance(found, Access):
            early = min(EARLY_SECONDS, found.seconds * EARLY_SHARE)
            self._token, self._problem, self._failures = found.token, None, 0
            self._ends_at = asked_at + found.seconds
            self._renew_at = self._ends_at - early
            return
        self._failures += 1
        code, detail = getattr(found, "code", None), getattr(found, "detail", "")
        log.warning("login.refused", provider=self._adapter.provider, code=code, detail=detail)
        self._problem = found
        asked_ms = getattr(found, "retry_after_ms", None) or 0
        pause = max(delay_seconds(self._failures, self._adapter.provider), asked_ms / 1000)
        self._not_before = monotonic() + pause
