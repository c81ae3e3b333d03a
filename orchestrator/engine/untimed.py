"""
Finds unfinished messages that no timer looks after.

A batch writes a message and its timer in one transaction, so there is none unless a row was lost
behind our back: a file restored in part, a row deleted by hand, or a bug of ours. Such a message
would wait for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Protocol

PAGE = 256


class Unfinished(Protocol):
    """What is asked of a store."""

    async def unfinished_after(
        self, after: str, limit: int, everyone: bool = False
    ) -> list[tuple[str, bool]]: ...


async def without_timer(
    store: Unfinished, rest: Callable[[], float] = lambda: 0.0, *, everyone: bool = False
) -> AsyncIterator[str]:
    """
    The ids of such messages, oldest first. ``rest`` gives the seconds to leave the store to others
    after each page. Raises ``StoreBusy``.
    """
    after = ""
    while rows := await store.unfinished_after(after, PAGE, everyone):
        for id, timed in rows:
            if not timed:
                yield id
        after = rows[-1][0]
        await asyncio.sleep(rest())
