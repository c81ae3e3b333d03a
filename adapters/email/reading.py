"""
Parts, headers and texts of a mail that came in. Every length is bounded before anything looks at
it, and nothing here raises on a hostile mail.
"""

from __future__ import annotations

import codecs
import email.errors
import email.header
import email.utils
from collections.abc import Iterator
from email.message import Message
from typing import Any

from adapters.email.intake import PARTS_MAX
from adapters.email.mime import Mailbox

HEADER_CHARS_MAX = 2_000
TEXT_BYTES_MAX = 256 * 1024
HTML_BYTES_MAX = 1024 * 1024
HTML_NODES_MAX = 50_000
HTML_CHARS_MAX = 20_000
FIELDS_MAX = 100

NO_CHARSETS = ("punycode", "idna", "unicode_escape", "raw_unicode_escape", "undefined")
"""Codecs of Python that no mail is written in; the first of them takes quadratic time."""
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
SAMPLE_BYTES = 400
HIGH_BYTES = (b"\0", b"\4")
"""The higher bytes of Latin and Cyrillic letters in UTF-16; no text of single bytes has them."""

UNSEEN = frozenset({"head", "style", "script", "title", "template", "blockquote", "object"})
QUOTE_MARKS = (
    "gmail_quote", "gmail_signature", "yahoo_quoted", "moz-cite-prefix", "moz-signature",
    "divrplyfwdmsg", "appendonsend", "mail-quote", "quotedtext", "protonmail_quote",
    "zmail_extra", "replyforwardmsg", "mailru-blockquote", "js-helper-quote", "ms-outlook-mobile",
)  # fmt: skip
"""Parts of the ``id`` or ``class`` under which mail programs put quotes and signatures."""
RULED = ("border-top:solid", "border-top:1px solid", "border-top-style:solid")
BLOCKS = frozenset(
    {
        "address", "article", "br", "center", "div", "dd", "dl", "dt", "footer", "form", "h1", "h2",
        "h3", "h4", "h5", "h6", "header", "hr", "li", "ol", "p", "pre", "section", "table", "td",
        "th", "tr", "ul",
    }
)  # fmt: skip
RULE = "\n________________\n"


def parts(mail: Message) -> Iterator[Message]:
    """The mail and everything in it, up to a limit."""
    for count, part in enumerate(mail.walk()):
        if count == PARTS_MAX:
            return
        yield part


def header(mail: Message, name: str) -> str:
    """A header's text on one line, cut to size; "" without it."""
    found = (value for known, value in mail.raw_items() if known.lower() == name.lower())
    raw = next(found, "")[:HEADER_CHARS_MAX].encode("utf-8", "surrogateescape")
    return " ".join(raw.decode("utf-8", "replace").split())


def spoken_header(mail: Message, name: str) -> str:
    """A header with its encoded words decoded (RFC 2047)."""
    value = header(mail, name)
    try:
        return " ".join(str(email.header.make_header(email.header.decode_header(value))).split())
    except (ValueError, LookupError, UnicodeError, email.errors.HeaderParseError):
        return value


def kind_of(part: Message) -> str:
    """The content type of a part, without its parameters."""
    return part.get_content_type()


def text_of(part: Message, bytes_max: int = TEXT_BYTES_MAX) -> str:
    """The text of one part; unknown character sets and broken bytes never raise."""
    raw = payload_of(part)[:bytes_max]
    charset = str(part.get_content_charset("utf-8"))[:40].replace("-", "_").lower()
    charset = wide_charset(raw, charset) or charset
    try:
        return raw.decode("utf-8" if charset in NO_CHARSETS else charset, "replace")
    except (LookupError, UnicodeError, ValueError):
        return raw.decode("utf-8", "replace")


def wide_charset(raw: bytes, charset: str) -> str | None:
    """
    The UTF that a text is in, whatever its mail calls it: by the mark at its beginning, else by the
    bytes that UTF-16 has at every other place. None for a text of single bytes.
    """
    for mark, name in MARKS:
        if raw.startswith(mark):
            return name
    sample = raw[:SAMPLE_BYTES]
    halves = [sum(map(half.count, HIGH_BYTES)) for half in (sample[::2], sample[1::2])]
    named = charset.startswith(("utf_16", "utf16", "ucs_2", "ucs2", "unicode"))
    if named or 4 * max(halves) >= len(sample) > 0:
        return "utf-16-be" if halves[0] > halves[1] else "utf-16-le"
    return None


def payload_of(part: Message) -> bytes:
    """A part's content, decoded; empty for what has parts itself."""
    raw = part.get_payload(decode=True)
    return raw if isinstance(raw, bytes) else b""


def fields_of(text: str) -> list[dict[str, str]]:
    """Blocks of ``Name: value`` lines (RFC 3464 2.1); names in lower case, values cut to size."""
    blocks: list[dict[str, str]] = [{}]
    name = ""
    for line in text.splitlines()[: FIELDS_MAX * 20]:
        if not line.strip():
            if blocks[-1] and len(blocks) < FIELDS_MAX:
                blocks.append({})
            continue
        head, colon, value = line[:HEADER_CHARS_MAX].partition(":")
        if line[0] in " \t":
            known = blocks[-1].get(name, "")
            if len(known) < HEADER_CHARS_MAX:
                blocks[-1][name] = f"{known} {line.strip()[:HEADER_CHARS_MAX]}"
        elif colon and len(blocks[-1]) < FIELDS_MAX:
            name = head.strip().lower()
            blocks[-1].setdefault(name, value.strip())
    return [block for block in blocks if block]


def html_text(markup: bytes) -> str:
    """
    What a person sees of an HTML body above what it quotes. The parser (libxml2) takes linear time
    and stops at 256 levels.
    """
    from lxml import etree  # takes a while to import, and few mails have only HTML

    parser = etree.HTMLParser(encoding="utf-8", recover=True, no_network=True, remove_comments=True)
    try:
        root = etree.fromstring(markup[:HTML_BYTES_MAX], parser)
    except (etree.LxmlError, ValueError):
        return ""
    if root is None:
        return ""
    found: list[str] = []
    room = HTML_CHARS_MAX
    walk = etree.iterwalk(root, events=("start", "end"))
    for count, (event, node) in enumerate(walk):
        if count > HTML_NODES_MAX or room < 0:
            break
        tag = node.tag if isinstance(node.tag, str) else ""
        if event == "end":
            words = (node.tail or "")[:room]
            if tag in BLOCKS:
                words = "\n" + words
        elif tag in UNSEEN or is_quote(node):
            walk.skip_subtree()
            found.append(RULE if tag not in ("head", "style", "script", "title") else "")
            continue
        else:
            lead = RULE if tag == "hr" else "\n" if tag in BLOCKS else ""
            words = lead + (node.text or "")[:room]
        found.append(words)
        room -= len(words)
    return "".join(found)


def is_quote(node: Any) -> bool:
    """Whether an element holds what its author did not write just now."""
    named = f"{node.get('id') or ''} {node.get('class') or ''}"[:400].lower()
    style = (node.get("style") or "")[:400].lower().replace(": ", ":")
    return any(mark in named for mark in QUOTE_MARKS) or any(rule in style for rule in RULED)


def plain_address(value: str) -> str | None:
    """The single address of a header; None if it has none that we could have written to."""
    found = email.utils.parseaddr(value[:HEADER_CHARS_MAX].removeprefix("rfc822;"))[1]
    try:
        return Mailbox.of(found).address
    except ValueError:
        return None
