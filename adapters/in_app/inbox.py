"""
The recipient's inbox: an item in this installation's own store, for a page or an app to show.

Reference: none; the item is ours (docs/inbox.md). Quirk: a stored item is not delivered. Delivered,
read and clicked come over the HTTP API, from the page or app that shows it.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Field

from orchestrator import channels as ch

CONTENT_BYTES_MAX = 16 * 1024
DAY_MS = 86_400_000
SHOWN = ("url", "icon", "image", "actions", "data")


class InboxSettings(ch.AdapterSettings):
    """``keep``: how long an item stays that does not expire sooner."""

    keep: Annotated[ch.Duration, Field(le=400 * DAY_MS)] = 90 * DAY_MS


class InAppInbox(ch.Adapter[InboxSettings]):
    """Puts messages into the inbox of their recipient. There is nothing outside to call."""

    name: ClassVar[str] = "inbox"
    supports: ClassVar[ch.Capabilities] = ch.Capabilities(
        channel="in_app",
        receipts=frozenset({"delivered", "read", "clicked"}),
        parts=("title", "text"),
        # the store keeps one item for a message and step, however often it is written
        idempotent_seconds=ch.hours(24),
    )
    settings_type: ClassVar[type[ch.AdapterSettings]] = InboxSettings

    async def send(self, message: ch.Outgoing) -> ch.Outcome:
        """The item, stored with this answer; refused if it is too large or over already."""
        parts: dict[str, Any] = dict(message.content.get("yaml") or {})
        content = {
            "title": message.content["title"],
            "text": message.content["text"],
            "locale": message.locale,
            **{key: parts[key] for key in SHOWN if key in parts},
        }
        if len(ch.json_bytes(content)) > CONTENT_BYTES_MAX:
            what = f"the item is larger than {CONTENT_BYTES_MAX // 1024} KiB"
            return ch.Refused(ch.Reason.REFUSED_CONTENT, "too_large", what)
        now_ms = int(message.now * 1000)
        expires_ms = now_ms + self.settings.keep
        if message.own_ttl_seconds is not None:
            expires_ms = min(expires_ms, now_ms + message.own_ttl_seconds * 1000)
        if (given := ch.iso_seconds(parts.get("expires"))) is not None:
            expires_ms = min(expires_ms, int(given * 1000))
        if expires_ms <= now_ms:
            what = "its `expires` has passed"
            return ch.Refused(ch.Reason.REFUSED_RECIPIENT, "expired", what)
        category, pinned = str(parts.get("category", "")), parts.get("pinned") is True
        return ch.Accepted(item=ch.InboxItem(content, expires_ms, category, pinned))
