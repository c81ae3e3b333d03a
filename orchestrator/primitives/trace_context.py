"""
W3C trace context, and the ids of a message's own trace, which follow from the message's id alone.

A message's id is a ULID of 128 bits, and so is a trace id: they are the same number. So every
process that works on a message knows its trace, and nothing is stored for it.

Reference: W3C Trace Context (level 1), "traceparent Header".
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from orchestrator.primitives.ids import decode

TRACEPARENT = "traceparent"
"""A header of HTTP and Kafka, and an attribute of CloudEvents' distributed tracing extension."""
FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
NO_TRACE, NO_SPAN = "0" * 32, "0" * 16
SAMPLED = 1
ROOT = "accept"
"""The name of a message's first span."""


class TraceContext(NamedTuple):
    """A span somewhere, by ids in lower-case hexadecimal; ``sampled``: its publisher records it."""

    trace_id: str
    span_id: str
    sampled: bool = True

    def __str__(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"


def parse_traceparent(text: Any) -> TraceContext | None:
    """The span that a ``traceparent`` names, None if it is none: tracing refuses no event."""
    found = FORM.fullmatch(text.strip(" \t")) if isinstance(text, str) else None
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == "ff" or (version == "00" and more) or trace_id == NO_TRACE or span_id == NO_SPAN:
        return None
    return TraceContext(trace_id, span_id, bool(int(flags, 16) & SAMPLED))


def trace_id_of(message: str) -> str:
    """The trace of a message, by its id. Raises ``ValueError`` if that is no ULID."""
    return f"{decode(message):032x}"


def span_id_of(message: str, name: str) -> str:
    """A span that others refer to: the same in every process that names it."""
    return hashlib.blake2b(f"{message}/{name}".encode(), digest_size=8).hexdigest()


def is_sampled(message: str, event: Mapping[str, Any], share: float) -> bool:
    """
    Whether a message's trace is recorded: as its publisher has decided for the event's own trace,
    else by chance, for this share of messages. Each process comes to the same answer.
    """
    publisher = publisher_of(event)
    if publisher is not None:
        return publisher.sampled
    return zlib.crc32(message.encode()) < share * 2**32


def publisher_of(event: Mapping[str, Any]) -> TraceContext | None:
    """The publisher's span; ``event`` is the one that is stored with a message."""
    attributes = event.get("ce") or {}  # empty once its recipient was erased
    return parse_traceparent(attributes.get(TRACEPARENT))


def message_context(message: str, event: Mapping[str, Any], share: float) -> TraceContext:
    """The first span of a message's trace, for those who hear of the message."""
    sampled = is_sampled(message, event, share)
    return TraceContext(trace_id_of(message), span_id_of(message, ROOT), sampled)
