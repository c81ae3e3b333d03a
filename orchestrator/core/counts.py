"""
What reports count of a message: a pure function of its state.

A batch adds ``counts_of`` each message as it is after the batch, and takes ``counts_of`` it as it
was before. So a correction (a late success, an unknown outcome that is resolved, a cost that was
none) takes back what was counted, and the sums are at any time those of a scan over all messages.

A message is counted under its policy, version, class, stage, arm and currency:

    channel  status  reason     counts
    ""       ""      ""         the message as a whole
    sms      ""      ""         its part on one channel, once something may have left on it
    sms      ""      no_address a step on that channel that was left for this reason
    sms      succeeded ""       its end; the channel is the one that it succeeded on, else ""

Everything is counted on the day, in the installation's zone, on which the message starts: so the
rates of a day are those of its messages, whenever their receipts come.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple, TypeAlias
from zoneinfo import ZoneInfo

from orchestrator.core.journey.state import JOURNEY_ENDS, JourneyRun
from orchestrator.core.message import TERMINAL, Attempt, Message
from orchestrator.core.recipient import Instant
from orchestrator.core.status import Delivery, Engagement

MILLIONTHS = 1_000_000
QUARTER_MS = 900_000
"""Every zone's days begin at a quarter of an hour of UTC."""

MEASURES = (
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
"""
What is counted. Each but ``cost`` counts a message (or its part on a channel) once, however many
attempts it took; ``cost`` is in millionths of the currency.
"""
MESSAGES, SENDS, DELIVERED, READ, CLICKED, REPLIED, CONVERTED, UNSUBSCRIBED, COMPLAINED, COST = (
    range(len(MEASURES))
)
MEASURES_OF: dict[str, tuple[int, ...]] = {
    Engagement.READ: (READ,),
    Engagement.CLICKED: (READ, CLICKED),
    Engagement.REPLIED: (READ, REPLIED),
    Engagement.UNSUBSCRIBED: (UNSUBSCRIBED,),
    Engagement.COMPLAINED: (COMPLAINED,),
    Engagement.DISMISSED: (),
}
"""What an action of the recipient proves, besides that the message was delivered."""
NOTHING = [0] * len(MEASURES)
AS_A_WHOLE = ("", "", "")


class CountKey(NamedTuple):
    """
    What a row of counts is about; "" where that does not matter. A message has no ``journey``, and
    the journeys themselves, counted with ``journey``, have no policy.
    """

    policy: str = ""
    version: str = ""
    message_class: str = ""
    journey: str = ""
    stage: str = ""
    arm: str = ""
    channel: str = ""
    status: str = ""
    reason: str = ""
    currency: str = ""


make_key: Callable[[tuple[str, ...]], CountKey] = CountKey._make
Counts: TypeAlias = dict[tuple[int, CountKey], list[int]]
"""By day (as ``day_number``) and key, a number for each of ``MEASURES``."""


def add_message(counts: Counts, before: Message | None, after: Message, zone: str) -> None:
    """Add the change of one message, None being one that was not there."""
    day, earlier = day_number(after.starts_at, zone), counts_of(before) if before else {}
    if before is not None and (day_before := day_number(before.starts_at, zone)) != day:
        for key, numbers in earlier.items():
            add(counts, (day_before, key), numbers, -1)
        earlier = {}
    for key, numbers in counts_of(after).items():
        known = earlier.pop(key, None)
        if known != numbers:
            add(counts, (day, key), numbers, 1)
            if known is not None:
                add(counts, (day, key), known, -1)
    for key, numbers in earlier.items():
        add(counts, (day, key), numbers, -1)


def add_journey(
    counts: Counts, before: JourneyRun | None, after: JourneyRun, stage: str, zone: str
) -> None:
    """
    Add the change of one run of a journey, None being one that was not there: ``messages`` counts
    runs, as they are entered (no status) and as they end. ``stage`` is that of its journey.
    """
    day = day_number(after.created_at, zone)
    head = ("", after.version, "", after.journey, stage, "", "")
    if before is None:
        add(counts, (day, make_key((*head, "", "", ""))), [1, *NOTHING[1:]], 1)
    ended = before is not None and before.status in JOURNEY_ENDS
    if after.status in JOURNEY_ENDS and not ended:
        reason = after.reason.value if after.reason is not None else ""
        place = (day, make_key((*head, after.status.value, reason, "")))
        add(counts, place, [1, *NOTHING[1:]], 1)


def add(counts: Counts, place: tuple[int, CountKey], numbers: list[int], sign: int) -> None:
    """Add the numbers of one row, or with a ``sign`` of -1 take them back."""
    known = counts.get(place)
    if known is None:
        known = counts[place] = NOTHING.copy()
    for measure, number in enumerate(numbers):
        if number:
            known[measure] += sign * number


def counts_of(message: Message) -> dict[CountKey, list[int]]:
    """What one message counts."""
    whole = [1, *NOTHING[1:]]
    head = (
        message.policy,
        message.policy_version,
        message.message_class,
        "",
        message.stage,
        message.arm,
    )
    tail = (message.currency or "",)
    counts = {make_key(head + AS_A_WHOLE + tail): whole}
    for attempt in message.attempts:
        if left(attempt):
            key = make_key((*head, attempt.channel, "", "", *tail))
            numbers = counts.get(key)
            if numbers is None:
                numbers = counts[key] = [1, *NOTHING[1:]]
            add_attempt(numbers, whole, attempt)
    for run in message.runs:
        if run.ended is not None:
            key = make_key((*head, run.channel, "", run.ended.value, *tail))
            counts.setdefault(key, NOTHING.copy())[MESSAGES] += 1
    reached_on = message.succeeded_by or ""
    if message.status in TERMINAL:
        reason = message.reason.value if message.reason is not None else ""
        key = make_key((*head, reached_on, message.status.value, reason, *tail))
        counts[key] = [1, *NOTHING[1:]]
    if message.converted_at is not None:
        key = make_key((*head, reached_on, "", "", *tail))
        whole[CONVERTED] = counts.setdefault(key, NOTHING.copy())[CONVERTED] = 1
    return counts


def left(attempt: Attempt) -> bool:
    """Whether an attempt may have left: its provider has it, or something came of it."""
    evidence = attempt.state in (Delivery.SENT, Delivery.DELIVERED) or bool(attempt.engagement)
    return attempt.took or evidence


def add_attempt(numbers: list[int], whole: list[int], attempt: Attempt) -> None:
    """Add an attempt to its channel's numbers and to those of the message."""
    numbers[SENDS] = whole[SENDS] = 1
    engaged = attempt.engagement
    if engaged or attempt.state is Delivery.DELIVERED:
        numbers[DELIVERED] = whole[DELIVERED] = 1
    for state in engaged:
        for measure in MEASURES_OF[state]:
            numbers[measure] = whole[measure] = 1
    if attempt.cost is not None and attempt.took:
        cost = millionths(attempt.cost)
        numbers[COST] += cost
        whole[COST] += cost


@lru_cache(maxsize=1024)
def millionths(cost: str) -> int:
    """A cost (decimal string) in millionths of its currency."""
    return int(Decimal(cost) * MILLIONTHS)


def day_number(at: Instant, zone: str) -> int:
    """The day of an instant in a zone, written as a number: 20261121."""
    return day_of_quarter(at // QUARTER_MS, zone)


@lru_cache(maxsize=1024)
def day_of_quarter(quarter: int, zone: str) -> int:
    day = datetime.fromtimestamp(quarter * QUARTER_MS / 1000, UTC).astimezone(ZoneInfo(zone))
    return day.year * 10_000 + day.month * 100 + day.day
