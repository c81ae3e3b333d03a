"""What Firebase and Apple have in common: the facts for the app, and the room there is for them."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable, Iterator
from typing import Any

from orchestrator import channels as ch

PAYLOAD_BYTES_MAX = 4_096
WORD_CHARS_MAX = 40
BADGE_DIGITS_MAX = 9
COLLAPSE_CHARS_MAX = 64
ELLIPSIS = "…"
JOINERS = ("\u200d", "\ufe0e", "\ufe0f")


class DeviceReports(ch.HttpAdapter[ch.S]):
    """An adapter whose receipts are the reports of the recipient's own app."""

    def verify(self, hook: ch.Webhook) -> None:
        ch.verify_device_report(hook)

    def receipts(self, hook: ch.Webhook) -> Iterator[ch.Receipt | ch.Inbound | ch.Preference]:
        return ch.device_receipts(hook)


def extra_of(message: ch.Outgoing, *path: str) -> Any:
    """A value of ``mobile_push.yaml``, None without."""
    return ch.member(message.content.get("yaml"), *path)


def facts_of(message: ch.Outgoing) -> dict[str, Any]:
    """What the app needs: to report (``mid``, ``rt``, ``report``), and what a click opens."""
    facts: dict[str, Any] = {
        "mid": message.message_id,
        "rt": message.receipt_token,
        "report": message.receipt_url,
    }
    for name in ("url", "image"):
        if extra_of(message, name) is not None:
            facts[name] = extra_of(message, name)
    return facts


def badge_of(message: ch.Outgoing) -> int | None:
    """The number on the app's icon; a template may well have written it as a text."""
    written = str(extra_of(message, "badge"))
    whole = written.isascii() and written.isdigit() and len(written) <= BADGE_DIGITS_MAX
    return int(written) if whole else None


def collapse_of(message: ch.Outgoing) -> str | None:
    """
    The key under which a newer notification replaces an older one; hashed where it could not stand
    in a header.
    """
    key = extra_of(message, "collapse")
    if not isinstance(key, str) or not key:
        return None
    if len(key) <= COLLAPSE_CHARS_MAX and key.isascii() and key.isprintable():
        return key
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()[:32]


def aps_of(message: ch.Outgoing, text: str) -> dict[str, Any]:
    """Apple's part; ``mutable-content`` lets the app's extension report the delivery."""
    aps: dict[str, Any] = {
        "alert": {"title": str(message.content.get("title", "")), "body": text},
        "mutable-content": 1,
        "sound": sound_of(message),
        "badge": badge_of(message),
        "category": extra_of(message, "ios", "category"),
        "interruption-level": extra_of(message, "ios", "interruption"),
    }
    return present(**aps)


def sound_of(message: ch.Outgoing) -> str | None:
    """The sound; the phone's own where nothing is said, none for ``none``."""
    sound = extra_of(message, "sound") or "default"
    return None if sound == "none" else str(sound)


def is_promotion(message: ch.Outgoing) -> bool:
    """Whether the phone may save its battery first."""
    return message.message_class == "promotional"


def present(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def fitting(message: ch.Outgoing, size: Callable[[str], int]) -> str:
    """
    The text, cut at a word where the payload would be too large for the phone to get.

    ``size`` gives the payload's bytes with a text. Raises ``Unsendable`` if the rest alone is too
    large: title, links and data are never cut.
    """
    text = str(message.content.get("text", ""))
    if size(text) <= PAYLOAD_BYTES_MAX:
        return text
    rest = size(ELLIPSIS)
    if rest > PAYLOAD_BYTES_MAX:
        detail = (
            f"the payload has {rest} bytes without its text, at most {PAYLOAD_BYTES_MAX} fit;"
            " shorten the title, the links or the data"
        )
        raise ch.Unsendable(ch.Refused(ch.Reason.REFUSED_CONTENT, "too_large", detail))
    fits, most = 0, len(text)
    while fits < most:
        middle = (fits + most + 1) // 2
        if size(text[:middle] + ELLIPSIS) <= PAYLOAD_BYTES_MAX:
            fits = middle
        else:
            most = middle - 1
    return text[: end_of_word(text, fits)].rstrip() + ELLIPSIS


def end_of_word(text: str, end: int) -> int:
    """The nearest place up to ``end`` that is between two words, or at least two characters."""
    space = text.rfind(" ", max(0, end - WORD_CHARS_MAX), end + 1)
    if space > 0:
        return space
    while end > 0 and (
        unicodedata.combining(text[end]) or text[end] in JOINERS or text[end - 1] in JOINERS
    ):
        end -= 1
    return end
