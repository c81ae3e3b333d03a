"""
The OpenAPI 3.1 document of the public listener: every route, what it takes, what it answers, and
every refusal.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from orchestrator.api.messages import STATUSES
from orchestrator.api.queries import LIMIT_DEFAULT, LIMIT_MAX
from orchestrator.api.schemas import STRING, Schema, ref, schemas, several

PROBLEMS = {
    "400": "What is wrong, in which field, and how to fix it",
    "401": "No key, or one that is not valid",
    "403": "Not allowed: the key lacks the scope, or the webhook is not the provider's",
    "404": "There is no such thing",
    "405": "The path does not take this method",
    "408": "The body did not end in time",
    "409": "It conflicts with what is there",
    "413": "Too large",
    "415": "A media type, charset or encoding that is not read",
    "422": "It still cannot be processed",
    "429": "Too much at once; see Retry-After",
    "503": "The service is stopping, or its store has no time; see Retry-After",
}
ALWAYS = ("429", "503")
WITH_BODY = ("400", "408", "413", "415")


def answer(
    status: str, text: str, schema: Schema | None = None, kind: str = "application/json"
) -> dict[str, Any]:
    content = {"content": {kind: {"schema": schema}}} if schema is not None else {}
    return {status: {"description": text, **content}}


def failures(*codes: str) -> dict[str, Any]:
    content = {"application/problem+json": {"schema": ref("Problem")}}
    return {code: {"description": PROBLEMS[code], "content": content} for code in sorted(codes)}


def call(
    name: str,
    summary: str,
    answers: dict[str, Any],
    *fails: str,
    body: Schema | None = None,
    query: list[Schema] | None = None,
) -> Schema:
    """
    One operation that needs a key. ``fails`` are the refusals of its own, beside those that all
    have.
    """
    codes = {*fails, "401", "403", *ALWAYS, *(WITH_BODY if body is not None else ())}
    made: Schema = {
        "operationId": name,
        "summary": summary,
        "responses": answers | failures(*codes),
    }
    if body is not None:
        made["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    if query:
        made["parameters"] = query
    return made


def in_query(name: str, text: str, schema: Schema) -> Schema:
    return {"name": name, "in": "query", "description": text, "schema": schema}


def in_path(name: str, text: str) -> Schema:
    return {"name": name, "in": "path", "required": True, "description": text, "schema": STRING}


def paging() -> list[Schema]:
    limit = {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT_DEFAULT}
    cursor = {"type": "string", "pattern": "^[0-9A-Za-z_-]{1,64}$"}
    return [
        in_query("cursor", "`next_cursor` of the page before.", cursor),
        in_query("limit", "Items a page.", limit),
    ]


def publishing() -> dict[str, Any]:
    single = {"schema": ref("Event")}
    publish = call(
        "publish",
        "Publish events; answered when they are durable",
        answer("202", "Durable", ref("Results")),
    )
    publish["responses"] |= failures("400", "408", "409", "413", "415")
    publish["description"] = (
        "One structured event, a batch, or data with `ce-…` headers (binary mode). In a batch the"
        " valid events are accepted and the rest are listed as refused; only where none was"
        " accepted is the answer an error, with the same `results`."
    )
    publish["requestBody"] = {
        "required": True,
        "content": {
            "application/cloudevents+json": single,
            "application/json": single,
            "application/cloudevents-batch+json": {"schema": several(ref("Event"), 1000)},
        },
    }
    return {"/v1/events": {"post": publish}}


def messages() -> dict[str, Any]:
    text = {"type": "string", "maxLength": 256}
    filters = [
        in_query("recipient", "Only this recipient's.", text),
        in_query("policy", "Only this policy's.", text),
        in_query("status", "Only those that stand so.", {"enum": list(STATUSES)}),
        *paging(),
    ]
    id = [in_path("id", "The message's id.")]
    one = answer("200", "The message", ref("Message"))
    listed = answer("200", "Newest first, without traces", ref("Messages"))
    return {
        "/v1/messages": {
            "get": call("listMessages", "List messages", listed, "400", query=filters)
        },
        "/v1/messages/{id}": {
            "parameters": id,
            "get": call("getMessage", "One message with its trace", one, "404"),
        },
        "/v1/messages/{id}/cancel": {
            "parameters": id,
            "post": call("cancelMessage", "Stop what has not left", one, "404", "409"),
        },
    }


def dead_letters() -> dict[str, Any]:
    id = [in_path("id", "The dead letter's id.")]
    listed = answer("200", "Newest first", ref("DeadLetters"))
    replayed = answer("200", "What came of it", ref("Replayed"))
    summary = "Process it again under the current policies"
    return {
        "/v1/dead-letters": {
            "get": call(
                "listDeadLetters", "What could not be processed", listed, "400", query=paging()
            )
        },
        "/v1/dead-letters/{id}": {
            "parameters": id,
            "get": call(
                "getDeadLetter",
                "One of them",
                answer("200", "The dead letter", ref("DeadLetter")),
                "404",
            ),
        },
        "/v1/dead-letters/{id}/replay": {
            "parameters": id,
            "post": call("replayDeadLetter", summary, replayed, "404", "409", "422"),
        },
    }


def recipients() -> dict[str, Any]:
    id = [in_path("id", "Your own id of the recipient.")]
    one = answer("200", "The profile, its consents and its dead addresses", ref("Recipient"))
    history = answer("200", "The whole history, oldest first", ref("ConsentHistory"))
    export = answer("200", "All of it", ref("Export"))
    recorded = answer("200", "How many", ref("Recorded"))
    return {
        "/v1/recipients/{id}": {
            "parameters": id,
            "put": call(
                "putRecipient", "Merge a profile; null removes a field", one, body=ref("Profile")
            ),
            "get": call("getRecipient", "A profile", one, "400", "404"),
            "delete": call("eraseRecipient", "Erase", answer("204", "Forgotten"), "400", "404"),
        },
        "/v1/recipients/{id}/export": {
            "parameters": id,
            "get": call("exportRecipient", "Everything that is kept", export, "400", "404"),
        },
        "/v1/recipients/{id}/consents": {
            "parameters": id,
            "put": call(
                "putConsents", "Add entries; none is removed", history, body=ref("Consents")
            ),
            "get": call("getConsents", "The history", history, "400", "404"),
        },
        "/v1/opt-outs": {"post": call("optOut", "Opt-outs in bulk", recorded, body=ref("OptOuts"))},
    }


def open_call(name: str, summary: str, answers: dict[str, Any]) -> Schema:
    """An operation without a key: it has a signature or a token of its own, or nothing to hide."""
    return {"operationId": name, "summary": summary, "responses": answers, "security": []}


def outside() -> dict[str, Any]:
    """What providers, browsers and recipients call."""
    html = {"type": "string", "contentMediaType": "text/html"}
    page = answer("200", "A page", html, "text/html") | answer(
        "404", "A token that is not ours", html, "text/html"
    )
    heard = answer("200", "What the provider wants to hear")
    refused = failures("400", "403", "404", "408", "413", "415", *ALWAYS)
    gif = answer(
        "200",
        "A picture of nothing",
        {"type": "string", "contentMediaType": "image/gif"},
        "image/gif",
    )
    token = [in_path("token", "A signed token.")]
    return {
        "/v1/receipts/{provider}": {
            "parameters": [in_path("provider", "The provider's name in the configuration.")],
            "post": open_call(
                "hear", "A provider's webhook, or a browser's report", heard | refused
            ),
            "get": open_call("verifyWebhook", "A provider's check of the webhook", heard | refused),
            "options": open_call(
                "preflight", "CORS, for browsers", answer("204", "Go on") | failures("404", "405")
            ),
        },
        "/u/{token}": {
            "parameters": token,
            "get": open_call("unsubscribePage", "What can be stopped; a GET never acts", page),
            "post": open_call(
                "unsubscribe",
                "Unsubscribe: one click, or the page's form",
                page | failures("408", "413", "415", *ALWAYS),
            ),
        },
        "/o/{token}": {"parameters": token, "get": open_call("opened", "A mail was opened", gif)},
        "/c/{token}": {
            "parameters": token,
            "get": open_call(
                "clicked", "On to a link of a mail", answer("302", "There") | {"404": page["404"]}
            ),
        },
        "/livez": {"get": open_call("live", "The process runs", answer("200", "It does"))},
        "/readyz": {
            "get": open_call(
                "ready", "It takes events", answer("200", "Ready") | answer("503", "Not now")
            )
        },
        "/openapi.json": {
            "get": open_call("openapi", "This document", answer("200", "It", {"type": "object"}))
        },
    }


@cache
def document() -> dict[str, Any]:
    """The whole document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Kaskad",
            "version": "1",
            "summary": "Publish events; read what became of the messages that they started.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"key": []}],
        "paths": publishing() | messages() | dead_letters() | recipients() | outside(),
        "components": {
            "schemas": schemas(),
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "kaskad keys create makes one.",
                }
            },
        },
    }
