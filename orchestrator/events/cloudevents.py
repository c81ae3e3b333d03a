"""
CloudEvents 1.0 in, from HTTP and Kafka alike: structured, binary, batch.

    parse_structured(body)          one event as JSON
    parse_binary(headers, body)     attributes in headers, data in the body
    parse_batch(body)               an array; a malformed event does not refuse the others
    parse_kafka(value, headers)     whichever of the first two a record is

Raises ``Malformed`` with the field, what is wrong and how to fix it; never with a value of the
event in it.

Reference: CloudEvents 1.0.2, JSON event format, HTTP and Kafka protocol bindings.
"""

from __future__ import annotations

import hashlib
import json
import re
import urllib.parse
from collections.abc import Mapping
from typing import Any

from orchestrator.channels.address_kinds import CONTROL, Misshapen
from orchestrator.core.inside import PREFIX, SOURCE, is_inside
from orchestrator.core.values import replace
from orchestrator.events.data import read_data, read_recipients
from orchestrator.events.event import Event
from orchestrator.events.malformed import Malformed, malformed, read_json
from orchestrator.primitives import strict_json as strictjson
from orchestrator.primitives.trace_context import TRACEPARENT, parse_traceparent
from orchestrator.recipients.fields import rfc3339_ms

EVENT_BYTES_MAX = 256 * 1024
BATCH_BYTES_MAX = 4 * 1024 * 1024
BATCH_VALUES_MAX = 200_000
BATCH_EVENTS_MAX = 1_000
TEXT_LENGTH_MAX = 1_024
AHEAD_MS_MAX = 5 * 60_000
NOT_BEFORE = "kaskadnotbefore"
"""An extension attribute: when the event's messages start."""
NOT_BEFORE_DAYS_MAX = 366
DAY_MS = 24 * 3_600_000
EXAMPLE_FIELDS_MAX = 8
ATTRIBUTE = re.compile(r"[a-z0-9]{1,64}")
ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
QUOTED_PAIR = re.compile(r"\\(.)")
INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1
REQUIRED = ("id", "source", "type")
ORDINARY = frozenset({*REQUIRED, "specversion", "subject", "time", "datacontenttype", "dataschema"})
NOT_ATTRIBUTES = frozenset({"data", "data_base64"})
UNSAID = frozenset({"specversion", "datacontenttype", TRACEPARENT, "tracestate"})
"""What says how an event is sent, and nothing of what happened: a repeat may have another."""
PEOPLE = frozenset({"recipient", "recipients"})


def parse_structured(body: bytes) -> Event:
    """One event whose attributes and data stand in one JSON object."""
    if len(body) > EVENT_BYTES_MAX:
        raise too_large()
    return read_event(read_json(body))


def parse_batch(body: bytes) -> list[Event | Malformed]:
    """Each event of an array, or its error."""
    if len(body) > BATCH_BYTES_MAX:
        raise Malformed("too_large", "", "the batch is larger than 4 MiB", "send smaller batches")
    if body.count(b",") + body.count(b"{") + body.count(b"[") > BATCH_VALUES_MAX:
        what = f"the batch has more than {BATCH_VALUES_MAX} values"
        raise Malformed("too_large", "", what, "send smaller batches")
    try:
        # an event in a batch may be nested as deeply as one alone
        found, plain = strictjson.parse_loosely(body, strictjson.DEPTH_MAX + 1)
    except strictjson.NotJson as error:
        raise malformed(error) from None
    if not isinstance(found, list):
        raise Malformed("not_a_batch", "", "a batch is a JSON array", "send [event, event, …]")
    if len(found) > BATCH_EVENTS_MAX:
        raise Malformed(
            "too_large",
            "",
            f"the batch has more than {BATCH_EVENTS_MAX} events",
            "send smaller batches",
        )
    roomy = len(body) <= EVENT_BYTES_MAX
    return [try_event(one, plain, roomy) for one in found]


def try_event(found: Any, plain: bool, roomy: bool) -> Event | Malformed:
    """
    One event of a batch, or its error; ``plain`` and ``roomy``: the batch has no oddities, and is
    too small to have an event that is too large.
    """
    try:
        if not plain:
            strictjson.refuse_oddities(found)
        if not roomy and len(strictjson.canonical(found)) > EVENT_BYTES_MAX:
            return too_large()
        return read_event(found)
    except strictjson.NotJson as error:
        return malformed(error)
    except Malformed as problem:
        return problem


def parse_binary(headers: Mapping[str, str], body: bytes, prefix: str = "ce-") -> Event:
    """
    Attributes in headers (``ce-…`` percent-encoded in HTTP, ``ce_…`` in Kafka), data in the body.
    """
    if len(body) > EVENT_BYTES_MAX:
        raise too_large()
    found: dict[str, Any] = {}
    content_type = ""
    for name, value in headers.items():
        lower = name.lower()
        if lower == "content-type":
            content_type = value
        elif lower.startswith(prefix):
            attribute = lower[len(prefix) :]
            if attribute in NOT_ATTRIBUTES or attribute in found:
                raise Malformed(
                    "bad_attribute",
                    attribute,
                    "it stands there twice, or is no attribute",
                    "send it once",
                )
            found[attribute] = decoded(value, attribute) if prefix == "ce-" else value
    if content_type:
        found["datacontenttype"] = content_type
    found["data"] = read_json(body) if body else None
    return read_event(found)


def decoded(value: str, attribute: str) -> str:
    """
    A header's value without its quotes and its percent-encoding (HTTP binding 3.1.3.2: first a
    quoted string of RFC 9110 5.6.4 is unescaped, then the percent-encoding is undone).
    """
    value = value.strip(" \t")
    if value.startswith('"'):
        if not QUOTED.fullmatch(value):
            fix = 'close the quotes, with \\" for a quote inside them, or leave them out'
            raise Malformed("bad_attribute", attribute, "its quotes are not balanced", fix)
        value = QUOTED_PAIR.sub(r"\1", value[1:-1])
    try:
        if ESCAPE.search(value):
            raise ValueError
        return urllib.parse.unquote(value, errors="strict") if "%" in value else value
    except ValueError:
        fix = "percent-encode UTF-8, and write % itself as %25"
        raise Malformed(
            "bad_attribute", attribute, "the header is not percent-encoded UTF-8", fix
        ) from None


def parse_kafka(value: bytes | None, headers: Mapping[str, str]) -> Event:
    """
    An event from a Kafka record: structured by its content type or if it has no ``ce_`` headers,
    else binary. ``headers`` have lower-case names. A binary record may have no value: an event
    without data.
    """
    binary = any(name.startswith("ce_") for name in headers)
    content_type = headers.get("content-type", "").lower().strip()
    if content_type.startswith("application/cloudevents-batch"):
        raise Malformed("not_an_event", "", "Kafka has no batches", "write one event a record")
    structured = content_type.startswith("application/cloudevents") or not binary
    if value is None and structured:
        raise Malformed("no_value", "", "the record has no value", "a tombstone is no event")
    if structured:
        return parse_structured(value or b"")
    return parse_binary(headers, value or b"", "ce_")


def too_large() -> Malformed:
    return Malformed(
        "too_large",
        "",
        "the event is larger than 256 KiB",
        "send a reference to large data instead",
    )


def read_event(found: Any) -> Event:
    """An event from its parsed JSON."""
    if isinstance(found, list):
        fix = "send application/cloudevents-batch+json for several at once"
        raise Malformed(
            "not_an_event", "", "an event is a JSON object, not an array", fix, example({})
        )
    if not isinstance(found, dict):
        raise Malformed(
            "not_an_event",
            "",
            "an event is a JSON object",
            "send one like the example",
            example({}),
        )
    if "specversion" not in found:
        fix = "wrap it as the example shows"
        raise Malformed(
            "not_a_cloudevent", "specversion", "this is no CloudEvent", fix, example(found)
        )
    if found["specversion"] != "1.0":
        raise Malformed(
            "bad_attribute",
            "specversion",
            "only CloudEvents 1.0 are read",
            'write "specversion": "1.0"',
        )
    attributes = read_attributes(found)
    data = read_data(found, attributes.get("datacontenttype"))
    try:
        recipients, warnings = read_recipients(data, attributes.get("subject"))
    except Misshapen as problem:
        raise Malformed("bad_recipient", problem.field, problem.what, problem.fix) from None
    return Event(
        id=attributes["id"],
        source=attributes["source"],
        type=attributes["type"],
        time=read_time(attributes.get("time"), "time"),
        not_before=read_time(attributes.get(NOT_BEFORE), NOT_BEFORE),
        attributes=attributes,
        data=(
            data
            if PEOPLE.isdisjoint(data)
            else {name: data[name] for name in data if name not in PEOPLE}
        ),
        recipients=recipients,
        digest=digest(attributes, data),
        warnings=warnings,
    )


def digest(attributes: Mapping[str, Any], data: Mapping[str, Any]) -> bytes:
    """
    A hash that is the same for every way to send an event: key order, white space, ``1.0`` for
    ``1``, the content mode and a JSON content type make no difference. Attributes count by their
    canonical text, which is all that headers can say (CloudEvents 1.0.2, "Type System").
    """
    said = {name: value for name, value in attributes.items() if name not in UNSAID}
    whole: dict[str, Any] = {name: canonical_text(name, value) for name, value in said.items()}
    whole["data"] = data
    try:
        return hashlib.sha256(strictjson.canonical(whole)).digest()
    except strictjson.NotJson as error:
        raise malformed(error) from None


def canonical_text(name: str, value: Any) -> str:
    """An attribute as a header would have it: ``true``, ``-5``; a time as the instant it names."""
    if isinstance(value, bool):
        return "true" if value else "false"
    at = rfc3339_ms(value) if name in ("time", NOT_BEFORE) else None
    return str(value if at is None else at)


def read_attributes(found: Mapping[str, Any]) -> dict[str, Any]:
    """The context attributes, with names and types checked; null counts as absent."""
    attributes: dict[str, Any] = {}
    for name, value in found.items():
        if name in NOT_ATTRIBUTES or value is None:
            continue
        if name not in ORDINARY and not ATTRIBUTE.fullmatch(name):
            fix = (
                "attribute names are lower-case letters and digits; everything else belongs into"
                " data"
            )
            raise Malformed("bad_attribute", name[:64], "this is no attribute name", fix)
        if isinstance(value, str):
            check_text(name, value)
        elif not isinstance(value, int):
            raise Malformed(
                "bad_attribute",
                name,
                "attributes are strings, whole numbers or booleans",
                "put it into data",
            )
        elif not INT32_MIN <= value <= INT32_MAX:
            raise Malformed(
                "bad_attribute",
                name,
                "a whole number in an attribute has 32 bits",
                "send it as a string",
            )
        attributes[name] = value
    for name in REQUIRED:
        value = attributes.get(name)
        if not isinstance(value, str) or not value.strip():
            raise Malformed(
                "missing_attribute", name, "it must be a non-empty string", f'add "{name}": "…"'
            )
    if "subject" in attributes and not isinstance(attributes["subject"], str):
        raise Malformed(
            "bad_attribute", "subject", "it must be a string", 'write "subject": "user-42"'
        )
    return attributes


def check_text(name: str, value: str) -> None:
    """The length and characters of one attribute (CloudEvents 1.0.2, "Type System")."""
    if len(value) > TEXT_LENGTH_MAX:
        raise Malformed(
            "bad_attribute", name, f"it is longer than {TEXT_LENGTH_MAX} characters", "shorten it"
        )
    if not value.isprintable() and CONTROL.search(value):
        raise Malformed("bad_attribute", name, "it has control characters in it", "leave them out")


def with_trace(event: Event, header: str | None) -> Event:
    """
    The event with the trace context of the request or record that brought it, unless it names one
    itself: that one says where it comes from, however often it was passed on (CloudEvents'
    distributed tracing extension).
    """
    found = parse_traceparent(header)
    if found is None or parse_traceparent(event.attributes.get(TRACEPARENT)) is not None:
        return event
    return replace(event, attributes={**event.attributes, TRACEPARENT: str(found)})


def read_time(value: Any, name: str) -> int | None:
    """UTC milliseconds of an RFC 3339 timestamp."""
    if value is None:
        return None
    at = rfc3339_ms(value)
    if at is None:
        raise Malformed(
            "bad_attribute",
            name,
            "it is not an RFC 3339 time (from 1970 to 9999)",
            'write "2026-11-21T10:00:00Z"',
        )
    return at


def refuse_at_the_door(event: Event, now: int) -> None:
    """Raise ``Malformed`` for an event that nobody outside may publish."""
    refuse_future(event, now)
    refuse_reserved(event)


def refuse_reserved(event: Event) -> None:
    """Raise ``Malformed`` for an event that looks as if it had happened inside."""
    if is_inside(event.type) or event.source == SOURCE:
        field = "type" if is_inside(event.type) else "source"
        what = f"types that begin with `{PREFIX}` and the source `{SOURCE}` are Kaskad's own"
        raise Malformed("reserved", field, what, "name your own event otherwise")


def refuse_future(event: Event, now: int) -> None:
    """
    Raise ``Malformed`` for an event that says it happened later than now; clocks may differ by some
    minutes. Messages that start later say so in ``kaskadnotbefore``, and within a year.
    """
    if event.time is not None and event.time - now > AHEAD_MS_MAX:
        what = "it is more than 5 minutes in the future"
        fix = f"send when it happened; when its messages start is {NOT_BEFORE}"
        raise Malformed("time_in_future", "time", what, fix)
    if event.not_before is not None and event.not_before - now > NOT_BEFORE_DAYS_MAX * DAY_MS:
        what = f"it is more than {NOT_BEFORE_DAYS_MAX} days in the future"
        raise Malformed("not_before_too_far", NOT_BEFORE, what, "publish the event later")


def example(found: Mapping[str, Any]) -> dict[str, Any]:
    """
    A CloudEvent made of plain JSON: the sent fields become its data if they are short. Only the
    sender sees this; the text of an error never quotes an event.
    """
    data = {name: value for name, value in found.items() if name not in REQUIRED and name != "data"}
    if isinstance(found.get("data"), dict):
        data |= found["data"]
    short = {
        name: data[name]
        for name in list(data)[:EXAMPLE_FIELDS_MAX]
        if len(json.dumps(data[name])) <= TEXT_LENGTH_MAX
    }
    if not isinstance(short.get("recipient"), dict) and not isinstance(
        short.get("recipients"), list
    ):
        short["recipient"] = {"id": "user-42"}
    given = {
        name: found[name]
        for name in REQUIRED
        if isinstance(found.get(name), str) and found[name].strip()
    }
    made = {
        "id": "order-981-shipped",
        "source": "shop/orders",
        "type": "shop.order.shipped",
    } | given
    return {"specversion": "1.0", **made, "data": short}
