"""
How things look outside: messages, recipients, dead letters. Times are RFC 3339 with milliseconds,
in UTC.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.core.message import Attempt, Message
from orchestrator.core.recipient import Address
from orchestrator.explain import readable_instants
from orchestrator.primitives.durations import rfc3339
from orchestrator.stores.rows import DeadLetterRow, StoredMessage

HIDDEN = ("cap_usages", "goals", "consents")
INSTANTS = ("at", "until")


def message_view(message: Message, event: Mapping[str, Any]) -> dict[str, Any]:
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
        "status": message.status.value,
        "reason": message.reason.value if message.reason is not None else None,
        "reason_detail": message.reason_detail or None,
        "succeeded_by": message.succeeded_by,
        "flags": list(message.flags),
        "cost": cost_view(message),
        "step": steps[-1].step if steps else None,
        "created_at": rfc3339(message.created_at),
        "deadline_at": rfc3339(message.deadline_at),
        "finished_at": instant(message.finished_at),
        "attempts": [attempt_view(attempt) for attempt in message.attempts],
    }


def instant(at: int | None) -> str | None:
    return rfc3339(at) if at is not None else None


def cost_view(message: Message) -> dict[str, Any] | None:
    """
    What the attempts that were, or may have been, taken cost; None where the installation has no
    currency.
    """
    if message.currency is None:
        return None
    return {"amount": format(message.spent(), "f"), "currency": message.currency}


def attempt_view(attempt: Attempt) -> dict[str, Any]:
    """
    One provider call. ``address`` is masked; ``times`` has the intent, the answer and every state
    heard.
    """
    error = None
    if attempt.reason is not None:
        error = {
            "reason": attempt.reason.value,
            "code": attempt.code,
            "detail": attempt.detail or None,
        }
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
        "cost": attempt.cost,
        "content_hash": attempt.content_hash or None,
    }


def full_view(stored: StoredMessage) -> dict[str, Any]:
    """A message with everything that was checked and decided."""
    return message_view(stored.message, stored.event) | {
        "trace": [trace_view(entry) for entry in stored.history]
    }


def trace_view(entry: Mapping[str, Any]) -> dict[str, Any]:
    """One fact: what was asked, what was decided, what was done."""
    return {
        "at": rfc3339(entry["at"]),
        "fact": readable(entry["fact"]),
        "checks": [check_view(check) for check in entry.get("checks", ())],
        "decision": [readable_instants(said) for said in entry["decision"]],
        "effects": readable(entry["effects"]),
    }


def check_view(check: Mapping[str, Any]) -> dict[str, Any]:
    """One gate's verdict; ``rule`` names the cap, gap or window where there is one."""
    shown = {name: check.get(name) for name in ("gate", "verdict", "reason", "value", "limit")}
    shown["until"] = instant(check.get("until"))
    return shown | {name: value for name, value in check.items() if name not in shown}


def readable(value: Any) -> Any:
    """The same with every instant as a time: they are named ``at``, ``until`` or ``…_at``."""
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


def recipient_view(
    document: Mapping[str, Any], marks: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """A profile with its consents and what is marked of its addresses."""
    shown = {name: value for name, value in document.items() if name not in HIDDEN}
    return shown | {"consents": consents_view(document), "suppressions": list(marks)}


def consents_view(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The whole history of a document's consents, oldest first."""
    return [consent_view(row) for row in document.get("consents", ())]


def consent_view(row: Sequence[Any]) -> dict[str, Any]:
    channel, topic, state, at, source, classes = row
    shown = {
        "channel": channel,
        "topic": topic,
        "state": state,
        "at": rfc3339(at),
        "source": source,
    }
    return shown | ({"classes": classes} if classes else {})


def mark_view(address: Address, mark: Mapping[str, Any]) -> dict[str, Any]:
    """Why an address is not used: proven dead by a provider, in its own words ``detail``."""
    known = {name: mark.get(name) for name in ("reason", "provider", "detail")}
    return {"kind": address.kind, "address": address.value, "at": rfc3339(mark["at"]), **known}


def dead_letter_view(letter: DeadLetterRow) -> dict[str, Any]:
    """The body as text where it is some, else as base64."""
    body = letter.body
    try:
        shown = {"body": body.decode()}
    except UnicodeDecodeError:
        shown = {"body_base64": base64.b64encode(body).decode()}
    return {
        "id": letter.id,
        "at": rfc3339(letter.at),
        "origin": letter.origin,
        "reason": letter.reason,
        "detail": letter.detail,
        "headers": letter.headers,
        **shown,
        "replayed_at": instant(letter.replayed_at),
    }
