"""
docs/http-api.md, made of the OpenAPI document:

    python -m orchestrator.api.reference > docs/http-api.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from orchestrator.api.codes import CALL_CODES, EVENT_CODES
from orchestrator.api.openapi import PROBLEM, STATUSES, document
from orchestrator.api.route import Listener, Route
from orchestrator.api.routes import ROUTES

METHODS = ("get", "put", "post", "delete", "options")
LIMITS = {
    "maxLength": "at most {} characters",
    "minLength": "at least {}",
    "maxItems": "at most {} items",
    "minItems": "at least {} items",
    "maxProperties": "at most {} keys",
    "minimum": "from {}",
    "maximum": "to {}",
    "pattern": "`{}`",
    "default": "default `{}`",
}
INTRODUCTION = """\
# HTTP API

Made from the OpenAPI document by `python -m orchestrator.api.reference > docs/http-api.md`; the
service has the document at `/openapi.json` and shows it at `/docs`, to read and to try.
[Events](events.md) describes events in and out.

* **Keys**: `Authorization: Bearer kk_…`; `kaskad keys create` makes one. Each call names the scope
  that its key needs, which is the first word of the path; a key with the scope `all` may do
  everything. A revoked key may be accepted for 2 more seconds.
* **Errors** are problem documents (RFC 9457, `application/problem+json`): a `Problem` below. 429
  and 503 have `Retry-After`; everything that was not acknowledged can be sent again.
* **Times** are RFC 3339 in UTC with milliseconds. Amounts of money are decimal strings.
* **Lists** are `{"items": […], "next_cursor": "…" | null}`, the newest first.
* **Bodies** are sent uncompressed and end within 20 seconds. JSON is strict: no key twice, no NaN.
* A message has the same keys here, in [status events](status-events.md) and in
  [`kaskad explain`](explain.md).
"""
WHEN_TO_RETRY = """
### 429 and 503

| answer | when | `Retry-After` |
|---|---|---|
| 429 `busy` | too many requests wait for the store; nothing was taken | 1 second |
| 429 `too_many_requests` | a key makes more requests than its own rate or `http.key_rate` \
(500 a second), a person's token more than 600 a minute | until its turn |
| 429 `too_many_failures` | more than 60 wrong keys in a minute came from one address | 60 seconds |
| 503 `unavailable` | the service is stopping, or its store is busy or unreachable | 1 second |
"""
LISTENERS = {
    Listener.PUBLIC: ("The public listener", "`http.listen` in kaskad.yaml."),
    Listener.ADMIN: ("The admin listener", "`http.admin` in kaskad.yaml, on loopback by default."),
    Listener.CONTROL: (
        "The control socket",
        "For the command line only: a Unix socket beside an embedded store, with mode 0600. It has"
        " the public listener's calls too, under `/api` and without keys. Its calls may change.",
    ),
}


def page(routes: Iterable[Route] = ROUTES) -> str:
    """The whole page."""
    return "\n".join(lines(tuple(routes))) + "\n"


def lines(routes: Iterable[Route]) -> Iterator[str]:
    yield INTRODUCTION
    yield "## Refusals\n\n| status | |\n|---|---|"
    yield from (f"| {status} | {text} |" for status, text in STATUSES.items())
    yield ""
    yield "### Error codes\n"
    yield "`code` of the problem document. Codes may be added.\n\n| code | |\n|---|---|"
    yield from (f"| `{code}` | {text} |" for code, text in CALL_CODES.items())
    yield "\nOf an event (`error.code` of its result), and of a whole body that cannot be read:\n"
    yield "| code | |\n|---|---|"
    yield from (f"| `{code}` | {text} |" for code, text in EVENT_CODES.items())
    yield WHEN_TO_RETRY
    schemas: dict[str, Any] = {}
    for listener, (title, note) in LISTENERS.items():
        yield f"## {title}\n\n{note}\n"
        described = document(routes, listener)
        schemas |= described["components"]["schemas"]
        for path, item in described["paths"].items():
            for method in METHODS:
                if method in item:
                    yield from call(f"{method.upper()} {path}", item[method], item)
    yield "## Shapes\n\nA key without “optional” is always there.\n"
    for name in sorted(schemas):
        yield from shape(name, schemas[name])


def call(title: str, found: Mapping[str, Any], item: Mapping[str, Any]) -> Iterator[str]:
    """One operation."""
    yield f"### `{title}`\n"
    scope = f" Needs the scope `{found['x-scope']}`." if "x-scope" in found else ""
    if {"person": []} in found.get("security", ()):
        scope = f" Needs the scope `{found['x-scope']}`, or a token of that person."
    yield f"{found['summary']}.{scope}"
    if "description" in found:
        yield f"\n{found['description']}"
    yield ""
    parameters = [*item.get("parameters", ()), *found.get("parameters", ())]
    if parameters:
        yield "| parameter | in | type | |\n|---|---|---|---|"
        for one in parameters:
            text = one.get("description", "")
            yield f"| `{one['name']}` | {one['in']} | {kind(one['schema'])} | {text} |"
        yield ""
    for media, content in found.get("requestBody", {"content": {}})["content"].items():
        yield f"* Body `{media}`: {kind(content['schema'])}"
    refusals = []
    for status, answer in found["responses"].items():
        content = answer.get("content", {})
        if PROBLEM in content:
            refusals.append(status)
            continue
        shapes = "".join(f": {kind(one['schema'])}" for one in content.values())
        yield f"* **{status}** {answer['description']}{shapes}"
    if refusals:
        yield f"* Refusals: {', '.join(refusals)}"
    yield ""


def shape(name: str, schema: Mapping[str, Any]) -> Iterator[str]:
    """One component: a table of its keys, or its words."""
    yield f"### {name}\n"
    if text := described_in(schema):
        yield f"{text}\n"
    if "enum" in schema:
        yield f"One of {kind(schema)}.\n"
        return
    yield "| key | type | |\n|---|---|---|"
    for key, value in schema.get("properties", {}).items():
        optional = "" if key in schema.get("required", ()) else "optional"
        notes = [optional, described_in(value)]
        yield f"| `{key}` | {kind(value)} | {'. '.join(filter(None, notes))} |"
    yield ""


def described_in(schema: Mapping[str, Any]) -> str:
    return " ".join(str(schema.get("description", "")).replace("``", "`").split())


def kind(schema: Mapping[str, Any]) -> str:
    """A schema's type in words, with its limits."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        words = f"[{name}](#{name.lower()})"
    elif "anyOf" in schema and all("required" not in one for one in schema["anyOf"]):
        words = " or ".join(kind(one) for one in schema["anyOf"])
    elif "enum" in schema:
        words = ", ".join(f"`{one}`" if one is not None else "null" for one in schema["enum"])
    elif schema.get("type") == "array":
        words = f"list of {kind(schema['items'])}"
    else:
        found = schema.get("type", "anything")
        words = " or ".join(found) if isinstance(found, list) else str(found)
        words += f" ({schema['format']})" if "format" in schema else ""
    limits = [text.format(schema[name]) for name, text in LIMITS.items() if schema.get(name)]
    return ", ".join([words, *limits]).replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(page())
