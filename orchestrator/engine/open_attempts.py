"""
Attempts that may still be reported, by provider: whose receipts must not be turned away.

An attempt is open while its message is under way, unless its provider has refused it or reported a
failure of it. They are counted by looking at all messages under way, some at a time.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Protocol

from orchestrator.core.message import Attempt, Message
from orchestrator.core.outcomes import OutcomeKind
from orchestrator.core.status import FAILURES
from orchestrator.stores.rows import BEFORE_ALL_TIMERS, TimerRow

PAGE = 128
MAY_BE_REPORTED = (OutcomeKind.PENDING, OutcomeKind.ACCEPTED, OutcomeKind.UNKNOWN)


class UnderWay(Protocol):
    """What is asked of a store."""

    async def under_way(self, after: TimerRow, limit: int) -> list[tuple[TimerRow, Message]]: ...


def is_open(attempt: Attempt) -> bool:
    """Whether a receipt may still come for an attempt of a message that is under way."""
    return attempt.outcome in MAY_BE_REPORTED and attempt.state not in FAILURES


async def open_attempts(
    store: UnderWay, rest: Callable[[], float] = lambda: 0.0
) -> Mapping[str, int]:
    """
    The number of open attempts by provider; none has 0. ``rest`` gives the seconds to leave the
    store to others after each page. Raises ``StoreBusy``.
    """
    found: Counter[str] = Counter()
    async for rows in pages_under_way(store, rest):
        found.update(
            attempt.provider
            for _, message in rows
            for attempt in message.attempts
            if is_open(attempt)
        )
    return found


async def pages_under_way(
    store: UnderWay, rest: Callable[[], float] = lambda: 0.0
) -> AsyncIterator[list[tuple[TimerRow, Message]]]:
    """All messages under way, a page at a time, in the order of their timers."""
    after = BEFORE_ALL_TIMERS
    while rows := await store.under_way(after, PAGE):
        after = rows[-1][0]
        yield rows
        await asyncio.sleep(rest())
