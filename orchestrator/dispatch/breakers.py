"""
A circuit breaker for each provider: when too much fails, it is left alone for a while.

Only what says something about the provider counts: connects that failed, answers that never came,
unexplained 5xx. A refusal of a person, and a request to slow down, do not. After the pause one
request is let through; its answer decides.
"""

from __future__ import annotations

from collections import deque

from orchestrator.core.outcomes import Accepted, NotSent, Outcome, Refused, Unknown
from orchestrator.core.reasons import Reason

FAILED = frozenset(
    {Reason.CONNECT_FAILED, Reason.TIMED_OUT, Reason.CONNECTION_LOST, Reason.SERVER_ERROR}
)
CONFIGURATION_PAUSE_MS = 30_000


class Breaker:
    """
    Opens when ``ratio`` of at least ``min_requests`` within ``window_ms`` failed, for
    ``open_for_ms``.
    """

    def __init__(self, ratio: float, min_requests: int, window_ms: int, open_for_ms: int) -> None:
        self._ratio = ratio
        self._min_requests = min_requests
        self._window_ms = window_ms
        self._open_for_ms = open_for_ms
        self._results: deque[tuple[int, bool]] = deque(maxlen=10_000)
        self._failed = 0
        self._open_until: int | None = None
        self._probing_since: int | None = None

    @classmethod
    def never(cls) -> Breaker:
        """A breaker that opens only for a refusal of our configuration."""
        return cls(2.0, 1, 1, CONFIGURATION_PAUSE_MS)

    def record(self, outcome: Outcome, now: int) -> None:
        """Learn from an answer."""
        failed = counts_as_failure(outcome)
        if failed is None:
            return
        if self._probing_since is not None:
            self._probing_since = None
            if failed:
                self._open_until = now + self._open_for_ms
            else:
                self._close()
            return
        self._drop(now)
        if len(self._results) == self._results.maxlen:
            self._failed -= self._results[0][1]
        self._results.append((now, failed))
        self._failed += failed
        enough = len(self._results) >= self._min_requests
        if self._open_until is None and enough and self._failed >= self._ratio * len(self._results):
            self._open_until = now + self._open_for_ms

    def force_open(self, now: int, until: int | None = None) -> None:
        """The provider refuses our configuration: leave it alone at once."""
        self._open_until = max(
            self._open_until or 0, until if until is not None else now + self._open_for_ms
        )
        self._probing_since = None

    def shut_until(self, now: int) -> int | None:
        """Until when the provider is left alone; None where it may be used."""
        if self._open_until is None:
            return None
        if now < self._open_until:
            return self._open_until
        return None

    def admits(self, now: int) -> int:
        """
        How many requests may start now: any number while closed, one at a time while it is being
        probed.
        """
        if self._open_until is None:
            return 1_000_000
        if now < self._open_until:
            return 0
        if self._probing_since is not None and now - self._probing_since < self._open_for_ms:
            return 0
        return 1

    def probing(self, now: int) -> None:
        """A request is about to start; where the breaker was open, its answer decides."""
        if self._open_until is not None and now >= self._open_until:
            self._probing_since = now

    def _close(self) -> None:
        self._open_until = None
        self._results.clear()
        self._failed = 0

    def _drop(self, now: int) -> None:
        while self._results and self._results[0][0] <= now - self._window_ms:
            self._failed -= self._results.popleft()[1]


def counts_as_failure(outcome: Outcome) -> bool | None:
    """True or False where an answer says something about the provider, None where it does not."""
    match outcome:
        case Accepted() | Refused():
            return False
        case NotSent(reason=Reason.CONNECT_FAILED):
            return True
        case Unknown():
            return outcome.reason in FAILED
    return None
