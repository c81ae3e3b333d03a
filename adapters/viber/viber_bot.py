"""
Viber bot: one JSON POST per message to a subscriber of the bot; events come back signed.

Reference: Viber REST Bot API, "Send message", "Callbacks", "Error codes". Quirk: every answer is
HTTP 200 and its ``status`` decides. ``message_token`` is a 64-bit whole number that a float would
spoil. ``tracking_data`` comes back with the user's next reply only, never with a delivery event.
"""

from __future__ import annotations

import hashlib
import hmac
import html
import re
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field

from orchestrator import channels as ch

R = ch.Reason
Event = dict[str, Any]
CAPTION_CHARS_MAX = 512
MARK_CHARS = 2
RATE_STATUS = 12
TOKEN_MAX = 2**64
TOKEN = re.compile(r"[A-Za-z0-9_-]{1,64}")

REFUSALS: dict[int, R] = {
    5: R.REFUSED_ADDRESS,
    6: R.REFUSED_OPTED_OUT,
    **dict.fromkeys((11, 13, 21), R.REFUSED_RECIPIENT),
    **dict.fromkeys((3, 4, 14, 16, 17, 22), R.REFUSED_CONTENT),
    **dict.fromkeys((1, 2, 7, 8, 9, 10, 15, 18, 19, 20, 23, 24), R.REFUSED_CONFIGURATION),
}
"""
The answer's ``status``. 13 is an app too old for what we sent: its owner's limit, not the
template's fault.
"""

PERSONAL = frozenset({15, 18, 19, 20})
"""Statuses that name our account, but may be said of one ``receiver`` that is not ours."""

STATES: dict[str, ch.Delivery | ch.Engagement] = {
    "delivered": ch.Delivery.DELIVERED,
    "seen": ch.Engagement.READ,
    "failed": ch.Delivery.FAILED,
}


MEDIA: dict[str, ch.MediaKind] = {"picture": "image", "video": "video", "file": "file"}


class ViberBotSettings(ch.AdapterSettings):
    """
    ``auth_token`` may be a list while it is rotated: the first sends, each of them verifies.
    ``chat_uri`` is the bot's public name, for links to it.
    """

    auth_token: ch.Secrets
    sender: str = Field(min_length=1, max_length=28)
    avatar: str | None = Field(default=None, pattern=r"^https?://")
    chat_uri: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_.-]+$")
    base_url: ch.BaseUrl = "https://chatapi.viber.com"


class ViberBot(ch.HttpAdapter[ViberBotSettings]):
    """Messages of a Viber bot to its subscribers. Viber has no time to live; only ours applies."""

    name = "viber_bot"
    settings_type = ViberBotSettings
    supports = ch.Capabilities(
        channel="viber",
        address=("viber_bot_id",),
        receipts=frozenset({"delivered", "read", "replied"}),
        parts=("text",),
        failure_receipts=True,
        longest={"text": 7000},
        choices=20,
        choice_chars=60,
    )

    def request(self, message: ch.Outgoing) -> ch.HttpCall:
        """
        A text, or a picture where there is an image and the text fits its caption; a button is a
        keyboard.
        """
        sender = {"name": self.settings.sender}
        if self.settings.avatar is not None:
            sender["avatar"] = self.settings.avatar
        body = {
            "receiver": message.address.value,
            "min_api_version": 1,
            "sender": sender,
            "tracking_data": message.client_reference,
            **content_of(message.content),
        }
        return self._call("send_message", body)

    media_hosts = ("viber.com",)

    def medium(self, reference: str, found: ch.HttpReply | None) -> ch.HttpCall | None:
        """The URL of the event, which needs no credentials."""
        return ch.get_call(reference) if found is None else None

    def _call(self, method: str, body: Any) -> ch.HttpCall:
        url, token = f"{self.settings.base_url}/pa/{method}", self.settings.auth_token
        return ch.json_call(url, body, X_Viber_Auth_Token=ch.secrets_of(token)[0])

    def probe(self, now: float) -> ch.HttpCall:
        """The bot's account."""
        return self._call("get_account_info", {})

    def probed(self, reply: ch.HttpReply) -> str | None:
        """The status in the body; Viber refuses with 200, too."""
        status, words = (ch.member(reply.json(), key) for key in ("status", "status_message"))
        if reply.status != 200 or status == 0:
            return super().probed(reply)
        return f"answered {ch.id_text(status)} {ch.said(words, ch.secret_values(self.settings))}"

    def outcome(self, reply: ch.HttpReply) -> ch.Outcome:
        """The body's ``status`` decides; an unlisted status is a general error."""
        body = reply.json()
        status = ch.whole(ch.member(body, "status"))
        if reply.status != 200 or status is None:
            return ch.by_http_status(reply)
        words = ch.member(body, "status_message")
        detail = ch.said(words, ch.secret_values(self.settings))
        if status == 0:
            token = token_of(body)
            return ch.Accepted(token) if token else ch.by_http_status(reply)
        if status in REFUSALS:
            return ch.Refused(REFUSALS[status], str(status), detail, personal=status in PERSONAL)
        if status == RATE_STATUS and "without reply" in ch.text_of(words):
            return ch.Refused(R.REFUSED_RECIPIENT, str(status), detail)
        if status == RATE_STATUS:
            return ch.NotSent(R.THROTTLED, reply.retry_after_ms, str(status), detail)
        return ch.Unknown(R.SERVER_ERROR, str(status) if abs(status) < 10**6 else None, detail)

    def link(self, token: str) -> str | None:
        """Viber hands the context back when the conversation is opened."""
        uri = self.settings.chat_uri
        return f"viber://pa?chatURI={uri}&context={token}" if uri else None

    def verify(self, hook: ch.Webhook) -> None:
        """
        Check ``X-Viber-Content-Signature``: hex HMAC-SHA256 of the raw body under the auth token.
        """
        tokens = ch.secrets_of(self.settings.auth_token)
        expected = [
            hmac.new(token.encode(), hook.body, hashlib.sha256).hexdigest() for token in tokens
        ]
        if not ch.matches(hook.headers.get("x-viber-content-signature"), *expected):
            raise ch.Forged("X-Viber-Content-Signature does not fit the body")

    def receipts(self, hook: ch.Webhook) -> Iterator[ch.Report]:
        """
        One event a call. ``webhook`` says nothing, ``conversation_started`` only if it came by a
        link.
        """
        body = hook.json()
        event = ch.member(body, "event")
        if event in ("delivered", "seen", "failed"):
            yield from receipt(event, body)
        elif event == "unsubscribed":
            yield from preference("out", body.get("user_id"), body)
        elif event == "subscribed":
            yield from preference("in", ch.member(body, "user", "id"), body)
        elif event == "conversation_started":
            yield from linked(body)
        elif event == "message":
            yield from inbound(body)


def token_of(body: Any) -> str | None:
    """``message_token`` exactly, as a string of digits."""
    token = ch.whole(ch.member(body, "message_token"))
    return str(token) if token is not None and 0 < token < TOKEN_MAX else None


def content_of(parts: ch.Content) -> dict[str, Any]:
    """
    The fields that depend on the content. A text too long for a caption is sent without its image.
    """
    extra, text = parts.get("yaml"), parts.get("text", "")
    image, button = ch.member(extra, "image"), ch.member(extra, "button")
    content: dict[str, Any] = {"type": "text", "text": text}
    if image and len(text) <= CAPTION_CHARS_MAX:
        content = {"type": "picture", "text": text, "media": image}
    choices = ch.choices_of(parts)
    narrow = all(len(title) <= MARK_CHARS for _, title in choices)
    buttons = [button_of(button)] if button else []
    buttons += [choice_button(id, title, narrow) for id, title in choices]
    if buttons:
        content["keyboard"] = {"Type": "keyboard", "DefaultHeight": False, "Buttons": buttons}
    return content


def choice_button(id: str, title: str, narrow: bool) -> dict[str, Any]:
    """A button whose press comes back as a message with the choice's id; six marks a row."""
    return {
        "Columns": 1 if narrow else 6,
        "Rows": 1,
        "ActionType": "reply",
        "ActionBody": id,
        "Text": html.escape(title),
        "TextSize": "regular",
    }


def button_of(button: Any) -> dict[str, Any]:
    """A keyboard button over the whole width that opens a URL; Viber reads its text as HTML."""
    return {
        "Columns": 6,
        "Rows": 1,
        "ActionType": "open-url",
        "ActionBody": ch.member(button, "url"),
        "Text": html.escape(str(ch.member(button, "title") or "")),
        "TextSize": "regular",
    }


def receipt(event: str, body: Event) -> Iterator[ch.Receipt]:
    """
    A receipt for the message with this token; Viber reports a failure in words, without a code.
    """
    token = token_of(body)
    if token is not None:
        yield ch.Receipt(
            state=STATES[event],
            provider_id=token,
            at=ch.unix_seconds(body.get("timestamp")),
            detail=ch.said(body.get("desc")) if event == "failed" else "",
        )


def preference(state: Literal["in", "out"], user: Any, body: Event) -> Iterator[ch.Preference]:
    """The user subscribed to the bot, or left it."""
    value = ch.id_of(user)
    if value is not None:
        at = ch.unix_seconds(body.get("timestamp"))
        yield ch.Preference(kind="viber_bot_id", value=value, state=state, at=at)


def linked(body: Event) -> Iterator[ch.Linked]:
    """The user followed a link; they count as a subscriber from their first message on."""
    value, token = ch.id_of(ch.member(body, "user", "id")), ch.member(body, "context")
    if value is not None and isinstance(token, str) and TOKEN.fullmatch(token):
        at = ch.unix_seconds(body.get("timestamp"))
        yield ch.Linked(kind="viber_bot_id", value=value, token=token, at=at)


def inbound(body: Event) -> Iterator[ch.Inbound]:
    """
    A message from the user; ``tracking_data`` is the client reference of the message it answers.
    """
    value = ch.id_of(ch.member(body, "sender", "id"))
    if value is not None:
        text = ch.text_of(ch.member(body, "message", "text"))
        yield ch.Inbound(
            kind="viber_bot_id",
            value=value,
            text=text,
            id=token_of(body) or "",
            answers=ch.ids_of(ch.member(body, "message", "tracking_data")),
            at=ch.unix_seconds(body.get("timestamp")),
            choice=ch.id_of(text),
            media=tuple(media_of(ch.member(body, "message"))),
        )


def media_of(message: Any) -> Iterator[ch.InboundMedia]:
    """A picture, a video or a file, by the URL that Viber serves it at."""
    kind, url = MEDIA.get(ch.text_of(ch.member(message, "type"))), ch.member(message, "media")
    if kind is not None and isinstance(url, str) and 0 < len(url) <= ch.REFERENCE_CHARS_MAX:
        yield ch.InboundMedia(kind=kind, reference=url, bytes=ch.whole(ch.member(message, "size")))
