"""
A mail as bytes: headers, text and HTML, List-Unsubscribe with one click (RFC 2369, 8058).

Header values refuse control characters and encoded words: a subject that ends in one of those can become a header of its
own on the way out. What was made is parsed back, and must have exactly the headers that were meant.
"""

from __future__ import annotations

import email.policy
import email.utils
import re
from email.message import EmailMessage
from email.parser import BytesParser

from orchestrator import channels as ch

UNSAFE = re.compile(r"[\x00-\x1f\x7f]|=\?[^?\s]*\?[bBqQ]\?")
HEADER_LENGTH_MAX = 900
POLICY = email.policy.SMTP.clone(max_line_length=200)
POLICY_UTF8 = email.policy.SMTPUTF8.clone(max_line_length=200)


def refuse(code: str, detail: str) -> ch.Unsendable:
    return ch.Unsendable(ch.Refused(ch.Reason.REFUSED_CONTENT, code, detail))


def safe(name: str, value: str) -> str:
    """A header's value, or ``Unsendable``."""
    if UNSAFE.search(value):
        raise refuse("unsafe_header", f"{name} has control characters or an encoded word in it")
    if len(value) > HEADER_LENGTH_MAX:
        raise refuse("unsafe_header", f"{name} is longer than {HEADER_LENGTH_MAX} characters")
    return value


def build(message: ch.Outgoing, sender: str, reply_to: str | None, *, utf8: bool) -> bytes:
    """The mail. Raises ``Unsendable`` where a part is missing or a header is unsafe."""
    content = message.content
    text, html = content.get("text"), content.get("html")
    if not content.get("subject") or not (text or html):
        raise refuse("no_content", "a mail needs a subject, and a text or HTML")
    mail = EmailMessage(policy=POLICY_UTF8 if utf8 else POLICY)
    name, address = email.utils.parseaddr(sender)
    domain = address.rpartition("@")[2]
    headers = {
        "From": email.utils.formataddr((safe("from", name), address)) if not name.isascii() else sender,
        "To": message.address.value,
        "Subject": safe("subject", str(content["subject"])),
        "Date": email.utils.formatdate(message.now, usegmt=True),
        "Message-ID": f"<{message.client_reference}@{domain}>",
        **({"Reply-To": safe("reply_to", reply_to)} if reply_to else {}),
        **unsubscribing(message),
        **kind_of(message),
    }
    for header, value in headers.items():
        mail[header] = value
    if text:
        mail.set_content(str(text) + "\n", cte="quoted-printable")
        if html:
            mail.add_alternative(str(html), subtype="html", cte="quoted-printable")
    else:
        mail.set_content(str(html), subtype="html", cte="quoted-printable")
    made = mail.as_bytes()
    check_headers(made, mail)
    return made


def unsubscribing(message: ch.Outgoing) -> dict[str, str]:
    """One click needs a URL that acts on a POST; without one the headers are left out."""
    if not message.unsubscribe_url or not message.one_click:
        return {}
    return {
        "List-Unsubscribe": f"<{message.unsubscribe_url}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }


def kind_of(message: ch.Outgoing) -> dict[str, str]:
    """What keeps auto-replies away, and tells a mailbox what it has."""
    if message.klass == "promotional":
        return {"Precedence": "bulk", "Feedback-ID": f"{token(message.topic)}:{message.klass}:kaskad"}
    return {"Auto-Submitted": "auto-generated"}


def token(value: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "", value)[:40] or "all"


def check_headers(made: bytes, meant: EmailMessage) -> None:
    """Parse back, and compare the headers with those that were meant."""
    found = BytesParser(policy=email.policy.compat32).parsebytes(made, headersonly=True)
    if sorted(name.lower() for name in found) != sorted(name.lower() for name in meant):
        raise refuse("unsafe_header", "the mail's headers are not those that were meant")
