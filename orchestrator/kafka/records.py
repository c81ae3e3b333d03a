"""
A record as a command: an event, or a dead letter that says what is wrong with it.

Anybody may write headers: a ``ce_`` header that is not UTF-8 or occurs twice makes the record
malformed (two ids must never look the same); other headers are ignored.
"""

from __future__ import annotations

import re

from aiokafka import ConsumerRecord, TopicPartition

from orchestrator.engine.commands import Command, DeadLetter, Publish
from orchestrator.events.cloudevents import parse_kafka, refuse_at_the_door, with_trace
from orchestrator.events.malformed import Malformed
from orchestrator.primitives.trace_context import TRACEPARENT

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
HEADERS_KEPT_MAX = 64
HEADER_LENGTH_MAX = 2_048


def command_of(record: ConsumerRecord, now: int) -> Command:
    """The event in a record, or its dead letter; ``now`` is UTC milliseconds."""
    try:
        event = parse_kafka(record.value, event_headers(record))
        refuse_at_the_door(event, now)
        return Publish(with_trace(event, trace_header(record)))
    except Malformed as problem:
        return dead_letter(record, problem.code, str(problem))
    except Exception as error:  # whatever a record does to its parser, it is settled
        detail = f"the record cannot be read ({type(error).__name__})"
        return dead_letter(record, "unreadable", detail)


def event_headers(record: ConsumerRecord) -> dict[str, str]:
    """The ``ce_`` headers and the content type, names in lower case. Raises ``Malformed``."""
    found: dict[str, str] = {}
    for written, value in record.headers:
        name = written.lower()
        if value is None or not (name.startswith("ce_") or name == "content-type"):
            continue
        field = name.removeprefix("ce_")[:64]
        if name in found:
            raise Malformed("bad_attribute", field, "the header stands there twice", "send it once")
        try:
            found[name] = value.decode()
        except UnicodeDecodeError:
            raise Malformed(
                "bad_attribute", field, "the header is not UTF-8", "send it as UTF-8"
            ) from None
    return found


def trace_header(record: ConsumerRecord) -> str | None:
    """The trace context beside the event, if its producer has written one."""
    for name, value in record.headers:
        if value is not None and name.lower() == TRACEPARENT:
            return str(value.decode("ascii", "replace"))
    return None


def origin_of(record: ConsumerRecord) -> str:
    """The place of a record: ``kafka:topic/partition/offset``."""
    return f"kafka:{record.topic}/{record.partition}/{record.offset}"


def dead_letter(record: ConsumerRecord, reason: str, detail: str) -> DeadLetter:
    """A dead letter with the record's body, and its headers as text that any store can keep."""
    headers = {}
    for name, value in record.headers[:HEADERS_KEPT_MAX]:
        if value is not None:
            text = value[:HEADER_LENGTH_MAX].decode("utf-8", "replace")
            headers[CONTROL.sub("�", name[:HEADER_LENGTH_MAX])] = CONTROL.sub("�", text)
    return DeadLetter(origin_of(record), reason, detail, record.value or b"", headers)


def unreadable(partition: TopicPartition, offset: int, error: str) -> DeadLetter:
    """A dead letter without a body, for a record that the client library cannot parse."""
    origin = f"kafka:{partition.topic}/{partition.partition}/{offset}"
    detail = f"the record cannot be parsed ({error}); its topic still has it"
    return DeadLetter(origin, "unreadable", detail, b"")
