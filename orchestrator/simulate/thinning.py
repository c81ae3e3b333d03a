"""
A part of an event file: the newest events, or those of some people.

A sample is of people, not of events, because caps, gaps and goals tie a person's events together.
Who is in it depends on the seed and the id alone, so two files and two versions have the same
people.
"""

from __future__ import annotations

import hashlib
import json
import re

from orchestrator.events.cloudevents import parse_structured
from orchestrator.events.event import Event
from orchestrator.recipients.fields import rfc3339_ms
from orchestrator.simulate.event_file import BadEventFile, EventFile
from orchestrator.virtual.spans import parse_span

SHARE = re.compile(r"(?P<number>[0-9]{1,3}(?:\.[0-9]{1,6})?)(?P<percent>%?)")
DRAW_BYTES = 8
SPAN: int = 256**DRAW_BYTES


def read_share(text: str) -> float:
    """The share of people that ``10%`` or ``0.1`` means. Raises ``BadEventFile``."""
    match = SHARE.fullmatch(text.strip())
    share = float(match["number"]) / (100 if match["percent"] else 1) if match else 0.0
    if not 0 < share <= 1:
        raise BadEventFile(f"--sample {text!r} is no share of people; write 10% or 0.1")
    return share


def read_since(text: str, last: int) -> int:
    """
    The UTC milliseconds that ``14d`` (before ``last``) or an RFC 3339 time means. Raises
    ``BadEventFile``.
    """
    span = parse_span(text)
    instant = last - span if span is not None else rfc3339_ms(text)
    if instant is None:
        raise BadEventFile(f"--since {text!r} is no time; write 14d, 12h or 2026-11-21T00:00:00Z")
    return instant


def thinned(file: EventFile, since: str, sample: str, seed: int) -> EventFile:
    """The events that remain; "" leaves nothing out. Raises ``BadEventFile`` if none does."""
    if not since and not sample:
        return file
    first = read_since(since, file.last) if since else file.first
    share = read_share(sample) if sample else 1.0
    found = EventFile()
    for (at, line), (_, event) in zip(file.lines, file.events(), strict=True):
        wanted = [one["id"] for one in event.recipients if chosen(str(one["id"]), share, seed)]
        if at < first or not wanted:
            continue
        if len(wanted) < len(event.recipients):
            found.add(at, *without_others(line, set(wanted)))
        else:
            found.add(at, line, event)
    if not found.lines:
        raise BadEventFile(
            "--since and --sample leave no event; take an earlier time, or more people"
        )
    return found


def chosen(id: str, share: float, seed: int) -> bool:
    """Whether a person is in the sample of a seed."""
    if share >= 1:
        return True
    drawn = hashlib.blake2b(f"{seed} {id}".encode(), digest_size=DRAW_BYTES).digest()
    return int.from_bytes(drawn) / SPAN < share


def without_others(line: bytes, wanted: set[str]) -> tuple[bytes, Event]:
    """An event for several people, left with those that are wanted."""
    document = json.loads(line)
    people = document["data"]["recipients"]
    document["data"]["recipients"] = [one for one in people if one.get("id") in wanted]
    shorter = json.dumps(document, ensure_ascii=False).encode()
    return shorter, parse_structured(shorter)
