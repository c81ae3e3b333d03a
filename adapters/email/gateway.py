"""
What mail gateways with an HTTP API have in common: settings, the parts of a mail, events.

A gateway that takes a mail has queued it. Opens and clicks by image proxies, scanners and other
programs are nobody's. A hard bounce marks the address, unless its code or words blame something
else; a soft one never does at once. A complaint or an unsubscription holds for its address, too:
the mail may be forgotten. None lifts an opt-out: who takes an address off the gateway's list may be
the account's owner.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, TypeVar

from pydantic import Field, field_validator

from adapters.email.bounces import failure
from adapters.email.mime import Letter, Mailbox, letter_of
from adapters.email.reading import plain_address
from adapters.email.replies import ENHANCED, MAILBOX_FULL, OURS
from orchestrator import channels as ch

R = ch.Reason
Said = ch.Receipt | ch.Preference

STATES: dict[str, ch.Delivery | ch.Engagement] = {
    "sent": ch.Delivery.SENT,
    "delivered": ch.Delivery.DELIVERED,
    "hard": ch.Delivery.FAILED,
    "soft": ch.Delivery.FAILED,
    "expired": ch.Delivery.EXPIRED,
    "invalid": ch.Delivery.REJECTED,
    "blocked": ch.Delivery.REJECTED,
    "suppressed": ch.Delivery.REJECTED,
    "unmade": ch.Delivery.REJECTED,
    "opened": ch.Engagement.READ,
    "clicked": ch.Engagement.CLICKED,
    "complained": ch.Engagement.COMPLAINED,
    "unsubscribed": ch.Engagement.UNSUBSCRIBED,
}
"""
Events in our words. ``hard`` and ``soft`` are bounces; ``invalid``, ``blocked``, ``suppressed`` and
``unmade`` are mails that the gateway itself did not send: the address, its policy, a list of people
who opted out or bounced, the content.
"""
REJECTIONS = {
    "invalid": R.REFUSED_ADDRESS,
    "blocked": R.REFUSED_RECIPIENT,
    "suppressed": R.REFUSED_OPTED_OUT,
    "unmade": R.REFUSED_CONTENT,
}


class MailSettings(ch.AdapterSettings):
    """
    ``from``: ``Shop <hello@shop.example>``, of a domain that the gateway has verified.
    ``reply_to``: where answers go. ``open_pixel``: have an invisible image of ours report that a
    mail was read.
    """

    sender: str = Field(alias="from")
    reply_to: str | None = None
    open_pixel: bool = False

    @field_validator("sender", "reply_to")
    @classmethod
    def _is_mailbox(cls, value: str | None) -> str | None:
        if value is not None:
            Mailbox.of(value)
        return value


M = TypeVar("M", bound=MailSettings)


class MailGateway(ch.HttpAdapter[M]):
    """A mail service with an HTTP API; one recipient a mail."""

    supports: ClassVar[ch.Capabilities] = ch.Capabilities(
        channel="email",
        address=("email",),
        receipts=frozenset({"delivered", "read", "clicked"}),
        parts=("subject", ("text", "html")),
        echo=True,
        failure_receipts=True,
    )

    def __init__(self, settings: M, provider: str) -> None:
        super().__init__(settings, provider)
        self.sender = Mailbox.of(settings.sender)
        self.reply_to = Mailbox.of(settings.reply_to) if settings.reply_to else None

    def reports(self) -> frozenset[str]:
        """Clicks on tracked links and the pixel of ours are seen without webhooks."""
        read = {"read"} if self.settings.open_pixel else set()
        return super().reports() | {"clicked", *read}

    def letter(self, message: ch.Outgoing) -> Letter:
        """The parts of one mail. Raises ``Unsendable``."""
        return letter_of(message, self.sender, self.reply_to)

    def said(self, words: Any) -> str:
        """The gateway's own words without its secrets and the address."""
        return ch.said(words, ch.secret_values(self.settings))


def reports_of(
    event: str | None,
    *,
    reference: Any = None,
    provider_id: Any = None,
    at: float | None = None,
    address: Any = None,
    status: Any = "",
    words: Any = "",
    agent: Any = "",
) -> Iterator[Said]:
    """What one event says; nothing for an unknown one, or one that a program caused."""
    state = STATES.get(event or "")
    if event in ("opened", "clicked") and ch.is_program(ch.text_of(agent)):
        return
    yield from ch.receipts_for(
        state,
        provider_id=provider_id,
        reference=reference,
        at=at,
        failure=refusal(event or "", ch.text_of(status), ch.text_of(words)),
    )
    mailbox = plain_address(ch.text_of(address))
    if mailbox is not None and event in ("complained", "unsubscribed"):
        yield ch.Preference(kind="email", value=mailbox, state="out", source=event, at=at)


def refusal(event: str, status: str, words: str) -> ch.Refused | None:
    """Why a mail failed, None for an event that is no failure."""
    if event in REJECTIONS:
        return ch.Refused(REJECTIONS[event], ch.id_of(status[:20]), ch.said(words))
    if event not in ("hard", "soft"):
        return None
    found = failure(status[:100], words)
    explained = found.code or any(one.search(words) for one in (ENHANCED, MAILBOX_FULL, OURS))
    if event == "hard" and found.reason is R.REFUSED_RECIPIENT and not explained:
        return replace_reason(found, R.REFUSED_ADDRESS)
    if event == "soft" and found.reason is R.REFUSED_ADDRESS and found.suppress_after == 1:
        return replace_reason(found, R.REFUSED_RECIPIENT)
    return found


def replace_reason(found: ch.Refused, reason: R) -> ch.Refused:
    return ch.Refused(reason, found.code, found.detail)
