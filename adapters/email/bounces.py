"""
Incoming mail: bounces (RFC 3464), complaints (RFC 5965) and replies.

A bounce is matched by its envelope id (RFC 3461), else by the Message-ID of the returned mail; both
carry our client reference. Automatic answers are ignored.

Anybody can send a forged bounce to the mailbox. So a bounce may suppress an address or fail a step,
but never counts as a fault of our configuration.
"""

from __future__ import annotations

import email
import email.policy
import email.utils
import re
from collections.abc import Iterator
from email.message import Message

from adapters.email.mime import Mailbox
from adapters.email.replies import DEAD, FAULTS, NO_SUCH_USER, kept_text
from orchestrator import channels as ch

R = ch.Reason
MESSAGE_ID = re.compile(r"<([A-Za-z0-9_-]{20,64})@[A-Za-z0-9._-]{1,253}>")
REFERENCE = re.compile(r"[A-Za-z0-9_-]{20,64}")
STATUS = re.compile(r"\b(5)\.(\d{1,3})\.(\d{1,3})\b")
BASIC = re.compile(r"\b5[05]\d\b")
QUOTE = re.compile(r"^(?:>|On .{1,200} wrote:|.{1,200} пише:|.{1,200} писав|-{5,})", re.MULTILINE)
AUTOMATIC_SUBJECT = re.compile(
    r"\s*(auto(matic)?[ -]?(re|reply|response)?:|automatic reply|out of (the )?office|автовідпов)",
    re.IGNORECASE,
)
BOUNCE_SENDER = re.compile(r"(mailer-daemon|postmaster)@", re.IGNORECASE)
AUTOMATIC_HEADERS = ("X-Autoreply", "X-Autorespond", "X-Auto-Reply")
TEXT_CHARS_MAX = 2_000
SCANNED_CHARS_MAX = 64 * 1024
PARTS_MAX = 50

Said = ch.Receipt | ch.Inbound | ch.Preference


def read_mail(raw: bytes) -> Iterator[Said]:
    """Items that one raw mail reports; none if it reports nothing or cannot be parsed."""
    try:
        said = list(read(email.message_from_bytes(raw, policy=email.policy.compat32)))
    except Exception:  # the standard library's parser raises anything at all on hostile mail
        return iter(())
    return iter(said)


def read(mail: Message) -> Iterator[Said]:
    """Dispatch on the report type, then on the sender."""
    kind = str(mail.get_param("report-type", "") or "").lower()
    if mail.get_content_type() == "multipart/report" and kind == "delivery-status":
        yield from bounce(mail)
    elif mail.get_content_type() == "multipart/report" and kind == "feedback-report":
        yield from complaint(mail)
    elif BOUNCE_SENDER.search(header(mail, "From")) or header(mail, "Return-Path") == "<>":
        yield from plain_bounce(mail)
    elif not automatic(mail):
        yield from reply(mail)


def bounce(mail: Message) -> Iterator[ch.Receipt]:
    """
    One receipt for each failure in a delivery report; other actions (``delayed``) are ignored.
    """
    for part in parts(mail):
        blocks = (
            part.get_payload() if part.get_content_type() == "message/delivery-status" else None
        )
        fields = (
            [block for block in blocks if isinstance(block, Message)]
            if isinstance(blocks, list)
            else []
        )
        reference = envelope_id(fields) or reference_of(mail)
        for block in fields if reference is not None else ():
            action, status = header(block, "Action").lower(), header(block, "Status")
            words = header(block, "Diagnostic-Code").partition(";")[2]
            if action == "failed":
                expired = status.endswith(".4.7")
                state = ch.Delivery.EXPIRED if expired else ch.Delivery.FAILED
                yield ch.Receipt(
                    state=state, client_reference=reference, failure=failure(status, words)
                )


def plain_bounce(mail: Message) -> Iterator[ch.Receipt]:
    """
    A receipt for a bounce in prose (qmail, old Exchange), if it has a permanent code and our
    Message-ID.
    """
    texts = [text_of(part) for part in parts(mail) if part.get_content_maintype() == "text"]
    text = "\n".join(texts)[:SCANNED_CHARS_MAX]
    found = MESSAGE_ID.search(text)
    reference = reference_of(mail) or (found[1] if found else None)
    status, basic = STATUS.search(text), BASIC.search(text)
    if reference is None or not (status or basic or NO_SUCH_USER.search(text)):
        return
    around = status or basic
    words = text[max(0, around.start() - 80) : around.end() + 200] if around else ""
    yield ch.Receipt(
        state=ch.Delivery.FAILED,
        client_reference=reference,
        failure=failure(status[0] if status else "", words),
    )


def complaint(mail: Message) -> Iterator[ch.Receipt | ch.Preference]:
    """
    A spam report as a receipt of the mail, or as an opt-out if it names only an address.
    """
    reports = [
        text_of(part)
        for part in parts(mail)
        if part.get_content_type() == "message/feedback-report"
    ]
    fields = email.message_from_string("".join(reports).lstrip(), policy=email.policy.compat32)
    if header(fields, "Feedback-Type").lower() == "not-spam":
        return
    reference = reference_of(mail)
    if reference is not None:
        yield ch.Receipt(state=ch.Engagement.COMPLAINED, client_reference=reference)
        return
    address = plain_address(header(fields, "Original-Rcpt-To"))
    if address is not None:
        yield ch.Preference(kind="email", value=address, state="out", source="complaint")


def reply(mail: Message) -> Iterator[ch.Inbound]:
    """A recipient's answer, without the text that it quotes."""
    sender = plain_address(header(mail, "From"))
    body = next((part for part in parts(mail) if part.get_content_type() == "text/plain"), None)
    text = text_of(body)[:TEXT_CHARS_MAX] if body is not None else ""
    quoted = QUOTE.search(text)
    answered = MESSAGE_ID.search(f"{header(mail, 'In-Reply-To')} {header(mail, 'References')}")
    if sender is not None:
        yield ch.Inbound(
            kind="email",
            value=sender,
            text=ch.text_of((text[: quoted.start()] if quoted else text).strip()),
            id=ch.id_of(header(mail, "Message-ID")) or "",
            answers=(answered[1],) if answered else (),
        )


def failure(status: str, words: str) -> ch.Refused:
    """
    The reason of a bounce (RFC 3463); anything but a dead address or bad content counts as the
    recipient's fault.
    """
    codes = [*STATUS.finditer(status), *STATUS.finditer(words)]
    found = next(
        (code for code in codes if f"{code[2]}.{code[3]}" in FAULTS), codes[0] if codes else None
    )
    subject = f"{found[2]}.{found[3]}" if found else ""
    reason = FAULTS.get(subject, R.REFUSED_RECIPIENT)
    if found is None and not status and NO_SUCH_USER.search(words):
        reason = R.REFUSED_ADDRESS
    if reason not in (R.REFUSED_ADDRESS, R.REFUSED_CONTENT):
        reason = R.REFUSED_RECIPIENT
    code = found[0] if found else ch.id_of(status[:20])
    return ch.Refused(
        reason, code, kept_text(words), DEAD.get(subject, 1) if reason is R.REFUSED_ADDRESS else 1
    )


def automatic(mail: Message) -> bool:
    """Out-of-office notes and the like (RFC 3834)."""
    submitted = header(mail, "Auto-Submitted").lower()
    return (
        submitted not in ("", "no")
        or any(mail.get(name) is not None for name in AUTOMATIC_HEADERS)
        or header(mail, "Precedence").lower() in ("auto_reply", "bulk", "junk", "list")
        or AUTOMATIC_SUBJECT.match(header(mail, "Subject")) is not None
    )


def envelope_id(fields: list[Message]) -> str | None:
    """The reference that MAIL sent as ENVID, if the servers on the way kept it."""
    found = next(
        (
            header(block, "Original-Envelope-Id")
            for block in fields
            if block.get("Original-Envelope-Id")
        ),
        "",
    )
    return found if REFERENCE.fullmatch(found) else None


def reference_of(mail: Message) -> str | None:
    """Our client reference from the Message-ID of the returned mail."""
    for part in parts(mail):
        if part is mail:
            continue
        words = (
            text_of(part)
            if part.get_content_type() == "text/rfc822-headers"
            else header(part, "Message-ID")
        )
        found = MESSAGE_ID.search(words)
        if found:
            return found[1]
    return None


def parts(mail: Message) -> Iterator[Message]:
    """The mail and everything in it, up to a limit."""
    for count, part in enumerate(mail.walk()):
        if count == PARTS_MAX:
            return
        yield part


def header(mail: Message, name: str) -> str:
    """A header's text on one line, "" without it."""
    return " ".join(str(mail.get(name, "")).split())


def text_of(part: Message) -> str:
    """The text of one part; unknown character sets and broken bytes never raise."""
    raw = part.get_payload(decode=True)
    if not isinstance(raw, bytes):
        inner = part.get_payload()
        return "\n".join(str(one) for one in inner) if isinstance(inner, list) else ""
    try:
        return raw.decode(part.get_content_charset("utf-8"), "replace")
    except LookupError:
        return raw.decode("utf-8", "replace")


def plain_address(value: str) -> str | None:
    """The single address of a header; None if it has none that we could have written to."""
    found = email.utils.parseaddr(value.removeprefix("rfc822;"))[1]
    try:
        return Mailbox.of(found).address
    except ValueError:
        return None
