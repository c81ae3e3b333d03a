"""The pause before another try: time and chance are arguments."""

from __future__ import annotations

import zlib

FIRST_MS = 1_000
FACTOR = 4
LONGEST_MS = 60_000
SPREAD_MS = 250


def delay_ms(tries: int, salt: str) -> int:
    """
    The pause after ``tries`` failed tries: 1 s, 4 s, 16 s, … at most a minute, plus up to 250 ms
    that depend on ``salt``.

    The spread keeps messages that failed together from coming back together, and is the same when
    replayed.
    """
    base: int = min(LONGEST_MS, FIRST_MS * FACTOR ** max(0, tries - 1))
    return base + zlib.crc32(f"{salt}/{tries}".encode()) % SPREAD_MS
