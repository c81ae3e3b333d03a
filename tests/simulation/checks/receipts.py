"""
P1 for receipts: a receipt that was answered 200 is never forgotten, however often and in whichever
order receipts came.

An attempt's state is the highest that was ever reported, and every engagement that was reported is
there. If a policy says ``late: close``, a delivery in its cascade after the end turns the end into
a success.
"""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.core.message import Attempt, Status
from tests.simulation.checks.evidence import Evidence, Sent
from tests.simulation.truth import Hook

LADDER = (
    "created",
    "queued",
    "submitted",
    "accepted",
    "sent",
    "cancelled",
    "rejected",
    "failed",
    "expired",
    "delivered",
)
ENGAGED = ("read", "clicked")
GOOD = ("delivered", "read", "clicked", "replied")


def check(evidence: Evidence) -> Iterator[str]:
    """Each broken promise in a sentence."""
    by_write = {id(sent.write): sent for sent in evidence.sent}
    for hook in evidence.ledger.hooks:
        sent = by_write.get(id(hook.write))
        if hook.answered is None or sent is None or not knows(evidence, sent, hook):
            continue
        if not shows(sent.attempt, hook.state):
            name = f"{evidence.name(sent.message.id)}: attempt {sent.attempt.number}"
            yield (
                f"P1 {name} is {sent.attempt.state}, though {hook.state} was reported and"
                " acknowledged"
            )
        elif came_too_late_for_nothing(evidence, sent, hook):
            name = evidence.name(sent.message.id)
            yield (
                f"P1 {name} is {sent.message.status}, though {hook.state} was reported and"
                " acknowledged after its end"
            )


def knows(evidence: Evidence, sent: Sent, hook: Hook) -> bool:
    """
    Whether the receipt can be matched to an attempt: a bot's receipts carry an id that only a clear
    answer had named.
    """
    return hook.provider != "bot" or sent.attempt.provider_id == sent.write.provider_id


def shows(attempt: Attempt, state: str) -> bool:
    if state in ENGAGED:
        return state in attempt.engagement
    return LADDER.index(attempt.state.value) >= LADDER.index(state)


def came_too_late_for_nothing(evidence: Evidence, sent: Sent, hook: Hook) -> bool:
    """
    Whether the person was reached after an end that says they were not, and the end still says so.
    """
    message, policy = sent.message, evidence.policy(sent.message)
    if message.status not in (Status.EXHAUSTED, Status.EXPIRED) or policy.late != "close":
        return False
    if sent.step >= len(policy.cascade) or hook.state not in GOOD:
        return False
    ended = [
        one.moment.order
        for one in evidence.ledger.commits
        if one.message == message.id and one.status == message.status
    ]
    earlier = [
        h for h in evidence.ledger.hooks if h.write is hook.write and h.sent.order < hook.sent.order
    ]
    is_new = all(GOOD.index(hook.state) > GOOD.index(h.state) for h in earlier if h.state in GOOD)
    return is_new and bool(ended) and hook.sent.order > min(ended)
