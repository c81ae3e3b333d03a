"""
When and where a person answers: at which hour of their day, and on which channel.

Both are estimated from counts. Few counts say little, so they are mixed with a prior: the hours of
everybody (a Dirichlet prior of ``PRIOR_HOURS`` answers), and one answer in four for a channel that
nothing was sent on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from orchestrator.core.policy import HOUR_MS, QuietHours, SendAt, Window
from orchestrator.core.quiet_hours import local_time, next_time_at, quiet_until
from orchestrator.core.recipient import Instant

HOURS = 24
PRIOR_HOURS = 12
"""The hours of everybody count as much as so many answers of one person."""
WORTH_WAITING = 1.1
"""An hour must be better than now by so much, or nobody waits for it."""
PRIOR_ANSWERED, PRIOR_SENT = 1, 4


class Start(NamedTuple):
    """When a message starts, in words for its history; ``at`` None: not before its deadline."""

    at: Instant | None
    words: str


def start_at(
    send_at: SendAt,
    hours: Sequence[int],
    hours_of_all: Sequence[int],
    zone: str,
    now: Instant,
    deadline_at: Instant,
) -> Start:
    """The best instant from ``now`` on that is before the deadline; ``zone`` is the recipient's."""
    opens = opening(send_at.between, now, zone)
    if opens >= deadline_at:
        return Start(None, f"send_at: their hours begin at {opens}, after the deadline")
    if not send_at.best_hour:
        return Start(opens, f"send_at: starts at {opens}, within their hours")
    shares = shares_of(hours, hours_of_all)
    until = min(now + send_at.within_ms, deadline_at - 1)
    found = (next_time_at(hour * 60, now, zone) for hour in range(HOURS))
    later = [at for at in found if at <= until and opening(send_at.between, at, zone) == at]
    best = min(later, key=lambda at: (-promise(shares, at, zone), at), default=opens)
    if promise(shares, best, zone) < promise(shares, opens, zone) * WORTH_WAITING:
        return Start(opens, f"send_at: starts at {opens}, no hour is much better for them")
    hour = local_time(best, zone).hour
    own = f"{hours[hour] if hours else 0} of {sum(hours)} answers of their own"
    everybody = f"{hours_of_all[hour] if hours_of_all else 0} of {sum(hours_of_all)} of everybody"
    words = f"send_at: starts at {best}, their best hour ({hour:02d}:00: {own}, {everybody})"
    return Start(best, words)


def opening(between: Window | None, at: Instant, zone: str) -> Instant:
    """The first instant from ``at`` on that is within the hours."""
    if between is None:
        return at
    closed = Window(between.end, between.start)
    return quiet_until(QuietHours("send_at", (closed,) * 7), at, zone) or at


def shares_of(hours: Sequence[int], hours_of_all: Sequence[int]) -> list[float]:
    """The share of a person's answers that is expected at each hour of their day."""
    own, everybody = hours or [0] * HOURS, hours_of_all or [0] * HOURS
    total = sum(everybody) + HOURS
    prior = [PRIOR_HOURS * (count + 1) / total for count in everybody]
    counted = sum(own) + PRIOR_HOURS
    return [(mine + other) / counted for mine, other in zip(own, prior, strict=True)]


def promise(shares: Sequence[float], at: Instant, zone: str) -> float:
    """How much of a person's answers is expected in the hour that begins at an instant."""
    clock = local_time(at, zone)
    passed = (clock.minute * 60 + clock.second) * 1_000 / HOUR_MS
    return (1 - passed) * shares[clock.hour] + passed * shares[(clock.hour + 1) % HOURS]


def engagement_of(answered: Mapping[str, tuple[int, int]], channel: str) -> float:
    """The share of messages on a channel that a person is expected to answer."""
    count, sent = answered.get(channel, (0, 0))
    return (count + PRIOR_ANSWERED) / (sent + PRIOR_SENT)
