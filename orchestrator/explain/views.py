"""
The public shapes of a message, declared once.

``GET /v1/messages/{id}`` answers with a ``FullMessageView``, lists and status events have a
``MessageView``, and the explanation's ``message`` is a ``FullMessageView`` with more keys. The
OpenAPI document is made of the same types. Times are RFC 3339 in UTC with milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, TypedDict

from msgspec import Meta

from orchestrator.core.gates import Verdict
from orchestrator.core.message import FLAGS, Attempt, Message, Status
from orchestrator.core.outcomes import OutcomeKind
from orchestrator.core.policy import CLASSES
from orchestrator.core.reasons import Reason
from orchestrator.core.recipient import Instant
from orchestrator.core.status import Delivery
from orchestrator.explain.words import is_millis, readable_instants
from orchestrator.primitives.durations import rfc3339
from orchestrator.stores.rows import StoredMessage

INSTANTS = ("at", "until")

Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
Times = dict[str, Time]
Flag = Annotated[str, Meta(extra_json_schema={"enum": list(FLAGS)})]
MessageClass = Annotated[str, Meta(extra_json_schema={"enum": list(CLASSES)})]
Amount = Annotated[str, Meta(description="A decimal number.")]


class EventReference(TypedDict):
    source: str
    id: str
    type: str


class CostView(TypedDict):
    amount: Amount
    currency: str


class ErrorView(TypedDict):
    """Why an attempt failed: our reason, and the provider's own code and words."""

    reason: Reason
    code: str | None
    detail: str | None


class AttemptView(TypedDict):
    """One provider call."""

    number: Annotated[int, Meta(description="Counts a message's attempts from 0.")]
    step: Annotated[int, Meta(description="The step's position in the policy, from 0.")]
    channel: str
    provider: str
    provider_id: Annotated[str | None, Meta(description="The provider's id of the message.")]
    address: Annotated[str, Meta(description="Masked.")]
    outcome: OutcomeKind
    state: Delivery
    engagement: Annotated[Times, Meta(description="What the recipient did, with its first time.")]
    error: ErrorView | None
    times: Annotated[
        Times, Meta(description="`intent`, `answered`, and the first time of every reported state.")
    ]
    parts: Annotated[int | None, Meta(description="How many SMS it was.")]
    cost: Amount | None
    content_hash: str | None
    choice: Annotated[
        str | None, Meta(description="Of the choices that it offers, the one that was chosen last.")
    ]


class MediaView(TypedDict):
    """A picture, a file or a voice message; `url` fetches it, with an API key."""

    kind: Literal["image", "video", "audio", "file"]
    url: str
    bytes: Annotated[int | None, Meta(description="Its size; null: the provider does not say.")]


class AnswerView(TypedDict):
    """What a person has written or pressed; `choice` is the id of the choice that it means."""

    attempt: Annotated[int, Meta(description="The attempt that it answers.")]
    channel: str
    at: Time
    text: str
    choice: str | None
    media: list[MediaView]


class CheckView(TypedDict):
    """One gate's answer."""

    gate: str
    verdict: Verdict
    reason: Reason | None
    value: Annotated[str | None, Meta(description="What the gate found.")]
    limit: Annotated[str | None, Meta(description="What it was compared with.")]
    until: Annotated[Time | None, Meta(description="When a hold is asked again.")]
    rule: Annotated[str | None, Meta(description="The cap, gap or window that was asked.")]
    step: int | None


class TraceEntry(TypedDict):
    """
    One fact, what was checked and decided on it, and what was done; ``again`` counts the facts just
    before it that only held the message once more and have no entry.
    """

    at: Time
    again: int
    fact: Annotated[dict[str, Any], Meta(extra_json_schema={"required": ["kind"]})]
    checks: list[CheckView]
    decision: list[str]
    effects: list[dict[str, Any]]


class DigestView(TypedDict):
    """The events of a message with a digest."""

    events: Annotated[int, Meta(description="How many it is made of.")]
    more: Annotated[int, Meta(description="How many came beyond the digest's `max`.")]


ClassKey = TypedDict("ClassKey", {"class": MessageClass})


class MessageView(ClassKey):
    """One message of one policy to one recipient."""

    id: str
    event: EventReference
    recipient: str
    policy: str
    policy_version: str
    topic: str
    status: Status
    reason: Reason | None
    reason_detail: str | None
    succeeded_by: Annotated[str | None, Meta(description="The channel that reached the recipient.")]
    flags: list[Flag]
    cost: Annotated[
        CostView | None,
        Meta(description="Of every attempt that was, or may have been, sent; null: no currency."),
    ]
    step: Annotated[int | None, Meta(description="The current step's position, from 0.")]
    created_at: Time
    starts_at: Annotated[
        Time,
        Meta(
            description="`created_at`; later if its event has `kaskadnotbefore`, or its policy a"
            " `digest` or `send_at`."
        ),
    ]
    deadline_at: Time
    finished_at: Annotated[Time | None, Meta(description="Its first end.")]
    reached_at: Annotated[
        Time | None,
        Meta(description="When it succeeded; after `finished_at` if a late receipt corrected it."),
    ]
    retry_of: Annotated[str | None, Meta(description="The message that this one is a retry of.")]
    retried_as: Annotated[str | None, Meta(description="The message that is its retry.")]
    caused_by: Annotated[
        str | None,
        Meta(description="The message whose `kaskad.…` event has started this one."),
    ]
    hops: Annotated[
        int, Meta(description="How many messages have started each other up to this one.")
    ]
    digest: Annotated[DigestView | None, Meta(description="null: its policy has no digest.")]
    attempts: list[AttemptView]


class FullMessageView(MessageView):
    """
    A message with everything that was answered, checked and decided. ``arm`` is that of its
    policy's experiment, ``converted_at`` when what it was sent for came of it.
    """

    journey: Annotated[str | None, Meta(description="The run of a journey that has sent it.")]
    arm: str | None
    converted_at: Time | None
    replies: list[AnswerView]
    trace: list[TraceEntry]


def message_view(message: Message, event: Mapping[str, Any]) -> MessageView:
    """A message without its trace, as lists and status events have it."""
    steps = [run for run in message.runs if not run.companion]
    return {
        "id": message.id,
        "event": {
            "source": message.event_source,
            "id": message.event_id,
            "type": message.event_type,
        },
        "recipient": message.recipient,
        "policy": message.policy,
        "policy_version": message.policy_version,
        "class": message.message_class,
        "topic": message.topic,
        "status": message.status,
        "reason": message.reason,
        "reason_detail": message.reason_detail or None,
        "succeeded_by": message.succeeded_by,
        "flags": list(message.flags),
        "cost": cost_view(message),
        "step": steps[-1].step if steps else None,
        "created_at": rfc3339(message.created_at),
        "starts_at": rfc3339(message.starts_at),
        "deadline_at": rfc3339(message.deadline_at),
        "finished_at": instant(message.finished_at),
        "reached_at": instant(message.reached_at),
        "retry_of": message.retry_of,
        "retried_as": message.retried_as,
        "caused_by": message.caused_by,
        "hops": message.hops,
        "digest": {"events": message.joined + 1, "more": message.left_out}
        if message.gathers
        else None,
        "attempts": [attempt_view(attempt) for attempt in message.attempts],
    }


def instant(at: Instant | None) -> str | None:
    return rfc3339(at) if at is not None else None


def cost_view(message: Message) -> CostView | None:
    if message.currency is None:
        return None
    return {"amount": format(message.spent(), "f"), "currency": message.currency}


def attempt_view(attempt: Attempt) -> AttemptView:
    return {
        "number": attempt.number,
        "step": attempt.step,
        "channel": attempt.channel,
        "provider": attempt.provider,
        "provider_id": attempt.provider_id,
        "address": attempt.address,
        "outcome": attempt.outcome,
        "state": attempt.state,
        "engagement": {state: rfc3339(at) for state, at in attempt.engagement.items()},
        "error": error_view(attempt.reason, attempt.code, attempt.detail),
        "times": {name: rfc3339(at) for name, at in times_of(attempt).items()},
        "parts": attempt.parts,
        "cost": attempt.cost if attempt.costs else None,
        "content_hash": attempt.content_hash or None,
        "choice": attempt.choice,
    }


def error_view(reason: Reason | None, code: str | None, detail: str | None) -> ErrorView | None:
    if reason is None:
        return None
    return {"reason": reason, "code": code, "detail": detail or None}


def times_of(attempt: Attempt) -> dict[str, Instant]:
    """The intent, the answer, and the first time of every reported state."""
    times = {"intent": attempt.intent_at}
    if attempt.answered_at is not None:
        times["answered"] = attempt.answered_at
    return times | attempt.times


def full_view(stored: StoredMessage) -> FullMessageView:
    """A message with its trace."""
    trace = [trace_entry(entry) for entry in stored.history]
    replies = list(answers_in(stored))
    message = stored.message
    return {
        **message_view(message, stored.event),
        "journey": message.journey,
        "arm": message.arm or None,
        "converted_at": instant(message.converted_at),
        "replies": replies,
        "trace": trace,
    }


def answers_in(stored: StoredMessage) -> Iterator[AnswerView]:
    """What was answered to a message, as far as its history has it."""
    for entry in stored.history:
        fact = entry["fact"]
        if not (reply := fact.get("reply")):
            continue
        yield {
            "attempt": fact["attempt"],
            "channel": stored.message.attempts[fact["attempt"]].channel,
            "at": rfc3339(fact["at"]),
            "text": reply.get("text", ""),
            "choice": reply.get("choice"),
            "media": [
                {"kind": one["kind"], "url": one["url"], "bytes": one.get("bytes")}
                for one in reply.get("media", ())
            ],
        }


def trace_entry(entry: Mapping[str, Any]) -> TraceEntry:
    """One line of a history, as ``history.codec`` reads it."""
    return {
        "at": rfc3339(entry["at"]),
        "again": entry.get("again", 0),
        "fact": readable(entry["fact"]),
        "checks": [check_view(check) for check in entry.get("checks", ())],
        "decision": [readable_instants(said) for said in entry["decision"]],
        "effects": readable(entry["effects"]),
    }


def check_view(check: Mapping[str, Any]) -> CheckView:
    return {
        "gate": check["gate"],
        "verdict": check["verdict"],
        "reason": check.get("reason"),
        "value": readable_value(check.get("value")),
        "limit": readable_value(check.get("limit")),
        "until": instant(check.get("until")),
        "rule": check.get("rule"),
        "step": check.get("step"),
    }


def readable_value(value: str | None) -> str | None:
    """A gate's value, with milliseconds (the deadline's) as a time."""
    return rfc3339(int(value)) if value is not None and is_millis(value) else value


def readable(value: Any) -> Any:
    """The same with every instant as a time; instants are named ``at``, ``until`` or ``…_at``."""
    if isinstance(value, Mapping):
        return {
            name: rfc3339(inner) if is_instant(name, inner) else readable(inner)
            for name, inner in value.items()
        }
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [readable(inner) for inner in value]
    return value


def is_instant(name: str, value: Any) -> bool:
    return type(value) is int and (name in INSTANTS or name.endswith("_at"))
