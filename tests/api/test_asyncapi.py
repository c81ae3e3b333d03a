"""The AsyncAPI document says what goes over Kafka: records that are real have its shapes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from aiokafka import ConsumerRecord
from jsonschema_rs import meta, validator_for

from orchestrator.api.asyncapi import document
from orchestrator.api.openapi import document as openapi
from orchestrator.api.routes import ROUTES
from orchestrator.engine.commands import Publish
from orchestrator.engine.emitting import status_body
from orchestrator.explain.views import message_view
from orchestrator.kafka.records import command_of
from tests.api.site import Site, event
from tests.verify.shop import npm_file

DOCS = Path(__file__).parents[2] / "docs"
DOCUMENT = document()
MESSAGES: dict[str, Any] = DOCUMENT["components"]["messages"]


def of(schema: dict[str, Any]) -> Any:
    return validator_for({**schema, "components": DOCUMENT["components"]})


def test_the_file_in_the_docs_is_the_document_of_today() -> None:
    assert json.loads((DOCS / "asyncapi.json").read_text()) == DOCUMENT, (
        "run: python -m orchestrator.api.asyncapi > docs/asyncapi.json"
    )


async def test_the_document_is_served_as_it_is(site: Site) -> None:
    answer = await site.client.get("/asyncapi.json")
    assert answer.json() == DOCUMENT and answer.json()["asyncapi"] == "3.0.0"


def test_every_reference_leads_somewhere_and_every_part_is_used() -> None:
    text = json.dumps(DOCUMENT)
    for path in re.findall(r'"\$ref": "#/([^"]+)"', text):
        found: Any = DOCUMENT
        for name in path.split("/"):
            found = found[name]
    for kind in ("messages", "schemas"):
        for name in DOCUMENT["components"][kind]:
            assert f'"#/components/{kind}/{name}"' in text, name
    used = [one["channel"]["$ref"] for one in DOCUMENT["operations"].values()]
    assert sorted(used) == sorted(f"#/channels/{name}" for name in DOCUMENT["channels"])


def test_shapes_are_those_of_the_openapi_document() -> None:
    schemas = openapi(ROUTES)["components"]["schemas"]
    for name, schema in DOCUMENT["components"]["schemas"].items():
        meta.validate(schema)
        assert schemas.get(name, schema) == schema, name
    assert {"Event", "StatusEvent", "Message"} <= schemas.keys()


@pytest.mark.parametrize("name", MESSAGES)
def test_every_example_is_valid(name: str) -> None:
    message = MESSAGES[name]
    assert message["examples"]
    for example in message["examples"]:
        for part in ("headers", "payload"):
            if part in message:
                of(message[part]).validate(example[part])


@pytest.mark.parametrize("name", ["structuredEvent", "binaryEvent"])
def test_the_example_of_an_event_is_read_from_a_record(name: str) -> None:
    [example] = MESSAGES[name]["examples"]
    headers = [(key, value.encode()) for key, value in example.get("headers", {}).items()]
    value = json.dumps(example["payload"]).encode()
    record = ConsumerRecord("t", 0, 0, 0, 0, None, value, None, 0, len(value), headers)
    read = command_of(record, 2**42)
    assert isinstance(read, Publish)
    assert (read.event.id, read.event.type) == ("981-shipped", "shop.order.shipped")


def test_a_header_that_an_event_needs_is_required() -> None:
    headers = of(MESSAGES["binaryEvent"]["headers"])
    [example] = MESSAGES["binaryEvent"]["examples"]
    for name in ("ce_id", "ce_source", "ce_type", "ce_specversion"):
        less = {key: value for key, value in example["headers"].items() if key != name}
        assert not headers.is_valid(less), name


async def test_a_status_event_has_the_shape_that_is_described(site: Site) -> None:
    row = (await site.client.post("/v1/events", json=event())).json()["results"][0]
    stored = await site.world.stored(row["messages"][0])
    data = message_view(stored.message, stored.event)
    body = status_body("s-1", "message.accepted", row["messages"][0], site.world.now, data)
    of(MESSAGES["statusEvent"]["payload"]).validate(json.loads(json.dumps(body)))


@pytest.mark.verify
def test_the_document_is_valid_by_the_standard_s_own_schema() -> None:
    path = npm_file("@asyncapi/specs@6.11.1", "schemas/3.0.0.json")
    standard = validator_for(json.loads(path.read_text("utf-8")))
    standard.validate(DOCUMENT)
    assert not standard.is_valid({**DOCUMENT, "operations": {"x": {"action": "shout"}}})
