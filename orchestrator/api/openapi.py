"""The OpenAPI 3.1 document of the public listener."""

from __future__ import annotations

from functools import cache
from typing import Any

from orchestrator.core.message import FLAGS, Status
from orchestrator.core.outcomes import OutcomeKind
from orchestrator.core.reasons import Reason
from orchestrator.core.status import Delivery

Schema = dict[str, Any]
STRING: Schema = {"type": "string"}
TIME: Schema = {"type": "string", "format": "date-time"}
NULLABLE_TIME: Schema = {"type": ["string", "null"], "format": "date-time"}
OBJECT: Schema = {"type": "object"}
PROBLEMS = {
    "400": "What is wrong, and in which field",
    "401": "No key, or a wrong one",
    "403": "The key has no such scope",
    "404": "There is no such thing",
    "409": "It was published before, with another body",
    "413": "Too large",
    "415": "A media type that is not read",
    "422": "It still cannot be processed",
    "429": "Too much at once; see Retry-After",
    "503": "Shutting down",
}


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def shape(required: list[str], **properties: Schema) -> Schema:
    return {"type": "object", "required": required, "properties": properties}


def several(of: Schema) -> Schema:
    return {"type": "array", "items": of}


def answer(status: str, text: str, schema: Schema | None = None) -> dict[str, Any]:
    content = {"content": {"application/json": {"schema": schema}}} if schema is not None else {}
    return {status: {"description": text, **content}}


def failures(*codes: str) -> dict[str, Any]:
    content = {"application/problem+json": {"schema": ref("Problem")}}
    return {code: {"description": PROBLEMS[code], "content": content} for code in codes}


def call(summary: str, answers: dict[str, Any], *, body: Schema | None = None, query: list[Schema] | None = None) -> Schema:
    made: Schema = {"summary": summary, "responses": answers | failures("401", "403", "429", "503")}
    if body is not None:
        made["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    if query:
        made["parameters"] = query
    return made


def query(name: str, schema: Schema = STRING) -> Schema:
    return {"name": name, "in": "query", "schema": schema}


def path(name: str) -> Schema:
    return {"name": name, "in": "path", "required": True, "schema": STRING}


def schemas() -> dict[str, Schema]:
    event = shape(
        ["specversion", "id", "source", "type"],
        specversion={"const": "1.0"},
        id={"type": "string", "minLength": 1},
        source={"type": "string", "minLength": 1},
        type={"type": "string", "minLength": 1},
        subject=STRING,
        time=TIME,
        data=OBJECT,
    )
    error = shape(["code", "field", "what"], code=STRING, field=STRING, what=STRING)
    result = shape(
        ["status"],
        source=STRING,
        id=STRING,
        status={"enum": ["accepted", "duplicate", "unmatched", "refused"]},
        messages=several(STRING),
        index={"type": "integer"},
        error=error,
    )
    attempt = shape(
        ["step", "channel", "provider", "outcome", "state", "times"],
        number={"type": "integer"},
        step={"type": "integer"},
        channel=STRING,
        provider=STRING,
        provider_id={"type": ["string", "null"]},
        outcome={"enum": [kind.value for kind in OutcomeKind]},
        state={"enum": [state.value for state in Delivery]},
        engagement=OBJECT,
        error={"type": ["object", "null"]},
        times=OBJECT,
        content_hash={"type": ["string", "null"]},
    )
    message = shape(
        ["id", "event", "recipient", "policy", "policy_version", "class", "topic", "status", "flags", "attempts"],
        id=STRING,
        event=OBJECT,
        recipient=STRING,
        policy=STRING,
        policy_version=STRING,
        topic=STRING,
        status={"enum": [status.value for status in Status]},
        reason={"enum": [*(reason.value for reason in Reason), None]},
        succeeded_by={"type": ["string", "null"]},
        flags=several({"enum": list(FLAGS)}),
        cost={"type": ["object", "null"]},
        step={"type": ["integer", "null"]},
        created_at=TIME,
        deadline_at=TIME,
        finished_at=NULLABLE_TIME,
        attempts=several(attempt),
        trace=several(OBJECT),
        **{"class": {"enum": ["otp", "transactional", "service", "promotional"]}},
    )
    problem = shape(["title", "status", "detail"], type=STRING, title=STRING, status={"type": "integer"}, detail=STRING)
    consent = shape(["state"], channel=STRING, topic=STRING, state={"enum": ["in", "out"]}, at=TIME, source=STRING)
    opt_out = shape([], recipient=STRING, address=STRING, channel=STRING, topic=STRING)
    return {
        "Event": event,
        "Results": shape(["results"], results=several(result)),
        "Message": message,
        "Messages": shape(
            ["items", "next_cursor"], items=several(ref("Message")), next_cursor={"type": ["string", "null"]}
        ),
        "Problem": problem,
        "Recipient": OBJECT,
        "Consents": shape(["consents"], consents=several(consent)),
        "OptOuts": shape(["opt_outs"], opt_outs=several(opt_out)),
        "DeadLetters": shape(["items", "next_cursor"], items=several(OBJECT), next_cursor={"type": ["string", "null"]}),
    }


@cache
def document() -> dict[str, Any]:
    """The whole document."""
    batch = {"application/cloudevents-batch+json": {"schema": several(ref("Event"))}}
    single = {"application/cloudevents+json": {"schema": ref("Event")}, "application/json": {"schema": ref("Event")}}
    publish = call("Publish events; answered when they are durable", answer("202", "Accepted", ref("Results")))
    publish["responses"] |= failures("400", "409", "413", "415")
    publish["requestBody"] = {"required": True, "content": single | batch}
    limit = query("limit", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100})
    filters = [query("recipient"), query("policy"), query("status"), query("cursor"), limit]
    messages, message = answer("200", "Newest first", ref("Messages")), answer("200", "The message", ref("Message"))
    missing = failures("404")
    bad = failures("400")
    recipient = answer("200", "The profile", ref("Recipient"))
    consents = answer("200", "The whole history", ref("Consents"))
    replayed = answer("200", "What came of it", OBJECT) | failures("404", "409", "422")
    paths: dict[str, Any] = {
        "/v1/events": {"post": publish},
        "/v1/messages": {"get": call("List messages", messages | bad, query=filters)},
        "/v1/messages/{id}": {"parameters": [path("id")], "get": call("One message with its trace", message | missing)},
        "/v1/messages/{id}/cancel": {
            "parameters": [path("id")],
            "post": call("Stop what has not left", message | missing),
        },
        "/v1/dead-letters": {
            "get": call(
                "What could not be processed", answer("200", "Newest first", ref("DeadLetters")) | bad, query=[limit]
            )
        },
        "/v1/dead-letters/{id}": {
            "parameters": [path("id")],
            "get": call("One of them", answer("200", "The dead letter", OBJECT) | missing),
        },
        "/v1/dead-letters/{id}/replay": {
            "parameters": [path("id")],
            "post": call("Process it again under the current policy", replayed),
        },
        "/v1/recipients/{id}": {
            "parameters": [path("id")],
            "put": call("Merge a profile; null removes", recipient | bad, body=ref("Recipient")),
            "get": call("A profile", recipient | missing),
            "delete": call("Erase", answer("204", "Forgotten") | missing),
        },
        "/v1/recipients/{id}/export": {
            "parameters": [path("id")],
            "get": call("Everything that is kept", answer("200", "All of it", OBJECT) | missing),
        },
        "/v1/recipients/{id}/consents": {
            "parameters": [path("id")],
            "put": call("Add entries; none is removed", consents | bad, body=ref("Consents")),
            "get": call("The history", consents | missing),
        },
        "/v1/opt-outs": {
            "post": call("Opt-outs in bulk", answer("200", "How many", OBJECT) | bad, body=ref("OptOuts")),
        },
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "Kaskad", "version": "0.1.0", "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}},
        "security": [{"key": []}],
        "paths": paths,
        "components": {"schemas": schemas(), "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
    }
