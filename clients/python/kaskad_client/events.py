"""Events in, and what became of them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, TypedDict

from kaskad_client.errors import ApiError, BadEvent


def now() -> datetime:
    return datetime.now(UTC)


def instant(at: datetime) -> str:
    """RFC 3339 in UTC. Raises ``BadEvent`` for a time without a zone: it could be any instant."""
    if at.tzinfo is None:
        raise BadEvent("a time needs its zone: datetime.now(UTC), not datetime.now()")
    return at.astimezone(UTC).isoformat()


@dataclass(frozen=True, kw_only=True)
class Event:
    """
    A CloudEvent. Its ``id`` and ``time`` are chosen once, when it is made: publishing the same
    object again, in whatever way, does nothing twice. An ``id`` that your own data have (an order's
    number and what happened to it) keeps that true when your program is restarted.

    ``data`` names its recipient in ``recipient`` or ``recipients``; without them ``subject`` is the
    recipient's id. ``not_before`` is when its messages start. ``extensions`` are further context
    attributes: names of lower-case letters and digits. An empty ``source`` is the client's.
    """

    type: str
    data: Mapping[str, Any]
    source: str = ""
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    time: datetime = field(default_factory=now)
    subject: str | None = None
    not_before: datetime | None = None
    extensions: Mapping[str, str | int | bool] = field(default_factory=dict)

    def body(self, source: str) -> bytes:
        """Structured JSON. Raises ``BadEvent`` without any source, or for what is not JSON."""
        if not (self.source or source):
            raise BadEvent("an event needs a source: Kaskad(…, source='shop/orders')")
        found: dict[str, Any] = {
            "specversion": "1.0",
            "id": self.id,
            "source": self.source or source,
            "type": self.type,
            "time": instant(self.time),
            **self.extensions,
        }
        if self.subject is not None:
            found["subject"] = self.subject
        if self.not_before is not None:
            found["kaskadnotbefore"] = instant(self.not_before)
        found["data"] = self.data
        try:
            text = json.dumps(found, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
            return text.encode()
        except (TypeError, ValueError) as error:
            raise BadEvent(f"event {self.id} of {self.type} is not JSON: {error}") from error


class EventFields(TypedDict, total=False):
    """What ``publish`` takes of an ``Event`` besides its type and data."""

    source: str
    id: str
    time: datetime
    subject: str | None
    not_before: datetime | None
    extensions: Mapping[str, str | int | bool]


def event_of(type: str | Event, data: Mapping[str, Any] | None, fields: EventFields) -> Event:
    """The event that ``publish`` was called with."""
    if isinstance(type, str):
        return Event(type=type, data=data or {}, **fields)
    if data is not None or fields:
        raise TypeError("publish takes an Event, or the type and data of one, not both")
    return type


@dataclass(frozen=True)
class Warned:
    """A part of a recipient that could not be used."""

    recipient: str | None
    field: str
    what: str
    fix: str


@dataclass(frozen=True)
class Refused:
    """Why one event of a batch was refused; ``what`` says how to fix it."""

    code: str
    field: str
    what: str


@dataclass(frozen=True)
class Result:
    """
    What became of one event. ``messages`` are the ids of those that it started, or has ended as
    their goal. ``nearest`` is a type that a policy listens to, and that looks like this one.
    """

    id: str
    source: str
    status: Literal["accepted", "duplicate", "goal", "unmatched", "refused"]
    messages: tuple[str, ...] = ()
    warnings: tuple[Warned, ...] = ()
    nearest: str | None = None
    error: Refused | None = None


def result_of(event: Event, source: str, found: Mapping[str, Any]) -> Result:
    """One of the ``results`` of an answer; keys of a later version are left out."""
    error = found.get("error")
    return Result(
        id=event.id,
        source=event.source or source,
        status=found["status"],
        messages=tuple(found.get("messages", ())),
        warnings=tuple(
            Warned(one["recipient"], one["field"], one["what"], one["fix"])
            for one in found.get("warnings", ())
        ),
        nearest=found.get("nearest"),
        error=None if error is None else Refused(error["code"], error["field"], error["what"]),
    )


def refused(event: Event, source: str, error: ApiError) -> Result:
    """An event that was refused alone."""
    why = Refused(error.code, error.field or "", error.detail)
    return Result(event.id, event.source or source, "refused", error=why)
