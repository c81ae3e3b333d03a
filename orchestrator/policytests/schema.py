"""
The JSON Schema of a test file, for editors: keys, kinds and closed lists; ``kaskad test`` knows
everything else.
"""

from __future__ import annotations

from orchestrator.configuration.schema import (
    AMOUNT,
    BOOLEAN,
    DIALECT,
    NAME,
    TEXT,
    Schema,
    array,
    named,
    obj,
    one_of,
)
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
        rf"^(at +)?\S+ +({'|'.join(VERBS)}) +\S+( +by +\S+)?( +because +\S+)?( +until +\S+)?$"
    ),
    "description": "2m send viber; 2m skip whatsapp because no_address",
}
SAYING: Schema = {"type": "string", "pattern": f"^({'|'.join(SAYS)}) .+"}
FREE: Schema = {"type": "object"}


def reaction() -> Schema:
    """How a provider takes one attempt."""
    answers: dict[str, Schema] = {
        "refuses": one_of(*REFUSES),
        "not_sent": one_of(*NOT_SENT),
        "throttled": SPAN,
        "unknown": one_of(*UNKNOWN),
        "takes": SPAN,
        "because": one_of(*REFUSES),
    }
    return {"anyOf": [one_of(*WORDS), obj(answers | dict.fromkeys(STATES, SPAN))]}


def entry(when: str) -> Schema:
    """One thing that happens."""
    acts: dict[str, Schema] = {
        when: SPAN,
        "event": obj({"type": TEXT, "data": FREE}),
        "opt_out": obj({"channel": TEXT, "topic": TEXT}),
        "reply": obj({"channel": NAME, "text": TEXT}, "channel", "text"),
        "receipt": obj({"channel": NAME, "state": one_of(*STATES)}, "channel", "state"),
        "recipient": FREE,
        "cancel": BOOLEAN,
    }
    if when == "ago":
        acts |= {"sent": NAME, "class": one_of(*CLASSES)}
    return obj(acts, when)


def given() -> Schema:
    """What a test starts from."""
    return obj(
        {
            "now": INSTANT,
            "recipient": FREE,
            "event": FREE,
            "providers": named({"anyOf": [reaction(), array(reaction(), 1)]}),
            "history": array(entry("ago")),
            "then": array(entry("at")),
        }
    )


def expect() -> Schema:
    """What must come of it."""
    return obj(
        {
            "steps": array(STEP),
            "outcome": TEXT,
            "flags": array(one_of(*FLAGS)),
            "cost": AMOUNT | {"pattern": r"^(<=|>=|≤|≥|<|>|=)?\s*[0-9]+(\.[0-9]+)?(\s+[A-Z]{3})?$"},
            "not_sent": array(NAME),
            "text": named({"anyOf": [SAYING, array(SAYING, 1)]}),
        }
    )


def test_schema() -> Schema:
    """A file ``config/policies/<policy>.test.yaml``."""
    one = obj({"name": TEXT, "given": given(), "expect": expect()}, "name", "expect")
    head: Schema = {"$schema": DIALECT, "title": "Kaskad: tests of a policy"}
    return head | obj({"policy": NAME, "given": given(), "tests": array(one, 1)}, "policy", "tests")
