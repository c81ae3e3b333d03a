"""
The working copy of one decision: a message that may be changed, and what is to come of it.

Only ``decide`` and the two halves it is made of (``sending``, ``waiting``) use it; nobody outside
ever sees a message half changed.
"""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.core.effects import Effect, EmitStatus
from orchestrator.core.gates import Check, GateContext, Verdict, ask
from orchestrator.core.inputs import Inputs
from orchestrator.core.message import LEGAL, UNCONFIRMED, Attempt, Message, Run, Sending, Status
from orchestrator.core.outcomes import OutcomeKind
from orchestrator.core.policy import Policy, Step
from orchestrator.core.reasons import Reason
from orchestrator.core.recipient import Instant
from orchestrator.core.status import reached
from orchestrator.core.values import Struct, field


class DecisionBuilder(Struct):
    """
    ``said`` collects, in words, what was decided. ``gather`` gives the inputs, which are asked for
    only where they are looked at; ``looked_at`` is what was seen of them.
    """

    policy: Policy
    message: Message
    gather: Callable[[], Inputs]
    now: Instant
    effects: list[Effect] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    looked_at: Inputs | None = None
    _contexts: dict[int, GateContext] = field(default_factory=dict)

    @property
    def inputs(self) -> Inputs:
        """Everything that the decision rests on besides the message and the fact."""
        if self.looked_at is None:
            self.looked_at = self.gather()
        return self.looked_at

    def step_of(self, run: Run) -> Step:
        return self.policy.plan[run.step]

    def context(self, run: Run) -> GateContext:
        """
        What gates may look at; one for each step of a decision, so that nothing in it is worked out
        twice.
        """
        context = self._contexts.get(run.step)
        if context is None:
            context = self._contexts[run.step] = GateContext(
                self.policy, self.message, run.step, self.inputs, self.now
            )
        return context

    def ask(self, run: Run) -> Check:
        """Ask the gates about a run, and keep every answer for the trace."""
        decisive, checks = ask(self.context(run))
        self.checks.extend(checks)
        return decisive

    def say(self, words: str) -> None:
        self.said.append(words)

    def is_last(self, run: Run) -> bool:
        return not run.companion and self.message.position == len(self.message.sequence) - 1

    def move(self, status: Status) -> None:
        """Change the status along a legal transition, and tell it."""
        message = self.message
        if status not in LEGAL[message.status]:
            raise AssertionError(f"{message.id}: {message.status} cannot become {status}")
        message.status = status
        self.effects.append(EmitStatus(f"message.{status}"))

    def flag(self, flag: str) -> bool:
        """Set a flag; True where it is new."""
        if flag in self.message.flags:
            return False
        self.message.flags.append(flag)
        return True

    def leave(self, run: Run, reason: Reason, detail: str = "") -> None:
        """A step is over; whatever of it had not left never will."""
        run.over = True
        run.ended = reason
        run.rule = detail
        run.until = None
        if run.sending is not Sending.OPEN:
            run.sending = Sending.IDLE
        self.say(f"left step {run.step} ({run.channel}): {reason}{f' {detail}' if detail else ''}")

    def refuse(self, run: Run, check: Check) -> None:
        """A gate said never. DROP ends the message, except where only a companion is concerned."""
        reason = check.reason or Reason.CONDITION_FALSE
        self.leave(run, reason, check.rule or "")
        if check.verdict is Verdict.DROP and not run.companion:
            self.drop(reason, check.rule or "")

    def drop(self, reason: Reason, detail: str = "") -> None:
        """End a message that a gate will not let go on."""
        if reason is Reason.DEADLINE_PASSED:
            self.finish(Status.EXPIRED, reason)
        elif reason is Reason.GOAL_MET:
            self.finish(Status.CANCELLED, reason)
        else:
            self.finish(Status.EXHAUSTED if self.attempted() else Status.SUPPRESSED, reason, detail)

    def hold(self, run: Run, until: Instant, reason: Reason, rule: str = "") -> None:
        """Make a run wait, never past the deadline."""
        run.sending = Sending.HELD
        run.until = min(until, self.message.deadline_at)
        run.held_for = reason
        run.rule = rule
        self.say(
            f"hold step {run.step} ({run.channel}) until {run.until}:"
            f" {reason}{f' {rule}' if rule else ''}"
        )

    def attempted(self) -> bool:
        """Whether any step of the cascade was attempted; companions do not count."""
        cascade = {run.step for run in self.message.runs if not run.companion}
        return any(attempt.step in cascade for attempt in self.message.attempts)

    def finish(self, status: Status, reason: Reason | None = None, detail: str = "") -> None:
        """
        End the message. What is unsent of the cascade is cancelled; companions go on, unless the
        message was called off or ran out of time.
        """
        message = self.message
        if status is Status.EXHAUSTED and message.status is Status.ACCEPTED:
            self.move(Status.RUNNING)
        calls_off = status in (Status.CANCELLED, Status.EXPIRED)
        for run in message.runs:
            if run.companion and not calls_off:
                continue
            run.over = True
            run.until = None
            if run.sending is not Sending.OPEN:
                run.sending = Sending.IDLE
        if status in (Status.EXHAUSTED, Status.EXPIRED) and self.unconfirmed():
            self.flag(UNCONFIRMED)
        message.reason = reason
        message.reason_detail = detail
        message.finished_at = self.now
        self.move(status)
        self.say(f"{status}{f': {reason}' if reason else ''}")

    def states_of(self, attempts: list[Attempt]) -> frozenset[str]:
        """The waitable states that some of these attempts are known to have reached."""
        if len(attempts) == 1:
            return reached(attempts[0].state, attempts[0].engagement)
        return frozenset().union(
            *(reached(attempt.state, attempt.engagement) for attempt in attempts)
        )

    def unconfirmed(self) -> bool:
        """Whether some attempt of the cascade may have been sent and nothing ever said so."""
        cascade = {run.step for run in self.message.runs if not run.companion}
        return any(
            a.step in cascade and a.outcome is OutcomeKind.UNKNOWN for a in self.message.attempts
        )

    def succeed(self, channel: str) -> None:
        """The person was reached."""
        self.message.succeeded_by = channel
        self.finish(Status.SUCCEEDED)
