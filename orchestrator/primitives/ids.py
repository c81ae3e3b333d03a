"""Identifiers that sort by time: ULIDs, 26 characters of Crockford's base 32."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
PAIRS = [high + low for high in ALPHABET for low in ALPHABET]
"""Ten bits as two letters."""
DIGITS = dict.fromkeys(range(128), "?") | {
    ord(letter): f"{value:x}" if value < 16 else chr(87 + value)
    for value, letter in enumerate(ALPHABET)
}
"""Each letter as the digit that ``int(…, 32)`` reads."""
CHANCE_BITS = 80
CHANCE = (1 << CHANCE_BITS) - 1
SHIFTS = (70, 60, 50, 40, 30, 20, 10, 0)
ENTROPY_BYTES = 10
ENTROPY_AT_ONCE = 4_096
LENGTH = 26


def encode(number: int) -> str:
    """128 bits as 26 characters."""
    chance = number & CHANCE
    return stamp(number >> CHANCE_BITS) + "".join(
        [PAIRS[(chance >> shift) & 1023] for shift in SHIFTS]
    )


@lru_cache(maxsize=4_096)
def stamp(ms: int) -> str:
    """The ten characters of the time; ULIDs of the same millisecond share them."""
    return "".join([PAIRS[(ms >> shift) & 1023] for shift in (40, 30, 20, 10, 0)])


def first_of(ms: int) -> str:
    """The smallest ULID of a millisecond: ids from it on were made then or later."""
    return stamp(ms) + ALPHABET[0] * (LENGTH - 10)


def made_at(id: str) -> int:
    """The millisecond of a ULID. Raises ``ValueError`` if it is none."""
    return decode(id) >> CHANCE_BITS


def decode(text: str) -> int:
    """The 128 bits of a ULID. Raises ``ValueError`` if it is none."""
    if len(text) != LENGTH or text[0] > "7" or not text.isascii():
        raise ValueError(f"{text!r} is no ULID")
    try:
        return int(text.translate(DIGITS), 32)
    except ValueError:
        raise ValueError(f"{text!r} is no ULID") from None


class Entropy:
    """
    Random bytes of the system, read a page at a time because a system call costs more than the
    bytes. No byte is used twice, also not in a forked process.
    """

    def __init__(self) -> None:
        self._page = b""
        self._used = 0
        os.register_at_fork(after_in_child=self.drop)

    def __call__(self, count: int) -> bytes:
        if count > len(self._page) - self._used:
            self._page = os.urandom(max(count, ENTROPY_AT_ONCE))
            self._used = 0
        self._used += count
        return self._page[self._used - count : self._used]

    def drop(self) -> None:
        """Discard the rest of the page."""
        self._page = b""
        self._used = 0


random_bytes = Entropy()


class IdMaker:
    """ULIDs that grow strictly within a process, even if the clock stands still or goes back."""

    def __init__(
        self, now: Callable[[], int], entropy: Callable[[int], bytes] = random_bytes
    ) -> None:
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
