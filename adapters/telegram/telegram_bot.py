"""
Telegram bot: one JSON POST per message to a chat that its owner has opened; updates come back with
the secret that ``setWebhook`` was given.

Reference: Telegram Bot API, "Making requests", "sendMessage", "sendPhoto", "Update", "setWebhook",
"Making requests when getting updates". Quirks: causes that share a code differ in ``description``
only; message ids count per chat, so an id here is ``chat/message``; the token is in the path;
delivered and read are never reported.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal
from urllib.parse import quote, urlencode

from pydantic import Field

from orchestrator import channels as ch

R = ch.Reason
TEXT_UNITS_MAX, CAPTION_UNITS_MAX = 4_096, 1_024
MARK_CHARS, MARKS_A_ROW = 2, 6
ID_MAX = 2**53
START = re.compile(r"/start(?:\s+([A-Za-z0-9_-]{1,64}))?\s*")
COMMANDS = {"/stop": "stop", "/start": "start"}
MEMBERSHIP: dict[str, Literal["in", "out"]] = {"kicked": "out", "left": "out", "member": "in"}

REFUSALS: tuple[tuple[int, tuple[str, ...], R], ...] = (
    (403, ("blocked by the user", "bot was kicked"), R.REFUSED_OPTED_OUT),
    (403, ("deactivated", "messages to bots", "chat was deleted"), R.REFUSED_ADDRESS),
    (403, ("",), R.REFUSED_RECIPIENT),
    (400, ("chat not found", "PEER_ID_INVALID", "upgraded to a supergroup"), R.REFUSED_ADDRESS),
    (400, ("rights", "WRITE_FORBIDDEN", "TOPIC_", "restricted"), R.REFUSED_RECIPIENT),
    (400, ("USER_IS_BLOCKED",), R.REFUSED_RECIPIENT),
    (400, ("",), R.REFUSED_CONTENT),
    (401, ("",), R.REFUSED_CONFIGURATION),
    (404, ("",), R.REFUSED_CONFIGURATION),
    (413, ("",), R.REFUSED_CONTENT),
)
"""By ``error_code`` and words of ``description``; the first that fits. 404 is a malformed token."""


MEDIA: dict[ch.MediaKind, tuple[str, ...]] = {
    "video": ("video", "video_note"),
    "audio": ("voice", "audio"),
    "file": ("document",),
}


class TelegramBotSettings(ch.AdapterSettings):
    """
    ``token`` is BotFather's. ``secret_token`` is the one of ``setWebhook``, a list while it is
    rotated; without it no update is believed. ``username`` is the bot's, for links to it.
    """

    token: ch.Secret
    secret_token: ch.Secrets | None = None
    username: str | None = Field(default=None, pattern=r"^[A-Za-z]\w{3,31}$")
    base_url: ch.BaseUrl = "https://api.telegram.org"
    proofs = ("secret_token",)


class TelegramBot(ch.HttpAdapter[TelegramBotSettings]):
    """Messages of a bot to the chats that people have opened with it. Texts are sent as written."""

    name = "telegram_bot"
    settings_type = TelegramBotSettings
    supports = ch.Capabilities(
        channel="telegram",
        address=("telegram_id",),
        receipts=frozenset({"clicked", "replied"}),
        parts=("text",),
        choices=20,
        choice_chars=60,
    )

    def reports(self) -> frozenset[str]:
        """Clicks on tracked links are always seen, answers only if updates are taken."""
        return super().reports() | {"clicked"}

    def request(self, message: ch.Outgoing) -> ch.HttpCall:
        """A photo with its caption, or a text with the photo above it that is no caption."""
        text, extra = message.content.get("text", ""), message.content.get("yaml")
        image, rows = ch.member(extra, "image"), ch.objects(ch.member(extra, "buttons"))
        body: dict[str, Any] = {"chat_id": int(message.address.value)}
        if (units := len(text.encode("utf-16-le", "replace")) // 2) > TEXT_UNITS_MAX:
            detail = f"the text has {units} UTF-16 units, Telegram takes {TEXT_UNITS_MAX}"
            raise ch.Unsendable(ch.Refused(R.REFUSED_CONTENT, detail=detail))
        if image and units <= CAPTION_UNITS_MAX:
            method, body = "sendPhoto", {**body, "photo": image, "caption": text}
        else:
            above = {"url": image, "prefer_large_media": True, "show_above_text": True}
            shown = above if image else {"is_disabled": True}
            method, body = "sendMessage", {**body, "text": text, "link_preview_options": shown}
        if keys := [[button_of(row)] for row in rows] + keyboard(ch.choices_of(message.content)):
            body["reply_markup"] = {"inline_keyboard": keys}
        return ch.json_call(self._url(method), body)

    def probe(self, now: float) -> ch.HttpCall:
        """The bot itself."""
        return ch.get_call(self._url("getMe"))

    def medium(self, reference: str, found: ch.HttpReply | None) -> ch.HttpCall | None:
        """``getFile`` says where the file is; both need the token."""
        if found is None:
            return ch.get_call(f"{self._url('getFile')}?{urlencode({'file_id': reference})}")
        path = ch.member(found.json(), "result", "file_path")
        asked = found.request.url if found.request is not None else ""
        if not isinstance(path, str) or "/getFile?" not in asked:
            return None
        token = quote(self.settings.token.get_secret_value(), safe=":")
        return ch.get_call(f"{self.settings.base_url}/file/bot{token}/{quote(path)}")

    def _url(self, method: str) -> str:
        token = quote(self.settings.token.get_secret_value(), safe=":")
        return f"{self.settings.base_url}/bot{token}/{method}"

    def outcome(self, reply: ch.HttpReply) -> ch.Outcome:
        """``ok`` decides; a refusal is told by its code and words."""
        body = reply.json()
        if reply.status == 200 and ch.member(body, "ok") is True:
            id = message_id(ch.member(body, "result"))
            return ch.Accepted(id) if id else ch.by_http_status(reply)
        words = ch.text_of(ch.member(body, "description"))
        detail, code = ch.said(words, ch.secret_values(self.settings)), reply.status
        if ch.member(body, "ok") is not False or ch.member(body, "error_code") != code:
            return ch.by_http_status(reply)
        seconds = ch.whole(ch.member(body, "parameters", "retry_after"))
        if code == 429 and seconds is not None and 0 <= seconds <= 86_400:
            return ch.NotSent(R.THROTTLED, seconds * 1000, "429", detail)
        for status, parts, reason in REFUSALS:
            if status == code and any(part in words for part in parts):
                return ch.Refused(reason, str(code), detail)
        return ch.by_http_status(reply, detail=detail)

    def link(self, token: str) -> str | None:
        """Telegram hands the token back in ``/start``."""
        name = self.settings.username
        return f"https://t.me/{name}?start={token}" if name else None

    def verify(self, hook: ch.Webhook) -> None:
        """Require the header with the secret; there is no signature."""
        given, own = hook.headers.get("x-telegram-bot-api-secret-token"), self.settings.secret_token
        if own is None or not ch.matches(given, *ch.secrets_of(own)):
            raise ch.Forged("the update lacks the `secret_token` that setWebhook was given")

    def receipts(self, hook: ch.Webhook) -> Iterator[ch.Report]:
        """One update a call: a message, a pressed button, or a bot that was blocked or let in."""
        update = hook.json()
        said, pressed = ch.member(update, "message"), ch.member(update, "callback_query")
        moved = ch.member(update, "my_chat_member")
        if chat := private_chat(said):
            yield from written(said, chat)
        elif chat := private_chat(ch.member(pressed, "message")):
            yield ch.Inbound(
                kind="telegram_id",
                value=chat,
                text=ch.text_of(ch.member(pressed, "data")),
                id=ch.id_of(ch.member(pressed, "id")) or "",
                answers=ch.ids_of(message_id(ch.member(pressed, "message"))),
                clicked=True,
                choice=ch.id_of(ch.member(pressed, "data")),
            )
        elif chat := private_chat(moved):
            state = ch.text_of(ch.member(moved, "new_chat_member", "status"))
            at = ch.unix_seconds(ch.member(moved, "date"))
            if state in MEMBERSHIP:
                yield ch.Preference(kind="telegram_id", value=chat, state=MEMBERSHIP[state], at=at)

    def answer(self, hook: ch.Webhook) -> ch.Answer:
        """A pressed button stops turning once the answer to its update says so."""
        id = ch.id_of(ch.member(hook.json(), "callback_query", "id"))
        if id is None:
            return ch.Answer()
        body = ch.json_bytes({"method": "answerCallbackQuery", "callback_query_id": id})
        return ch.Answer(body=body.decode(), content_type="application/json")


def button_of(row: Any) -> dict[str, Any]:
    """A button that opens a URL, or one whose ``answer`` comes back."""
    url = ch.member(row, "url")
    key, value = ("url", url) if url else ("callback_data", ch.member(row, "answer"))
    return {"text": ch.member(row, "title"), key: value}


def keyboard(choices: list[tuple[str, str]]) -> list[list[dict[str, Any]]]:
    """A row for each choice; marks such as 1 to 10 stand beside each other."""
    keys = [{"text": title, "callback_data": id} for id, title in choices]
    width = MARKS_A_ROW if all(len(title) <= MARK_CHARS for _, title in choices) else 1
    return [keys[start : start + width] for start in range(0, len(keys), width)]


def private_chat(holder: Any) -> str | None:
    """The id of the private chat that something happened in; what groups say is nobody's answer."""
    id = ch.whole(ch.member(holder, "chat", "id"))
    private = ch.member(holder, "chat", "type") == "private"
    return str(id) if private and id is not None and 0 < id < ID_MAX else None


def message_id(message: Any) -> str | None:
    """``chat/message``; chats of groups are negative."""
    chat, id = (
        ch.whole(ch.member(message, "chat", "id")),
        ch.whole(ch.member(message, "message_id")),
    )
    known = chat is not None and (0 < chat < ID_MAX or -ID_MAX < chat < -1)
    return f"{chat}/{id}" if known and id is not None and 0 < id < ID_MAX else None


def written(said: Any, chat: str) -> Iterator[ch.Inbound | ch.Linked]:
    """A message from the person; ``/start`` with a token follows a link."""
    at = ch.unix_seconds(ch.member(said, "date"))
    text = ch.text_of(ch.member(said, "text") or ch.member(said, "caption"))
    if (start := START.fullmatch(text)) and start[1]:
        yield ch.Linked(kind="telegram_id", value=chat, token=start[1], at=at)
        return
    yield ch.Inbound(
        kind="telegram_id",
        value=chat,
        text=text,
        id=message_id(said) or "",
        answers=ch.ids_of(message_id(ch.member(said, "reply_to_message"))),
        keyword=COMMANDS.get(text.strip().lower()),
        at=at,
        media=tuple(media_of(said)),
    )


def media_of(said: Any) -> Iterator[ch.InboundMedia]:
    """Of a photo the largest size; a file by its id, which the bot can fetch later."""
    photos = list(ch.objects(ch.member(said, "photo")))
    found: list[tuple[ch.MediaKind, Any]] = [("image", photos[-1])] if photos else []
    for kind, names in MEDIA.items():
        found += [(kind, said[name]) for name in names if isinstance(said.get(name), dict)]
    for kind, file in found:
        if (id := ch.id_of(file.get("file_id"))) is not None:
            yield ch.InboundMedia(kind=kind, reference=id, bytes=ch.whole(file.get("file_size")))
