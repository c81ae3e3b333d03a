"""
Events wait a moment for a free slot.

While events come faster than they are decided, a batch that accepts more of them than there are
slots leaves the rest in the backlog, and whatever is accepted later waits behind it. Accepting only
as many as can leave at once costs less, and nothing waits longer: the calls under way end in a few
milliseconds. Where they do not, events are accepted into the backlog as ever, and none waits for a
slot again for a while.
"""

from __future__ import annotations

from collections.abc import Callable

HOLD_SECONDS_MAX = 0.2
"""How long events wait for a slot."""
LOOK_SECONDS = 0.002
FIRST_REST_SECONDS, REST_SECONDS_MAX = 1.0, 64.0
"""How long none waits after a wait in vain: twice as long after each one in a row."""


class Room:
    """
    How many events the next batch may have. ``slots`` gives the number of steps that could leave at
    once, None if that does not matter; ``time`` is the loop's, in seconds.
    """

    def __init__(self, slots: Callable[[], int | None], time: Callable[[], float]) -> None:
        self._slots = slots
        self._time = time
        self._waits_since: float | None = None
        self._not_before = float("-inf")
        self._rest_seconds = FIRST_REST_SECONDS

    def events_max(self, size_max: int) -> int:
        """At most ``size_max``; 0 while they should wait."""
        now = self._time()
        if now < self._not_before:
            return size_max
        slots = self._slots()
        if slots is None:
            return size_max
        if slots > 0:
            if self._waits_since is not None:
                self._waits_since, self._rest_seconds = None, FIRST_REST_SECONDS
            return min(slots, size_max)
        if self._waits_since is None:
            self._waits_since = now
        if now - self._waits_since < HOLD_SECONDS_MAX:
            return 0
        self._waits_since, self._not_before = None, now + self._rest_seconds
        self._rest_seconds = min(self._rest_seconds * 2, REST_SECONDS_MAX)
        return size_max

    def end(self) -> None:
        """Let no event wait any more."""
        self._not_before = float("inf")
