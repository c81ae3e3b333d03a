"""How things look outside: messages, recipients, dead letters."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from orchestrator.core.message import Attempt, Message
from orchestrator.core.outcomes import OutcomeKind
from orchestrator.stores.port import StoredMessage
from orchestrator.times import rfc3339

HIDDEN = ("charges", "goals")
COSTING = (OutcomeKind.PENDING, OutcomeKind.ACCEPTED, OutcomeKind.UNKNOWN)


def message_view(message: Message, event: Mapping[str, Any]) -> dict[str, Any]:
    """A message without its trace."""
    current = message.current or (message.runs[-1] if message.runs else None)
    return {
        "id": message.id,
        "event": {"source": message.event_source, "id": message.event_id, "type": message.event_type},
        "recipient": message.recipient,
        "policy": message.policy,
        "policy_version": message.policy_version,
        "class": message.klass,
        "topic": message.topic,
        "status": message.status.value,
        "reason": message.reason.value if message.reason is not None else None,
        "reason_detail": message.reason_detail or None,
        "succeeded_by": message.succeeded_by,
        "flags": list(message.flags),
        "cost": cost_view(message),
        "step": current.step if current is not None else None,
        "created_at": rfc3339(message.created_at),
        "deadline_at": rfc3339(message.deadline_at),
        "finished_at": rfc3339(message.finished_at) if message.finished_at is not None else None,
        "attempts": [attempt_view(attempt) for attempt in message.attempts],
    }


def cost_view(message: Message) -> dict[str, Any] | None:
    """What the attempts that were, or may have been, taken cost; None where no cost is known."""
    costs = [Decimal(a.cost) for a in message.attempts if a.cost is not None and a.outcome in COSTING]
    if message.currency is None:
        return None
    return {"amount": str(sum(costs, Decimal("0.00"))), "currency": message.currency}


def attempt_view(attempt: Attempt) -> dict[str, Any]:
    error = None
    if attempt.reason is not None:
        error = {"reason": attempt.reason.value, "code": attempt.code, "detail": attempt.detail or None}
    times = {"intent": rfc3339(attempt.intent_at)}
    if attempt.answered_at is not None:
        times["answered"] = rfc3339(attempt.answered_at)
    times |= {state: rfc3339(at) for state, at in attempt.times.items()}
    return {
        "number": attempt.number,
        "step": attempt.step,
        "channel": attempt.channel,
        "provider": attempt.provider,
        "provider_id": attempt.provider_id,
        "address": attempt.address,
        "outcome": attempt.outcome.value,
        "state": attempt.state.value,
        "engagement": {state: rfc3339(at) for state, at in attempt.engagement.items()},
        "error": error,
        "times": times,
        "parts": attempt.parts,
        "content_hash": attempt.content_hash or None,
    }


def full_view(stored: StoredMessage) -> dict[str, Any]:
    """A message with everything that was checked and decided."""
    return message_view(stored.message, stored.event) | {"trace": [trace_view(entry) for entry in stored.history]}


def trace_view(entry: Mapping[str, Any]) -> dict[str, Any]:
    checks = []
    for check in entry.get("checks", ()):
        shown = dict(check)
        if shown.get("until") is not None:
            shown["until"] = rfc3339(shown["until"])
        checks.append({"gate": shown.pop("gate"), "verdict": shown.pop("verdict"), **shown})
    return {
        "at": rfc3339(entry["at"]),
        "fact": entry["fact"],
        "checks": checks,
        "decision": entry["decision"],
        "effects": entry["effects"],
    }


def recipient_view(document: Mapping[str, Any], marks: Mapping[str, Any]) -> dict[str, Any]:
    """A profile with its consents and what is marked of its addresses."""
    shown = {name: value for name, value in document.items() if name not in (*HIDDEN, "consents")}
    shown["consents"] = [consent_view(row) for row in document.get("consents", ())]
    shown["marks"] = dict(marks)
    return shown


def consent_view(row: list[Any]) -> dict[str, Any]:
    channel, topic, state, at, source, classes = row
    shown = {"channel": channel, "topic": topic, "state": state, "at": rfc3339(at), "source": source}
    return shown | ({"classes": classes} if classes else {})


def dead_letter_view(letter: Mapping[str, Any]) -> dict[str, Any]:
    """The body as text where it is some, else as base64."""
    body: bytes = letter["body"]
    try:
        shown = {"body": body.decode()}
    except UnicodeDecodeError:
        shown = {"body_base64": base64.b64encode(body).decode()}
    return {
        "id": letter["id"],
        "at": rfc3339(letter["at"]),
        "origin": letter["origin"],
        "reason": letter["reason"],
        "detail": letter["detail"],
        "headers": letter["headers"],
        **shown,
        "replayed_at": rfc3339(letter["replayed_at"]) if letter["replayed_at"] else None,
    }
