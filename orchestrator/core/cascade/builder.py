"""
The working copy of one decision: a message that may change, and the effects of its changes.

Only ``decide`` and its parts (``sending``, ``answers``, ``waiting``) use it; nobody outside ever
sees a message half changed. The three states of a message each have one writer here, and each
writer obeys the table that docs/states.md is drawn from.
"""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.core.effects import Effect, EmitStatus
from orchestrator.core.gates import Check, GateContext, ask
from orchestrator.core.inputs import Inputs
from orchestrator.core.message import (
    SENDING_LEGAL,
    STATUS_LEGAL,
    UNCONFIRMED,
    Attempt,
    Message,
    Run,
    Sending,
    Status,
)
from orchestrator.core.outcomes import OutcomeKind
from orchestrator.core.policy import Policy, Step
from orchestrator.core.reasons import Reason
from orchestrator.core.recipient import Instant
from orchestrator.core.status import Delivery, merge_delivery, reached
from orchestrator.core.values import Struct, field


class IllegalMove(AssertionError):
    """The core tried to take a message where its tables allow no way: a bug in the core."""


class DecisionBuilder(Struct):
    """
    ``said`` collects the decision in words. ``gather`` gives the inputs; it is called only if the
    decision looks at them, and ``looked_at`` is then what it gave. ``started`` are the steps that
    this decision started and has not yet put anywhere.
    """

    policy: Policy
    message: Message
    gather: Callable[[], Inputs]
    now: Instant
    effects: list[Effect] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    looked_at: Inputs | None = None
    started: set[int] = field(default_factory=set)
    _contexts: dict[int, GateContext] = field(default_factory=dict)

    @property
    def inputs(self) -> Inputs:
        """Everything that the decision rests on besides the message and the fact."""
        if self.looked_at is None:
            self.looked_at = self.gather()
        return self.looked_at

    def step_of(self, run: Run) -> Step:
        return self.policy.plan[run.step]

    def context(self, step: int) -> GateContext:
        """The gates' view of a step of the plan; made once, so nothing in it is computed twice."""
        context = self._contexts.get(step)
        if context is None:
            context = GateContext(self.policy, self.message, step, self.inputs, self.now)
            self._contexts[step] = context
        return context

    def ask(self, run: Run) -> Check:
        """Ask the gates about a run; every answer goes into the trace."""
        decisive, checks = ask(self.context(run.step))
        self.checks.extend(checks)
        return decisive

    def say(self, words: str) -> None:
        self.said.append(words)

    def is_last(self, run: Run) -> bool:
        return not run.companion and self.message.position == len(self.message.sequence) - 1

    def start(self, step: int, companion: bool = False) -> Run:
        """Start a step of the plan. The same decision must move its sending half somewhere."""
        run = Run(step, self.policy.plan[step].channel, companion=companion)
        self.message.runs.append(run)
        self.started.add(step)
        return run

    # ---- the three writers

    def move_status(self, status: Status) -> None:
        """Move the message along ``STATUS_LEGAL`` and emit its new status."""
        message = self.message
        if status not in STATUS_LEGAL[message.status]:
            raise IllegalMove(f"{message.id}: status {message.status} cannot become {status}")
        message.status = status
        self.effects.append(EmitStatus(f"message.{status}"))

    def move_sending(self, run: Run, place: Sending) -> None:
        """Move a run's sending half along ``SENDING_LEGAL``; staying where it is is no move."""
        before = None if run.step in self.started else run.sending
        if place is before:
            return
        if place not in SENDING_LEGAL[before]:
            raise IllegalMove(
                f"{self.message.id}: the sending half of step {run.step} ({run.channel})"
                f" cannot go from {before or 'its start'} to {place}"
            )
        self.started.discard(run.step)
        run.sending = place

    def move_delivery(self, attempt: Attempt, state: Delivery) -> bool:
        """Merge a state into an attempt's, by ``RANK``; True if that raised it."""
        merged = merge_delivery(attempt.state, state)
        raised = merged is not attempt.state
        attempt.state = merged
        return raised

    # ---- the ends of steps and messages

    def flag(self, flag: str) -> bool:
        """Set a flag; True if it is new."""
        if flag in self.message.flags:
            return False
        self.message.flags.append(flag)
        return True

    def close(self, run: Run) -> None:
        """End a run. Nothing more of it will be sent; an open intent still gets its answer."""
        run.over = True
        run.until = None
        if run.sending is not Sending.OPEN:
            self.move_sending(run, Sending.IDLE)

    def leave(self, run: Run, reason: Reason, detail: str = "") -> None:
        """End a step that did not reach the recipient."""
        self.close(run)
        run.ended = reason
        run.rule = detail
        self.say(f"left step {run.step} ({run.channel}): {reason}{f' {detail}' if detail else ''}")

    def drop(self, reason: Reason, detail: str) -> None:
        """End the message because a gate said DROP."""
        if reason is Reason.DEADLINE_PASSED:
            self.finish(Status.EXPIRED, reason)
        elif reason is Reason.GOAL_MET:
            # second guard: `trigger` has already settled a goal reached before the event
            self.finish(Status.CANCELLED, reason)
        else:
            self.finish(self.failed_status(), reason, detail)

    def hold(self, run: Run, until: Instant, reason: Reason, rule: str = "") -> None:
        """Make a run wait, never past the deadline."""
        self.move_sending(run, Sending.HELD)
        run.until = min(until, self.message.deadline_at)
        run.held_for = reason
        run.rule = rule
        self.say(
            f"hold step {run.step} ({run.channel}) until {run.until}:"
            f" {reason}{f' {rule}' if rule else ''}"
        )

    def failed_status(self) -> Status:
        """EXHAUSTED if any step of the cascade was attempted, else SUPPRESSED."""
        return Status.EXHAUSTED if self.message.cascade_attempts() else Status.SUPPRESSED

    def finish(self, status: Status, reason: Reason | None = None, detail: str = "") -> None:
        """
        End the message and the runs of its cascade. Companions go on, unless the message was
        cancelled or expired.
        """
        message = self.message
        if status is Status.EXHAUSTED and message.status is Status.ACCEPTED:
            # second guard: a message that attempted something is running already
            self.move_status(Status.RUNNING)
        with_companions = status in (Status.CANCELLED, Status.EXPIRED)
        for run in message.runs:
            if with_companions or not run.companion:
                self.close(run)
        if status in (Status.EXHAUSTED, Status.EXPIRED) and any(
            attempt.outcome is OutcomeKind.UNKNOWN for attempt in message.cascade_attempts()
        ):
            self.flag(UNCONFIRMED)
        message.reason = reason
        message.reason_detail = detail
        message.finished_at = self.now
        self.move_status(status)
        self.say(f"{status}{f': {reason}' if reason else ''}")

    def succeed(self, channel: str) -> None:
        """End the message: the recipient was reached on ``channel``."""
        self.message.succeeded_by = channel
        self.message.reached_at = self.now
        self.finish(Status.SUCCEEDED)

    def states_of(self, attempts: list[Attempt]) -> frozenset[str]:
        """The waitable states that at least one of these attempts has reached."""
        if len(attempts) == 1:
            return reached(attempts[0].state, attempts[0].engagement)
        return frozenset().union(
            *(reached(attempt.state, attempt.engagement) for attempt in attempts)
        )
