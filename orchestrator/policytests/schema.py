"""
The JSON Schema of a test file, for editors: keys, kinds and closed lists; ``kaskad test`` knows
everything else.
"""

from __future__ import annotations

from orchestrator.configuration.keys import Schema, array, obj
from orchestrator.configuration.kinds import AMOUNT_SCHEMA, NAME_SCHEMA, TEXT_SCHEMA
from orchestrator.configuration.schema import DIALECT
from orchestrator.core.message import FLAGS
from orchestrator.core.policy import CLASSES
from orchestrator.policytests.expected import SAYS, VERBS
from orchestrator.virtual.reactions import NOT_SENT, REFUSES, STATES, UNKNOWN, WORDS

SPAN: Schema = {
    "type": "string",
    "pattern": "^(?=.)([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$",
    "description": "0s 90s 10m 1h30m",
}
INSTANT: Schema = {"type": "string", "description": "RFC 3339: 2026-11-21T10:00:00+02:00"}
STEP: Schema = {
    "type": "string",
    "pattern": (
        rf"^(at +)?(by +)?\S+ +({'|'.join(VERBS)}) +\S+"
        r"( +by +\S+)?( +because +\S+)?( +until +\S+)?$"
    ),
    "description": "2m send viber; 2m skip whatsapp because no_address",
}
SAYING: Schema = {"type": "string", "pattern": f"^({'|'.join(SAYS)}) .+"}
FREE: Schema = {"type": "object"}


def reaction() -> Schema:
    """The schema of a reaction."""
    answers: dict[str, Schema] = {
        "refuses": {"enum": list(REFUSES)},
        "not_sent": {"enum": list(NOT_SENT)},
        "throttled": SPAN,
        "unknown": {"enum": list(UNKNOWN)},
        "takes": SPAN,
        "because": {"enum": list(REFUSES)},
    }
    return {"anyOf": [{"enum": list(WORDS)}, obj(answers | dict.fromkeys(STATES, SPAN))]}


def entry(when: str) -> Schema:
    """One thing that happens."""
    actions: dict[str, Schema] = {
        when: SPAN,
        "event": obj({"type": TEXT_SCHEMA, "data": FREE}),
        "opt_out": obj({"channel": TEXT_SCHEMA, "topic": TEXT_SCHEMA}),
        "reply": obj({"channel": NAME_SCHEMA, "text": TEXT_SCHEMA}, "channel", "text"),
        "receipt": obj(
            {"channel": NAME_SCHEMA, "state": {"enum": list(STATES)}}, "channel", "state"
        ),
        "recipient": FREE,
        "cancel": {"type": "boolean"},
    }
    if when == "ago":
        actions |= {"sent": NAME_SCHEMA, "class": {"enum": list(CLASSES)}}
    return obj(actions, when)


def given() -> Schema:
    """The schema of `given`."""
    return obj(
        {
            "now": INSTANT,
            "recipient": FREE,
            "event": FREE,
            "not_before": SPAN,
            "codes": {
                "type": "object",
                "additionalProperties": {"type": "integer", "minimum": 0},
            },
            "providers": {
                "type": "object",
                "additionalProperties": {"anyOf": [reaction(), array(reaction(), 1)]},
            },
            "history": array(entry("ago")),
            "then": array(entry("at")),
        }
    )


def expect(*, others: bool = True) -> Schema:
    """The schema of `expect`."""
    together: Schema = {"type": "object", "additionalProperties": {"type": "object"}}
    if others:
        together = {"type": "object", "additionalProperties": expect(others=False)}
    return obj(
        {
            "others": together,
            "steps": array(STEP),
            "messages": array(TEXT_SCHEMA),
            "attributes": FREE,
            "outcome": TEXT_SCHEMA,
            "flags": array({"enum": list(FLAGS)}),
            "cost": AMOUNT_SCHEMA
            | {"pattern": r"^(<=|>=|≤|≥|<|>|=)?\s*[0-9]+(\.[0-9]+)?(\s+[A-Z]{3})?$"},
            "not_sent": array(NAME_SCHEMA),
            "text": {
                "type": "object",
                "additionalProperties": {"anyOf": [SAYING, array(SAYING, 1)]},
            },
        }
    )


def test_schema() -> Schema:
    """A file ``config/policies/<policy>.test.yaml``, or the one beside a journey."""
    keys: dict[str, Schema] = {
        "name": TEXT_SCHEMA,
        "given": given(),
        "expect": expect(),
        "together": array(NAME_SCHEMA),
        "locales": {"anyOf": [{"const": "all"}, array(TEXT_SCHEMA, 1)]},
    }
    one = obj(keys, "name", "expect")
    head: Schema = {"$schema": DIALECT, "title": "Kaskad: tests of a policy"}
    file = {"given": given(), "tests": array(one, 1)}
    either: Schema = {"oneOf": [{"required": ["policy"]}, {"required": ["journey"]}]}
    return head | obj({"policy": NAME_SCHEMA, "journey": NAME_SCHEMA, **file}, "tests") | either
