"""
``whatsapp.<locale>.yaml.j2`` as Meta's ``template`` object.

    template: order_update          # the approved name
    language: uk                    # the approved translation; without it the recipient's locale
    # or text, video, document (with filename), location; a bare string is text
    header: {image: https://…}
    # positional; a mapping is named parameters; an object with `type` goes as it is
    # (white space in a text is folded)
    body: [Anna, "42"]
    buttons:                        # in their order, beginning at index 0
      - {url: suffix}               # also as a bare string: what the approved URL ends in
      - {quick_reply: STOP}         # the payload that comes back
      - {copy_code: "1234"}

Reference: Meta Cloud API, "Message templates", components of a template message.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

REPLY_BUTTONS_MAX, BUTTON_TEXT_MAX = 3, 1_024
OPEN_LIST = {"en": "Choose", "uk": "Обрати"}
MEDIA = ("image", "video", "document")
WHITE_SPACE = re.compile(r"[^\S\u00a0\u202f]+|[\u00a0\u202f]{2,}")


def template_of(part: Mapping[str, Any], locale: str) -> dict[str, Any]:
    """Meta's ``template`` object for a parsed YAML part."""
    code = part.get("language") or locale.replace("-", "_")
    found = {
        "name": str(part["template"]),
        "language": {"policy": "deterministic", "code": str(code)},
    }
    components = [
        *header(part.get("header")),
        *body(part.get("body")),
        *buttons([*listed(part.get("buttons")), *map(quick_reply, listed(part.get("choices")))]),
    ]
    return {**found, "components": components} if components else found


def header(value: Any) -> list[dict[str, Any]]:
    """The header component; empty for a template whose header has no parameter."""
    if value is None:
        return []
    return [{"type": "header", "parameters": [header_parameter(value)]}]


def header_parameter(value: Any) -> dict[str, Any]:
    """One parameter: text, a medium by its link, or an object in Meta's own form."""
    if not isinstance(value, Mapping):
        return text_parameter(value)
    if "type" in value:
        return parameter(value)
    for medium in MEDIA:
        if medium in value:
            filename = {"filename": value["filename"]} if "filename" in value else {}
            return {"type": medium, medium: {"link": value[medium], **filename}}
    if "location" in value:
        return {"type": "location", "location": value["location"]}
    return text_parameter(value.get("text", ""))


def body(value: Any) -> list[dict[str, Any]]:
    """The body component from a list (positional) or a mapping (named)."""
    if isinstance(value, Mapping):
        parameters = [
            {"parameter_name": str(name), **parameter(item)} for name, item in value.items()
        ]
    elif isinstance(value, list | tuple):
        parameters = [parameter(item) for item in value]
    else:
        parameters = [] if value is None else [parameter(value)]
    return [{"type": "body", "parameters": parameters}] if parameters else []


def parameter(value: Any) -> dict[str, Any]:
    """A text parameter, or an object (currency, date_time) in Meta's own form."""
    if not isinstance(value, Mapping):
        return text_parameter(value)
    return {**value, "text": folded(value["text"])} if "text" in value else dict(value)


def text_parameter(value: Any) -> dict[str, Any]:
    return {"type": "text", "text": folded(value)}


def folded(value: Any) -> str:
    """
    A parameter on one line: Meta refuses one that has line ends, tabs or more than four spaces in a
    row (132018).
    """
    return WHITE_SPACE.sub(" ", str(value)).strip()


def buttons(values: list[Any]) -> list[dict[str, Any]]:
    """One component a button; its place in the list is its index."""
    return [button(index, item) for index, item in enumerate(values)]


def listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []


def quick_reply(choice: Any) -> dict[str, Any]:
    """A choice as a button of the approved template: its title is Meta's, its payload our id."""
    return {"quick_reply": choice["id"]}


def question(text: str, choices: list[tuple[str, str]], locale: str) -> dict[str, Any]:
    """A text with reply buttons; with more than three choices, or a long text, with a list."""
    rows = [{"id": id, "title": title} for id, title in choices]
    if len(rows) <= REPLY_BUTTONS_MAX and len(text) <= BUTTON_TEXT_MAX:
        shown = [{"type": "reply", "reply": row} for row in rows]
        found = {"type": "button", "body": {"text": text}, "action": {"buttons": shown}}
    else:
        label = OPEN_LIST.get(locale.partition("-")[0], OPEN_LIST["en"])
        action = {"button": label, "sections": [{"rows": rows}]}
        found = {"type": "list", "body": {"text": text}, "action": action}
    return {"type": "interactive", "interactive": found}


def button(index: int, value: Any) -> dict[str, Any]:
    """A button's parameter: the end of its URL, the payload of a quick reply, or a code to copy."""
    kinds = value if isinstance(value, Mapping) else {"url": value}
    if "quick_reply" in kinds:
        kind, parameters = (
            "quick_reply",
            {"type": "payload", "payload": folded(kinds["quick_reply"])},
        )
    elif "copy_code" in kinds:
        kind, parameters = (
            "copy_code",
            {"type": "coupon_code", "coupon_code": folded(kinds["copy_code"])},
        )
    else:
        kind, parameters = "url", text_parameter(kinds.get("url", ""))
    return {"type": "button", "sub_type": kind, "index": str(index), "parameters": [parameters]}
