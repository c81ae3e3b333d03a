"""
CloudEvents 1.0 in, from HTTP and Kafka alike: structured, binary, batch.

    parse_structured(body)          one event as JSON
    parse_binary(headers, body)     attributes in headers, data in the body
    parse_batch(body)               an array; what is wrong with one event does not refuse the others
    parse_kafka(value, headers)     whichever of the first two a record is

Raises ``Malformed`` with the field, what is wrong and how to mend it; never with a value of the event in it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import urllib.parse
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from orchestrator.engine.commands import Event
from orchestrator.intake import strictjson
from orchestrator.intake.recipients import Misshapen, recipient_profile

EVENT_BYTES_MAX = 256 * 1024
BATCH_BYTES_MAX = 4 * 1024 * 1024
BATCH_EVENTS_MAX = 1_000
RECIPIENTS_MAX = 1_000
TEXT_LENGTH_MAX = 1_024
ATTRIBUTE = re.compile(r"[a-z0-9]{1,20}")
TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
REQUIRED = ("id", "source", "type")


class Malformed(ValueError):
    """``code`` is a short word, ``field`` where it is wrong, ``mend`` what to do about it."""

    def __init__(self, code: str, field: str, what: str, mend: str) -> None:
        place = f"{field}: " if field else ""
        super().__init__(f"{place}{what}; {mend}")
        self.code = code
        self.field = field
        self.what = f"{what}; {mend}"


def parse_structured(body: bytes) -> Event:
    """One event whose attributes and data stand in one JSON object."""
    if len(body) > EVENT_BYTES_MAX:
        raise too_large()
    return read_event(read_json(body))


def parse_batch(body: bytes) -> list[Event | Malformed]:
    """Each event of an array, or what is wrong with it."""
    if len(body) > BATCH_BYTES_MAX:
        raise Malformed("too_large", "", "the batch is larger than 4 MiB", "send smaller batches")
    try:
        found = strictjson.parse_loosely(body)
    except strictjson.NotJson as error:
        raise Malformed(error.code, error.where, error.what, error.mend) from None
    if not isinstance(found, list):
        raise Malformed("not_a_batch", "", "a batch is a JSON array", "send [event, event, …]")
    if len(found) > BATCH_EVENTS_MAX:
        raise Malformed("too_large", "", f"the batch has more than {BATCH_EVENTS_MAX} events", "send smaller batches")
    return [try_event(one) for one in found]


def try_event(found: Any) -> Event | Malformed:
    try:
        strictjson.refuse_oddities(found)
        event = read_event(found)
        if len(strictjson.canonical(found)) > EVENT_BYTES_MAX:
            return too_large()
        return event
    except strictjson.NotJson as error:
        return Malformed(error.code, error.where, error.what, error.mend)
    except Malformed as problem:
        return problem


def parse_binary(headers: Mapping[str, str], body: bytes, prefix: str = "ce-") -> Event:
    """Attributes in headers (``ce-…`` percent-encoded in HTTP, ``ce_…`` in Kafka), data in the body."""
    if len(body) > EVENT_BYTES_MAX:
        raise too_large()
    found: dict[str, Any] = {}
    for name, value in headers.items():
        if name.lower().startswith(prefix):
            found[name[len(prefix) :].lower()] = urllib.parse.unquote(value) if prefix == "ce-" else value
    found["data"] = read_json(body) if body else {}
    return read_event(found)


def parse_kafka(value: bytes | None, headers: Mapping[str, str]) -> Event:
    """A Kafka record: structured by its content type or by its own ``specversion``, else binary."""
    if value is None:
        raise Malformed("no_value", "", "the record has no value", "a tombstone is no event")
    content_type = headers.get("content-type", "").lower()
    has_attributes = any(name.startswith("ce_") for name in headers)
    if content_type.startswith("application/cloudevents") or not has_attributes:
        return parse_structured(value)
    return parse_binary(headers, value, "ce_")


def read_json(body: bytes) -> Any:
    try:
        return strictjson.parse(body)
    except strictjson.NotJson as error:
        raise Malformed(error.code, error.where, error.what, error.mend) from None


def too_large() -> Malformed:
    return Malformed("too_large", "", "the event is larger than 256 KiB", "send a reference to large data instead")


def read_event(found: Any) -> Event:
    """An event from its parsed JSON."""
    if not isinstance(found, dict):
        raise Malformed("not_an_event", "", "an event is a JSON object", example({}))
    if "specversion" not in found:
        raise Malformed("not_a_cloudevent", "specversion", "this is plain JSON, not a CloudEvent", example(found))
    if found["specversion"] != "1.0":
        raise Malformed("bad_attribute", "specversion", "only CloudEvents 1.0 are read", 'write "specversion": "1.0"')
    attributes = {name: value for name, value in found.items() if name not in ("data", "data_base64")}
    for name in REQUIRED:
        value = attributes.get(name)
        if not isinstance(value, str) or not value.strip():
            raise Malformed("missing_attribute", name, "it must be a non-empty string", f'add "{name}": "…"')
    check_attributes(attributes)
    data = read_data(found)
    try:
        recipients = read_recipients(data, attributes.get("subject"))
    except Misshapen as problem:
        raise Malformed("bad_recipient", problem.field, problem.what, problem.mend) from None
    return Event(
        id=attributes["id"],
        source=attributes["source"],
        type=attributes["type"],
        time=read_time(attributes.get("time")),
        attributes=attributes,
        data={name: value for name, value in data.items() if name not in ("recipient", "recipients")},
        recipients=recipients,
        digest=digest(found),
    )


def digest(found: Any) -> bytes:
    try:
        return hashlib.sha256(strictjson.canonical(found)).digest()
    except strictjson.NotJson as error:
        raise Malformed(error.code, error.where, error.what, error.mend) from None


def check_attributes(attributes: Mapping[str, Any]) -> None:
    """Names and types as the specification has them."""
    for name, value in attributes.items():
        if not ATTRIBUTE.fullmatch(name):
            mend = "attribute names are lower-case letters and digits; everything else belongs into data"
            raise Malformed("bad_attribute", name[:40], "this is no attribute name", mend)
        if isinstance(value, dict | list | float) or value is None:
            raise Malformed("bad_attribute", name, "attributes are strings, whole numbers or booleans", "put it into data")
        if isinstance(value, str) and len(value) > TEXT_LENGTH_MAX:
            raise Malformed("bad_attribute", name, f"it is longer than {TEXT_LENGTH_MAX} characters", "shorten it")


def read_time(value: Any) -> int | None:
    """UTC milliseconds of an RFC 3339 timestamp."""
    if value is None:
        return None
    if not isinstance(value, str) or not TIME.fullmatch(value):
        raise Malformed("bad_attribute", "time", "it is not an RFC 3339 time", 'write "2026-11-21T10:00:00Z"')
    try:
        moment = datetime.fromisoformat(value.upper())
    except ValueError:
        raise Malformed("bad_attribute", "time", "there is no such time", 'write "2026-11-21T10:00:00Z"') from None
    return int(moment.astimezone(UTC).timestamp() * 1000)


def read_data(found: Mapping[str, Any]) -> dict[str, Any]:
    """The event's data: an object, also from base64."""
    if "data" in found and "data_base64" in found:
        raise Malformed("bad_data", "data", "there are data and data_base64", "send one of them")
    data = found.get("data")
    if "data_base64" in found:
        try:
            data = read_json(base64.b64decode(str(found["data_base64"]), validate=True))
        except binascii.Error:
            raise Malformed("bad_data", "data_base64", "it is not base64", "encode the JSON as base64") from None
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise Malformed("bad_data", "data", "it must be a JSON object", 'write "data": {…}')
    return data


def read_recipients(data: Mapping[str, Any], subject: Any) -> list[dict[str, Any]]:
    """Whom the event is about: ``data.recipients``, ``data.recipient``, else the subject."""
    many = data.get("recipients")
    if many is not None:
        if not isinstance(many, list) or not many:
            raise Malformed("bad_recipient", "data.recipients", "it must be a non-empty list", "list the recipients")
        if len(many) > RECIPIENTS_MAX:
            what = f"there are more than {RECIPIENTS_MAX} recipients"
            raise Malformed("too_large", "data.recipients", what, "publish several events")
        return [recipient_profile(one, None, f"data.recipients[{index}]") for index, one in enumerate(many)]
    one = data.get("recipient")
    if one is None and not subject:
        mend = 'add data.recipient: {"id": "…"}, or a subject'
        raise Malformed("no_recipient", "data.recipient.id", "nobody is named", mend)
    return [recipient_profile(one if one is not None else {}, subject, "data.recipient")]


def example(found: Mapping[str, Any]) -> str:
    """How to make a CloudEvent of plain JSON, with its own names of fields."""
    names = [str(name) for name in found if name not in REQUIRED][:3]
    data = {name: "…" for name in names} or {"order_id": "…"}
    event = {
        "specversion": "1.0",
        "id": "a unique id",
        "source": "shop/orders",
        "type": "shop.order.shipped",
        "data": {**data, "recipient": {"id": "user-42"}},
    }
    return f"wrap it: {json.dumps(event, ensure_ascii=False)}"
