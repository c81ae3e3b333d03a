"""The Telegram Bot API on the wire."""

from __future__ import annotations

from typing import Any

from kaskad_testing import (
    Examples,
    HookExample,
    ReplyExample,
    RequestExample,
    changed,
    hook,
    outgoing,
    reply,
)
from orchestrator import channels as ch

R = ch.Reason
TOKEN = "712345:AAbot-token_canary-AAAAAAAAAAAAAAAAAAAA"
SECRET = "secret-token_canary-1"
CHAT = 712345678
AT = 1_795_600_123
API = f"https://api.telegram.org/bot{TOKEN}"
IMAGE = "https://shop.example/p.jpg"
BUTTONS = [
    {"title": "До кошика", "url": "https://shop.example/cart"},
    {"title": "Не цікаво", "answer": "no"},
]
KEYBOARD = {
    "inline_keyboard": [
        [{"text": "До кошика", "url": "https://shop.example/cart"}],
        [{"text": "Не цікаво", "callback_data": "no"}],
    ]
}
NO_PREVIEW = {"is_disabled": True}
PRIVATE = {"id": CHAT, "type": "private", "first_name": "Олена"}


def message(text: str, **extra: Any) -> ch.Outgoing:
    content = {"text": text, "yaml": extra} if extra else {"text": text}
    return outgoing("telegram_id", str(CHAT), content=content)


def taken(**fields: Any) -> ch.HttpReply:
    result = {"message_id": 77, "date": AT, "chat": PRIVATE, "text": "Вітаємо", **fields}
    return reply(200, {"ok": True, "result": result})


def no(code: int, words: str, **parameters: Any) -> ch.HttpReply:
    body: dict[str, Any] = {"ok": False, "error_code": code, "description": words}
    return reply(code, {**body, "parameters": parameters} if parameters else body)


def refused(code: int, words: str, reason: R) -> ReplyExample:
    return ReplyExample(
        promise=f"{code} «{words}» is {reason}",
        reply=no(code, words),
        outcome=ch.Refused(reason, str(code), words),
    )


def update(**fields: Any) -> ch.Webhook:
    return hook(json_body={"update_id": 10_001, **fields})


def wrote(text: str, **fields: Any) -> ch.Webhook:
    sender = {"id": CHAT, "is_bot": False, "first_name": "Олена", "language_code": "uk"}
    return update(
        message={
            "message_id": 78,
            "from": sender,
            "chat": PRIVATE,
            "date": AT,
            "text": text,
            **fields,
        }
    )


def answered(text: str, **fields: Any) -> tuple[ch.Inbound]:
    said: dict[str, Any] = {"id": f"{CHAT}/78", "at": float(AT), **fields}
    return (ch.Inbound(kind="telegram_id", value=str(CHAT), text=text, **said),)


def moved(status: str) -> ch.Webhook:
    member = {"user": {"id": 712345, "is_bot": True, "first_name": "Shop"}, "status": status}
    return update(my_chat_member={"chat": PRIVATE, "date": AT, "new_chat_member": member})


def wants(state: Any) -> tuple[ch.Preference]:
    return (ch.Preference(kind="telegram_id", value=str(CHAT), state=state, at=float(AT)),)


def sign(unsigned: ch.Webhook, secret: str) -> ch.Webhook:
    return changed(unsigned, x_telegram_bot_api_secret_token=secret)


EXAMPLES = Examples(
    adapter="telegram_bot",
    settings={"token": TOKEN, "secret_token": SECRET, "username": "kaskad_shop_bot"},
    secrets=(TOKEN, SECRET),
    secret_in_url=True,
    secret=SECRET,
    sign=sign,
    proof="x-telegram-bot-api-secret-token",
    signs_body=False,
    rotates="secret_token",
    requests=(
        RequestExample(
            promise="a text without a preview of its links",
            message=message("Вітаємо https://shop.example"),
            url=f"{API}/sendMessage",
            headers={"Content-Type": "application/json"},
            json={
                "chat_id": CHAT,
                "text": "Вітаємо https://shop.example",
                "link_preview_options": NO_PREVIEW,
            },
        ),
        RequestExample(
            promise="an image is a photo with the text as its caption; buttons stand below",
            message=message("Вітаємо", image=IMAGE, buttons=BUTTONS),
            url=f"{API}/sendPhoto",
            json={
                "chat_id": CHAT,
                "photo": IMAGE,
                "caption": "Вітаємо",
                "reply_markup": KEYBOARD,
            },
        ),
        RequestExample(
            promise="an image above a text that is no caption",
            message=message("я" * 1_025, image=IMAGE),
            url=f"{API}/sendMessage",
            json={
                "chat_id": CHAT,
                "text": "я" * 1_025,
                "link_preview_options": {
                    "url": IMAGE,
                    "prefer_large_media": True,
                    "show_above_text": True,
                },
            },
        ),
    ),
    replies=(
        ReplyExample(
            promise="the id has its chat",
            reply=taken(),
            outcome=ch.Accepted(f"{CHAT}/77"),
        ),
        ReplyExample(
            promise="ok without a message",
            reply=reply(200, {"ok": True}),
            outcome=ch.Unknown(R.RESPONSE_UNREADABLE, "200"),
        ),
        refused(403, "Forbidden: bot was blocked by the user", R.REFUSED_OPTED_OUT),
        refused(403, "Forbidden: bot was kicked from the group chat", R.REFUSED_OPTED_OUT),
        refused(403, "Forbidden: user is deactivated", R.REFUSED_ADDRESS),
        refused(403, "Forbidden: bot can't send messages to bots", R.REFUSED_ADDRESS),
        refused(403, "Forbidden: bot can't initiate conversation with a user", R.REFUSED_RECIPIENT),
        refused(400, "Bad Request: chat not found", R.REFUSED_ADDRESS),
        refused(400, "Bad Request: PEER_ID_INVALID", R.REFUSED_ADDRESS),
        ReplyExample(
            promise="a group that has become a supergroup has another id",
            reply=no(
                400,
                "Bad Request: group chat was upgraded to a supergroup chat",
                migrate_to_chat_id=-1001234567890,
            ),
            outcome=ch.Refused(R.REFUSED_ADDRESS, "400"),
        ),
        refused(
            400,
            "Bad Request: not enough rights to send text messages to the chat",
            R.REFUSED_RECIPIENT,
        ),
        refused(400, "Bad Request: message is too long", R.REFUSED_CONTENT),
        refused(400, "Bad Request: message caption is too long", R.REFUSED_CONTENT),
        refused(400, "Bad Request: BUTTON_URL_INVALID", R.REFUSED_CONTENT),
        refused(400, "Bad Request: wrong file identifier/HTTP URL specified", R.REFUSED_CONTENT),
        refused(401, "Unauthorized", R.REFUSED_CONFIGURATION),
        refused(404, "Not Found", R.REFUSED_CONFIGURATION),
        ReplyExample(
            promise="too fast took nothing, and says for how long",
            reply=no(429, "Too Many Requests: retry after 14", retry_after=14),
            outcome=ch.NotSent(R.THROTTLED, 14_000, "429", "Too Many Requests: retry after 14"),
        ),
        ReplyExample(
            promise="a bad gateway may have taken it",
            reply=no(502, "Bad Gateway"),
            outcome=ch.Unknown(R.SERVER_ERROR, "502", "Bad Gateway"),
        ),
    ),
    hooks=(
        HookExample(promise="a text", hook=wrote("Так, беру"), says=answered("Так, беру")),
        HookExample(
            promise="a reply to a message of ours",
            hook=wrote("Так", reply_to_message={"message_id": 77, "chat": PRIVATE, "date": AT}),
            says=answered("Так", answers=(f"{CHAT}/77",)),
        ),
        HookExample(
            promise="the caption of a picture",
            hook=update(
                message={"message_id": 78, "chat": PRIVATE, "date": AT, "caption": "Ось чек"}
            ),
            says=answered("Ось чек"),
        ),
        HookExample(promise="/stop", hook=wrote("/stop"), says=answered("/stop", keyword="stop")),
        HookExample(
            promise="/start of the bot's own button",
            hook=wrote("/start"),
            says=answered("/start", keyword="start"),
        ),
        HookExample(
            promise="/start with a token follows a link",
            hook=wrote("/start AbC-_123"),
            says=(ch.Linked(kind="telegram_id", value=str(CHAT), token="AbC-_123", at=float(AT)),),
        ),
        HookExample(
            promise="a button of ours",
            hook=update(
                callback_query={
                    "id": "4382bfdwdsb323b2d9",
                    "from": {"id": CHAT, "is_bot": False, "first_name": "Олена"},
                    "message": {"message_id": 77, "chat": PRIVATE, "date": AT},
                    "data": "no",
                }
            ),
            says=(
                ch.Inbound(
                    kind="telegram_id",
                    value=str(CHAT),
                    text="no",
                    id="4382bfdwdsb323b2d9",
                    answers=(f"{CHAT}/77",),
                    clicked=True,
                    choice="no",
                ),
            ),
        ),
        HookExample(promise="blocking the bot opts out", hook=moved("kicked"), says=wants("out")),
        HookExample(promise="letting it in again opts in", hook=moved("member"), says=wants("in")),
        HookExample(
            promise="what is said in a group is nobody's answer",
            hook=wrote("СТОП", chat={"id": -1001234567890, "type": "supergroup"}),
            says=(),
        ),
        HookExample(
            promise="an edited message", hook=update(edited_message={"message_id": 78}), says=()
        ),
    ),
)
