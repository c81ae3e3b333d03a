"""
PDUs of SMPP 3.4 as bytes: those that an ESME sends and gets.

Reference: SMPP 3.4, sections 3.2 (format), 4.1 (bind), 4.4 (submit_sm), 4.6 (deliver_sm), 5.3
(optional parameters). Reading never raises on what an SMSC may send besides the standard: unknown
statuses, alphabets and parameters, bodies that end early.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

HEADER = struct.Struct("!IIII")
VERSION = 0x34
RESPONSE = 0x8000_0000
PDU_BYTES_MAX = 65_536
SEQUENCE_MAX = 0x7FFF_FFFF
UDH = 0x40
RECEIPT, INTERMEDIATE, KIND = 0x04, 0x20, 0x3C
"""Bits of ``esm_class``: a user data header, a receipt, an intermediate notification; the mask."""

SAR_REFERENCE, SAR_TOTAL, SAR_NUMBER = 0x020C, 0x020E, 0x020F
PAYLOAD, RECEIPTED_ID, MESSAGE_STATE = 0x0424, 0x001E, 0x0427
RECEIPT_FIELD = re.compile(r"\b(id|stat|err):\s*([^\s:]{1,64})", re.IGNORECASE)


class Command(IntEnum):
    """The commands that we know; a response has ``RESPONSE`` added."""

    SUBMIT_SM = 4
    DELIVER_SM = 5
    UNBIND = 6
    BIND_TRANSCEIVER = 9
    ENQUIRE_LINK = 0x15


@dataclass(frozen=True, slots=True)
class Pdu:
    """One PDU as it came: ``command`` with its response bit, ``status``, number and body."""

    command: int
    status: int
    sequence: int
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """What a ``deliver_sm`` says: from whom, its class and alphabet, its text and parameters."""

    source: str
    esm_class: int
    coding: int
    text: bytes
    options: Mapping[int, bytes] = field(default_factory=dict)


def packed(command: int, sequence: int, body: bytes = b"", status: int = 0) -> bytes:
    """A whole PDU."""
    return HEADER.pack(HEADER.size + len(body), command, status, sequence) + body


def c_string(text: str) -> bytes:
    """A string that ends with NUL."""
    return text.encode("ascii", "replace").replace(b"\0", b"?") + b"\0"


def option(tag: int, value: bytes) -> bytes:
    """An optional parameter."""
    return struct.pack("!HH", tag, len(value)) + value


def bind_body(system_id: str, password: str, system_type: str) -> bytes:
    login = c_string(system_id) + c_string(password) + c_string(system_type)
    return login + bytes([VERSION, 0, 0]) + c_string("")


def submit_body(
    *,
    source: tuple[int, int, str],
    destination: tuple[int, int, str],
    esm_class: int,
    validity: str,
    receipt: bool,
    coding: int,
    text: bytes,
    options: bytes = b"",
) -> bytes:
    """A ``submit_sm``; addresses are (TON, NPI, address), a text above 254 octets is a payload."""
    if len(text) > 254:
        text, options = b"", option(PAYLOAD, text) + options
    return b"".join(
        (
            c_string(""),
            *(bytes(one[:2]) + c_string(one[2]) for one in (source, destination)),
            bytes([esm_class, 0, 0]) + c_string("") + c_string(validity),
            bytes([receipt, 0, coding, 0, len(text)]) + text + options,
        )
    )


class Body:
    """Reads a body from its start; what is not there is empty or 0."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def string(self) -> str:
        end = self._data.find(b"\0", self._at)
        end = len(self._data) if end < 0 else end
        found, self._at = self._data[self._at : end], end + 1
        return found.decode("ascii", "replace")

    def byte(self) -> int:
        found = self.take(1)
        return found[0] if found else 0

    def take(self, count: int) -> bytes:
        found = self._data[self._at : self._at + count]
        self._at += count
        return found

    def options(self) -> dict[int, bytes]:
        found: dict[int, bytes] = {}
        while self._at + 4 <= len(self._data):
            tag, length = struct.unpack("!HH", self.take(4))
            found[tag] = self.take(length)
        return found


def delivered_of(data: bytes) -> Delivered:
    """The body of a ``deliver_sm``."""
    body = Body(data)
    body.string()
    body.take(2)
    source = body.string()
    body.take(2)
    body.string()
    esm_class = body.byte()
    body.take(2)
    body.string()
    body.string()
    body.take(2)
    coding = body.byte()
    body.byte()
    text = body.take(body.byte())
    options = body.options()
    return Delivered(
        source=source,
        esm_class=esm_class,
        coding=coding,
        text=options.get(PAYLOAD, text) or text,
        options=options,
    )


def receipt_fields(found: Delivered) -> dict[str, str]:
    """``id``, ``stat`` and ``err`` of a receipt's text (SMPP 3.4, appendix B), where they are."""
    text = found.text.decode("latin-1").partition("text:")[0].partition("Text:")[0]
    return {name.lower(): value for name, value in RECEIPT_FIELD.findall(text)}
