"""
Facts: everything that can happen to a message.

Each is handed to ``decide`` once, in the order in which the store commits them.

    Triggered        an event matched the policy
    Due              the message asked to be woken at this time
    Prepared         a step is rendered and has a rate token and a connection slot: may it leave?
    Unpreparable     a step could not be rendered
    Shut             a provider cannot be used now (breaker open, or throttled)
    Answered         a provider answered one attempt, or failed to
    ReceiptReceived  a receipt for one attempt
    GoalReached      the business event came that makes the message pointless
    Converted        the event came that the message was sent for, after its success
    Cancelled        by API, or because the recipient was erased
    RulesChanged     another configuration is in force: what is held may be free
    Joined           another event has joined the digest that gathers
    Retried          somebody has started another message in the place of this one
"""

from __future__ import annotations

from orchestrator.core.outcomes import Outcome, Refused
from orchestrator.core.reasons import Reason
from orchestrator.core.recipient import Address, Instant
from orchestrator.core.replies import Choice, Reply
from orchestrator.core.values import Tagged, Value


class IntakeWarning(Value):
    """
    A part of an event that could not be used: the id of its recipient (None: of a recipient that
    cannot be named), the field, what is wrong, how to fix it. It never repeats what stood there.
    """

    recipient: str | None
    field: str
    what: str
    fix: str


class Triggered(Tagged):
    """
    ``replayed``: from the dead letters, so the deadline counts from now. ``warnings``: what the
    event said of this recipient and could not be used. ``retry_of``: the message in whose place
    this one was started; it takes over that one's ``joined`` events, and how many were
    ``left_out``.
    """

    replayed: bool = False
    warnings: tuple[IntakeWarning, ...] = ()
    retry_of: str | None = None
    joined: int = 0
    left_out: int = 0


class Due(Tagged):
    """``due_at`` is what the message had asked for; void if it asks for another time by now."""

    due_at: Instant


class Prepared(Tagged):
    """
    ``targets`` are the addresses it was rendered for. ``cost`` (decimal string, for one target) and
    ``parts`` are this content's on ``provider``, None if unknown. ``at_once``: it was prepared in
    the transaction that made the step ready, so the gates have just been asked. ``choices`` are
    those that the content offers.
    """

    step: int
    provider: str
    targets: tuple[Address, ...]
    content_hash: str = ""
    parts: int | None = None
    cost: str | None = None
    at_once: bool = False
    choices: tuple[Choice, ...] = ()


class Unpreparable(Tagged):
    """``reason`` is one of the content reasons; ``detail`` names the variable, part or limit."""

    step: int
    reason: Reason
    detail: str = ""


class Shut(Tagged):
    """``until`` is when the provider may be tried again."""

    step: int
    provider: str
    reason: Reason
    until: Instant


class Answered(Tagged):
    """``attempt`` is the attempt's number within its message."""

    attempt: int
    outcome: Outcome


class ReceiptReceived(Tagged):
    """
    ``state`` is a word of ``Delivery`` or ``Engagement``; ``at`` is the provider's time of it, or
    when the receipt came. ``reply`` is what the recipient has answered, if they have.
    """

    attempt: int
    state: str
    at: Instant
    failure: Refused | None = None
    detail: str = ""
    provider_id: str | None = None
    reply: Reply | None = None


class GoalReached(Tagged):
    """``source`` and ``id`` name the event that reached it."""

    source: str
    id: str


class Cancelled(Tagged):
    """``reason`` is CANCELLED or ERASED."""

    reason: Reason = Reason.CANCELLED


class Converted(Tagged):
    """
    The event came that the message was sent for, after it had succeeded; ``source`` and ``id`` name
    it, ``at`` is when it happened.
    """

    source: str
    id: str
    at: Instant


class RulesChanged(Tagged):
    """Ask again about what a rule or a provider holds; not written if nothing came of it."""


class Joined(Tagged):
    """
    ``source`` and ``id`` name the event, ``bytes`` is the size of its data as JSON, ``hops`` how
    many messages have started each other up to it.
    """

    source: str
    id: str
    bytes: int = 0
    hops: int = 0
    warnings: tuple[IntakeWarning, ...] = ()


class Retried(Tagged):
    """``message`` is the one that was started in the place of this one, which has ended."""

    message: str


Fact = (
    Triggered
    | Due
    | Prepared
    | Unpreparable
    | Shut
    | Answered
    | ReceiptReceived
    | GoalReached
    | Cancelled
    | Converted
    | RulesChanged
    | Joined
    | Retried
)
