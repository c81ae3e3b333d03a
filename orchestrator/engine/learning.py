"""
What is learned of people's habits: at which hour and on which channel they answer.

It is counted in the transaction of the receipt or the answer, in the recipient's document, and the
hours also in one table of 24 rows for everybody. Nothing is counted unless a policy asks for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from orchestrator.core.engagement import HOURS
from orchestrator.core.message import Attempt, Message
from orchestrator.core.policy import Policy
from orchestrator.core.quiet_hours import local_time
from orchestrator.core.recipient import Instant
from orchestrator.core.status import Engagement
from orchestrator.engine.batch import BatchContext
from orchestrator.recipients.document import Person
from orchestrator.recipients.engagement import answered_of, count_answer, count_sent, hours_of
from orchestrator.stores.port import Store

ANSWERS = (Engagement.READ, Engagement.CLICKED, Engagement.REPLIED)
"""What counts as an answer to a message; the first of them gives its hour."""


REFRESH_MS = 600_000


@dataclass
class Everybody:
    """The hours of everybody as this process read them last; what it learns itself is added."""

    hours: list[int] = field(default_factory=list)
    read_at: Instant | None = None

    async def refresh(self, store: Store, now: Instant) -> None:
        """Read them again if that was long ago."""
        if self.read_at is None or abs(now - self.read_at) >= REFRESH_MS:
            self.hours, self.read_at = await store.answer_hours(), now


def engagement_inputs(
    context: BatchContext, policy: Policy, message: Message, person: Person
) -> dict[str, Any]:
    """The inputs that the start of a message rests on."""
    found: dict[str, Any] = {}
    if message.sequence or message.terminal:
        return found
    send_at = policy.send_at
    if send_at is not None and send_at.best_hour and message.send_at is None:
        found["hours"] = hours_of(person)
        found["hours_of_all"] = tuple(context.hours_of_all)
    if policy.order == "most_engaged":
        found["answered"] = answered_of(person)
    return found


def record_engagement(
    context: BatchContext, person: Person, before: Message, after: Message
) -> None:
    """Count what a decision has brought: sends that were taken, and their first answers."""
    if not after.attempts or not (person.known or person.dirty):
        return
    for attempt in after.attempts:
        known = before.attempts[attempt.number] if attempt.number < len(before.attempts) else None
        if attempt.took and (known is None or not known.took):
            count_sent(person, attempt.channel)
        answered_at = first_answer(attempt)
        if answered_at is not None and (known is None or first_answer(known) is None):
            at = min(answered_at, context.now)
            hour = local_time(at, context.zone_of(person)).hour
            count_answer(person, attempt.channel, hour)
            hours = context.work.changes.hours
            hours[hour] = hours.get(hour, 0) + 1
            context.hours_of_all[:] = context.hours_of_all or [0] * HOURS
            context.hours_of_all[hour] += 1


def first_answer(attempt: Attempt) -> Instant | None:
    """When a person first read, clicked or replied; None if they have not."""
    engagement = attempt.engagement
    return min((engagement[one] for one in ANSWERS if one in engagement), default=None)
