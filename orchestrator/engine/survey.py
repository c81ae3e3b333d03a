"""A count of all messages under way: what they wait for, and what stands still."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from orchestrator.core.message import Message, Sending
from orchestrator.core.outcomes import OutcomeKind
from orchestrator.core.recipient import Instant
from orchestrator.core.status import Delivery
from orchestrator.engine.open_attempts import UnderWay, pages_under_way

MESSAGES_MAX = 50_000
OVERDUE_MS = 5_000
"""A timer that is so late is not being looked after."""


@dataclass(slots=True)
class Survey:
    """
    ``held`` counts steps by reason; ``open`` counts calls without an
    answer yet, ``unknown`` attempts that may or may not have been sent; ``overdue`` messages whose
    time has passed. ``whole`` is False if there were more than ``MESSAGES_MAX`` messages.
    """

    messages: int = 0
    held: Counter[str] = field(default_factory=Counter)
    open: int = 0
    unknown: int = 0
    overdue: int = 0
    whole: bool = True


async def survey(store: UnderWay, now: Instant, rest: Callable[[], float] = lambda: 0.0) -> Survey:
    """Look at the messages under way. Raises ``StoreBusy``."""
    found = Survey()
    async for rows in pages_under_way(store, rest):
        for timer, message in rows:
            found.overdue += timer.due_at < now - OVERDUE_MS
            count(found, message)
        if found.messages >= MESSAGES_MAX:
            found.whole = False
            break
    return found


def count(found: Survey, message: Message) -> None:
    found.messages += 1
    for run in message.runs:
        if run.sending is Sending.HELD and run.held_for is not None:
            found.held[run.held_for.value] += 1
    for attempt in message.attempts:
        found.open += attempt.outcome is OutcomeKind.PENDING
        found.unknown += (
            attempt.outcome is OutcomeKind.UNKNOWN and attempt.state is Delivery.CREATED
        )
