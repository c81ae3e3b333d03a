"""What the YAML parts of each channel may say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

KEYS: dict[str, frozenset[str]] = {
    "viber": frozenset({"image", "button"}),
    "whatsapp": frozenset({"template", "language", "header", "body", "buttons"}),
    "web_push": frozenset({"url", "icon", "image", "actions", "tag"}),
}
ACTIONS_MAX = 4
TEXT_MAX = 2_000


def shape_problem(channel: str, found: Any) -> str | None:
    """What is wrong with a structure, None where nothing is."""
    if not isinstance(found, Mapping):
        return "the YAML part is not a mapping"
    unknown = sorted(set(map(str, found)) - KEYS.get(channel, frozenset()))
    if unknown:
        return (
            f"{channel}.yaml has no key {unknown[0]!r}; it has"
            f" {', '.join(sorted(KEYS.get(channel, ())))}"
        )
    check = {"viber": viber, "whatsapp": whatsapp, "web_push": web_push}.get(channel)
    return check(found) if check is not None else None


def viber(found: Mapping[str, Any]) -> str | None:
    if "image" in found and not is_url(found["image"]):
        return "image must be an http(s) URL"
    button = found.get("button")
    if button is None:
        return None
    if (
        not isinstance(button, Mapping)
        or not is_text(button.get("title"))
        or not is_url(button.get("url"))
    ):
        return "button must be {title: …, url: https://…}"
    return None


def whatsapp(found: Mapping[str, Any]) -> str | None:
    if not is_text(found.get("template")) or not is_text(found.get("language")):
        return "template and language must be given"
    body = found.get("body", [])
    if not isinstance(body, list) or not all(
        is_text(one) or isinstance(one, Mapping) for one in body
    ):
        return "body must be a list of parameters"
    if not isinstance(found.get("buttons", []), list):
        return "buttons must be a list"
    return None


def web_push(found: Mapping[str, Any]) -> str | None:
    for key in ("url", "icon", "image"):
        if key in found and not is_url(found[key]):
            return f"{key} must be an http(s) URL"
    actions = found.get("actions", [])
    if not isinstance(actions, list) or len(actions) > ACTIONS_MAX:
        return f"actions must be a list of at most {ACTIONS_MAX}"
    for action in actions:
        if (
            not isinstance(action, Mapping)
            or not is_text(action.get("action"))
            or not is_text(action.get("title"))
        ):
            return "an action must be {action: …, title: …}"
    return None


def is_text(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= TEXT_MAX


def is_url(value: Any) -> bool:
    return (
        isinstance(value, str)
        and len(value) <= TEXT_MAX
        and urlsplit(value).scheme in ("http", "https")
    )
