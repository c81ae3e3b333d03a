"""
What can be asked of the engine. Each command is answered when, and only when, its transaction has
committed.

    Publish        an event                          → Published
    Tell           a fact about one message          → Told
    HearReceipt    a provider's receipt              → Told, or None while nobody knows the attempt
    HearInbound    a recipient wrote to us           → None
    HearPreference a provider's word on an opt-out   → None
    TakeWebhook    what a provider has posted        → None
    PutRecipient / PutConsents / OptOut / Erase      → what the API answers
    Cancel         by message id                     → Told
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.channels import Inbound, Preference, Receipt
from orchestrator.core.cascade.decide import Decision
from orchestrator.core.effects import Call
from orchestrator.core.facts import Fact
from orchestrator.core.recipient import ConsentState
from orchestrator.core.values import Value, field
from orchestrator.events.event import Event


class UnknownMessage(LookupError):
    """There is no message with that id."""


class UnknownRecipient(LookupError):
    """There is no recipient with that id."""


class Conflict(Exception):
    """The pair of source and id was used before, with another body."""


class Publish(Value):
    """``replayed``: again, from the dead letters: the deadline counts from now."""

    event: Event
    replayed: bool = False


class Published(Value):
    """
    ``status``: accepted, duplicate or unmatched; ``messages``: the ids made for it (also for a
    duplicate).
    """

    status: str
    messages: tuple[str, ...]


class ApplyFact(Value):
    """
    A fact about one message. ``urgent``: the message is a one-time code, so this overtakes
    everything else.
    """

    message: str
    fact: Fact
    urgent: bool = False


class FactApplied(Value):
    """
    What was decided; ``calls`` are the provider calls to make now. ``decided_at`` is the monotonic
    clock (seconds) before the commit began: the second within which a call must start counts from
    it.
    """

    decision: Decision
    calls: tuple[Call, ...] = ()
    decided_at: float = 0.0


class RecordReceipt(Value):
    """
    ``message`` and ``attempt`` where a keyed reference named them, else found by provider and its
    id.
    """

    provider: str
    receipt: Receipt
    message: str | None = None
    attempt: int | None = None


class RecordInbound(Value):
    provider: str
    channel: str
    inbound: Inbound


class RecordPreference(Value):
    provider: str
    channel: str
    preference: Preference


Said = RecordReceipt | RecordInbound | RecordPreference
"""One thing that a webhook says."""


class RecordWebhook(Value):
    """A verified webhook as it came in, and what it says: kept and heard in one transaction."""

    provider: str
    body: bytes
    said: tuple[Said, ...] = ()


class PutRecipient(Value):
    """Merge ``profile`` over what is stored (null removes); a PUT of an address clears its mark."""

    id: str
    profile: Mapping[str, Any]


class PutConsents(Value):
    """
    Add consent entries: ``[{"channel", "topic", "state", "at"?, "source"?}]``; none is ever
    removed.
    """

    id: str
    entries: Sequence[Mapping[str, Any]]


class OptOut(Value):
    """
    One opt-out, for a recipient or a bare address (or both). ``channel`` and ``topic`` may be
    ``*``. ``state`` is ``out``, or ``in`` where a STOP is undone by a START.
    """

    recipient: str | None = None
    address: str | None = None
    address_hash: str | None = None
    channel: str = "*"
    topic: str = "*"
    state: ConsentState = "out"
    source: str = "api"
    classes: tuple[str, ...] = ()


class Erase(Value):
    """
    Forget a recipient: what runs is cancelled, personal data goes, hashes of opted-out addresses
    stay.
    """

    id: str


class Cancel(Value):
    message: str


class DeadLetter(Value):
    """
    Something that could not be processed. ``origin``: ``kafka:topic/partition/offset`` and the
    like; ``reason`` a short word; ``detail`` the sentence; ``body`` the raw bytes.
    """

    origin: str
    reason: str
    detail: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


Command = (
    Publish
    | ApplyFact
    | RecordReceipt
    | RecordInbound
    | RecordPreference
    | RecordWebhook
    | PutRecipient
    | PutConsents
    | OptOut
    | Erase
    | Cancel
    | DeadLetter
)
