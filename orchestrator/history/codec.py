"""
The JSON of messages, facts and inputs.

A message's state is one document. Its history has one line a fact, appended and never rewritten.
Decoded, a line is ``{"at": ms, "fact": {"kind": …}, "inputs": {…}, "checks": […], "decision": […],
"effects": […]}``.

An encoded line omits everything that can be filled in again: default values of a fact or effect; a
check's GO verdict, and its step if it is that of the check before (which may leave only the gate's
name); inputs that the decision did not read, and those equal to the last ones written (``SAME``).

A message that is held again and again does not fill its history: of the decisions in a row that
only held it once more, the first ``HOLDS_MAX`` are written, and then the 32nd, the 64th, the 128th,
and so on. The next line that is written counts the others (``again``) and says where they left the
message (``left``), so a replay goes on from there.

Addresses in a history are masked: the keyed hash is enough to replay a decision, so no phone number
is stored twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from operator import attrgetter
from typing import Any, TypeVar, get_args

import msgspec
import orjson

from orchestrator.core import effects, facts, outcomes
from orchestrator.core.cascade.decide import Decision
from orchestrator.core.effects import Effect
from orchestrator.core.facts import Fact
from orchestrator.core.gates import Check, Verdict
from orchestrator.core.inputs import Inputs
from orchestrator.core.message import Message, Run
from orchestrator.core.policy import Governance
from orchestrator.core.recipient import Address, Instant
from orchestrator.core.values import Struct, Tagged, replace

T = TypeVar("T")
SAME = "same"
DIGEST_BYTES = 8
HOLDS_MAX = 16
OF_HISTORY = ("inputs_digest", "holds")

encode: Callable[[Any], bytes] = msgspec.json.Encoder().encode
"""Anything as JSON, structs as they are."""

encode_message: Callable[[Message], bytes] = encode
"""A message's state as JSON."""

decode_message: Callable[[bytes], Message] = msgspec.json.Decoder(Message).decode
"""The message that ``encode_message`` wrote."""


class Left(Struct, omit_defaults=True):
    """Where decisions that were not written left a message; nothing else of it can have changed."""

    runs: list[Run]
    due_at: Instant | None = None
    left_out: int = 0


class HistoryEntry(Struct, kw_only=True, omit_defaults=True):
    """One line of a history, as written."""

    at: Instant
    fact: Fact
    again: int = 0
    left: Left | None = None
    inputs: msgspec.Raw | str | None = None
    checks: list[dict[str, Any] | str] | None = None
    decision: tuple[str, ...]
    effects: list[Effect]


def encode_entry(at: int, fact: Fact, before: Message, decision: Decision) -> bytes:
    """
    One line of the history of ``decision.message``, with its newline; empty where it only held the
    message once more and is counted instead.

    The message remembers the inputs that were written last, so the next line need not repeat them,
    and the number of times in a row that it was only held.
    """
    decision.message.holds = before.holds + 1 if holds_again(before, decision) else 0
    if unwritten(decision.message):
        return b""
    line = HistoryEntry(
        at=at,
        fact=masked(fact),
        decision=decision.said,
        effects=[masked(effect) for effect in decision.effects],
    )
    if again := unwritten(before):
        line.again, line.left = again, left_at(before)
    if decision.inputs is not None:
        line.inputs = inputs_once(decision.message, decision.inputs)
    if decision.checks:
        line.checks = checks_written(decision.checks)
    return encode(line) + b"\n"


def holds_again(before: Message, decision: Decision) -> bool:
    """
    Whether a decision did nothing but hold a step, or put it into a backlog, once more; or count an
    event that a full digest has left out.
    """
    after = decision.message
    if decision.effects or len(after.runs) != len(before.runs):
        return False
    moved = {name: getattr(after, name) for name in (*Left.__struct_fields__, *OF_HISTORY)}
    return replace(before, **moved) == after and all(
        (run.over, run.ended, run.handed_off_at, run.resent)
        == (was.over, was.ended, was.handed_off_at, was.resent)
        for run, was in zip(after.runs, before.runs, strict=True)
    )


def unwritten(message: Message) -> int:
    """How many of the latest decisions about a message have no line in its history."""
    holds = message.holds
    return 0 if holds <= HOLDS_MAX else holds - (1 << holds.bit_length() - 1)


def inputs_once(message: Message, inputs: Inputs) -> msgspec.Raw | str:
    """The inputs as JSON, or ``SAME`` if they equal the last ones in the message's history."""
    document = encode(encode_inputs(inputs))
    digest = hashlib.blake2b(document, digest_size=DIGEST_BYTES).hexdigest()
    if digest == message.inputs_digest:
        return SAME
    message.inputs_digest = digest
    return msgspec.Raw(document)


def decode_history(lines: bytes) -> Iterator[dict[str, Any]]:
    """The entries of a history, with everything filled in that ``encode_entry`` omits."""
    inputs: dict[str, Any] = {}
    for line in lines.splitlines():
        entry = orjson.loads(line)
        if "inputs" in entry:
            inputs = entry["inputs"] = inputs if entry["inputs"] == SAME else entry["inputs"]
        entry["fact"] = filled(entry["fact"])
        entry["effects"] = [filled(effect) for effect in entry["effects"]]
        if "checks" in entry:
            entry["checks"] = list(checks_read(entry["checks"]))
        yield entry


def left_at(message: Message) -> Left:
    """What decisions without a line of their own may have changed of a message."""
    return Left(message.runs, message.due_at, message.left_out)


def left_by(message: Message, left: Left | dict[str, Any]) -> Message:
    """The message as decisions without a line of their own left it."""
    left = left if isinstance(left, Left) else msgspec.convert(left, Left)
    moved = {name: getattr(left, name) for name in Left.__struct_fields__}
    return replace(message, **moved).copy()


def checks_written(checks: Iterable[Check]) -> list[dict[str, Any] | str]:
    """
    Checks without their default values; a check with nothing else is just the name of its gate.
    """
    step: int | None = None
    documents: list[dict[str, Any] | str] = []
    for check in checks:
        values = said_by(check)
        if values == NOTHING and check.verdict is Verdict.GO and check.step == step:
            documents.append(check.gate)
            continue
        said = {
            name: value for name, value in zip(CHECK_SAYS, values, strict=True) if value is not None
        }
        if check.verdict is not Verdict.GO:
            said["verdict"] = check.verdict
        if check.step != step:
            said["step"] = check.step
            step = check.step
        documents.append({"gate": check.gate, **said} if said else check.gate)
    return documents


def checks_read(documents: Iterable[dict[str, Any] | str]) -> Iterator[dict[str, Any]]:
    """The same checks, each with its verdict and its step."""
    step: int | None = None
    for document in documents:
        said: dict[str, Any] = {"gate": document} if isinstance(document, str) else document
        step = said.get("step", step)
        yield {"gate": said["gate"], "verdict": Verdict.GO.value, **said, "step": step}


CHECK_SAYS = tuple(
    name for name in Check.__struct_fields__ if name not in ("gate", "verdict", "step")
)
said_by = attrgetter(*CHECK_SAYS)
NOTHING = (None,) * len(CHECK_SAYS)


def encode_inputs(inputs: Inputs) -> dict[str, Any]:
    """The inputs: governance by its version only, addresses masked, empty parts omitted."""
    data: dict[str, Any] = {"governance": inputs.governance.version}
    data |= {
        name: value for name, value in zip(INPUT_FIELDS, values_of(inputs), strict=True) if value
    }
    if inputs.addresses:
        data["addresses"] = [mask(address) for address in inputs.addresses]
    return data


INPUT_FIELDS = tuple(
    name for name in Inputs.__struct_fields__ if name not in ("governance", "addresses")
)
values_of = attrgetter(*INPUT_FIELDS)


def decode_inputs(data: dict[str, Any], governance: Governance) -> Inputs:
    """The inputs of one history entry, under the governance that its version names."""
    values = {name: value for name, value in data.items() if name != "governance"}
    return replace(msgspec.convert(values, Inputs), governance=governance)


def mask(address: Address) -> Address:
    """The address without its value and keys."""
    return Address(address.kind, "", address.hash, (), address.country, address.shown)


def masked(spoken: T) -> T:
    """A fact or effect with its addresses masked."""
    match spoken:
        case facts.Prepared():
            return replace(spoken, targets=tuple(mask(address) for address in spoken.targets))
        case effects.Call():
            return replace(spoken, target=mask(spoken.target))
        case facts.Answered(_, outcomes.Accepted() as outcome) if outcome.known_as or outcome.item:
            return replace(spoken, outcome=replace(outcome, known_as=(), item=None))
    return spoken


def encode_fact(fact: Fact) -> bytes:
    """A fact on its own, stored until its attempt is known."""
    return encode(masked(fact))


read_fact: Callable[[bytes], Fact] = msgspec.json.Decoder(Fact).decode


def decode_fact(document: bytes | dict[str, Any]) -> Any:
    """The fact that ``encode_fact`` or ``encode_entry`` wrote (addresses stay masked)."""
    return read_fact(document) if isinstance(document, bytes) else msgspec.convert(document, Fact)


def mostly(kind: type[Tagged]) -> dict[str, Any]:
    """The fields of a kind with their default values."""
    names, defaults = kind.__struct_fields__, kind.__struct_defaults__
    return dict.fromkeys(names) | dict(
        zip(names[len(names) - len(defaults) :], msgspec.to_builtins(defaults), strict=True)
    )


KINDS: dict[str, dict[str, Any]] = {
    kind.__name__: mostly(kind)
    for kind in (*get_args(Fact), *get_args(outcomes.Outcome), *get_args(Effect))
}


def filled(document: dict[str, Any]) -> dict[str, Any]:
    """A decoded fact or effect with its omitted fields filled in."""
    whole = {"kind": document["kind"], **KINDS[document["kind"]], **document}
    for name, value in whole.items():
        if isinstance(value, dict) and value.get("kind") in KINDS:
            whole[name] = filled(value)
    return whole
