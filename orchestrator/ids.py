"""Identifiers that sort by time: ULIDs, 26 characters of Crockford's base 32."""

from __future__ import annotations

import os
from collections.abc import Callable

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
PAIRS = [high + low for high in ALPHABET for low in ALPHABET]
"""Ten bits as two letters."""
DIGITS = dict.fromkeys(range(128), "?") | {
    ord(letter): f"{value:x}" if value < 16 else chr(87 + value) for value, letter in enumerate(ALPHABET)
}
"""Each letter as the digit that ``int(…, 32)`` reads."""
ENTROPY_BYTES = 10
LENGTH = 26


def encode(number: int) -> str:
    """128 bits as 26 characters."""
    return "".join([PAIRS[(number >> shift) & 1023] for shift in range(120, -1, -10)])


def decode(text: str) -> int:
    """The 128 bits of a ULID. Raises ``ValueError`` where it is none."""
    if len(text) != LENGTH or text[0] > "7" or not text.isascii():
        raise ValueError(f"{text!r} is no ULID")
    try:
        return int(text.translate(DIGITS), 32)
    except ValueError:
        raise ValueError(f"{text!r} is no ULID") from None


class IdMaker:
    """ULIDs that grow strictly within a process, even where the clock stands still or goes back."""

    def __init__(self, now: Callable[[], int], entropy: Callable[[int], bytes] = os.urandom) -> None:
        self._now = now
        self._entropy = entropy
        self._last_ms = 0
        self._last = 0

    def next(self) -> str:
        now_ms = self._now()
        if now_ms > self._last_ms:
            self._last_ms = now_ms
            self._last = (now_ms << 80) | int.from_bytes(self._entropy(ENTROPY_BYTES), "big") >> 1
        else:
            self._last += 1 + int.from_bytes(self._entropy(4), "big")
        return encode(self._last)
