"""
A mail as bytes: headers, text and HTML, List-Unsubscribe with one click (RFC 2369, 8058).

Header values refuse control characters and encoded words: with Python's own header folding, a
subject that ends in one of those can become a header of its own. So the headers are written here,
line by line; the result is parsed back and must have exactly the intended headers, subject and
addresses.

The same message always gives the same bytes: no clock and no random boundary is used.
"""

from __future__ import annotations

import binascii
import email.policy
import email.utils
import hashlib
import re
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime
from email.header import Header
from email.headerregistry import Address
from email.parser import BytesParser

from orchestrator import channels as ch

R = ch.Reason
ENCODED_WORD = re.compile(r"=\?[^?\s]*\?[bBqQ]\?")
MAILBOX = re.compile(r"\s*(?:(?P<name>[^<>]*?)\s*<(?P<within>[^<>]+)>|(?P<bare>[^<>]+?))\s*")
ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u0080-\U0010ffff-]+"
LOCAL_PART = re.compile(rf"{ATOM}(?:\.{ATOM})*")
LOCAL_BYTES_MAX = 64
HEADER_CHARS_MAX = 900
LINE_BYTES_MAX = 900
WORD_LINE_MAX = 76
SENDER_ID = "kaskad"


@dataclass(frozen=True, slots=True)
class Mailbox:
    """
    A name and an address. ``domain`` is ASCII (IDNA 2008); ``local`` may not be, and then needs
    SMTPUTF8 (RFC 6531).
    """

    name: str
    local: str
    domain: str

    @classmethod
    def of(cls, text: str) -> Mailbox:
        """
        From ``Shop <hello@example.com>`` or ``hello@example.com``. Raises ``ValueError`` with the
        fault.
        """
        found = MAILBOX.fullmatch(text)
        if found is None or "@" not in text or unsafe(text):
            raise ValueError(
                "must be an address such as hello@example.com or Shop <hello@example.com>"
            )
        name = (found["name"] or "").strip().removeprefix('"').removesuffix('"')
        local, _, domain = (found["within"] or found["bare"]).strip().rpartition("@")
        if (
            not LOCAL_PART.fullmatch(local)
            or len(local.encode("utf-8", "replace")) > LOCAL_BYTES_MAX
        ):
            raise ValueError("the part before @ is not well-formed")
        return cls(name, local, ch.ascii_domain(domain))

    @property
    def address(self) -> str:
        return f"{self.local}@{self.domain}"

    @property
    def written(self) -> str:
        """The mailbox as people and HTTP APIs write it: nothing is encoded, the name quoted."""
        name = self.name.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{name}" <{self.address}>' if name else self.address

    def header(self, field: str) -> str:
        """The mailbox as header text; the name is quoted or encoded if necessary."""
        if not self.name:
            return self.address
        if self.name.isascii():
            return (
                email.utils.formataddr((self.name, "")).removesuffix("<>").strip()
                + f" <{self.address}>"
            )
        return f"{encoded(field, self.name)} <{self.address}>"


@dataclass(frozen=True, slots=True)
class Mail:
    """An envelope and its mail. ``raw`` has CRLF line ends and only lines that SMTP can carry."""

    sender: str
    recipient: str
    reference: str
    raw: bytes
    utf8: bool


@dataclass(frozen=True, slots=True)
class Letter:
    """
    The parts of a mail, each safe to stand in a header or a body. ``headers`` are those besides
    From, To, Reply-To, Subject and Date.
    """

    sender: Mailbox
    recipient: Mailbox
    reply_to: Mailbox | None
    subject: str
    text: str
    html: str
    headers: dict[str, str]

    @property
    def unsubscribe(self) -> dict[str, str]:
        """The headers by which the recipient can say no."""
        return {name: self.headers[name] for name in self.headers if name.startswith("List-")}


def letter_of(message: ch.Outgoing, sender: Mailbox, reply_to: Mailbox | None) -> Letter:
    """
    The parts of one message's mail. Raises ``Unsendable``: a part is missing, a header or the
    address is unsafe.
    """
    content = message.content
    subject, text, html = (
        str(content.get("subject") or "").strip(),
        str(content.get("text") or ""),
        str(content.get("html") or ""),
    )
    if not subject or not (text or html):
        raise unsendable(
            R.REFUSED_CONTENT, "no_content", "a mail needs a subject, and a text or HTML"
        )
    if unsafe(subject) or len(subject) > HEADER_CHARS_MAX:
        detail = (
            "the subject has control characters or an encoded word in it, or more than"
            f" {HEADER_CHARS_MAX} characters"
        )
        raise unsendable(R.REFUSED_CONTENT, "unsafe_header", detail)
    try:
        recipient = Mailbox.of(message.address.value)
    except ValueError as error:
        raise unsendable(
            R.REFUSED_ADDRESS, "bad_address", "the address is not well-formed"
        ) from error
    headers = {
        "Message-ID": f"<{message.client_reference}@{sender.domain}>",
        **unsubscribing(message),
        **kind_of(message),
    }
    return Letter(sender, recipient, reply_to, subject, text, html, headers)


def build(
    message: ch.Outgoing, sender: Mailbox, reply_to: Mailbox | None, return_path: Mailbox | None
) -> Mail:
    """The mail for one message. Raises ``Unsendable`` as ``letter_of`` does."""
    letter = letter_of(message, sender, reply_to)
    subject, recipient = letter.subject, letter.recipient
    headers = {
        "From": sender.header("From"),
        "To": recipient.address,
        **({"Reply-To": reply_to.header("Reply-To")} if reply_to else {}),
        "Subject": subject if subject.isascii() else encoded("Subject", subject),
        "Date": email.utils.format_datetime(datetime.fromtimestamp(message.now, UTC)),
        **letter.headers,
        "MIME-Version": "1.0",
    }
    boundary = (
        "=_"
        + hashlib.sha256(
            message.entropy + message.client_reference.encode("utf-8", "replace")
        ).hexdigest()[:32]
    )
    body_headers, body = bodies(letter.text, letter.html, boundary)
    raw = written({**headers, **body_headers}) + b"\r\n" + body
    check(raw, [*headers, *body_headers], subject, sender, recipient)
    known = [box for box in (sender, recipient, reply_to, return_path) if box is not None]
    utf8 = not all(box.local.isascii() for box in known)
    return Mail(
        (return_path or sender).address, recipient.address, message.client_reference, raw, utf8
    )


def unsendable(reason: R, code: str, detail: str) -> ch.Unsendable:
    """A refusal before anything is sent."""
    return ch.Unsendable(ch.Refused(reason, code, detail))


def unsafe(value: str) -> bool:
    """Whether a header value could be parsed as several headers, or lose a part."""
    return (
        "?=" in value.partition("=?")[2]
        or ENCODED_WORD.search(value) is not None
        or any(unicodedata.category(c) in ("Cc", "Zl", "Zp", "Cs") for c in value)
    )


def encoded(field: str, value: str) -> str:
    """Text beyond ASCII as encoded words of legal length (RFC 2047), folded."""
    return Header(value, "utf-8", header_name=field, maxlinelen=WORD_LINE_MAX).encode(
        linesep="\r\n"
    )


def written(headers: dict[str, str]) -> bytes:
    """The header block, without the empty line after it."""
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode(
        "utf-8", "replace"
    )


def unsubscribing(message: ch.Outgoing) -> dict[str, str]:
    """
    One-click headers if the URL acts on a POST (RFC 8058); a URL that only shows a page gets
    List-Unsubscribe alone (RFC 2369), if it is https and cannot break out of its brackets.
    """
    url = message.unsubscribe_url or ""
    fits = (
        url.isascii()
        and url.isprintable()
        and not set(url) & set('<> ",')
        and len(url) <= HEADER_CHARS_MAX
    )
    if not url or not fits or not (message.one_click or url.startswith("https://")):
        return {}
    header = {"List-Unsubscribe": f"<{url}>"}
    return (
        {**header, "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}
        if message.one_click
        else header
    )


def kind_of(message: ch.Outgoing) -> dict[str, str]:
    """
    Headers that prevent automatic answers (RFC 3834) and name the campaign to Gmail's feedback
    loop.
    """
    feedback = {"Feedback-ID": f"{token(message.topic)}:{token(message.message_class)}:{SENDER_ID}"}
    if message.message_class == "promotional":
        return {"Precedence": "bulk", **feedback}
    return {"Auto-Submitted": "auto-generated", **feedback}


def token(value: str) -> str:
    """A word that is safe inside a header."""
    return re.sub(r"[^A-Za-z0-9_-]", "", value)[:40] or "all"


def bodies(text: object, html: object, boundary: str) -> tuple[dict[str, str], bytes]:
    """The content headers and the body: one part, or text and HTML as alternatives."""
    parts = [part(kind, str(value)) for kind, value in (("plain", text), ("html", html)) if value]
    if len(parts) == 1:
        return parts[0]
    inner = b"".join(
        b"--%b\r\n%b\r\n%b\r\n" % (boundary.encode(), written(headers), body)
        for headers, body in parts
    )
    return {
        "Content-Type": f'multipart/alternative; boundary="{boundary}"'
    }, inner + f"--{boundary}--\r\n".encode()


def part(kind: str, value: str) -> tuple[dict[str, str], bytes]:
    """
    A text unchanged if it is short-lined ASCII, else in quoted-printable or base64, the shorter of
    both.
    """
    raw = re.sub(r"\r\n?", "\n", value).rstrip("\n").encode("utf-8", "replace") + b"\n"
    plain = (
        raw.isascii() and b"\x00" not in raw and max(map(len, raw.split(b"\n"))) <= LINE_BYTES_MAX
    )
    if plain:
        encoding, body = "7bit", raw
    else:
        quoted = binascii.b2a_qp(raw, istext=True)
        crlf = raw.replace(b"\n", b"\r\n")
        lines = b"".join(
            binascii.b2a_base64(crlf[start : start + 57]) for start in range(0, len(crlf), 57)
        )
        encoding, body = (
            ("quoted-printable", quoted) if len(quoted) <= len(lines) else ("base64", lines)
        )
    headers = {"Content-Type": f"text/{kind}; charset=utf-8", "Content-Transfer-Encoding": encoding}
    return headers, body.replace(b"\n", b"\r\n")


def check(raw: bytes, names: list[str], subject: str, sender: Mailbox, recipient: Mailbox) -> None:
    """
    Parse the written mail as a reader does, and compare it with the intended one. Raises
    ``Unsendable``.
    """
    try:
        found = BytesParser(policy=email.policy.default).parsebytes(raw, headersonly=True)
        same = [name.lower() for name, _ in found.items()] == [name.lower() for name in names]
        if (sender.local + recipient.local).isascii():
            same = same and str(found["Subject"]) == subject
            same = same and addresses(found["From"].addresses) == [sender.address]
            same = same and addresses(found["To"].addresses) == [recipient.address]
    except (LookupError, ValueError, TypeError, AttributeError):
        same = False
    if not same:
        raise unsendable(
            R.REFUSED_CONTENT, "unsafe_header", "the mail's headers are not those that were meant"
        )


def addresses(found: tuple[Address, ...]) -> list[str]:
    """The plain addresses of a parsed header."""
    return [one.addr_spec for one in found]
