"""
Detects a receipt outage: receipts of a channel that stop all at once mean that reporting is broken,
not that nothing was delivered.

Sends and deliveries are counted by the minute of the send. The baseline of a channel is the share
of the last day's sends that were delivered, without the newest ones, whose receipts may still come;
how new that is follows from the usual lag of its receipts. A channel is out while the share of its
newest countable sends (at least ``min_sends``) is below ``ratio`` of the baseline.

The counts are in the store: a receipt may reach another process than the one that sent, and a
restart must not forget the baseline.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from orchestrator.core.message import Message
from orchestrator.core.status import Delivery

MINUTE_MS = 60_000
DAY_MINUTES = 24 * 60
RECENT_MINUTES = 15
USUAL_SHARE_OF_LAGS = 0.9
LAGS_MAX = 500
LAG_MIN_MS = 30_000
COMPUTE_EVERY_MS = 5_000


ReceiptCount = tuple[str, int, int, int]
"""Channel, minute, sent, delivered."""


@dataclass(slots=True)
class ReceiptStats:
    """One channel: ``minutes`` has ``[sent, delivered]`` by the minute of the send."""

    minutes: dict[int, list[int]] = field(default_factory=dict)
    lags_ms: deque[int] = field(default_factory=lambda: deque(maxlen=LAGS_MAX))

    def bucket(self, at: int) -> list[int]:
        """The counts of the minute of ``at`` (UTC milliseconds)."""
        minute = at // MINUTE_MS
        found = self.minutes.get(minute)
        if found is None:
            found = self.minutes[minute] = [0, 0]
            while len(self.minutes) > DAY_MINUTES:
                self.minutes.pop(min(self.minutes))
        return found

    def usual_lag_ms(self) -> int:
        """The lag within which nine of ten deliveries were reported."""
        if not self.lags_ms:
            return LAG_MIN_MS
        ordered = sorted(self.lags_ms)
        return max(LAG_MIN_MS, ordered[int(len(ordered) * USUAL_SHARE_OF_LAGS) - 1])


class OutageDetector:
    """``min_sends`` and ``ratio`` as in ``receipt_outage`` of the configuration."""

    def __init__(self, min_sends: int, ratio: float) -> None:
        self._min_sends = min_sends
        self._ratio = ratio
        self._stats: dict[str, ReceiptStats] = {}
        self._computed_at = 0
        self._out: tuple[str, ...] = ()
        self._deltas: dict[tuple[str, int], list[int]] = {}

    def take_deltas(self) -> list[ReceiptCount]:
        """The counts of this process since the last call."""
        deltas = [(*key, counts[0], counts[1]) for key, counts in sorted(self._deltas.items())]
        self._deltas.clear()
        return deltas

    def restore_deltas(self, deltas: Iterable[ReceiptCount]) -> None:
        """Take deltas back that could not be stored."""
        for channel, minute, sent, delivered in deltas:
            counts = self._deltas.setdefault((channel, minute), [0, 0])
            counts[0] += sent
            counts[1] += delivered

    def set_totals(self, totals: Iterable[ReceiptCount]) -> None:
        """Replace the counts by the store's, which hold those of every process."""
        for channel, minute, sent, delivered in totals:
            own = self._deltas.get((channel, minute), (0, 0))
            bucket = self._stats.setdefault(channel, ReceiptStats()).bucket(minute * MINUTE_MS)
            bucket[0], bucket[1] = sent + own[0], delivered + own[1]

    def _count(self, channel: str, at: int, place: int) -> None:
        stats = self._stats.get(channel)
        if stats is None:
            stats = self._stats[channel] = ReceiptStats()
        stats.bucket(at)[place] += 1
        self._deltas.setdefault((channel, at // MINUTE_MS), [0, 0])[place] += 1

    def sent(self, channel: str, at: int) -> None:
        """A provider took, or may have taken, a message."""
        self._count(channel, at, 0)

    def delivered(self, channel: str, at: int, sent_at: int) -> None:
        """A message sent at ``sent_at`` was reported delivered at ``at``."""
        self._count(channel, sent_at, 1)
        self._stats[channel].lags_ms.append(max(0, at - sent_at))

    def learn(self, before: Message | None, after: Message, now: int) -> None:
        """Count the attempts that a decision made taken or delivered."""
        known = before.attempts if before is not None else []
        for attempt in after.attempts:
            earlier = known[attempt.number] if attempt.number < len(known) else None
            if attempt.took and (earlier is None or not earlier.took):
                self.sent(attempt.channel, attempt.intent_at)
            if attempt.state is Delivery.DELIVERED and (
                earlier is None or earlier.state is not Delivery.DELIVERED
            ):
                self.delivered(attempt.channel, now, attempt.intent_at)

    def outages(self, now: int) -> tuple[str, ...]:
        """The channels that are out; computed every few seconds, because it reads a whole day."""
        if abs(now - self._computed_at) >= COMPUTE_EVERY_MS:
            self._computed_at = now
            self._out = tuple(
                channel for channel, stats in self._stats.items() if self._is_out(stats, now)
            )
        return self._out

    def _is_out(self, stats: ReceiptStats, now: int) -> bool:
        countable_to = (now - stats.usual_lag_ms()) // MINUTE_MS
        recent_from = countable_to - RECENT_MINUTES
        recent = [0, 0]
        before = [0, 0]
        for minute, (sent, delivered) in stats.minutes.items():
            if minute >= countable_to:
                continue
            totals = recent if minute >= recent_from else before
            totals[0] += sent
            totals[1] += min(sent, delivered)
        if recent[0] < self._min_sends or before[0] < self._min_sends or not before[1]:
            return False
        return recent[1] / recent[0] < self._ratio * before[1] / before[0]
