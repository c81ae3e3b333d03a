"""What an adapter is: its capabilities, what it is given, and what it answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from orchestrator.channels.filled import secrets_in
from orchestrator.channels.reports import Record, Report, unrecorded
from orchestrator.channels.wire import (
    Answer,
    ApprovedTemplate,
    Forged,
    HttpCall,
    HttpReply,
    Intake,
    Webhook,
    named,
)
from orchestrator.core.outcomes import NotSent, Outcome, Refused, Unknown
from orchestrator.core.reasons import Reason
from orchestrator.core.recipient import Address
from orchestrator.core.replies import Choice

HOUR_SECONDS = 3600


def hours(count: float) -> float:
    """A duration in seconds, for ``Capabilities.idempotent_seconds``."""
    return count * HOUR_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """
    What an adapter and its provider can do; ``kaskad check`` and the core rely on it.

    ``receipts`` are the waitable states its receipts can ever report (``sent delivered read clicked
    replied``). ``channel`` is a channel's name, ``*`` an adapter that serves every channel.
    ``address`` are the kinds of address it can use, the best first; empty: the channel's.
    ``parts`` are the template parts it needs; an inner tuple means "one of these". ``echo``:
    receipts carry our client reference.
    ``idempotent_seconds``: the provider refuses or recognises a repeat of the same idempotency key
    for that long (0: not at all). ``failure_receipts``: it reports failures later. ``longest``: how
    many characters the provider takes of a part (``{"text": 1000}``); a longer one is never sent.
    ``choices``: so many choices of a question can be buttons, with at most ``choice_chars``
    characters each; the adapter finds them by ``choices_of``. Others become numbered lines.
    ``template_choices``: so many can be buttons of an approved template, whatever their titles.
    """

    channel: str
    address: tuple[str, ...] = ()
    receipts: frozenset[str] = frozenset()
    parts: tuple[str | tuple[str, ...], ...] = ("text",)
    echo: bool = False
    failure_receipts: bool = False
    idempotent_seconds: float = 0
    http2: bool = False
    longest: Mapping[str, int] = field(default_factory=dict)
    choices: int = 0
    choice_chars: int = 0
    template_choices: int = 0

    def draws(self, choices: Sequence[Choice], templated: bool = False) -> bool:
        """Whether the adapter makes buttons of these choices."""
        if templated and len(choices) <= self.template_choices:
            return True
        fits = all(len(choice.title) <= self.choice_chars for choice in choices)
        return fits and len(choices) <= self.choices

    def too_long(self, parts: Mapping[str, Any]) -> tuple[str, int, int] | None:
        """The first part that is longer than the provider takes, its length, and the most."""
        for part, most in self.longest.items():
            length = len(str(parts.get(part, "")))
            if length > most:
                return part, length, most
        return None


class AdapterSettings(BaseModel):
    """
    The settings every adapter has; subclass it for the adapter's own. Unknown keys are refused.

    ``timeout`` (seconds), ``rate`` and ``cost`` are read by dispatch, never by adapters, and are
    not passed on to them.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, populate_by_name=True, hide_input_in_errors=True
    )

    allow_unsigned: bool = False
    proofs: ClassVar[tuple[str, ...]] = ()
    """The settings of which ``verify`` needs one to believe a webhook; empty: it needs none."""

    @property
    def callback_account(self) -> str | None:
        """
        What the providers of one account have in common, if the account has one callback for the
        receipts of all of them; None: each is given an address of its own.
        """
        return None

    @property
    def believes_webhooks(self) -> bool:
        """Whether a webhook can be the provider's with these settings."""
        known = any(getattr(self, name) for name in self.proofs)
        return known or not self.proofs or self.allow_unsigned

    @cached_property  # asked with every answer of the provider
    def secrets(self) -> tuple[str, ...]:
        """All that must not be shown, the longest first: a secret may be a part of another."""
        return tuple(sorted(secrets_in(self), key=lambda secret: (-len(secret), secret)))


Content = Mapping[str, Any]
"""
Rendered parts by name: ``{"subject": str, "text": str, "html": str, "yaml": {…}}`` as the channel
has them.
"""


def choices_of(content: Content) -> list[tuple[str, str]]:
    """The id and the title of each choice that an adapter makes buttons of."""
    structure = content.get("yaml")
    listed = structure.get("choices", ()) if isinstance(structure, Mapping) else ()
    return [(str(one["id"]), str(one["title"])) for one in listed]


@named
class Outgoing:
    """
    One rendered message to one address.

    ``client_reference`` is keyed, opaque and at most 64 characters of ``[A-Za-z0-9_-]``: the
    provider echoes it where it can. ``idempotency_key`` (32 hex characters) is the same whenever
    the same try is repeated. ``ttl_seconds`` is how long the message is worth delivering;
    ``own_ttl_seconds`` the ``ttl`` of its step, None where the policy names none.
    ``receipt_url`` is where this provider's webhooks come in; ``receipt_token`` a signed token for
    receipts that a browser or an app sends (else empty); ``access_token`` what ``login`` got, for a
    ``LoginAdapter``. ``in_session``: the recipient wrote to us within 24 h on this channel. ``now``
    is UTC seconds, ``entropy`` 64 fresh random bytes.
    """

    message_id: str
    client_reference: str
    idempotency_key: str
    address: Address
    content: Content
    message_class: str
    topic: str
    locale: str
    ttl_seconds: int
    receipt_url: str
    receipt_token: str
    unsubscribe_url: str | None
    one_click: bool
    in_session: bool
    now: float
    entropy: bytes
    access_token: str = ""
    own_ttl_seconds: int | None = None


class Unsendable(Exception):
    """
    Raised by ``request`` (or ``send``) if the message cannot be expressed for this provider;
    nothing left.
    """

    def __init__(self, outcome: Refused) -> None:
        super().__init__(outcome.detail or outcome.reason.value)
        self.outcome = outcome


S = TypeVar("S", bound=AdapterSettings)


class Adapter(Generic[S]):
    """
    What every adapter is. Subclasses set ``name``, ``supports`` and ``settings_type``.

    Raises nothing of its own: an answer that cannot be read is an ``Unknown``, a forged webhook
    raises ``Forged``.
    """

    name: ClassVar[str]
    supports: ClassVar[Capabilities]
    settings_type: ClassVar[type[AdapterSettings]] = AdapterSettings

    def __init__(self, settings: S, provider: str) -> None:
        self.settings = settings
        self.provider = provider
        self.record: Record = unrecorded
        """For reports that come over the adapter's own connections; set before ``open``."""

    def reports(self) -> frozenset[str]:
        """
        The waitable states that receipts can report with these settings; at most
        ``supports.receipts``. Add to it what is reported without webhooks, such as the clicks on
        tracked links.
        """
        return self.supports.receipts if self.settings.believes_webhooks else frozenset()

    async def open(self) -> None:
        """
        Called once before the first ``send``; for adapters that keep connections of their own.
        """

    async def close(self) -> None:
        """Called once after the last ``send``."""

    async def send(self, message: Outgoing) -> Outcome:
        """
        Deliver by a protocol that is not HTTP. The caller sets the hard deadline by cancelling it.
        """
        raise NotImplementedError(f"{self.name} is an HTTP adapter; dispatch sends its requests")

    def intake(self) -> Intake | None:
        """
        What takes the body of a webhook as it comes in, up to 26 MiB, and keeps what ``receipts``
        reads. None: the whole body, up to 4 MiB. With an intake, ``verify`` is called before
        anything is read and looks at the headers alone.
        """
        return None

    def evidence(self, hook: Webhook) -> str | None:
        """
        The URL of what ``verify`` needs besides the webhook, such as the certificate that signed
        it; None: nothing. It is fetched once, kept by its URL, and given as ``hook.evidence``. The
        webhook is not verified yet, so only the provider's own hosts may be named.
        """
        return None

    def follow_up(self, hook: Webhook) -> str | None:
        """
        The URL that a verified webhook asks us to GET, such as the confirmation of a subscription;
        None: nothing. Only the provider's own hosts may be named.
        """
        return None

    def link(self, token: str) -> str | None:
        """
        The URL that opens our chat in the person's messenger and brings ``token`` (at most 64
        characters of ``[A-Za-z0-9_-]``) back as ``Linked``; None if there is none, or a setting
        for it is missing. ``kaskad check`` asks without the secrets.
        """
        return None

    def verify(self, hook: Webhook) -> None:
        """
        Raise ``Forged`` unless the webhook is the provider's (never called if ``allow_unsigned``).
        """
        raise Forged(f"{self.name} takes no webhooks")

    def receipts(self, hook: Webhook) -> Iterator[Report]:
        """Everything a verified webhook says, in its order; nothing for what it does not know."""
        return iter(())

    def answer(self, hook: Webhook) -> Answer:
        """The answer to a verified webhook."""
        return Answer()


class HttpAdapter(Adapter[S]):
    """An adapter whose provider speaks HTTP: it does no I/O, dispatch sends and receives."""

    media_hosts: ClassVar[tuple[str, ...]] = ()
    """Hosts besides ``base_url`` that media are fetched from, with every name below them."""

    def medium(self, reference: str, found: HttpReply | None) -> HttpCall | None:
        """
        The request for a medium that somebody has sent, by its ``InboundMedia.reference``.
        ``found`` is None first, then the answer to the request before; None: that is the medium.
        """
        return None

    def probe(self, now: float) -> HttpCall | None:
        """A cheap request that shows whether the account can be used; it sends nothing."""
        return None

    def probed(self, reply: HttpReply) -> str | None:
        """What is wrong with the account by the probe's answer, None if nothing is."""
        if reply.status in (401, 403):
            return f"its credentials are refused (status {reply.status})"
        return None if 200 <= reply.status < 300 else f"its probe was answered {reply.status}"

    def catalogue(self, after: str) -> HttpCall | None:
        """The request for a page of the account's templates, the first after ""; None: no such."""
        return None

    def approved(self, reply: HttpReply) -> tuple[list[ApprovedTemplate], str | None] | None:
        """The templates of a page, and where the next begins (None: nowhere); None: unreadable."""
        return None

    def mismatch(
        self, part: Mapping[str, Any], locale: str, approved: Sequence[ApprovedTemplate]
    ) -> tuple[str, str] | None:
        """What is wrong with a YAML part by the account's templates, and how to fix it."""
        return None

    def request(self, message: Outgoing) -> HttpCall:
        """The provider's request for one message."""
        raise NotImplementedError

    def outcome(self, reply: HttpReply) -> Outcome:
        """
        What a complete answer means. A good status alone never means "accepted" where the body has
        its own say.
        """
        raise NotImplementedError


@named
class Access:
    """An access token, and for how many seconds it is good."""

    token: str
    seconds: float


class LoginAdapter(HttpAdapter[S]):
    """
    An HTTP adapter whose provider wants an access token that is asked for and ends (OAuth).
    Dispatch asks for it, keeps it, renews it before it ends and after it was refused, and hands it
    over as ``message.access_token``.
    """

    def login(self, now: float) -> HttpCall:
        """The request for a new access token."""
        raise NotImplementedError

    def access(self, reply: HttpReply) -> Access | Outcome:
        """The token in an answer to ``login``; else what its lack means for a message."""
        raise NotImplementedError

    def token_ended(self, reply: HttpReply) -> bool:
        """Whether an answer to a message refuses the access token, and nothing else."""
        return reply.status == 401


def by_http_status(reply: HttpReply, code: str | None = None, detail: str = "") -> Outcome:
    """
    The meaning of a status where the body says nothing that is known.

    429, and 503 with Retry-After, took nothing. A redirect is never followed and is the recipient's
    fault. 401 is our configuration; 403 may be, or this recipient is not to be written to. Any
    other 4xx is the content. 408, other 5xx and a 2xx that could not be read may have been taken.
    """
    status = reply.status
    code = code or str(status)
    if status == 429 or (status == 503 and reply.retry_after_ms is not None):
        return NotSent(Reason.THROTTLED, reply.retry_after_ms, code, detail)
    if 200 <= status < 300:
        return Unknown(Reason.RESPONSE_UNREADABLE, code, detail)
    if 300 <= status < 400:
        return Refused(Reason.REFUSED_RECIPIENT, code, detail or "redirect")
    if status == 401:
        return Refused(Reason.REFUSED_CONFIGURATION, code, detail)
    if status == 403:
        return Refused(Reason.REFUSED_CONFIGURATION, code, detail, personal=True)
    if status == 408 or status >= 500 or status < 200:
        return Unknown(Reason.SERVER_ERROR, code, detail)
    return Refused(Reason.REFUSED_CONTENT, code, detail)
