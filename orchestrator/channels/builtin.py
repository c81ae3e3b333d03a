"""The channels that Kaskad brings, registered like those of anybody else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from orchestrator.channels.address_kinds import (
    EMAIL as EMAIL_ADDRESS,
)
from orchestrator.channels.address_kinds import (
    PHONE,
    RECIPIENT_ID,
    TELEGRAM_ID,
    VIBER_BOT_ID,
    WHATSAPP_ID,
)
from orchestrator.channels.address_kinds import (
    WEB_PUSH as SUBSCRIPTION,
)
from orchestrator.channels.kinds import Assumed, Channel, Likelihood, Structure
from orchestrator.channels.readers import iso_seconds

ACTIONS_MAX = 4
ITEM_ACTIONS_MAX = 3
BUTTONS_MAX = 8
BUTTON_CHARS_MAX = 20
WHATSAPP_CHOICES_MAX = 10
ANSWER_BYTES_MAX = 64
TEXT_MAX = 2_000
LINKS = ("url", "icon", "image")
SESSION_MS = 24 * 3_600_000
MINUTE, HOUR = 60, 3_600


def viber_problem(found: Mapping[str, Any]) -> str | None:
    if "image" in found and not is_url(found["image"]):
        return "image must be an http(s) URL"
    button = found.get("button")
    if button is not None and not (
        isinstance(button, Mapping)
        and is_text(button.get("title"))
        and is_url(button.get("url"))
        and set(button) == {"title", "url"}
    ):
        return "button must be {title: …, url: https://…}"
    return None


def whatsapp_problem(found: Mapping[str, Any]) -> str | None:
    if any(len(str(choice["title"])) > BUTTON_CHARS_MAX for choice in found.get("choices", ())):
        return f"WhatsApp takes titles of choices of at most {BUTTON_CHARS_MAX} characters"
    if set(found) == {"choices"}:
        return None  # a question within the session needs no template
    for key in ("template", "language"):
        if not is_text(found.get(key)):
            return f"{key} must be given"
    body = found.get("body", [])
    if not isinstance(body, list) or not all(
        is_text(one) or isinstance(one, Mapping) for one in body
    ):
        return "body must be a list of parameters"
    if not isinstance(found.get("buttons", []), list):
        return "buttons must be a list"
    return None


def web_push_problem(found: Mapping[str, Any]) -> str | None:
    if wrong := wrong_link(found):
        return wrong
    actions = found.get("actions", [])
    if not isinstance(actions, list) or len(actions) > ACTIONS_MAX:
        return f"actions must be a list of at most {ACTIONS_MAX}"
    for action in actions:
        if not (
            isinstance(action, Mapping)
            and is_text(action.get("action"))
            and is_text(action.get("title"))
        ):
            return "an action must be {action: …, title: …}"
    return None


def in_app_problem(found: Mapping[str, Any]) -> str | None:
    actions = found.get("actions", [])
    if not isinstance(actions, list) or len(actions) > ITEM_ACTIONS_MAX:
        return f"actions must be a list of at most {ITEM_ACTIONS_MAX}"
    for action in actions:
        if not (
            isinstance(action, Mapping)
            and is_text(action.get("action"))
            and is_text(action.get("title"))
            and ("url" not in action or is_url(action["url"]))
            and set(action) <= {"action", "title", "url"}
        ):
            return "an action must be {action: …, title: …, url: https://…}; it may have no url"
    if "category" in found and not is_text(found["category"]):
        return "category must be a text"
    if not isinstance(found.get("pinned", False), bool):
        return "pinned must be true or false"
    if "expires" in found and iso_seconds(found["expires"]) is None:
        return "expires must be a time such as 2026-11-21T10:00:00Z"
    if not isinstance(found.get("data", {}), Mapping):
        return "data must be a mapping"
    return wrong_link(found)


def wrong_link(found: Mapping[str, Any]) -> str | None:
    for key in LINKS:
        if key in found and not is_url(found[key]):
            return f"{key} must be an http(s) URL"
    return None


def telegram_problem(found: Mapping[str, Any]) -> str | None:
    if "image" in found and not is_url(found["image"]):
        return "image must be an http(s) URL"
    buttons = found.get("buttons", [])
    if not isinstance(buttons, list) or len(buttons) > BUTTONS_MAX:
        return f"buttons must be a list of at most {BUTTONS_MAX}"
    for button in buttons:
        if not isinstance(button, Mapping) or not is_text(button.get("title")):
            return "a button must be {title: …, url: https://…} or {title: …, answer: …}"
        if set(button) == {"title", "answer"} and is_text(button["answer"]):
            if len(button["answer"].encode("utf-8", "replace")) > ANSWER_BYTES_MAX:
                return f"a button's answer may have {ANSWER_BYTES_MAX} bytes of UTF-8"
        elif set(button) != {"title", "url"} or not is_url(button["url"]):
            return "a button must be {title: …, url: https://…} or {title: …, answer: …}"
    return None


def is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= TEXT_MAX and not value.isspace() and value != ""


def is_url(value: Any) -> bool:
    return (
        isinstance(value, str)
        and len(value) <= TEXT_MAX
        and urlsplit(value).scheme in ("http", "https")
    )


SMS = Channel(
    name="sms",
    parts=("text", "yaml"),
    needed=(("text",),),
    addresses=(PHONE,),
    way={"en": "by SMS", "uk": "у SMS"},
    two_way=True,
    choices="lines",
    session_ms=SESSION_MS,
    counts_parts=True,
    country_rule=True,
    otp_limits=True,
    assumed=Assumed(
        dead=0.005,
        lost=0.002,
        delivered=Likelihood(0.95, 5, MINUTE),
        failed=Likelihood(0.03, 10, 5 * MINUTE),
    ),
)
VIBER = Channel(
    name="viber",
    parts=("text", "yaml"),
    needed=(("text", "yaml"),),
    addresses=(PHONE, VIBER_BOT_ID),
    way={"en": "in Viber", "uk": "у Viber"},
    structure=Structure(
        keys=frozenset({"image", "button"}), urls=("image", "button.url"), problem=viber_problem
    ),
    two_way=True,
    choices="lines",
    linkable=True,
    session_ms=SESSION_MS,
    assumed=Assumed(
        refused=0.15,
        lost=0.002,
        delivered=Likelihood(0.85, 6, 5 * MINUTE),
        failed=Likelihood(0.03, 10, 2 * MINUTE),
        read=Likelihood(0.6, 15 * MINUTE, 6 * HOUR),
        clicked=Likelihood(0.15, MINUTE, 30 * MINUTE),
    ),
)
RCS = Channel(
    name="rcs",
    parts=("text", "yaml"),
    needed=(("text", "yaml"),),
    addresses=(PHONE,),
    way={"en": "in RCS messages", "uk": "у повідомленнях RCS"},
    structure=Structure(
        keys=frozenset({"image", "button"}), urls=("image", "button.url"), problem=viber_problem
    ),
    two_way=True,
    choices="lines",
    session_ms=SESSION_MS,
    assumed=Assumed(
        refused=0.4,
        lost=0.002,
        delivered=Likelihood(0.85, 6, 5 * MINUTE),
        failed=Likelihood(0.03, 10, 2 * MINUTE),
        read=Likelihood(0.5, 20 * MINUTE, 8 * HOUR),
        clicked=Likelihood(0.1, MINUTE, 30 * MINUTE),
    ),
)
WHATSAPP = Channel(
    name="whatsapp",
    parts=("text", "yaml"),
    needed=(("text", "yaml"),),
    addresses=(PHONE, WHATSAPP_ID),
    way={"en": "in WhatsApp", "uk": "у WhatsApp"},
    structure=Structure(
        keys=frozenset({"template", "language", "header", "body", "buttons"}),
        urls=("header.image", "header.video", "header.document"),
        problem=whatsapp_problem,
    ),
    two_way=True,
    choices="lines",
    choices_max=WHATSAPP_CHOICES_MAX,
    session_ms=SESSION_MS,
    assumed=Assumed(
        refused=0.1,
        lost=0.002,
        delivered=Likelihood(0.85, 4, 5 * MINUTE),
        failed=Likelihood(0.05, 5, MINUTE),
        read=Likelihood(0.65, 15 * MINUTE, 6 * HOUR),
        clicked=Likelihood(0.12, MINUTE, 30 * MINUTE),
    ),
)
TELEGRAM = Channel(
    name="telegram",
    parts=("text", "yaml"),
    needed=(("text",),),
    addresses=(TELEGRAM_ID,),
    way={"en": "in Telegram", "uk": "у Telegram"},
    structure=Structure(
        keys=frozenset({"image", "buttons"}),
        urls=("image", "buttons.url"),
        problem=telegram_problem,
    ),
    two_way=True,
    choices="lines",
    session_ms=SESSION_MS,
    linkable=True,
    assumed=Assumed(
        dead=0.005,
        refused=0.03,
        lost=0.002,
        clicked=Likelihood(0.15, 5 * MINUTE, 2 * HOUR),
    ),
)
EMAIL = Channel(
    name="email",
    parts=("subject", "text", "html", "yaml"),
    needed=(("subject",), ("text", "html")),
    addresses=(EMAIL_ADDRESS,),
    way={"en": "by email", "uk": "електронною поштою"},
    two_way=True,
    choices="links",
    session_ms=SESSION_MS,
    one_click=True,
    assumed=Assumed(
        dead=0.01,
        lost=0.002,
        read=Likelihood(0.35, 2 * HOUR, 24 * HOUR),
        clicked=Likelihood(0.1, 30, 10 * MINUTE),
    ),
)
WEB_PUSH = Channel(
    name="web_push",
    parts=("title", "text", "yaml"),
    needed=(("title",), ("text",)),
    addresses=(SUBSCRIPTION,),
    way={"en": "in the browser", "uk": "у браузері"},
    structure=Structure(
        keys=frozenset({"url", "icon", "image", "actions", "tag"}),
        urls=("url", "icon", "image"),
        problem=web_push_problem,
    ),
    fan_out=True,
    choices="actions",
    choices_max=ACTIONS_MAX,
    receipts_from="device",
    assumed=Assumed(
        dead=0.08,
        delivered=Likelihood(0.65, 5, 2 * MINUTE),
        clicked=Likelihood(0.12, 4 * MINUTE, HOUR),
    ),
)
IN_APP = Channel(
    name="in_app",
    parts=("title", "text", "yaml"),
    needed=(("title",), ("text",)),
    addresses=(RECIPIENT_ID,),
    way={"en": "in the app", "uk": "у застосунку"},
    structure=Structure(
        keys=frozenset({*LINKS, "actions", "category", "pinned", "expires", "data"}),
        urls=LINKS,
        problem=in_app_problem,
    ),
    inbox=True,
    choices="actions",
    choices_max=ITEM_ACTIONS_MAX,
    assumed=Assumed(
        delivered=Likelihood(0.4, 2 * HOUR, 24 * HOUR),
        read=Likelihood(0.5, 10 * MINUTE, 12 * HOUR),
        clicked=Likelihood(0.2, MINUTE, 30 * MINUTE),
    ),
)
