"""
P3: no overtaking. A step starts only when the one before it has ended without success or its wait
has run out.

Worked out from what the providers took and reported: for each earlier step that a provider has
taken, one of its states must have been missing past its time when the next intent was committed, or
a failure must have been reported, or the policy moves on after an unknown outcome. Where everything
that a step waits for was reported in time, nothing follows; and where ``late: close`` holds,
nothing follows a delivery that is reported after its step was left.
"""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.core.message import Message
from orchestrator.core.outcomes import OutcomeKind
from orchestrator.core.policy import Policy
from tests.simulation.checks.evidence import Evidence, Sent
from tests.simulation.truth import Hook, Moment

IMPLIED = {"sent": 0, "delivered": 1, "read": 2, "clicked": 3, "replied": 4}
FAILED = ("failed", "expired")
HAND_OFF_SECONDS = 16.0
"""A hand-off is recorded within a provider's timeout, and what a dead process leaves behind it."""


def check(evidence: Evidence) -> Iterator[str]:
    """Each broken promise in a sentence."""
    hooks_by_write: dict[int, list[Hook]] = {}
    for hook in evidence.ledger.hooks:
        hooks_by_write.setdefault(id(hook.write), []).append(hook)
    by_message: dict[str, list[Sent]] = {}
    for sent in evidence.sent:
        by_message.setdefault(sent.message.id, []).append(sent)
    for several in by_message.values():
        message, policy = several[0].message, evidence.policy(several[0].message)
        cascade = [sent for sent in several if sent.step < len(policy.cascade)]
        for later in cascade:
            for earlier in cascade:
                step = [sent for sent in cascade if sent.step == earlier.step]
                if before(message, earlier, later) and (
                    why := overtakes(evidence, policy, hooks_by_write, step, earlier, later)
                ):
                    yield (
                        f"P3 {evidence.name(message.id)}: step {later.step} started though step"
                        f" {earlier.step} {why}"
                    )


def before(message: Message, earlier: Sent, later: Sent) -> bool:
    """Whether one is of a step that stands before the other's in the message's own order."""
    order = message.sequence
    return (
        earlier.intent is not None
        and later.intent is not None
        and order.index(earlier.step) < order.index(later.step)
        and earlier.write.accepted
    )


def overtakes(
    evidence: Evidence,
    policy: Policy,
    hooks_by_write: dict[int, list[Hook]],
    of_step: list[Sent],
    earlier: Sent,
    later: Sent,
) -> str | None:
    """
    The reason why the later step should not have started, None if it may have. ``of_step``: all
    that its step has sent.
    """
    assert later.intent is not None
    if earlier.intent is None or later.intent.order < earlier.intent.order:
        return "had not started"
    if evidence.jumped(
        earlier.intent.at, max(later.intent.at, earlier.intent.at + HAND_OFF_SECONDS)
    ):
        return None  # what the clock shows at either end does not show how long the wait was
    step = policy.plan[earlier.step]
    known = {
        id(sent): [
            hook
            for hook in hooks_by_write.get(id(sent.write), ())
            if hook.sent.order < later.intent.order
        ]
        for sent in of_step
    }
    hooks = known[id(earlier)]
    if any(hook.state in FAILED for hook in hooks) or others_failed(evidence, earlier):
        return None
    if step.on_unknown == "advance" and earlier.attempt.reason is not None:
        return None
    waits = step.wait or (("sent", policy.default_wait_ms),)
    since = handed_off(evidence, earlier)
    missed = [
        since + wait_ms
        for state, wait_ms in waits
        if not any(in_time(sent, known[id(sent)], state, since + wait_ms) for sent in of_step)
    ]
    if (
        not step.wait
        and earlier.attempt.outcome is OutcomeKind.ACCEPTED
        and earlier.attempt.reason is None
    ):
        return "had succeeded: it waits for nothing"
    if not missed:
        return "had reached everything in time"
    if later.attempt.intent_at < min(missed):
        return f"still had {min(missed) - later.attempt.intent_at} ms to wait"
    calm = not evidence.run.options.store_seconds and not evidence.ledger.breaks
    if (
        policy.late == "close"
        and calm
        and (hook := closing(hooks, min(missed), later.intent)) is not None
    ):
        return f"was reported {hook.state} before"
    return None


def others_failed(evidence: Evidence, earlier: Sent) -> bool:
    """
    Another device of the same step may have been the one that failed; then this one's receipts do
    not decide alone.
    """
    return len({attempt.address_hash for attempt in earlier.message.attempts_of(earlier.step)}) > 1


def handed_off(evidence: Evidence, sent: Sent) -> int:
    """
    From when a step's waits run, at the earliest: from the first of its attempts that may have
    left.
    """
    attempts = sent.message.attempts_of(sent.step)
    return min(
        attempt.intent_at
        for attempt in attempts
        if evidence.may_have_left(attempt, sent.message.id)
    )


def in_time(sent: Sent, hooks: list[Hook], state: str, limit: int) -> bool:
    """
    Whether a state was reported, and taken, before ``limit``; what failed is not on its way any
    more.
    """
    least = max(
        IMPLIED[state], IMPLIED["delivered"] if any(hook.state in FAILED for hook in hooks) else 0
    )
    taken = [
        hook.answered.wall
        for hook in hooks
        if hook.answered and IMPLIED.get(hook.state, -1) >= least
    ]
    return sent.write.provider != "bot" and any(wall < limit for wall in taken)


def closing(hooks: list[Hook], missed: int, intent: Moment) -> Hook | None:
    """
    A delivery or more that is new, came after its step's time, and was acknowledged before the
    next intent.
    """
    known = 0
    for hook in sorted(hooks, key=lambda one: one.sent.order):
        rank = IMPLIED.get(hook.state, -1)
        late = (
            hook.answered is not None
            and hook.answered.order < intent.order
            and hook.sent.wall > missed + 30_000
        )
        if late and rank > known and hook.provider != "bot":
            return hook
        known = max(known, rank)
    return None
