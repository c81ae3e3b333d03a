"""
Exact times in tests: spans such as ``2m``, ``1h30m`` or ``0s``, and instants as RFC 3339.
"""

from __future__ import annotations

import re

from orchestrator.configuration.reading import DURATION_MS_MAX, Report
from orchestrator.configuration.yaml_file import Node
from orchestrator.core.policy import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS
from orchestrator.recipients.fields import rfc3339_ms

UNITS = (("d", DAY_MS), ("h", HOUR_MS), ("m", MINUTE_MS), ("s", SECOND_MS), ("ms", 1))
SPAN = re.compile(
    r"(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m(?!s))?(?:(\d{1,6})s)?(?:(\d{1,6})ms)?"
)


def parse_span(text: str) -> int | None:
    """Milliseconds of ``1h30m``, the larger unit first; None where it is no span."""
    match = SPAN.fullmatch(text)
    if match is None or not any(match.groups()):
        return None
    total = sum(
        int(count) * size for count, (_, size) in zip(match.groups(), UNITS, strict=True) if count
    )
    return total if total <= DURATION_MS_MAX else None


def show_span(ms: int) -> str:
    """The same back: ``1h30m``; ``0s`` for nothing, a minus before what lies in the past."""
    if ms < 0:
        return f"-{show_span(-ms)}"
    parts = []
    for unit, size in UNITS:
        count, ms = divmod(ms, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def parse_moment(text: str, now: int) -> int | None:
    """
    Milliseconds after ``now`` (UTC milliseconds) of a span or an RFC 3339 instant; None where it is
    neither.
    """
    span = parse_span(text)
    if span is not None:
        return span
    instant = rfc3339_ms(text)
    return None if instant is None else instant - now


def read_span(node: Node | None, called: str, report: Report) -> int | None:
    """The milliseconds of a node, else a problem and None; nothing for an absent one."""
    if node is None:
        return None
    span = parse_span(node.text) if node.kind not in ("map", "list") else None
    if span is None:
        report.error(
            node.position,
            f"{called} is not a time span",
            "write a number and a unit: 30s, 10m, 1h30m",
        )
    return span


def read_instant(node: Node | None, called: str, report: Report) -> int | None:
    """UTC milliseconds of a node that holds an RFC 3339 time, else a problem and None."""
    if node is None:
        return None
    instant = rfc3339_ms(node.value) if node.kind == "str" else None
    if instant is None:
        report.error(
            node.position, f"{called} is not an RFC 3339 time", 'write "2026-11-21T10:00:00+02:00"'
        )
    return instant
