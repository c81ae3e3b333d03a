"""
Velocity limits against SMS pumping: how many one-time codes went to a number, and to its neighbours.

Kept in memory: a limit may be overshot by what a restart forgets, which is why money is guarded by budgets.
"""

from __future__ import annotations

from collections import OrderedDict, deque

from orchestrator.core.recipient import Instant
from orchestrator.engine.rules import Limits

KEYS_MAX = 100_000
PREFIX_CUT = 3


class Velocity:
    """Sliding windows per number and per prefix (the number without its last three digits)."""

    def __init__(self) -> None:
        self._sent: OrderedDict[str, deque[Instant]] = OrderedDict()

    def record(self, phone: str, now: Instant) -> None:
        """A code goes to this number."""
        for key in (phone, prefix(phone)):
            times = self._sent.setdefault(key, deque(maxlen=1_000))
            times.append(now)
            self._sent.move_to_end(key)
        while len(self._sent) > KEYS_MAX:
            self._sent.popitem(last=False)

    def too_fast(self, phone: str, limits: Limits, now: Instant) -> bool:
        """Whether one more code would break a limit."""
        rules = ((phone, limits.per_recipient), (prefix(phone), limits.per_prefix))
        return any(rule is not None and self._count(key, rule[1], now) >= rule[0] for key, rule in rules)

    def _count(self, key: str, window_ms: int, now: Instant) -> int:
        return sum(at > now - window_ms for at in self._sent.get(key, ()))


def prefix(phone: str) -> str:
    """What a number shares with its neighbours."""
    return phone[:-PREFIX_CUT] + "…"
