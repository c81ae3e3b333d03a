"""
The AsyncAPI 3.0 document of the Kafka topics, made of the same types as the OpenAPI document:

    python -m orchestrator.api.asyncapi > docs/asyncapi.json

The topics' names are those that the configuration has by default.
"""

from __future__ import annotations

import json
import sys
from functools import cache
from typing import Any

from aiohttp import web

from orchestrator.api.events import STRUCTURED, EventBody, EventData
from orchestrator.api.examples import EXAMPLES
from orchestrator.api.openapi import STATUS_EVENTS, Schemas
from orchestrator.api.route import JSON
from orchestrator.configuration.kafka_settings import KafkaSource, KafkaStatuses
from orchestrator.events.cloudevents import EVENT_BYTES_MAX
from orchestrator.kafka.dead_letters import ORIGIN_HEADER, REASON_HEADER

DATA_ATTRIBUTES = {"data", "data_base64", "datacontenttype"}
"""Attributes that are no ``ce_`` headers in binary mode."""
BINDING = "0.5.0"


async def asyncapi(request: web.Request) -> web.Response:
    return web.json_response(document())


@cache
def document() -> dict[str, Any]:
    """The whole document."""
    schemas = Schemas([EventBody, EventData, *STATUS_EVENTS])
    components = schemas.components
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Kaskad over Kafka",
            "version": "1",
            "description": (
                "Events in; status events and dead letters out. docs/kafka.md has groups,"
                " offsets, order and repeats."
            ),
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": JSON,
        "channels": channels(),
        "operations": operations(),
        "components": {"messages": messages(components["Event"]), "schemas": components},
    }


def channels() -> dict[str, Any]:
    kib = EVENT_BYTES_MAX // 1024
    return {
        "events": {
            "address": None,
            "description": (
                "The topics in `sources.kafka.topics`; events of an earlier one are taken first."
                f" At most {kib} KiB a record."
            ),
            "messages": named("structuredEvent", "binaryEvent"),
        },
        "statuses": {
            "address": KafkaStatuses.topic,
            "description": "The topic in `statuses.kafka.topic`.",
            "messages": named("statusEvent", "optOutEvent", "replyEvent"),
        },
        "deadLetters": {
            "address": KafkaSource.dead_letters,
            "description": "The topic in `sources.kafka.dead_letters`.",
            "messages": named("deadLetter"),
        },
    }


def named(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/messages/{name}"} for name in names}


def operations() -> dict[str, Any]:
    """What the service does: it receives events, it sends the rest."""
    rows = (
        ("receiveEvent", "receive", "events", "Start messages, or end those of a goal"),
        ("sendStatusEvent", "send", "statuses", "A message or one of its attempts has changed"),
        ("sendDeadLetter", "send", "deadLetters", "A record that could not be processed"),
    )
    return {
        name: {
            "action": action,
            "channel": {"$ref": f"#/channels/{channel}"},
            "summary": summary,
        }
        for name, action, channel, summary in rows
    }


def messages(event: dict[str, Any]) -> dict[str, Any]:
    return {
        "structuredEvent": {
            "title": "A CloudEvent as JSON (structured mode)",
            "contentType": STRUCTURED,
            "payload": {"$ref": "#/components/schemas/Event"},
            "examples": [{"payload": EXAMPLES["Event"]}],
        },
        "binaryEvent": {
            "title": "A CloudEvent whose attributes are headers (binary mode)",
            "contentType": JSON,
            "headers": headers_of(event),
            "payload": {"$ref": "#/components/schemas/EventData"},
            "examples": [binary_example(EXAMPLES["Event"])],
        },
        "statusEvent": {
            "title": "A change of a message, with the message as it is then",
            "contentType": STRUCTURED,
            "payload": {"$ref": "#/components/schemas/StatusEvent"},
            "bindings": key("The recipient's id: events of one person are in order."),
            "examples": [{"payload": EXAMPLES["StatusEvent"]}],
        },
        "optOutEvent": {
            "title": "Somebody has opted out",
            "contentType": STRUCTURED,
            "payload": {"$ref": "#/components/schemas/OptOutEvent"},
            "bindings": key("The recipient's id."),
            "examples": [{"payload": EXAMPLES["OptOutEvent"]}],
        },
        "replyEvent": {
            "title": "Somebody has written to us, or pressed a button",
            "contentType": STRUCTURED,
            "payload": {"$ref": "#/components/schemas/ReplyEvent"},
            "bindings": key("The recipient's id; of somebody unknown the masked address."),
            "examples": [{"payload": EXAMPLES["ReplyEvent"]}],
        },
        "deadLetter": {
            "title": "The record as it came, byte for byte, without its headers",
            "headers": {
                "type": "object",
                "required": [REASON_HEADER, ORIGIN_HEADER],
                "properties": {
                    REASON_HEADER: {"type": "string", "description": "One word; docs/kafka.md."},
                    ORIGIN_HEADER: {
                        "type": "string",
                        "description": "Where it came from: kafka:topic/partition/offset.",
                        "pattern": "^kafka:",
                    },
                },
            },
            "bindings": key("The record's own key."),
            "examples": [
                {"headers": {REASON_HEADER: "bad_json", ORIGIN_HEADER: "kafka:events/0/17"}}
            ],
        },
    }


def key(description: str) -> dict[str, Any]:
    schema = {"type": "string", "description": description}
    return {"kafka": {"key": schema, "bindingVersion": BINDING}}


def headers_of(event: dict[str, Any]) -> dict[str, Any]:
    """The attributes of the event's schema as headers."""
    attributes = {
        f"ce_{name}": schema
        for name, schema in event["properties"].items()
        if name not in DATA_ATTRIBUTES
    }
    required = [f"ce_{name}" for name in event["required"]]
    return {"type": "object", "required": required, "properties": attributes}


def binary_example(event: dict[str, Any]) -> dict[str, Any]:
    headers = {f"ce_{name}": value for name, value in event.items() if name != "data"}
    return {"headers": headers, "payload": event["data"]}


if __name__ == "__main__":
    json.dump(document(), sys.stdout, ensure_ascii=False, indent=2)
    sys.stdout.write("\n")
