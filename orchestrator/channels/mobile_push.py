"""The channel ``mobile_push``: notifications of apps, by Firebase and by Apple."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from orchestrator.channels.address_kinds import APNS_DEVICE, FCM_DEVICE
from orchestrator.channels.builtin import HOUR, MINUTE, is_text, is_url
from orchestrator.channels.kinds import Assumed, Channel, Likelihood, Structure

DATA_KEYS_MAX = 50
INTERRUPTIONS = ("passive", "active", "time-sensitive", "critical")
OURS = (
    *("mid", "rt", "report", "url", "image", "data", "title", "text"),
    *("channel_id", "sound", "tag", "notification_count"),
)
"""What ``data`` may not be named: it stands beside these in what the app gets."""


def mobile_push_problem(found: Mapping[str, Any]) -> str | None:
    if "url" in found and not is_link(found["url"]):
        return "url must be a URL, or a link into the app such as shop://orders/7"
    if "image" in found and not (is_url(found["image"]) and found["image"].startswith("https:")):
        return "image must be an https URL: phones load no other"
    if "sound" in found and not is_text(found["sound"]):
        return "sound must be a text: default, or the name of a file in the app"
    badge = found.get("badge", 0)
    if not (isinstance(badge, int | str) and str(badge).isascii() and str(badge).isdigit()):
        return "badge must be a whole number from 0"
    if "collapse" in found and not is_text(found["collapse"]):
        return "collapse must be a text"
    return data_problem(found.get("data", {})) or platform_problem(found)


def data_problem(data: Any) -> str | None:
    if not isinstance(data, Mapping) or len(data) > DATA_KEYS_MAX:
        return f"data must be a mapping of at most {DATA_KEYS_MAX} keys"
    for name, value in data.items():
        taken = name in OURS or name in ("from", "aps") or str(name).startswith(("google", "gcm"))
        if not isinstance(name, str) or not name or taken:
            return f"data cannot have a key {name!r}: it is taken"
        if not isinstance(value, str | int | float | bool):
            return f"data.{name} must be a text, a number, true or false"
    return None


def platform_problem(found: Mapping[str, Any]) -> str | None:
    """What is wrong with ``android`` and ``ios``, None if nothing is."""
    for platform, keys, word, words in (
        ("android", {"channel", "priority"}, "priority", ("high", "normal")),
        ("ios", {"category", "interruption"}, "interruption", INTERRUPTIONS),
    ):
        own = found.get(platform, {})
        if not isinstance(own, Mapping) or not set(own) <= keys:
            return f"{platform} must be a mapping with {' and '.join(sorted(keys))}"
        if word in own and own[word] not in words:
            return f"{platform}.{word} must be one of {', '.join(words)}"
        if not all(is_text(value) for value in own.values()):
            return f"{platform} must hold texts"
    return None


def is_link(value: Any) -> bool:
    """A web address, or one of the app's own scheme."""
    if not is_text(value) or any(character.isspace() for character in value):
        return False
    try:
        return urlsplit(value).scheme not in ("", "javascript", "data", "file")
    except ValueError:
        return False


MOBILE_PUSH = Channel(
    name="mobile_push",
    parts=("title", "text", "yaml"),
    needed=(("title",), ("text",)),
    addresses=(FCM_DEVICE, APNS_DEVICE),
    way={"en": "in the app", "uk": "у застосунку"},
    structure=Structure(
        keys=frozenset({"url", "image", "data", "sound", "badge", "collapse", "android", "ios"}),
        urls=("image",),  # a `url` may be a link into the app
        problem=mobile_push_problem,
    ),
    fan_out=True,
    receipts_from="device",
    assumed=Assumed(
        dead=0.05,
        delivered=Likelihood(0.75, 4, 2 * MINUTE),
        clicked=Likelihood(0.1, 5 * MINUTE, 2 * HOUR),
    ),
)
