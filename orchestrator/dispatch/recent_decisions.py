"""
What this process has decided about lately, so that a send which follows at once need not ask the
store for it again.

It is looked at for a second and no longer, which is as long as a send may take to start: a change
of somebody's profile, here or in another process, is in every message that is prepared later. What
a send is allowed to do is never decided by it: that is asked again when its intent is written.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.engine.batch import Decided

LATELY_SECONDS = 1.0
SEEN_MAX = 2_048


@dataclass(slots=True)
class RecentDecision:
    """A decision, and when it was committed, in monotonic seconds."""

    decided: Decided
    at: float


class RecentDecisions:
    """The newest decision about each message that waits to be sent. ``monotonic`` is in seconds."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._seen: dict[str, RecentDecision] = {}

    def note(self, decided: Decided) -> None:
        """This has just been committed, and a step of its message waits to be sent."""
        self._seen[decided.decision.message.id] = RecentDecision(decided, self._monotonic())
        if len(self._seen) > SEEN_MAX:
            del self._seen[next(iter(self._seen))]

    def forget(self, message: str) -> None:
        """Nothing of it waits any more."""
        self._seen.pop(message, None)

    def find(self, message: str) -> Decided | None:
        """The newest decision about a message, unless it was long ago."""
        seen = self._seen.get(message)
        if seen is None or self._monotonic() - seen.at > LATELY_SECONDS:
            return None
        return seen.decided
