"""
Mail that comes back: bounces (RFC 3464), complaints (RFC 5965), replies.

A bounce is found by the Message-ID of the mail it returns, which carries our client reference. Automatic answers are
nobody's words and are left alone.
"""

from __future__ import annotations

import email
import email.policy
import email.utils
import re
from collections.abc import Iterator
from email.message import EmailMessage, Message

from adapters.email.replies import outcome_of
from orchestrator import channels as ch

REFERENCE = re.compile(r"<([A-Za-z0-9_-]{20,64})@")
TEXT_MAX = 2_000
QUOTE = re.compile(r"^(>|On .+ wrote:|.+ пише:|-----)", re.MULTILINE)


def read_mail(raw: bytes) -> Iterator[ch.Receipt | ch.Inbound | ch.Preference]:
    """What one mail says; nothing where it says nothing."""
    try:
        mail = email.message_from_bytes(raw, policy=email.policy.default)
        kind = str(mail.get_param("report-type", "") or "").lower()
        if mail.get_content_type() == "multipart/report" and kind == "delivery-status":
            yield from bounce(mail)
        elif mail.get_content_type() == "multipart/report" and kind == "feedback-report":
            yield from complaint(mail)
        elif not automatic(mail):
            yield from reply(mail)
    except (LookupError, ValueError, TypeError, AttributeError):
        return


def bounce(mail: EmailMessage | Message) -> Iterator[ch.Receipt]:
    reference = reference_of(mail)
    for part in mail.walk():
        if part.get_content_type() != "message/delivery-status" or reference is None:
            continue
        blocks = part.get_payload()
        for block in (one for one in (blocks if isinstance(blocks, list) else []) if isinstance(one, Message)):
            action = str(block.get("Action", "")).strip().lower()
            status = str(block.get("Status", "")).strip()
            if action == "failed":
                diagnostic = str(block.get("Diagnostic-Code", "")).partition(";")[2] or status
                outcome = outcome_of("rcpt", 550, f"{status} {diagnostic}")
                failure = outcome if isinstance(outcome, ch.Refused) else ch.Refused(ch.Reason.REFUSED_RECIPIENT, status)
                yield ch.Receipt(state=ch.Delivery.FAILED, client_reference=reference, failure=failure)
            elif action in ("delivered", "relayed"):
                yield ch.Receipt(state=ch.Delivery.DELIVERED, client_reference=reference)


def complaint(mail: EmailMessage | Message) -> Iterator[ch.Receipt]:
    reference = reference_of(mail)
    if reference is not None:
        yield ch.Receipt(state=ch.Engagement.COMPLAINED, client_reference=reference)


def reply(mail: EmailMessage | Message) -> Iterator[ch.Inbound]:
    """Somebody answered: the first lines of what they wrote themselves."""
    sender = email.utils.parseaddr(str(mail.get("From", "")))[1]
    body = mail.get_body(("plain",)) if isinstance(mail, EmailMessage) else None
    text = str(body.get_content())[:TEXT_MAX] if body is not None else ""
    cut = QUOTE.search(text)
    if sender:
        words = (text[: cut.start()] if cut else text).strip()
        yield ch.Inbound(kind="email", value=sender, text=words, id=str(mail.get("Message-ID", ""))[:200])


def automatic(mail: EmailMessage | Message) -> bool:
    """Out-of-office notes and the like."""
    submitted = str(mail.get("Auto-Submitted", "no")).strip().lower()
    return (
        submitted != "no" or mail.get("X-Autoreply") is not None or str(mail.get("Precedence", "")).lower() == "auto_reply"
    )


def reference_of(mail: EmailMessage | Message) -> str | None:
    """Our client reference in the Message-ID of the mail that came back."""
    for part in mail.walk():
        if part is mail:
            continue
        if part.get_content_type() == "text/rfc822-headers":
            found = REFERENCE.search(str(part.get_payload(decode=False)))
        else:
            found = REFERENCE.search(str(part.get("Message-ID", "")))
        if found:
            return found[1]
    return None
