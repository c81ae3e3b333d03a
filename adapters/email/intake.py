"""
A raw mail, shortened while it comes in: what bounces, complaints and replies are read from is kept.

Kept are the headers (each cut to size), the first MiB of text and the delivery reports; pictures
and other attachments are left out, and so is what nests too deeply. The result is a mail again.
The work is linear in the length of the mail, whatever its shape (RFC 2046 5.1).
"""

from __future__ import annotations

import re
from email.message import Message
from email.parser import BytesHeaderParser

TEXT_BYTES_MAX = 1024 * 1024
REPORT_BYTES_MAX = 256 * 1024
HEADER_BYTES_MAX = 64 * 1024
HEADERS_BYTES_MAX = 256 * 1024
FIELD_BYTES_MAX = 4 * 1024
FIELDS_MAX = 300
PARTS_MAX, DEPTH_MAX = 50, 8
DELIMITER_BYTES_MAX = 512

PIECE_BYTES_MAX = 64 * 1024

BLANK_LINE = re.compile(rb"\n\r?(?=\n)")
FIELD_START = re.compile(rb"\r?\n(?![ \t])")
REPORTS = frozenset(
    {
        "message/delivery-status",
        "message/global-delivery-status",
        "message/feedback-report",
        "message/global-headers",
        "text/rfc822-headers",
    }
)
MAILS = frozenset({"message/rfc822", "message/global"})


class MailIntake:
    """
    Takes a mail in pieces; ``result`` is what was kept of it.

    What waits to be looked at always begins with the line end before it, so a delimiter is one at
    the beginning of a line alone.
    """

    def __init__(self) -> None:
        self._kept = bytearray()
        self._waiting = bytearray(b"\n")
        self._header_skipped = False
        self._searched = 0
        self._in_header, self._over = True, False
        self._boundaries: list[bytes] = []
        self._delimiter: re.Pattern[bytes] | None = None
        self._room = {
            "text": TEXT_BYTES_MAX,
            "report": REPORT_BYTES_MAX,
            "header": HEADERS_BYTES_MAX,
        }
        self._keeps: str | None = None
        self._mails = 0
        self._found: list[tuple[Message, bytearray]] = []

    def feed(self, piece: bytes) -> None:
        """Take the next piece, of any size."""
        for start in range(0, len(piece), PIECE_BYTES_MAX):
            self._waiting += piece[start : start + PIECE_BYTES_MAX]
            while not self._over and (
                self._header_ended() if self._in_header else self._body_ended()
            ):
                pass
            if self._over:
                self._waiting.clear()
                return

    def result(self) -> bytes:
        """The shortened mail, once everything was fed."""
        self.feed(b"\n")  # the last delimiter may end the mail
        if self._in_header and not self._over:
            self._keep_header(bytes(self._waiting))
        else:
            self._keep_body(self._waiting)
        return bytes(self._kept)

    def mail(self) -> Message:
        """
        The mail with all parts that were found in it, however deep, in one row below it; ``result``
        was called before.
        """
        for part, body in self._found:
            part.set_payload(bytes(body[1:]).decode("ascii", "surrogateescape"))
        root = self._found[0][0] if self._found else Message()
        below: list[Message | str] = [part for part, _ in self._found[1:]]
        if below:
            root.set_payload(below)
        return root

    def _header_ended(self) -> bool:
        """Take a header that has come in whole; what is beyond its limit is skipped."""
        found = BLANK_LINE.search(self._waiting, self._searched)
        self._searched = 0
        if found is None:
            if len(self._waiting) > HEADER_BYTES_MAX and not self._header_skipped:
                self._keep_header(bytes(self._waiting[:HEADER_BYTES_MAX]))
                self._in_header = self._header_skipped = True
            if self._header_skipped:
                del self._waiting[:-2]
            self._searched = max(0, len(self._waiting) - 2)
            return False
        if not self._header_skipped:
            self._keep_header(bytes(self._waiting[: found.start()]))
        else:
            self._in_header = self._header_skipped = False
        del self._waiting[: found.end()]
        return True

    def _keep_header(self, block: bytes) -> None:
        """Keep a header, and go on with the body that it announces."""
        self._in_header, self._keeps = False, None
        self._over = len(self._found) == PARTS_MAX
        if self._over:
            return
        fields = FIELD_START.split(block.strip(b"\r\n"), maxsplit=FIELDS_MAX)[:FIELDS_MAX]
        header = b"".join(field[:FIELD_BYTES_MAX] + b"\n" for field in fields)
        header = header[: self._room["header"]]
        self._room["header"] -= len(header)
        self._kept += header if header.strip() else b"\n"
        about = BytesHeaderParser().parsebytes(header)
        self._found.append((about, bytearray()))
        kind = about.get_content_type()
        if kind in MAILS and self._mails < DEPTH_MAX:
            self._mails += 1
            self._kept += b"\n"
            self._in_header = True
        elif kind in REPORTS:
            self._keeps = "report"
        elif kind.startswith("text/"):
            self._keeps = "text"
        elif kind.startswith("multipart/"):
            self._open(boundary_of(about))

    def _open(self, boundary: bytes) -> None:
        if boundary and len(self._boundaries) < DEPTH_MAX:
            self._boundaries.append(boundary)
            self._look_for_delimiters()

    def _look_for_delimiters(self) -> None:
        names = b"|".join(re.escape(name) for name in reversed(self._boundaries))
        pattern = rb"\n--(%b)(--)?[ \t]{0,80}\r?(?=\n)" % names
        self._delimiter = re.compile(pattern) if names else None

    def _body_ended(self) -> bool:
        """Keep or skip up to the next delimiter; True where another part begins."""
        found = self._delimiter.search(self._waiting) if self._delimiter else None
        if found is None:
            # its end may be the beginning of a delimiter
            beyond = max(0, len(self._waiting) - DELIMITER_BYTES_MAX)
            self._keep_body(self._waiting[:beyond])
            del self._waiting[:beyond]
            return False
        self._keep_body(self._waiting[: found.start()])
        self._kept += b"\n--" + found[1] + (found[2] or b"") + b"\n"
        closed, place = found[2] is not None, self._boundaries.index(found[1])
        del self._waiting[: found.end()]
        if self._boundaries[place + (not closed) :]:
            del self._boundaries[place + (not closed) :]
            self._look_for_delimiters()
        self._keeps, self._in_header = None, not closed
        return True

    def _keep_body(self, piece: bytes | bytearray) -> None:
        if self._keeps is not None:
            kept = piece[: self._room[self._keeps]]
            self._room[self._keeps] -= len(kept)
            self._kept += kept
            self._found[-1][1].extend(kept)


def boundary_of(about: Message) -> bytes:
    """The boundary of a multipart, empty without one that RFC 2046 allows."""
    boundary = about.get_boundary("")
    fits = 0 < len(boundary) <= 200 and boundary.isascii() and boundary.isprintable()
    return boundary.encode("ascii") if fits else b""


def shortened(raw: bytes) -> bytes:
    """What ``MailIntake`` keeps of a whole mail."""
    intake = MailIntake()
    intake.feed(raw)
    return intake.result()


def parsed(raw: bytes) -> Message:
    """A whole mail, shortened, with its parts."""
    intake = MailIntake()
    intake.feed(raw)
    intake.result()
    return intake.mail()
