"""
A run of a journey: one person, one journey, and how far they have come.

Its status only ever moves along ``JOURNEY_LEGAL``: it runs, and ends once.

    running ──► completed | goal_met | exited | expired | failed

Where it stands is plain data: the path of its step (see ``core/journey/journey.py``), and of every
`repeat` around it the number of rounds that are over.
"""

from __future__ import annotations

from copy import copy
from enum import StrEnum
from typing import Any, Literal

from orchestrator.core.recipient import Instant
from orchestrator.core.values import Struct, Value, field


class JourneyStatus(StrEnum):
    """The status of a run of a journey."""

    RUNNING = "running"
    COMPLETED = "completed"
    GOAL_MET = "goal_met"
    EXITED = "exited"
    EXPIRED = "expired"
    FAILED = "failed"


JOURNEY_ENDS = frozenset(JourneyStatus) - {JourneyStatus.RUNNING}
JOURNEY_LEGAL: dict[JourneyStatus, frozenset[JourneyStatus]] = {
    JourneyStatus.RUNNING: JOURNEY_ENDS,
    **{status: frozenset[JourneyStatus]() for status in sorted(JOURNEY_ENDS)},
}
"""Every move of a run's status; ``JourneyBuilder.move_status`` refuses any other."""


class JourneyReason(StrEnum):
    """Why a run ended before its last step. ``describe`` gives the sentence shown to people."""

    GOAL_REACHED = "goal_reached"
    EXIT_EVENT = "exit_event"
    EXIT_ASKED = "exit_asked"
    ERASED = "erased"
    DEADLINE_PASSED = "deadline_passed"
    TOO_MANY_HOPS = "too_many_hops"
    TOO_MANY_STEPS = "too_many_steps"
    POLICY_MISSING = "policy_missing"

    def describe(self) -> str:
        """One sentence for people."""
        return JOURNEY_SENTENCES[self]


JOURNEY_SENTENCES: dict[JourneyReason, str] = {
    JourneyReason.GOAL_REACHED: "The goal event arrived.",
    JourneyReason.EXIT_EVENT: "An exit event arrived.",
    JourneyReason.EXIT_ASKED: "Somebody ended the journey.",
    JourneyReason.ERASED: "The recipient was erased.",
    JourneyReason.DEADLINE_PASSED: "The journey's deadline has passed.",
    JourneyReason.TOO_MANY_HOPS: "Too many messages and journeys had started each other.",
    JourneyReason.TOO_MANY_STEPS: "The journey has carried out more steps than any journey may.",
    JourneyReason.POLICY_MISSING: "The step names a policy that is not configured any more.",
}

WaitingFor = Literal["", "message", "time", "event", "turn"]
"""
What a run waits for at its step: the end of the message that it sent, a time, an event, or only its
next turn, because one decision carries out so many steps. "" while a decision is made, and when the
run has ended.
"""


class LastMessage(Value, omit_defaults=True):
    """
    The message sent last, as expressions see it (``last``). ``choice`` and ``replied_on`` (a
    channel) are those of the latest reply.
    """

    message: str
    policy: str
    step: str
    status: str = "accepted"
    succeeded_by: str | None = None
    replied_on: str | None = None
    choice: str | None = None

    def view(self) -> dict[str, Any]:
        """The value of ``last`` in expressions."""
        reply = {"choice": self.choice, "channel": self.replied_on} if self.replied_on else None
        return {
            "message": self.message,
            "policy": self.policy,
            "step": self.step,
            "status": self.status,
            "succeeded_by": self.succeeded_by,
            "reply": reply,
        }


class JourneyRun(Struct, omit_defaults=True):
    """
    The state that ``decide`` reads and returns: everything but the events' data.

    Its JSON leaves out defaults, so a default must never change.

    ``key`` tells the runs of one person in one journey apart ("" if all are the same). ``place`` is
    the path of the step where it stands; ``rounds`` are the finished rounds of each `repeat` around
    it, by path. ``since`` is when it began to wait there, ``due_at`` when to look again, never past
    ``deadline_at``. ``open`` are its messages that have not ended. ``steps`` counts what it has
    carried out. ``caused_by`` is the message or run whose inside event started it, ``hops`` how
    many have started each other up to it: 0 after an event from outside. ``chain`` names what that
    began with.
    """

    id: str
    journey: str
    version: str
    recipient: str
    key: str
    event_source: str
    event_id: str
    event_type: str
    created_at: Instant
    deadline_at: Instant
    status: JourneyStatus = JourneyStatus.RUNNING
    reason: JourneyReason | None = None
    reason_detail: str = ""
    place: str = "0"
    rounds: dict[str, int] = field(default_factory=dict)
    waiting_for: WaitingFor = ""
    since: Instant | None = None
    due_at: Instant | None = None
    last: LastMessage | None = None
    open: list[str] = field(default_factory=list)
    steps: int = 0
    finished_at: Instant | None = None
    caused_by: str | None = None
    hops: int = 0
    chain: str | None = None

    @property
    def terminal(self) -> bool:
        """Whether the run has ended."""
        return self.status in JOURNEY_ENDS

    @property
    def step(self) -> str:
        """
        The step where it stands, told from the same step of other rounds: ``5.steps.1#2`` is in
        the second round, ``5.steps.0.steps.1#2#3`` in the third round within it.
        """
        within = sorted(self.rounds, key=len)
        return self.place + "".join(f"#{self.rounds[path] + 1}" for path in within)

    def copy(self) -> JourneyRun:
        """A copy that shares nothing mutable."""
        copied = copy(self)
        copied.rounds = self.rounds.copy()
        copied.open = self.open.copy()
        return copied
