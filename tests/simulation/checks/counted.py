"""
P7: what reports have counted is what became of the messages, whatever happened on the way.

It is counted here once more, message by message, from the states that are stored at the end. If a
reload has changed the zone, days are not compared, only sums over all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from orchestrator.core.message import TERMINAL, Attempt, Message
from orchestrator.core.outcomes import OutcomeKind
from orchestrator.core.status import Delivery
from tests.simulation.checks.evidence import Evidence

Place = tuple[int, str, str, str, str]
"""Day, channel, status, reason, measure."""
TAKEN = (OutcomeKind.ACCEPTED, OutcomeKind.UNKNOWN)
ANSWERS = {
    "read": {"read", "clicked", "replied"},
    "clicked": {"clicked"},
    "replied": {"replied"},
    "unsubscribed": {"unsubscribed"},
    "complained": {"complained"},
}
MEASURES = ("messages", "sends", "delivered", *ANSWERS, "cost")


def check(evidence: Evidence) -> Iterator[str]:
    """Each sum that is not what the messages give, in a sentence."""
    zones = {one.governance.time_zone for one in evidence.run.scenery.books}
    by_day = len(zones) == 1
    wanted: Counter[Place] = Counter()
    for message in evidence.messages.values():
        day = day_of(message, min(zones)) if by_day else 0
        for (channel, status, reason, measure), number in numbers_of(message):
            wanted[day, channel, status, reason, measure] += number
    counted: Counter[Place] = Counter()
    for row in evidence.run.counts:
        day, *key = row.group
        for measure, number in zip(MEASURES_THERE, row.numbers, strict=True):
            if measure in MEASURES:
                counted[(day if by_day else 0, *key, measure)] += number
    for place in sorted(wanted.keys() | counted.keys()):
        if wanted[place] != counted[place]:
            day, channel, status, reason, measure = place
            what = " ".join(filter(None, (channel, status, reason))) or "all"
            yield (
                f"P7 {measure} of {what} on {day or 'all days'}: counted {counted[place]},"
                f" {wanted[place]} happened"
            )


MEASURES_THERE = (
    "messages",
    "sends",
    "delivered",
    "read",
    "clicked",
    "replied",
    "converted",
    "unsubscribed",
    "complained",
    "cost",
)


def day_of(message: Message, zone: str) -> int:
    started = (message.send_at, message.not_before, message.created_at)
    at = next(one for one in started if one is not None)
    day = datetime.fromtimestamp(at / 1000, UTC).astimezone(ZoneInfo(zone))
    return int(f"{day:%Y%m%d}")


def numbers_of(message: Message) -> Iterator[tuple[tuple[str, str, str, str], int]]:
    """What one message counts: as a whole, on each channel, by steps that were left, by its end."""
    yield ("", "", "", "messages"), 1
    gone = [attempt for attempt in message.attempts if has_left(attempt)]
    for channel in ("", *{attempt.channel for attempt in gone}):
        there = [attempt for attempt in gone if channel in ("", attempt.channel)]
        if channel:
            yield (channel, "", "", "messages"), 1
        if there:
            yield (channel, "", "", "sends"), 1
        if any(one.engagement or one.state is Delivery.DELIVERED for one in there):
            yield (channel, "", "", "delivered"), 1
        for measure, proofs in ANSWERS.items():
            if any(proofs & one.engagement.keys() for one in there):
                yield (channel, "", "", measure), 1
        cost = sum(Decimal(one.cost or 0) for one in there if one.outcome in TAKEN)
        yield (channel, "", "", "cost"), int(cost * 1_000_000)
    for run in message.runs:
        if run.ended is not None:
            yield (run.channel, "", run.ended.value, "messages"), 1
    if message.status in TERMINAL:
        reason = message.reason.value if message.reason is not None else ""
        yield (message.succeeded_by or "", message.status.value, reason, "messages"), 1


def has_left(attempt: Attempt) -> bool:
    sent = attempt.state in (Delivery.SENT, Delivery.DELIVERED)
    return attempt.outcome in TAKEN or sent or bool(attempt.engagement)
