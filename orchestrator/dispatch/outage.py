"""
Has a channel gone deaf? Receipts that stop all at once say that reporting is broken, not that
nobody was reached.

Sends and deliveries are counted in buckets of a minute. A channel's baseline is the share of its
sends of the last day that were ever delivered, leaving out those too young to tell; "too young" is
learnt from how long its deliveries usually take. When the share of the sends that are just old
enough falls below ``ratio`` of the baseline, over at least ``min_sends`` of them, the channel
counts as out until it recovers.

The counts are kept in the store: what one process sends another may hear about, and a restart must
not forget the baseline.
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
LAG_LEAST_MS = 30_000
LOOK_MS = 5_000


@dataclass(slots=True)
class ReceiptStats:
    """What one channel was sent and reported, by the minute of the send: ``[sent, delivered]``."""

    minutes: dict[int, list[int]] = field(default_factory=dict)
    lags_ms: deque[int] = field(default_factory=lambda: deque(maxlen=LAGS_MAX))

    def bucket(self, at: int) -> list[int]:
        minute = at // MINUTE_MS
        found = self.minutes.get(minute)
        if found is None:
            found = self.minutes[minute] = [0, 0]
            while len(self.minutes) > DAY_MINUTES:
                self.minutes.pop(min(self.minutes))
        return found

    def usual_lag_ms(self) -> int:
        """Within how long nine of ten deliveries were reported."""
        if not self.lags_ms:
            return LAG_LEAST_MS
        ordered = sorted(self.lags_ms)
        return max(LAG_LEAST_MS, ordered[int(len(ordered) * USUAL_SHARE_OF_LAGS) - 1])


class OutageDetector:
    """``min_sends`` and ``ratio`` as in ``receipt_outage`` of the configuration."""

    def __init__(self, min_sends: int, ratio: float) -> None:
        self._min_sends = min_sends
        self._ratio = ratio
        self._ears: dict[str, ReceiptStats] = {}
        self._looked_at = 0
        self._out: tuple[str, ...] = ()
        self._news: dict[tuple[str, int], list[int]] = {}

    def take_news(self) -> list[tuple[str, int, int, int]]:
        """What was counted here since the last time: ``(channel, minute, sent, delivered)``."""
        news = [
            (channel, minute, sent, delivered)
            for (channel, minute), (sent, delivered) in sorted(self._news.items())
        ]
        self._news.clear()
        return news

    def put_back(self, news: Iterable[tuple[str, int, int, int]]) -> None:
        """It could not be kept: it is news still."""
        for channel, minute, sent, delivered in news:
            counts = self._news.setdefault((channel, minute), [0, 0])
            counts[0] += sent
            counts[1] += delivered

    def know(self, counts: Iterable[tuple[str, int, int, int]]) -> None:
        """What all processes have counted so far, with this one's news already in it."""
        for channel, minute, sent, delivered in counts:
            own = self._news.get((channel, minute), (0, 0))
            bucket = self._ears.setdefault(channel, ReceiptStats()).bucket(minute * MINUTE_MS)
            bucket[0], bucket[1] = sent + own[0], delivered + own[1]

    def _count(self, channel: str, at: int, place: int) -> None:
        ear = self._ears.get(channel)
        if ear is None:
            ear = self._ears[channel] = ReceiptStats()
        ear.bucket(at)[place] += 1
        key = (channel, at // MINUTE_MS)
        news = self._news.get(key)
        if news is None:
            news = self._news[key] = [0, 0]
        news[place] += 1

    def sent(self, channel: str, at: int) -> None:
        """A provider took, or may have taken, a message at ``at``."""
        self._count(channel, at, 0)

    def delivered(self, channel: str, at: int, sent_at: int) -> None:
        """A message that was sent at ``sent_at`` was reported delivered at ``at``."""
        self._count(channel, sent_at, 1)
        self._ears[channel].lags_ms.append(max(0, at - sent_at))

    def learn(self, before: Message | None, after: Message, now: int) -> None:
        """Take note of what a decision has changed: attempts that were taken, or delivered."""
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
        """
        The channels whose receipts have collapsed; looked at every few seconds, for it reads a
        whole day.
        """
        if abs(now - self._looked_at) >= LOOK_MS:
            self._looked_at = now
            self._out = tuple(
                channel for channel, ear in self._ears.items() if self._is_out(ear, now)
            )
        return self._out

    def _is_out(self, ear: ReceiptStats, now: int) -> bool:
        tellable = (now - ear.usual_lag_ms()) // MINUTE_MS
        recent_from = tellable - RECENT_MINUTES
        recent = [0, 0]
        before = [0, 0]
        for minute, (sent, delivered) in ear.minutes.items():
            if minute >= tellable:
                continue
            totals = recent if minute >= recent_from else before
            totals[0] += sent
            totals[1] += min(sent, delivered)
        if recent[0] < self._min_sends or before[0] < self._min_sends or not before[1]:
            return False
        return recent[1] / recent[0] < self._ratio * before[1] / before[0]
