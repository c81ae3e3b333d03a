"""
JSON Schemas of the three files, for editors.

They know the keys, the kinds and the closed lists, and help while typing; ``kaskad check`` knows
everything else.

Reference: JSON Schema 2020-12.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.channels.registry import adapter_points, adapters_available
from orchestrator.configuration.governance_file import BUDGET_ON_HIT, CALENDARS, CONSENTS, ON_HIT
from orchestrator.configuration.policy_file import LATE, ON_UNKNOWN, ORDERS
from orchestrator.configuration.sources_file import KAFKA_PROTOCOLS, SASL_MECHANISMS
from orchestrator.core.policy import CLASSES
from orchestrator.core.status import WAITABLE

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
TEXT: Schema = {"type": "string", "minLength": 1}
NAME: Schema = {"type": "string", "pattern": "^[a-z][a-z0-9_-]{0,63}$"}
BOOLEAN: Schema = {"type": "boolean"}
DURATION: Schema = {
    "type": "string",
    "pattern": "^[0-9]+(ms|s|m|h|d)$",
    "description": "250ms 30s 10m 24h 7d",
}
RATE: Schema = {
    "type": "string",
    "pattern": "^[0-9]+/[0-9]*(ms|s|m|h|d)$",
    "description": "80/s or 5/1h",
}
AMOUNT: Schema = {"type": ["string", "number"], "pattern": "^[0-9]+(\\.[0-9]+)?$", "minimum": 0}
CURRENCY: Schema = {"type": "string", "pattern": "^[A-Z]{3}$"}
EXPRESSION: Schema = {
    "type": "string",
    "minLength": 1,
    "description": "A sandboxed Jinja expression",
}
RATIO: Schema = {"type": "number", "exclusiveMinimum": 0, "maximum": 1}


def schema(kind: str) -> Schema:
    """
    The schema of ``policy``, ``governance`` or ``kaskad``; raises ``KeyError`` for anything else.
    """
    return {"$schema": DIALECT, "title": f"Kaskad: {kind}"} | MAKERS[kind]()


def obj(properties: Mapping[str, Schema], *required: str, extra: Schema | bool = False) -> Schema:
    """A mapping with these keys and, unless ``extra`` says otherwise, no others."""
    made: Schema = {"type": "object", "properties": dict(properties), "additionalProperties": extra}
    return made | {"required": list(required)} if required else made


def named(inner: Schema) -> Schema:
    """A mapping from names to things."""
    return {"type": "object", "additionalProperties": inner}


def array(inner: Schema, least: int = 0) -> Schema:
    """A list."""
    return (
        {"type": "array", "items": inner, "minItems": least}
        if least
        else {"type": "array", "items": inner}
    )


def one_of(*words: str) -> Schema:
    """A closed list of words."""
    return {"enum": list(words)}


def whole(least: int = 1) -> Schema:
    """A whole number."""
    return {"type": "integer", "minimum": least}


def step(*, companion: bool) -> Schema:
    """A step, or a companion, which has nothing to wait for."""
    keys: dict[str, Schema] = {
        "channel": NAME,
        "when": EXPRESSION,
        "providers": array(NAME),
        "ttl": DURATION,
        "retry": RETRY,
        "max_cost": AMOUNT,
        "max_parts": whole(),
    }
    if not companion:
        keys["wait"] = {
            "anyOf": [DURATION, obj(dict.fromkeys(WAITABLE, DURATION)) | {"minProperties": 1}]
        }
        keys["on_unknown"] = one_of(*ON_UNKNOWN)
    return obj(keys, "channel")


RETRY = obj({"max": whole(0), "within": DURATION})


def policy_schema() -> Schema:
    """A file in ``config/policies/``."""
    keys = {
        "policy": NAME,
        "trigger": obj({"event": TEXT, "when": EXPRESSION}, "event"),
        "class": one_of(*CLASSES),
        "topic": NAME,
        "template": NAME,
        "deadline": DURATION,
        "dedupe": obj({"key": EXPRESSION, "window": DURATION}, "key", "window"),
        "goal": obj({"event": TEXT, "match": EXPRESSION}, "event"),
        "also": array(step(companion=True)),
        "cascade": array(step(companion=False), 1),
        "order": one_of(*ORDERS),
        "late": one_of(*LATE),
    }
    return obj(keys, "policy", "trigger", "cascade")


def governance_schema() -> Schema:
    """``config/governance.yaml``."""
    covers = {"classes": array(one_of(*CLASSES)), "channels": array(NAME)}
    on_hit = {"on_hit": one_of(*ON_HIT)}
    quiet: dict[str, Schema] = {
        "window": TEXT,
        "windows": named(TEXT),
        "zone": TEXT,
        "fallback_zone": TEXT,
        "max_defer": DURATION,
    }
    per = {"anyOf": [DURATION, one_of(*CALENDARS)]}
    budget = {"per_day": AMOUNT, "currency": CURRENCY, "on_hit": one_of(*BUDGET_ON_HIT)}
    return obj(
        {
            "quiet_hours": named(obj(quiet | covers | on_hit)),
            "frequency_caps": named(
                obj({"limit": whole(), "per": per} | covers | on_hit, "limit", "per")
            ),
            "min_gaps": named(obj({"gap": DURATION} | covers | on_hit, "gap")),
            "consent": obj({message_class: one_of(*CONSENTS) for message_class in CLASSES}),
            "budget": named(obj(budget, "per_day", "currency")),
            "time_zone": TEXT,
            "sms_countries": array({"type": "string", "pattern": "^[A-Z]{2}$"}),
        }
    )


def kaskad_schema() -> Schema:
    """``config/kaskad.yaml``, with the settings of every adapter that is installed."""
    security = obj(
        {
            "protocol": one_of(*KAFKA_PROTOCOLS),
            "sasl_mechanism": one_of(*SASL_MECHANISMS),
            "username": TEXT,
            "password": TEXT,
            "ca": TEXT,
            "cert": TEXT,
            "key": TEXT,
        }
    )
    servers = {"anyOf": [TEXT, array(TEXT, 1)]}
    kafka = {
        "bootstrap_servers": servers,
        "topics": array(TEXT, 1),
        "group": TEXT,
        "auto_offset_reset": one_of("earliest", "latest"),
        "dead_letters": TEXT,
        "security": security,
    }
    statuses = {
        "kafka": obj({"bootstrap_servers": servers, "topic": TEXT, "security": security}),
        "webhooks": array(obj({"url": TEXT, "secret": TEXT}, "url", "secret")),
    }
    keys = {
        "store": TEXT,
        "sources": obj({"http": obj({}), "kafka": obj(kafka, "bootstrap_servers", "topics")}),
        "statuses": obj(statuses),
        "channels": named(array(provider(), 1)),
        "http": obj(
            {"listen": TEXT, "admin": TEXT, "public_url": TEXT, "auth": one_of("keys", "off")}
        ),
        "egress": obj({"allow": array(TEXT)}),
        "policies": TEXT,
        "templates": TEXT,
        "governance": TEXT,
    }
    return obj(keys | running(), "channels")


def running() -> dict[str, Schema]:
    """The keys that are about how it runs."""
    breaker = {"ratio": RATIO, "min_requests": whole(), "window": DURATION, "open_for": DURATION}
    return {
        "receipt_outage": obj({"hold": BOOLEAN, "min_sends": whole(), "ratio": RATIO}),
        "limits": obj({"sms_per_recipient": RATE, "sms_per_prefix": RATE}),
        "breaker": {"anyOf": [one_of("off"), obj(breaker)]},
        "defaults": obj({"wait": DURATION, "retry": RETRY}),
        "migrate": one_of("auto", "manual"),
        "retention": obj(
            dict.fromkeys(("messages", "events", "receipts", "dead_letters"), DURATION)
        ),
        "log": obj(
            {
                "level": one_of("debug", "info", "warning", "error"),
                "format": one_of("json", "console"),
            }
        ),
        "signing_key": TEXT,
    }


def provider() -> Schema:
    """A provider: the keys that all have, and those of the adapter it names."""
    adapters, names = adapters_available(), sorted(adapter_points())
    common: dict[str, Schema] = {
        "provider": NAME,
        "adapter": {"enum": names} if names else TEXT,
        "timeout": DURATION,
        "rate": RATE,
        "cost": obj(
            {"amount": AMOUNT, "currency": CURRENCY, "per": one_of("message", "part")},
            "amount",
            "currency",
        ),
        "connections": whole(),
    }
    by_adapter = [
        {
            "if": {"properties": {"adapter": {"const": name}}},
            "then": own_settings(adapter.settings_type, common),
        }
        for name, adapter in adapters.items()
    ]
    return obj(common, "provider", "adapter", extra=True) | (
        {"allOf": by_adapter} if by_adapter else {}
    )


def own_settings(settings_type: Any, common: Mapping[str, Schema]) -> Schema:
    """
    The settings of an adapter; every text may be a reference, so only the keys and what is required
    are told.
    """
    described: Schema = settings_type.model_json_schema(by_alias=True)
    properties = {
        key: {"description": inner.get("description", "")}
        for key, inner in described["properties"].items()
    }
    anything: dict[str, Schema] = {key: {} for key in common}
    return obj(properties | anything, *described.get("required", ()))


MAKERS: dict[str, Callable[[], Schema]] = {
    "policy": policy_schema,
    "governance": governance_schema,
    "kaskad": kaskad_schema,
}
