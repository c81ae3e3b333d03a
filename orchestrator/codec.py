"""
How messages, facts and inputs are written as JSON, and read back.

A message's state is one document. Its history is one line a fact, appended and never rewritten. Read back, a line is::

    {"at": ms, "fact": {"kind": …}, "inputs": {…}, "checks": […], "decision": […], "effects": […]}

Written, a line leaves out what can be filled in again: what is null; a check's verdict where it says go, and its step
where it is that of the check before (which may leave the gate's name alone); inputs at which the decision did not look,
and those that are the same as the last ones written (``SAME``).

Addresses in a history are masked: the keyed hash is enough to replay a decision, and nobody's number is kept twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields, replace
from operator import attrgetter
from typing import Any

import msgspec
import orjson

from orchestrator.core import effects, facts, outcomes
from orchestrator.core.decide import Decision
from orchestrator.core.facts import Fact
from orchestrator.core.gates import Check, Verdict
from orchestrator.core.inputs import Inputs
from orchestrator.core.message import Message
from orchestrator.core.policy import Governance
from orchestrator.core.recipient import Address, Charge

SAME = "same"
DIGEST_BYTES = 8

encode_message: Callable[[Message], bytes] = msgspec.json.Encoder().encode
"""A message's state as JSON."""

decode_message: Callable[[bytes], Message] = msgspec.json.Decoder(Message).decode
"""The message that ``encode_message`` wrote."""


def encode_entry(at: int, fact: Fact, decision: Decision) -> bytes:
    """
    One line of the history of ``decision.message``, with its newline.

    The message remembers which inputs were written last, so that the next line need not repeat them.
    """
    entry: dict[str, Any] = {"at": at, "fact": fact}
    if decision.inputs is not None:
        entry["inputs"] = inputs_once(decision.message, decision.inputs)
    if decision.checks:
        entry["checks"] = list(checks_written(decision.checks))
    entry["decision"] = decision.said
    entry["effects"] = decision.effects
    return orjson.dumps(entry, written, orjson.OPT_APPEND_NEWLINE | orjson.OPT_PASSTHROUGH_DATACLASS)


def inputs_once(message: Message, inputs: Inputs) -> orjson.Fragment | str:
    """The inputs as JSON, or ``SAME`` where the message's last line that had any had these."""
    document = orjson.dumps(encode_inputs(inputs))
    digest = hashlib.blake2b(document, digest_size=DIGEST_BYTES).hexdigest()
    if digest == message.inputs_digest:
        return SAME
    message.inputs_digest = digest
    return orjson.Fragment(document)


def decode_history(lines: bytes) -> Iterator[dict[str, Any]]:
    """The entries of a history, with everything that ``encode_entry`` left out in its place."""
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


def checks_written(checks: Iterable[Check]) -> Iterator[dict[str, Any] | str]:
    """Checks without what they have nothing to say of; one that has nothing to say at all is the name of its gate."""
    step: int | None = None
    for check in checks:
        said: dict[str, Any] = {
            name: value for name, value in zip(CHECK_SAYS, said_by(check), strict=True) if value is not None
        }
        if check.verdict is not Verdict.GO:
            said["verdict"] = check.verdict
        if check.step != step:
            said["step"] = check.step
            step = check.step
        yield {"gate": check.gate, **said} if said else check.gate


def checks_read(documents: Iterable[dict[str, Any] | str]) -> Iterator[dict[str, Any]]:
    """The same checks, each with its verdict and its step."""
    step: int | None = None
    for document in documents:
        said: dict[str, Any] = {"gate": document} if isinstance(document, str) else document
        step = said.get("step", step)
        yield {"gate": said["gate"], "verdict": Verdict.GO.value, **said, "step": step}


CHECK_SAYS = tuple(field.name for field in fields(Check) if field.name not in ("gate", "verdict", "step"))
said_by = attrgetter(*CHECK_SAYS)


def encode_inputs(inputs: Inputs) -> dict[str, Any]:
    """The inputs, governance by its version only and addresses masked; empty parts are left out."""
    data: dict[str, Any] = {"governance": inputs.governance.version}
    data |= {name: value for name, value in zip(INPUT_FIELDS, values_of(inputs), strict=True) if value}
    if inputs.addresses:
        data["addresses"] = [mask(address) for address in inputs.addresses]
    return data


INPUT_FIELDS = tuple(field.name for field in fields(Inputs) if field.name not in ("governance", "addresses"))
values_of = attrgetter(*INPUT_FIELDS)


def decode_inputs(data: dict[str, Any], governance: Governance) -> Inputs:
    """The inputs of one history entry, under the governance that its version names."""
    values = {name: value for name, value in data.items() if name != "governance"}
    return replace(msgspec.convert(values, Inputs), governance=governance)


def mask(address: Address) -> dict[str, str]:
    """The same address with nothing in it that could be used."""
    return {"kind": address.kind, "value": address.masked(), "hash": address.hash, "country": address.country}


def encode_fact(fact: Fact) -> bytes:
    """A fact on its own, as it waits for the attempt that it is about."""
    return orjson.dumps(fact, written, orjson.OPT_PASSTHROUGH_DATACLASS)


def decode_fact(document: bytes | dict[str, Any]) -> Any:
    """The fact in what ``encode_fact`` or ``encode_entry`` wrote (addresses stay masked)."""
    values = orjson.loads(document) if isinstance(document, bytes) else document
    kind = TAGGED[values["kind"]]
    if kind is facts.Answered:  # msgspec does not tell apart which of several dataclasses a value is
        return facts.Answered(values["attempt"], decode_fact(values["outcome"]))
    return msgspec.convert(values, kind)


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
        Charge,
    )
}
NAMES: dict[str, tuple[str, ...]] = {name: tuple(field.name for field in fields(kind)) for name, kind in TAGGED.items()}


def writer_of(kind: type) -> Callable[[Any], dict[str, Any]]:
    """Writes a fact or effect as a dict with its ``kind``, without what is null."""
    tag, names = kind.__name__, NAMES[kind.__name__]
    if len(names) == 1:
        return lambda value: {"kind": tag, names[0]: getattr(value, names[0])}
    values = attrgetter(*names)

    def write(value: Any) -> dict[str, Any]:
        document = {"kind": tag}
        for name, inner in zip(names, values(value), strict=True):
            if inner is not None:
                document[name] = inner
        return document

    return write


WRITERS: dict[type, Callable[[Any], dict[str, Any]]] = {kind: writer_of(kind) for kind in TAGGED.values()}
WRITERS[Address] = mask


def written(value: Any) -> dict[str, Any]:
    """What orjson is to write for a value that it leaves to us."""
    return WRITERS[type(value)](value)


def filled(document: dict[str, Any]) -> dict[str, Any]:
    """A written fact or effect with its nulls."""
    whole: dict[str, Any] = {"kind": document["kind"]}
    for name in NAMES[document["kind"]]:
        value = document.get(name)
        whole[name] = filled(value) if isinstance(value, dict) and "kind" in value and value["kind"] in NAMES else value
    return whole
