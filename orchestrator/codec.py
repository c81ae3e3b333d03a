"""
How messages, facts and inputs are written as JSON, and read back.

A message's state is one document. Its history is one line a fact, appended and never rewritten:

    {"at": ms, "fact": {"kind": …}, "inputs": {…}, "checks": […], "decision": […], "effects": […]}

Addresses in a history are masked: the keyed hash is enough to replay a decision, and nobody's number is kept twice.
"""

from __future__ import annotations

from dataclasses import fields, replace
from functools import cache
from typing import Any

import orjson
from pydantic import TypeAdapter

from orchestrator.core import effects, facts, outcomes
from orchestrator.core.decide import Decision
from orchestrator.core.facts import Fact
from orchestrator.core.gates import Check
from orchestrator.core.inputs import Inputs
from orchestrator.core.message import Attempt, Message, Run, Sending, Status
from orchestrator.core.outcomes import OutcomeKind
from orchestrator.core.policy import Governance
from orchestrator.core.reasons import Reason
from orchestrator.core.recipient import Address, Charge
from orchestrator.core.status import Delivery


def encode_message(message: Message) -> bytes:
    """A message's state as JSON."""
    return orjson.dumps(message)


def decode_message(document: bytes) -> Message:
    """The message that ``encode_message`` wrote."""
    data = orjson.loads(document)
    data["status"] = Status(data["status"])
    data["reason"] = reason_or_none(data["reason"])
    data["sequence"] = tuple(data["sequence"])
    data["runs"] = [decode_run(run) for run in data["runs"]]
    data["attempts"] = [decode_attempt(attempt) for attempt in data["attempts"]]
    return Message(**data)


def decode_run(data: dict[str, Any]) -> Run:
    data["sending"] = Sending(data["sending"])
    data["held_for"] = reason_or_none(data["held_for"])
    data["ended"] = reason_or_none(data["ended"])
    return Run(**data)


def decode_attempt(data: dict[str, Any]) -> Attempt:
    data["outcome"] = OutcomeKind(data["outcome"])
    data["reason"] = reason_or_none(data["reason"])
    data["state"] = Delivery(data["state"])
    return Attempt(**data)


def reason_or_none(word: str | None) -> Reason | None:
    return Reason(word) if word is not None else None


def encode_entry(at: int, fact: Fact, inputs: Inputs, decision: Decision) -> bytes:
    """One line of a history, with its newline. Inputs are left out where the decision cannot have looked at them."""
    entry: dict[str, Any] = {"at": at, "fact": tagged(fact)}
    if decision.checks or not isinstance(fact, facts.Heard | facts.GoalReached | facts.Cancelled):
        entry["inputs"] = encode_inputs(inputs)
    if decision.checks:
        entry["checks"] = [encode_check(check) for check in decision.checks]
    entry["decision"] = decision.said
    entry["effects"] = [tagged(effect) for effect in decision.effects]
    return orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE)


def encode_check(check: Check) -> dict[str, Any]:
    """A check without what it has nothing to say of."""
    return {name: value for name in CHECK_FIELDS if (value := getattr(check, name)) is not None}


CHECK_FIELDS = tuple(field.name for field in fields(Check))


def encode_inputs(inputs: Inputs) -> dict[str, Any]:
    """The inputs, governance by its version only and addresses masked; empty parts are left out."""
    data: dict[str, Any] = {"governance": inputs.governance.version}
    for name in INPUT_FIELDS:
        value = getattr(inputs, name)
        if value:
            data[name] = value
    if inputs.addresses:
        data["addresses"] = [mask(address) for address in inputs.addresses]
    return data


INPUT_FIELDS = tuple(field.name for field in fields(Inputs) if field.name not in ("governance", "addresses"))


def mask(address: Address) -> dict[str, str]:
    """The same address with nothing in it that could be used."""
    return {"kind": address.kind, "value": address.masked(), "hash": address.hash, "country": address.country}


def tagged(value: Any) -> Any:
    """A fact or effect as a dict with its ``kind``; addresses in it masked."""
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Address):
        return mask(value)
    if isinstance(value, tuple):
        return [tagged(item) for item in value]
    kind = type(value)
    names = NAMES.get(kind)
    if names is None:
        return value
    data: dict[str, Any] = {"kind": kind.__name__}
    for name in names:
        data[name] = tagged(getattr(value, name))
    return data


TAGGED: dict[str, type] = {
    kind.__name__: kind
    for kind in (
        facts.Triggered,
        facts.Due,
        facts.Prepared,
        facts.Unpreparable,
        facts.Shut,
        facts.Answered,
        facts.Heard,
        facts.GoalReached,
        facts.Cancelled,
        outcomes.Accepted,
        outcomes.NotSent,
        outcomes.Refused,
        outcomes.Unknown,
        effects.Call,
        effects.Reserve,
        effects.GiveBack,
        effects.Strike,
        effects.OptOut,
        effects.ShutProvider,
        effects.Tell,
    )
}

NAMES: dict[type, tuple[str, ...]] = {
    kind: tuple(field.name for field in fields(kind)) for kind in (*TAGGED.values(), Charge)
}


@cache
def adapter(kind: type) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def untagged(data: dict[str, Any]) -> Any:
    """The fact that ``tagged`` wrote (addresses stay masked)."""
    values = {name: value for name, value in data.items() if name != "kind"}
    for name in ("outcome", "failure"):
        if isinstance(values.get(name), dict):
            values[name] = untagged(values[name])
    return adapter(TAGGED[data["kind"]]).validate_python(values)


def decode_inputs(data: dict[str, Any], governance: Governance) -> Inputs:
    """The inputs of one history line, under the governance that its version names."""
    values = {name: value for name, value in data.items() if name != "governance"}
    inputs: Inputs = adapter(Inputs).validate_python(values)
    return replace(inputs, governance=governance)
