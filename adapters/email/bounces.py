"""
Incoming mail: bounces (RFC 3464, 6533 and in prose), complaints (RFC 5965) and replies.

A bounce is matched by its envelope id (RFC 3461), else by the Message-ID of the returned mail: both
carry our client reference. A relay that gives mails a Message-ID of its own (Amazon SES, Mailjet,
Brevo, Postmark) named it when it took the mail; then that one finds the attempt. Nothing more of a
bounce is read before it has named a mail that can be ours. Automatic answers are ignored.

Anybody can send a forged bounce to the mailbox. So a bounce may suppress an address or fail a step,
but never counts as a fault of our configuration. Bounces in prose are told by flufl.bounce.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from email.message import Message

from adapters.email.answers import automatic, words_of
from adapters.email.intake import parsed
from adapters.email.reading import (
    fields_of,
    header,
    kind_of,
    parts,
    plain_address,
    spoken_header,
    text_of,
)
from adapters.email.replies import DEAD, FAULTS, NO_SUCH_USER, kept_text
from orchestrator import channels as ch

R = ch.Reason
MESSAGE_ID = re.compile(r"<([^\s<>@]{16,200})@[^\s<>@]{1,253}>")
STATUS = re.compile(r"\b(5)\.(\d{1,3})\.(\d{1,3})\b")
BASIC = re.compile(r"\b5[05]\d\b")
BOUNCE_SENDER = re.compile(
    r"\b(mailer-?daemon|mail-?daemon|postmaster|mail(er)? delivery|bounces?)\b.{0,80}@?",
    re.IGNORECASE,
)
FAILED_SUBJECT = re.compile(
    r"undeliver|not delivered|delivery (status notification \(fail|fail|has failed)|mail delivery"
    r"|returned (mail|to sender)|failure notice|не (вдалося )?доставлен|не удалось доставить"
    r"|недостав|не доставлено|повернен|возвращен|niedostarcz|unzustellbar|nicht zugestellt",
    re.IGNORECASE,
)
DELAYED = re.compile(
    r"delay|will (be retried|retry|keep trying|continue)|still (being )?(retried|trying)|warning"
    r"|no need to (retry|resend)|затрим|задерж|буде повторен|будет повторен|opóźni|verzöger",
    re.IGNORECASE,
)
DELIVERY_REPORTS = ("message/delivery-status", "message/global-delivery-status")
RETURNED_HEADERS = ("text/rfc822-headers", "message/global-headers")
MESSAGE_ID_FIELDS = ("message-id", "x-original-message-id", "original-message-id")
WORDS_CHARS_MAX = 1_000
SCANNED_CHARS_MAX = 16 * 1024
SCANNED_LINES_MAX, SCANNED_LINE_CHARS_MAX = 200, 300
ANSWERS_MAX = 10

Said = ch.Receipt | ch.Inbound | ch.Preference
IsOurs = Callable[[str], bool]


def read_mail(raw: bytes, is_ours: IsOurs = ch.any_reference) -> Iterator[Said]:
    """
    Items that one raw mail reports; none if it reports nothing or cannot be parsed. ``is_ours``
    tells whether a client reference is one of ours.
    """
    try:
        said = list(read(parsed(raw), is_ours))
    except Exception:  # the standard library's parser raises anything at all on hostile mail
        return iter(())
    return iter(said)


def read(mail: Message, is_ours: IsOurs) -> Iterator[Said]:
    """Tell a complaint, a bounce and a reply apart, by their parts, then by their sender."""
    kinds = {kind_of(part) for part in parts(mail)}
    if "message/feedback-report" in kinds:
        yield from complaint(mail, is_ours)
    elif kinds.intersection(DELIVERY_REPORTS):
        yield from bounce(mail, is_ours)
    elif from_a_mail_server(mail):
        yield from plain_bounce(mail, is_ours)
    elif not automatic(mail):
        yield from reply(mail)


def from_a_mail_server(mail: Message) -> bool:
    """Whether a mail has the sender of a bounce, or says that it is one."""
    return (
        BOUNCE_SENDER.search(header(mail, "From")[:200]) is not None
        or header(mail, "Return-Path").replace(" ", "") == "<>"
        or mail.get("X-Failed-Recipients") is not None
    )


def bounce(mail: Message, is_ours: IsOurs) -> Iterator[ch.Receipt]:
    """
    One receipt for each failure in a delivery report; other actions (``delayed``) are ignored.
    """
    texts = [text_of(part) for part in parts(mail) if kind_of(part) in DELIVERY_REPORTS]
    blocks = [block for text in texts for block in fields_of(text)]
    envelopes = [block.get("original-envelope-id", "") for block in blocks]
    reference, relayed = returned(mail, envelopes, is_ours)
    for block in blocks if reference or relayed else ():
        action, status = block.get("action", "").lower(), block.get("status", "")
        words = block.get("diagnostic-code", "").partition(";")[2]
        if action.startswith(("fail", "error")):  # OpenSMTPD says error
            expired = status.split(" ")[0].endswith(".4.7")
            state = ch.Delivery.EXPIRED if expired else ch.Delivery.FAILED
            yield ch.Receipt(
                state=state,
                client_reference=reference,
                provider_id=relayed,
                failure=failure(status[:100], words),
            )


def plain_bounce(mail: Message, is_ours: IsOurs) -> Iterator[ch.Receipt]:
    """
    A receipt for a bounce in prose (qmail, Exim, old Exchange), if it names our mail and says that
    it failed for good.
    """
    texts = [text_of(part) for part in parts(mail) if kind_of(part) in ("text/plain", "text/html")]
    text = "\n".join(texts)[:SCANNED_CHARS_MAX]
    reference, relayed = returned(mail, [], is_ours, text)
    if reference is None and relayed is None:
        return
    subject = spoken_header(mail, "Subject")[:200]
    status, basic = STATUS.search(text), BASIC.search(text)
    around = status or basic
    delayed, permanent = failures_by_library(mail, text)
    if not (around or permanent or NO_SUCH_USER.search(text) or FAILED_SUBJECT.search(subject)):
        return
    if not around and (delayed or DELAYED.search(subject)):
        return
    words = text[max(0, around.start() - 80) : around.end() + 200] if around else ""
    if not around and (found := NO_SUCH_USER.search(text)):
        words = text[max(0, found.start() - 80) : found.end() + 80]
    yield ch.Receipt(
        state=ch.Delivery.FAILED,
        client_reference=reference,
        provider_id=relayed,
        failure=failure(status[0] if status else "", words),
    )


def failures_by_library(mail: Message, text: str) -> tuple[bool, bool]:
    """
    Whether flufl.bounce finds delayed and failed recipients. Its patterns take quadratic time on
    long lines, so it gets the beginning of the text, in short ones.
    """
    from flufl.bounce import all_failures

    lines = [line[:SCANNED_LINE_CHARS_MAX] for line in text.splitlines()[:SCANNED_LINES_MAX]]
    short = Message()
    for name in ("From", "Subject", "X-Failed-Recipients"):
        if mail.get(name) is not None:
            short[name] = header(mail, name)
    short.set_payload("\n".join(lines) + "\n")
    try:
        delayed, permanent = all_failures(short)
    except Exception:  # a heuristic of the library met what it did not expect
        return False, False
    return bool(delayed), bool(permanent)


def complaint(mail: Message, is_ours: IsOurs) -> Iterator[ch.Receipt | ch.Preference]:
    """
    A spam report: a receipt of the mail that it names, and an opt-out of the address.
    """
    texts = [text_of(part) for part in parts(mail) if kind_of(part) == "message/feedback-report"]
    fields = {
        name: value for text in texts for block in fields_of(text) for name, value in block.items()
    }
    if fields.get("feedback-type", "").lower() == "not-spam":
        return
    envelopes = [fields.get("original-envelope-id", "")]
    reference, relayed = returned(mail, envelopes, is_ours)
    if reference or relayed:
        yield ch.Receipt(
            state=ch.Engagement.COMPLAINED, client_reference=reference, provider_id=relayed
        )
    address = plain_address(fields.get("original-rcpt-to", ""))
    if address is not None:
        yield ch.Preference(kind="email", value=address, state="out", source="complaint")


def reply(mail: Message) -> Iterator[ch.Inbound]:
    """A recipient's answer, without the text that it quotes."""
    sender = plain_address(header(mail, "From"))
    if sender is not None:
        answered = MESSAGE_ID.findall(header(mail, "In-Reply-To"))
        answered += reversed(MESSAGE_ID.findall(header(mail, "References")))
        yield ch.Inbound(
            kind="email",
            value=sender,
            text=ch.text_of(words_of(mail)),
            id=ch.id_of(header(mail, "Message-ID")) or "",
            answers=ch.ids_of(*dict.fromkeys(answered))[:ANSWERS_MAX],
        )


def failure(status: str, words: str) -> ch.Refused:
    """
    The reason of a bounce (RFC 3463); anything but a dead address or bad content counts as the
    recipient's fault.
    """
    words = words[:WORDS_CHARS_MAX]
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


def returned(
    mail: Message, envelopes: Iterable[str], is_ours: IsOurs, prose: str = ""
) -> tuple[str | None, str | None]:
    """
    What names the mail that came back: our client reference, or else the relay's id.
    """
    found = [envelope for envelope in envelopes if ch.id_of(envelope)]
    ids: list[str] = []
    for part in parts(mail):
        if part is not mail:
            ids.append(header(part, "Message-ID"))
        if kind_of(part) in (*RETURNED_HEADERS, *DELIVERY_REPORTS):
            blocks = fields_of(text_of(part))
            ids += [block.get(name, "") for block in blocks for name in MESSAGE_ID_FIELDS]
    ids += [header(mail, "In-Reply-To"), header(mail, "References"), prose]
    found += [id for text in ids for id in MESSAGE_ID.findall(text)[:ANSWERS_MAX]]
    for reference in found:
        if is_ours(reference):
            return reference, None
    return None, next(filter(None, map(ch.id_of, found)), None)
