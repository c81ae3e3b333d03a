"""
A message: one event, one recipient, one policy, and how far its cascade has come.

Its status only ever moves along ``STATUS_LEGAL``::

    accepted ──► running ──► succeeded
        │           ├──────► exhausted ──┐
        │           ├──────► expired ────┤ a late positive receipt, once
        ├───────────┼──────► cancelled   ▼
        └───────────┴──────► suppressed  succeeded

A running message can still be suppressed: if only a companion was sent, nothing of its cascade was
attempted.

Each started step is a ``Run``. A run's sending half is in one of four places (``Sending``): held
until an instant, ready in the backlog, open (an intent without an answer), or idle. Its waiting
half starts at hand-off and consists of ``handed_off_at`` and the receipts of its attempts. Both
halves can be alive at once: one of two devices has taken the message, the other is tried again.
"""

from __future__ import annotations

from copy import copy
from decimal import Decimal
from enum import StrEnum
from typing import Literal

from orchestrator.core.outcomes import OutcomeKind
from orchestrator.core.policy import MessageClass
from orchestrator.core.reasons import Reason
from orchestrator.core.recipient import Instant
from orchestrator.core.replies import Offered
from orchestrator.core.status import Delivery
from orchestrator.core.values import Struct, field

AnswerWord = Literal["", "help", "stop"]


class Status(StrEnum):
    """The status of a message."""

    ACCEPTED = "accepted"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    EXHAUSTED = "exhausted"
    SUPPRESSED = "suppressed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


STATUS_LEGAL: dict[Status, frozenset[Status]] = {
    Status.ACCEPTED: frozenset(
        {Status.RUNNING, Status.SUPPRESSED, Status.EXPIRED, Status.CANCELLED}
    ),
    Status.RUNNING: frozenset(
        {
            Status.SUCCEEDED,
            Status.EXHAUSTED,
            Status.SUPPRESSED,
            Status.EXPIRED,
            Status.CANCELLED,
        }
    ),
    Status.EXHAUSTED: frozenset({Status.SUCCEEDED}),
    Status.EXPIRED: frozenset({Status.SUCCEEDED}),
    Status.SUCCEEDED: frozenset(),
    Status.SUPPRESSED: frozenset(),
    Status.CANCELLED: frozenset(),
}
"""Every move of a message's status; ``DecisionBuilder.move_status`` refuses any other."""

TERMINAL = frozenset(Status) - {Status.ACCEPTED, Status.RUNNING}

UNCONFIRMED, LATE, DUPLICATE_DELIVERY, UNDELIVERED = FLAGS = (
    "unconfirmed",
    "late",
    "duplicate_delivery",
    "undelivered",
)


class Sending(StrEnum):
    """The state of a run's sending half."""

    IDLE = "idle"
    HELD = "held"
    READY = "ready"
    OPEN = "open"


SENDING_LEGAL: dict[Sending | None, frozenset[Sending]] = {
    None: frozenset({Sending.HELD, Sending.READY, Sending.IDLE}),
    Sending.HELD: frozenset({Sending.READY, Sending.IDLE}),
    Sending.READY: frozenset({Sending.OPEN, Sending.HELD, Sending.IDLE}),
    Sending.OPEN: frozenset({Sending.HELD, Sending.READY, Sending.IDLE}),
    Sending.IDLE: frozenset(),
}
"""
Every move of a run's sending half; ``DecisionBuilder.move_sending`` refuses any other. None is a
run that the decision has just started.
"""


class Attempt(Struct, omit_defaults=True):
    """
    One provider call to one address, from its intent on.

    ``address`` is masked for people, ``address_hash`` identifies it. ``try_number`` grows only
    after a definite "not sent", so the idempotency key made of it stays the same while the same try
    is repeated. ``times`` has the first time of every state that was reported, by the reporter's
    clock; ``arrivals`` has the time when its first report came, by ours. ``choices`` are the
    answers that it offers, ``choice`` the id of the one that was chosen last, ``replies`` counts
    what was answered, up to ``REPLIES_KEPT_MAX``.
    """

    number: int
    step: int
    channel: str
    provider: str
    kind: str
    address: str
    address_hash: str
    try_number: int
    intent_at: Instant
    timeout_ms: int
    content_hash: str = ""
    parts: int | None = None
    cost: str | None = None
    outcome: OutcomeKind = OutcomeKind.PENDING
    reason: Reason | None = None
    code: str | None = None
    detail: str = ""
    provider_id: str | None = None
    retry_after_ms: int | None = None
    answered_at: Instant | None = None
    state: Delivery = Delivery.CREATED
    engagement: dict[str, Instant] = field(default_factory=dict)
    times: dict[str, Instant] = field(default_factory=dict)
    arrivals: dict[str, Instant] = field(default_factory=dict)
    choices: tuple[Offered, ...] = ()
    choice: str | None = None
    replies: int = 0

    @property
    def took(self) -> bool:
        """Whether the provider has, or may have, the message."""
        return self.outcome in (OutcomeKind.ACCEPTED, OutcomeKind.UNKNOWN)

    @property
    def costs(self) -> bool:
        """Whether its price counts: its answer is pending, or the provider may have taken it."""
        return self.cost is not None and (self.took or self.outcome is OutcomeKind.PENDING)


class Run(Struct, omit_defaults=True):
    """
    One started step. ``step`` is its position in the policy's plan; ``companion`` runs never move
    the cascade.

    ``ready_since`` is when it entered the backlog. It is the turn of ``provider``; the turns of
    ``given_up`` are over. ``tries`` and ``tried_since`` belong to ``provider``, ``first_try_at`` to
    the step. ``shared``: when this provider's turn was sent, others reached more of the recipient's
    addresses. ``ended`` says why the step was left (None while it runs), ``rule`` by which rule or
    code.
    """

    step: int
    channel: str
    companion: bool = False
    sending: Sending = Sending.IDLE
    ready_since: Instant | None = None
    until: Instant | None = None
    held_for: Reason | None = None
    rule: str = ""
    provider: str | None = None
    given_up: list[str] = field(default_factory=list)
    tries: int = 0
    tried_since: Instant | None = None
    first_try_at: Instant | None = None
    resent: bool = False
    handed_off_at: Instant | None = None
    shared: bool = False
    over: bool = False
    ended: Reason | None = None


class Message(Struct, omit_defaults=True):
    """
    The state that ``decide`` reads and returns: everything but the event's data.

    Its JSON leaves out defaults, here and in runs and attempts, so a default must never change.

    ``sequence`` is the order in which the cascade's steps are tried, ``position`` the current place
    in it (-1 before the first). Nothing is asked and nothing is sent before ``not_before``.
    ``finished_at`` is its first end; ``reached_at`` is when it
    succeeded, later if a late receipt corrected that end. ``inputs_digest`` names the inputs that
    the history stored last, ``holds`` counts the latest decisions that only held the message once
    more; both belong to the history and decide nothing. ``retry_of`` is the message in whose place
    this one was started, ``retried_as`` the one that was started in the place of this one.
    ``caused_by`` is the message whose inside event started this one, ``hops`` how many have started
    each other up to it: 0 for a message of an event from outside. ``chain`` names the message, or
    the inside event of none, with which that began. ``journey`` is the journey that
    sent it, ``stage`` the stage of the customer's way that it is counted under, ``arm`` the arm of
    its policy's experiment, ``converted_at`` when what it was sent for came of it: reports count
    all three. ``gathers``: until it starts, further events join it. ``joined`` of
    them are kept beside its own event, with ``joined_bytes`` of data; ``left_out`` more were too
    many, and are only counted. ``only_channel`` is the
    channel on which it answers what somebody wrote: no other step is tried. ``answers`` is the
    word that it answers, whatever the recipient has opted out of.
    ``send_at`` is when the policy's `send_at` lets it start, None until that is decided.
    """

    id: str
    event_source: str
    event_id: str
    event_type: str
    recipient: str
    policy: str
    policy_version: str
    message_class: MessageClass
    topic: str
    created_at: Instant
    deadline_at: Instant
    status: Status = Status.ACCEPTED
    reason: Reason | None = None
    reason_detail: str = ""
    succeeded_by: str | None = None
    flags: list[str] = field(default_factory=list)
    currency: str | None = None
    sequence: tuple[int, ...] = ()
    position: int = -1
    finished_at: Instant | None = None
    reached_at: Instant | None = None
    due_at: Instant | None = None
    runs: list[Run] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    inputs_digest: str = ""
    holds: int = 0
    not_before: Instant | None = None
    retry_of: str | None = None
    retried_as: str | None = None
    caused_by: str | None = None
    hops: int = 0
    chain: str | None = None
    journey: str | None = None
    stage: str = ""
    arm: str = ""
    only_channel: str = ""
    answers: AnswerWord = ""
    converted_at: Instant | None = None
    gathers: bool = False
    joined: int = 0
    joined_bytes: int = 0
    left_out: int = 0
    send_at: Instant | None = None

    @property
    def terminal(self) -> bool:
        """Whether the message has ended."""
        return self.status in TERMINAL

    @property
    def starts_at(self) -> Instant:
        """When its cascade starts, or has started."""
        if self.send_at is not None:
            return self.send_at
        return self.created_at if self.not_before is None else self.not_before

    def is_scheduled(self, now: Instant) -> bool:
        """Whether it waits for its start."""
        return not self.terminal and now < self.starts_at and not self.sequence

    @property
    def current(self) -> Run | None:
        """The run of the cascade's current step, None between two steps."""
        last = self.last_run
        return None if last is None or last.over else last

    @property
    def last_run(self) -> Run | None:
        """The run of the cascade's latest step, over or not; None before the first."""
        return next((run for run in reversed(self.runs) if not run.companion), None)

    def run_of(self, step: int) -> Run | None:
        """The run of a step of the plan, None if it has not started."""
        return next((run for run in self.runs if run.step == step), None)

    def attempts_of(self, step: int) -> list[Attempt]:
        """The attempts of a step, oldest first."""
        return [attempt for attempt in self.attempts if attempt.step == step]

    def cascade_attempts(self) -> list[Attempt]:
        """The attempts of the cascade's own steps, without those of companions."""
        cascade = {run.step for run in self.runs if not run.companion}
        return [attempt for attempt in self.attempts if attempt.step in cascade]

    def spent(self, channel: str | None = None) -> Decimal:
        """The cost of its attempts (on one channel, or all), in the installation's currency."""
        costs = (a.cost for a in self.attempts if a.costs and channel in (None, a.channel))
        return sum((Decimal(cost) for cost in costs if cost is not None), Decimal("0.00"))

    @property
    def left_nothing(self) -> bool:
        """
        Whether it has ended without anything that was, or may have been, sent, and never will send
        anything: its dedupe key is free again.
        """
        if not self.terminal or any(run.companion and not run.over for run in self.runs):
            return False
        nothing = (OutcomeKind.NOT_SENT, OutcomeKind.REFUSED)
        return not any(
            attempt.outcome not in nothing
            or attempt.engagement
            or attempt.state in (Delivery.SENT, Delivery.DELIVERED)
            for attempt in self.attempts
        )

    @property
    def never_left(self) -> bool:
        """
        Whether it has ended without any provider having read it, and never will send anything: its
        codes are free again. A provider that has refused it has read it, and may be wrong.
        """
        return self.left_nothing and all(
            attempt.outcome is OutcomeKind.NOT_SENT for attempt in self.attempts
        )

    def ready(self) -> list[Run]:
        """The runs in the backlog of their provider."""
        return [run for run in self.runs if run.sending is Sending.READY]

    def copy(self) -> Message:
        """A copy that shares nothing mutable."""
        copied = copy(self)
        copied.flags = self.flags.copy()
        copied.runs = [copy(run) for run in self.runs]
        for run in copied.runs:
            run.given_up = run.given_up.copy()
        copied.attempts = [copy(attempt) for attempt in self.attempts]
        for attempt in copied.attempts:
            attempt.engagement = attempt.engagement.copy()
            attempt.times = attempt.times.copy()
            attempt.arrivals = attempt.arrivals.copy()
        return copied
