"""The OpenAPI 3.1 document, made of the route table."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, repeat
from typing import Any

import msgspec
from aiohttp import web

from orchestrator.api.codes import CALL_CODES, EVENT_CODES
from orchestrator.api.examples import EXAMPLES
from orchestrator.api.problems import ProblemView
from orchestrator.api.recipients import add_addresses
from orchestrator.api.route import Listener, Route
from orchestrator.channels.registry import consent_channels
from orchestrator.explain.event_views import OptOutEventView, ReplyEventView, StatusEventView

DOCUMENT: web.AppKey[dict[str, Any]] = web.AppKey("document", dict)
"""The document that an application serves."""

STATUSES = {
    400: "What is wrong, in which field, and how to fix it",
    401: "No key, or an invalid one",
    403: "Not allowed: the key lacks the scope, or the webhook is not the provider's",
    404: "It does not exist",
    405: "The path does not take this method",
    408: "The body did not end in time",
    409: "It conflicts with what is stored",
    410: "What was asked for is no longer known; read the whole again",
    413: "Too large",
    415: "A media type, charset or encoding that is not read",
    422: "It cannot be processed",
    429: "Too many requests; see Retry-After",
    503: "The service is stopping, or its store is busy or unreachable; see Retry-After",
}
OF_KEYS = (401, 403, 429, 503)
OF_BODIES = (400, 408, 413, 415, 429, 503)
STATUS_EVENTS = (StatusEventView, OptOutEventView, ReplyEventView)
PROBLEM = "application/problem+json"
PARAMETER = re.compile(r"{(\w+)}")
TEMPLATE = "#/components/schemas/{name}"
SUFFIXES = ("View", "Body")
"""A type's name has one where a class of the same name exists elsewhere; its schema's has none."""


def document(routes: Iterable[Route], listener: Listener = Listener.PUBLIC) -> dict[str, Any]:
    """The whole document of one listener."""
    rows = [row for row in routes if listener in row.listeners]
    has_webhooks = listener is Listener.PUBLIC
    types = [kind for row in rows for kind in types_of(row)]
    schemas = Schemas([*types, *STATUS_EVENTS] if has_webhooks else types)
    paths: dict[str, Any] = {}
    for row in rows:
        item = paths.setdefault(row.path, {})
        if "{" in row.path:
            item["parameters"] = path_parameters(row)
        item[row.method.lower()] = operation(row, schemas)
    webhooks: dict[str, Any] = {}
    if has_webhooks:
        webhooks["webhooks"] = {"statusEvent": {"post": status_webhook(schemas)}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Kaskad",
            "version": "1",
            "summary": "Publish events; read what became of the messages that they started.",
            "description": (
                "Every refusal is a `Problem`, whose `code` is one of `x-error-codes`. 429 and 503"
                " have a `Retry-After`; whatever was not acknowledged can be sent again."
            ),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "x-error-codes": EVENT_CODES | CALL_CODES,
        "security": [{"key": []}],
        "paths": paths,
        **webhooks,
        "components": {
            "schemas": schemas.components,
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "kaskad keys create makes one.",
                },
                "person": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "`POST /v1/inbox/{recipient}/tokens` makes one.",
                },
            },
        },
    }


def status_webhook(schemas: Schemas) -> dict[str, Any]:
    """What the receivers in `statuses.webhooks` are sent."""
    texts = {
        "webhook-id": "The event's `id`, the same on every try.",
        "webhook-timestamp": "UTC seconds of this try.",
        "webhook-signature": (
            "`v1,` and the base64 of HMAC-SHA256 over `<webhook-id>.<webhook-timestamp>.<body>`,"
            " with the key in the `whsec_` secret (Standard Webhooks 1.0)."
        ),
    }
    events = {"anyOf": [schemas.of(one) for one in STATUS_EVENTS]}
    content = {"application/cloudevents+json": {"schema": events}}
    return {
        "operationId": "statusEvent",
        "summary": "A message or an attempt has changed, or somebody has replied or opted out",
        "description": "At least once; docs/status-events.md has the types and the retries.",
        "security": [],
        "parameters": [
            {
                "name": name,
                "in": "header",
                "required": True,
                "description": text,
                "schema": {"type": "string"},
            }
            for name, text in texts.items()
        ],
        "requestBody": {"required": True, "content": content},
        "responses": {
            "2XX": {"description": "It is taken"},
            "410": {"description": "Ask this receiver rarely from now on"},
            "default": {"description": "It is not taken, and is sent again later"},
        },
    }


def types_of(row: Route) -> Iterable[Any]:
    """The types that a row's schemas are made of."""
    yield ProblemView
    yield from (answer.body for answer in row.answers if answer.body is not None)
    yield from (parameter.kind for parameter in row.query)
    yield from (row.body or {}).values()


class Schemas:
    """JSON Schemas: ``of`` a type where it is used, ``components`` of those with a name."""

    def __init__(self, types: Sequence[Any]) -> None:
        inline, components = msgspec.json.schema_components(types, ref_template=TEMPLATE)
        self._types = list(types)
        self._inline = [shorten(schema) for schema in inline]
        self.components = {short(name): shorten(schema) for name, schema in components.items()}
        if len(self.components) < len(components):
            raise ValueError("two types have the same name but for its suffix")
        add_addresses(self.components)
        for name in EXAMPLES.keys() & self.components.keys():
            self.components[name]["examples"] = [EXAMPLES[name]]

    def of(self, kind: Any) -> dict[str, Any]:
        found: dict[str, Any] = self._inline[self._types.index(kind)]
        return found


def short(name: str) -> str:
    for suffix in SUFFIXES:
        name = name.removesuffix(suffix)
    return name


def shorten(schema: Any) -> Any:
    """A schema with the short names of components, and without titles, which only repeat them."""
    if isinstance(schema, Mapping):
        if schema.get("enum") == "consent_channels":  # known once the plug-ins are loaded
            schema = {**schema, "enum": list(consent_channels())}
        return {
            name: short(value) if name == "$ref" else shorten(value)
            for name, value in schema.items()
            if name != "title" or not isinstance(value, str)
        }
    return [shorten(one) for one in schema] if isinstance(schema, list | tuple) else schema


def path_parameters(row: Route) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        | ({"description": place} if place else {})
        for name, place in zip(
            PARAMETER.findall(row.path), chain(row.places, repeat("")), strict=False
        )
    ]


def operation(row: Route, schemas: Schemas) -> dict[str, Any]:
    """One call: parameters, body, and every answer that it may give."""
    found: dict[str, Any] = {
        "operationId": row.name,
        "tags": [row.group],
        "summary": row.summary,
    }
    if row.notes:
        found["description"] = row.notes
    if row.scope is None:
        found["security"] = []
    elif row.personal:
        found["x-scope"] = str(row.scope)
        found["security"] = [{"key": []}, {"person": []}]
    else:
        found["x-scope"] = str(row.scope)
    if row.query:
        found["parameters"] = [
            {
                "name": parameter.name,
                "in": "query",
                "description": parameter.text,
                "schema": schemas.of(parameter.kind),
            }
            for parameter in row.query
        ]
    if row.body is not None:
        content = {media: {"schema": schemas.of(kind)} for media, kind in row.body.items()}
        found["requestBody"] = {"required": True, "content": content}
    answers: dict[str, Any] = {}
    for answer in row.answers:
        answers[str(answer.status)] = {"description": answer.text}
        if answer.body is not None:
            content = {answer.media_type: {"schema": schemas.of(answer.body)}}
            answers[str(answer.status)]["content"] = content
    problem = {PROBLEM: {"schema": schemas.of(ProblemView)}}
    for status in refusals_of(row):
        answers.setdefault(str(status), {"description": STATUSES[status], "content": problem})
    return found | {"responses": answers}


def refusals_of(row: Route) -> list[int]:
    """A row's own refusals, and those of every call with a key or with a body."""
    of_keys = OF_KEYS if row.scope is not None else ()
    of_bodies = OF_BODIES if row.body is not None else ()
    return sorted({*row.refusals, *of_keys, *of_bodies})
