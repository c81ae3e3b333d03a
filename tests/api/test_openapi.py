"""
The OpenAPI document says what the service does: every route, and answers that have the shapes it
promises.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema_rs import meta, validator_for

from orchestrator.api.app import Listener, build_app
from orchestrator.api.examples import EXAMPLES
from orchestrator.api.openapi import document
from orchestrator.api.routes import ROUTES
from orchestrator.engine.commands import DeadLetter
from orchestrator.engine.emitting import status_body
from orchestrator.explain.views import message_view
from orchestrator.statuses.sinks import webhook_headers
from tests.api.site import OLENA, Site, event

CHECKS = (
    "not_a_server_error,status_code_conformance,"
    "content_type_conformance,response_schema_conformance"
)
DOCUMENT = document(ROUTES)
METHODS = ("get", "put", "post", "delete", "options")


def conforms(answer: Any, path: str, method: str) -> None:
    """
    Raise unless an answer has the status, the media type and the shape that the document has for
    it.
    """
    described = DOCUMENT["paths"][path][method]["responses"]
    assert str(answer.status_code) in described, f"{method} {path} answers {answer.status_code}"
    content = described[str(answer.status_code)].get("content")
    if content is None:
        return
    kind = answer.headers["Content-Type"].partition(";")[0]
    schema = {**content[kind]["schema"], "components": DOCUMENT["components"]}
    validator_for(schema).validate(answer.json())


async def test_every_route_is_described_and_nothing_else_is(site: Site) -> None:
    for listener in Listener:
        app = build_app(listener, site.deps())
        routes = {
            (route.resource.canonical, route.method.lower())
            for route in app.router.routes()
            if route.method != "HEAD" and route.resource is not None
        }
        described = {
            (path, method)
            for path, item in document(ROUTES, listener)["paths"].items()
            for method in item
            if method in METHODS
        }
        # a browser's question before such a call follows from the row itself
        asked_first = {(row.path, "options") for row in ROUTES if row.personal}
        assert described == routes - asked_first, listener


def test_every_reference_leads_somewhere_and_every_shape_is_a_schema() -> None:
    text = json.dumps(DOCUMENT)
    schemas = DOCUMENT["components"]["schemas"]
    for name, schema in schemas.items():
        meta.validate(schema)
        assert f'"#/components/schemas/{name}"' in text, f"{name} is used nowhere"
    for part in text.split('"#/components/schemas/')[1:]:
        assert part.partition('"')[0] in schemas


def test_every_example_is_valid_and_every_body_that_publishers_write_has_one() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    assert EXAMPLES.keys() <= schemas.keys()
    for name, example in EXAMPLES.items():
        schema = {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
        validator_for(schema).validate(example)
    for path, item in DOCUMENT["paths"].items():
        content = item.get("post", item.get("put", {})).get("requestBody", {}).get("content", {})
        shown = json.dumps(content.get("application/json", {}).get("schema", {}))
        for name in re.findall(r"schemas/(\w+)", shown):
            assert schemas[name].get("examples"), (path, name)


async def test_a_status_event_is_what_the_document_s_webhook_says(site: Site) -> None:
    hook = DOCUMENT["webhooks"]["statusEvent"]["post"]
    assert [one["name"] for one in hook["parameters"]] == [
        name for name in webhook_headers(b"k" * 24, "1", 0, b"") if name.startswith("webhook-")
    ]
    [content] = hook["requestBody"]["content"].values()
    schema = {**content["schema"], "components": DOCUMENT["components"]}
    row = (await site.client.post("/v1/events", json=event())).json()["results"][0]
    message, stored = row["messages"][0], await site.world.stored(row["messages"][0])
    data = message_view(stored.message, stored.event)
    for what, more in (("message.accepted", {}), ("attempt.not_sent", {"attempt": 0})):
        body = status_body("s-1", what, message, site.world.now, {**data, **more})
        validator_for(schema).validate(json.loads(json.dumps(body)))


def test_every_operation_has_a_name_a_summary_and_its_path_parameters() -> None:
    names = []
    for path, item in DOCUMENT["paths"].items():
        wanted = {part[1:-1] for part in path.split("/") if part.startswith("{")}
        assert {parameter["name"] for parameter in item.get("parameters", ())} == wanted
        for method in METHODS:
            if method in item:
                names.append(item[method]["operationId"])
                assert item[method]["summary"] and item[method]["responses"]
    assert len(names) == len(set(names))


def test_parameters_of_a_path_need_no_words_to_be_described() -> None:
    row = replace(ROUTES[0], path="/v1/{one}/{two}", places=("The first.",))
    described = document([row])["paths"][row.path]["parameters"]
    assert [(one["name"], one.get("description")) for one in described] == [
        ("one", "The first."),
        ("two", None),
    ]
    bare = document([replace(row, places=())])["paths"][row.path]["parameters"]
    assert [one["name"] for one in bare] == ["one", "two"]


async def test_what_is_answered_has_the_shape_that_is_described(site: Site) -> None:
    client = site.client
    conforms(await client.post("/v1/events", json=event()), "/v1/events", "post")
    conforms(await client.post("/v1/events", json={"a": 1}), "/v1/events", "post")
    batch = {"Content-Type": "application/cloudevents-batch+json"}
    conforms(
        await client.post("/v1/events", content=json.dumps([event(), 1]), headers=batch),
        "/v1/events",
        "post",
    )
    conforms(await client.post("/v1/events", json=event(n=1)), "/v1/events", "post")
    id = (await client.get("/v1/messages")).json()["items"][0]["id"]
    await site.hand_off(id)
    site.world.at(7200)
    await site.world.fire()
    conforms(await client.get("/v1/messages"), "/v1/messages", "get")
    conforms(await client.get("/v1/messages?status=x"), "/v1/messages", "get")
    conforms(await client.get(f"/v1/messages/{id}"), "/v1/messages/{id}", "get")
    conforms(await client.get("/v1/messages/x"), "/v1/messages/{id}", "get")
    conforms(await client.post(f"/v1/messages/{id}/cancel"), "/v1/messages/{id}/cancel", "post")
    profile = {
        **OLENA,
        "consents": [{"state": "out", "channel": "sms"}],
        "gender": "female",
        "shoe": 38,
    }
    conforms(await client.put("/v1/recipients/olena", json=profile), "/v1/recipients/{id}", "put")
    conforms(
        await client.put("/v1/recipients/olena", json={"phone": 1}), "/v1/recipients/{id}", "put"
    )
    conforms(await client.get("/v1/recipients/olena"), "/v1/recipients/{id}", "get")
    consents = "/v1/recipients/{id}/consents"
    conforms(
        await client.put("/v1/recipients/olena/consents", json={"consents": [{"state": "in"}]}),
        consents,
        "put",
    )
    conforms(await client.get("/v1/recipients/olena/consents"), consents, "get")
    conforms(await client.get("/v1/recipients/olena/export"), "/v1/recipients/{id}/export", "get")
    conforms(
        await client.post("/v1/opt-outs", json={"opt_outs": [{"recipient": "x"}]}),
        "/v1/opt-outs",
        "post",
    )
    letter = await site.world.engine.submit(
        DeadLetter("kafka:e/0/1", "bad_json", "w", json.dumps(event("9")).encode())
    )
    conforms(await client.get("/v1/dead-letters"), "/v1/dead-letters", "get")
    conforms(await client.get(f"/v1/dead-letters/{letter}"), "/v1/dead-letters/{id}", "get")
    conforms(
        await client.post(f"/v1/dead-letters/{letter}/replay"),
        "/v1/dead-letters/{id}/replay",
        "post",
    )
    conforms(await client.delete("/v1/recipients/olena"), "/v1/recipients/{id}", "delete")
    conforms(await client.delete("/v1/recipients/olena"), "/v1/recipients/{id}", "delete")


LEFT_OUT = "^/(v1/receipts|v1/inbox/[^/]+/stream|livez|readyz)"


async def test_the_document_is_served_as_it_is(site: Site) -> None:
    answer = await site.client.get("/openapi.json")
    assert answer.json() == DOCUMENT and answer.json()["openapi"] == "3.1.0"


@pytest.mark.verify
async def test_generated_requests_never_get_an_answer_that_is_not_described(
    site: Site, tmp_path: Path
) -> None:
    """
    schemathesis, as a process of its own against the listener: no 5xx, and every answer as the
    document has it. Streams of inboxes are left out: they never end.
    """
    await site.client.put("/v1/recipients/olena", json=OLENA)
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("schemathesis")),
        *(
            "run",
            str(site.client.base_url.join("/openapi.json")),
            "--max-examples",
            "60",
            "--seed",
            "7",
            "--no-color",
        ),
        *("--checks", CHECKS, "--exclude-path-regex", LEFT_OUT),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()[-8000:]
