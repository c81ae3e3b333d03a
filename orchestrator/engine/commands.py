"""
What can be asked of the engine. Each command is answered when, and only when, its transaction has
committed.

    Publish           an event                                → Published
    ApplyFact         a fact about one message                → FactApplied
    Cancel            a message by its id                     → FactApplied
    RestoreTimer      a timer that an unfinished message or a journey lacks → whether it goes on
    ApplyJourneyFact       a fact about one run of a journey       → whether it ran
    MoveJourney       a run to today's version of its journey → whether it may go on there
    RetryMessage      another message in the place of one     → Restarted
    RecordReceipt     a provider's receipt                    → FactApplied, or None if unknown
    RecordInbound     a recipient wrote                       → None
    RecordPreference  a provider reports a consent            → None
    Converse          a text for a recipient                  → Conversed
    FollowLink        a recipient followed a link of ours     → None
    OpenLinks         links that connect a messenger          → the end of their time
    RecordWebhook     a provider's request as it came         → None
    PutRecipient, PutConsents, OptOut, Erase                  → the API's answer
    Forget            a recipient nobody has heard of         → whether it was done
    DeadLetter        what could not be processed             → its id
    StartPause, EndPause  hold a provider, a channel, a policy  → the pause, None if there is none
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from orchestrator.channels import Inbound, Linked, Preference, Receipt
from orchestrator.core.cascade.decide import Decision
from orchestrator.core.effects import Call
from orchestrator.core.facts import Fact, IntakeWarning
from orchestrator.core.inputs import PauseKind
from orchestrator.core.journey.facts import JourneyFact
from orchestrator.core.recipient import ConsentState
from orchestrator.core.replies import Media
from orchestrator.core.values import Value, field
from orchestrator.events.event import Event
from orchestrator.stores.audit import AuditNote

EventStatus = Literal["accepted", "goal", "unmatched", "duplicate"]


class UnknownMessage(LookupError):
    """There is no message with that id."""


class UnknownJourney(LookupError):
    """There is no run of a journey with that id."""


class UnknownRecipient(LookupError):
    """There is no recipient with that id."""


class LinkUsed(LookupError):
    """The link in that message was followed already."""


class Conflict(Exception):
    """The pair of source and id was used before, with another body."""


class ProfileTooLarge(Conflict):
    """The profile would have become larger than ``PROFILE_BYTES_MAX`` with what was put."""


class Publish(Value):
    """``replayed``: the event comes from the dead letters, so its deadline counts from now."""

    event: Event
    replayed: bool = False


class Published(Value):
    status: EventStatus
    """``goal``: it started nothing, and ended messages, or ended or moved on journeys."""
    messages: tuple[str, ...]
    """The ids of the messages that were created, or ended by a goal; also for a duplicate."""
    warnings: tuple[IntakeWarning, ...] = ()
    """What was accepted otherwise than it came."""
    journeys: tuple[str, ...] = ()
    """The ids of the runs that it began, or ended or moved on if it started nothing."""


class ApplyFact(Value):
    """``urgent``: the message is an OTP, so the fact overtakes everything else."""

    message: str
    fact: Fact
    urgent: bool = False


class FactApplied(Value):
    decision: Decision
    calls: tuple[Call, ...] = ()
    """The provider calls to make now."""
    decided_at: float = 0.0
    """
    The monotonic clock (seconds) before the commit began: a call must start within a second of it.
    """


class RecordReceipt(Value):
    """
    ``message`` and ``attempt`` are set if a keyed reference named them; otherwise the attempt is
    found by the provider and its id.
    """

    provider: str
    receipt: Receipt
    message: str | None = None
    attempt: int | None = None


class RecordInbound(Value):
    """
    ``message`` and ``attempt`` are set if a keyed reference named what was answered; otherwise it
    is found by the provider's ids, or by the address. ``media`` are those of the reply, with links
    of ours; ``recipient`` has the address in their profile, and nobody else does: it is theirs if
    nothing was sent to it.
    """

    provider: str
    channel: str
    inbound: Inbound
    message: str | None = None
    attempt: int | None = None
    media: tuple[Media, ...] = ()
    recipient: str | None = None


class Converse(Value):
    """
    Answer a recipient with a text, on a channel on which they have written lately. The same ``key``
    again is answered as before.
    """

    recipient: str
    channel: str
    text: str
    key: str


class Conversed(Value):
    """``message`` was started, or was before."""

    message: str
    repeated: bool = False


class RecordPreference(Value):
    provider: str
    channel: str
    preference: Preference


class FollowLink(Value):
    """Somebody followed the link that is stored under ``hash``, from an address of theirs."""

    provider: str
    channel: str
    linked: Linked
    hash: str
    recipient: str


WebhookItem = RecordReceipt | RecordInbound | RecordPreference | FollowLink


class RecordWebhook(Value):
    """A verified webhook as it came in, and what it reports, in one transaction."""

    provider: str
    body: bytes
    items: tuple[WebhookItem, ...] = ()


class PutRecipient(Value):
    """
    Merge ``profile`` over the stored one; null removes a field. Putting an address again clears its
    suppressions, unless ``lifts_suppressions`` is false.
    """

    id: str
    profile: Mapping[str, Any]
    lifts_suppressions: bool = True


class PutConsents(Value):
    """
    Add consents: ``[{"channel", "topic", "state", "at"?, "source"?}]``. None is ever removed.
    """

    id: str
    entries: Sequence[Mapping[str, Any]]


class OptOut(Value):
    """
    One opt-out of a recipient, an address, or both. ``channel`` and ``topic`` may be ``*``;
    ``state`` is ``out``, or ``in`` if a START undoes a STOP. ``kind`` is the address's where that
    is known; ``at`` (UTC milliseconds) is when they said so, by default now.
    """

    recipient: str | None = None
    address: str | None = None
    address_hash: str | None = None
    channel: str = "*"
    topic: str = "*"
    state: ConsentState = "out"
    source: str = "api"
    classes: tuple[str, ...] = ()
    kind: str | None = None
    at: int | None = None


class OpenLinks(Value):
    """
    Keep links that connect a recipient's messengers: ``[(hash, channel)]``, good for a day.
    ``message`` is the one that they stand in, "" if none. Answered with the end of their time in
    UTC milliseconds.
    """

    recipient: str
    links: tuple[tuple[str, str], ...]
    message: str = ""


class Erase(Value):
    """
    Forget a recipient: cancel their messages and delete their personal data, but keep the hashes of
    opted-out addresses.
    """

    id: str
    note: AuditNote | None = None


class Forget(Erase):
    """
    Forget a recipient nobody has heard of, but their consents; nothing happens unless the profile
    is ``document`` and no message is under way. Answered with whether they were forgotten.
    """

    document: Mapping[str, Any] = field(default_factory=dict)


class Cancel(Value):
    message: str


class ApplyJourneyFact(Value):
    """``note`` is written down if the run had not ended."""

    journey: str
    fact: JourneyFact
    note: AuditNote | None = None


class MoveJourney(Value):
    """
    Have a run go on in today's version of its journey, if it waits at a step that both versions
    have. ``dry_run`` only asks whether it may.
    """

    journey: str
    dry_run: bool = False
    note: AuditNote | None = None


class RestoreTimer(Value):
    """
    Give an unfinished message the timer and the backlog rows that it should have, and ask about it
    as if its timer had fired; the same for a run of a journey. Harmless if nothing is missing.
    """

    message: str


class NotRetryable(Conflict):
    """A message may not be started again: a word for programs, and the reason for people."""

    def __init__(self, code: str, what: str) -> None:
        super().__init__(what)
        self.code = code
        self.what = what


class RetryMessage(Value):
    """
    Start a message that has ended without a send again, under today's version of its policy: once,
    however often this is asked. ``deadline_ms`` counts from now, by default the policy's own;
    ``same_deadline``: it keeps the one that it had. ``dry_run`` only asks what would happen.
    """

    message: str
    deadline_ms: int | None = None
    same_deadline: bool = False
    dry_run: bool = False


class Restarted(Value):
    """``message`` is the retry; None if a dry run has only shown that there would be one."""

    status: Literal["started", "already_retried", "would_start"]
    message: str | None


class StartPause(Value):
    """
    Hold everything of a provider, a channel or a policy until then (UTC milliseconds). What was
    decided before may leave for another second; what is decided from then on waits.
    """

    kind: PauseKind
    name: str
    until: int
    why: str = ""
    note: AuditNote | None = None


class EndPause(Value):
    """Let it leave again."""

    kind: PauseKind
    name: str
    note: AuditNote | None = None


class DeadLetter(Value):
    """Something that could not be processed."""

    origin: str
    """``kafka:topic/partition/offset`` and the like."""
    reason: str
    """A short word."""
    detail: str
    """A sentence."""
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


Command = (
    Publish
    | ApplyFact
    | Cancel
    | RestoreTimer
    | ApplyJourneyFact
    | MoveJourney
    | RetryMessage
    | WebhookItem
    | RecordWebhook
    | PutRecipient
    | PutConsents
    | OptOut
    | OpenLinks
    | Converse
    | Erase
    | Forget
    | DeadLetter
    | StartPause
    | EndPause
)

FACTS = (ApplyFact, ApplyJourneyFact)
"""Commands that are never refused: nobody would ask again."""
