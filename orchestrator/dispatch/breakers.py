"""
A circuit breaker per provider: when too many calls fail, the provider is not called for a while.

``answers.ANSWERS`` says which answers count, and as what. After the pause one request is let
through as a probe: its answer closes the breaker or opens it again.
"""

from __future__ import annotations

from collections import deque

from orchestrator.core.inputs import OPEN_FOR_MS
from orchestrator.dispatch.answers import OnBreaker

RESULTS_MAX = 10_000


class Breaker:
    """Opens for ``open_for_ms`` when a share of ``ratio`` of the calls in ``window_ms`` failed."""

    def __init__(self, ratio: float, min_requests: int, window_ms: int, open_for_ms: int) -> None:
        self._ratio = ratio
        self._min_requests = min_requests
        self._window_ms = window_ms
        self._open_for_ms = open_for_ms
        self._results: deque[tuple[int, bool]] = deque()
        self._failed = 0
        self._open_until: int | None = None
        self._probing_since: int | None = None

    def like(self) -> Breaker:
        """A closed one with the same limits."""
        return Breaker(self._ratio, self._min_requests, self._window_ms, self._open_for_ms)

    @classmethod
    def never(cls, open_for_ms: int = OPEN_FOR_MS) -> Breaker:
        """A breaker that only a refusal of our configuration opens."""
        return cls(2.0, 1, 1, open_for_ms)

    def record(self, effect: OnBreaker, now: int) -> None:
        """Apply an answer of the provider."""
        if effect is OnBreaker.IGNORED:
            self._probing_since = None  # the probe said nothing: another may go
            return
        if effect is OnBreaker.OPENS:
            self._open(now)
        elif self._probing_since is None:
            self._count(effect is OnBreaker.FAILURE, now)
        elif effect is OnBreaker.FAILURE:
            self._open(now)
        else:
            self._open_until = self._probing_since = None
            self._results.clear()
            self._failed = 0

    def _open(self, now: int) -> None:
        self._open_until = now + self._open_for_ms
        self._probing_since = None

    def _count(self, failed: bool, now: int) -> None:
        results = self._results
        results.append((now, failed))
        self._failed += failed
        while results[0][0] <= now - self._window_ms or len(results) > RESULTS_MAX:
            self._failed -= results.popleft()[1]
        enough = len(results) >= self._min_requests
        if self._open_until is None and enough and self._failed >= self._ratio * len(results):
            self._open(now)

    def shut_until(self, now: int) -> int | None:
        """Until when the provider is not called; None if it may be."""
        return None if self._open_until is None or now >= self._open_until else self._open_until

    @property
    def closed(self) -> bool:
        """Neither open nor being probed."""
        return self._open_until is None

    def admits(self, now: int) -> int:
        """
        The number of requests that may start now: unlimited while closed, one while it is probed.
        """
        if self._open_until is None:
            return 1_000_000
        if now < self._open_until:
            return 0
        probing = self._probing_since
        return 1 if probing is None or now - probing >= self._open_for_ms else 0

    def probing(self, now: int) -> None:
        """A request is about to start; if the pause of an open breaker is over, it is the probe."""
        if self._open_until is not None and now >= self._open_until:
            self._probing_since = now
