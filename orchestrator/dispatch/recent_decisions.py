"""
The decisions of the last second, so that a send that follows at once need not load its message.

They are used for a second, as long as a send may take to start: a profile change in any process is
in every message prepared later. A send is never permitted by them: that is decided again when its
intent is written.
"""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.engine.batch import Decided

RECENT_SECONDS = 1.0
DECISIONS_MAX = 2_048


class RecentDecisions:
    """The newest decision about each message that waits to be sent. ``monotonic`` is in seconds."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._decisions: dict[str, tuple[Decided, float]] = {}

    def note(self, decided: Decided) -> None:
        """Keep a decision that was just committed and left a step ready to send."""
        self._decisions[decided.decision.message.id] = (decided, self._monotonic())
        if len(self._decisions) > DECISIONS_MAX:
            del self._decisions[next(iter(self._decisions))]

    def forget(self, message: str) -> None:
        """Drop a message of which nothing waits any more."""
        self._decisions.pop(message, None)

    def find(self, message: str) -> Decided | None:
        """The newest decision about a message, unless it is too old."""
        decided, at = self._decisions.get(message, (None, 0.0))
        return decided if self._monotonic() - at <= RECENT_SECONDS else None
