"""Instants and durations at the edges: RFC 3339 outside, UTC milliseconds inside."""

from __future__ import annotations

import re
from datetime import UTC, datetime

DURATION = re.compile(r"(\d{1,9})(ms|s|m|h|d)")
UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def rfc3339(at_ms: int) -> str:
    """``2026-11-21T10:00:00.000Z`` for UTC milliseconds."""
    moment = datetime.fromtimestamp(at_ms // 1000, UTC)
    return f"{moment.replace(tzinfo=None).isoformat()}.{at_ms % 1000:03d}Z"


def duration(ms: int, units: int = 2) -> str:
    """
    ``250ms``, ``30s``, ``10m``, ``1h 30m``, ``2d 4h``: the largest ``units`` that are not zero.
    """
    if ms < 1000:
        return f"{ms}ms"
    parts = []
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)):
        count, ms = divmod(ms, size)
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts[:units])


def parse_duration(text: str) -> int | None:
    """Milliseconds of ``250ms 30s 10m 24h 7d``; None if it is not a duration."""
    match = DURATION.fullmatch(text)
    return int(match[1]) * UNITS_MS[match[2]] if match else None
