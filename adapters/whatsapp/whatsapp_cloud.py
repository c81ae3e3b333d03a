"""
WhatsApp by Meta's Cloud API: one JSON POST per message; statuses, replies and preferences come back
signed.

Reference: Meta Graph API, WhatsApp Business Platform: "Messages", "Error codes", "Webhooks". Quirk:
a 200 does not mean that the number has WhatsApp: otherwise a ``failed`` status follows. The error's
code decides, because throttling may be a 403. ``delivered`` is skipped if the message is read at
once.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal
from urllib.parse import quote

from adapters.whatsapp import template
from adapters.whatsapp.account import WhatsAppAccount, WhatsAppSettings
from adapters.whatsapp.media import media_of
from orchestrator import channels as ch

R = ch.Reason
Item = dict[str, Any]

REFUSALS: dict[int, R] = {
    131026: R.REFUSED_ADDRESS,
    131050: R.REFUSED_OPTED_OUT,
    **dict.fromkeys((130472, 130497, 131021, 131049, 137000), R.REFUSED_RECIPIENT),
    **dict.fromkeys(
        (100, 131008, 131009, 131047, 131051, 131052, 131053, 131062), R.REFUSED_CONTENT
    ),
    **dict.fromkeys((0, 3, 10, 104, 190, 368), R.REFUSED_CONFIGURATION),
    **dict.fromkeys(
        (131005, 131030, 131031, 131037, 131042, 131044, 131045), R.REFUSED_CONFIGURATION
    ),
    **dict.fromkeys((131063, 131064, 133010, 133016), R.REFUSED_CONFIGURATION),
}
"""
Codes that are a definite no; ``reason_of`` adds Meta's ranges: 200 to 299 permissions, 1320xx
templates.
"""

PERSONAL = frozenset({131005, 131030})
"""Codes that name our account, but may be said of one number (131030: not on a test's list)."""

SUPPRESS_AFTER = {131026: 2}
"""
131026 does not say why it is undeliverable: two of them, on different days, mean that WhatsApp is
not there.
"""

NOT_TAKEN: dict[int, tuple[R, int]] = {
    4: (R.THROTTLED, 60_000),
    80007: (R.THROTTLED, 60_000),
    130429: (R.THROTTLED, 2_000),
    131048: (R.THROTTLED, 3_600_000),
    131056: (R.THROTTLED, 6_000),
    131057: (R.NOT_TAKEN, 60_000),
    132069: (R.THROTTLED, 60_000),
}
"""
Codes that say that nothing was taken, with the pause in milliseconds where no Retry-After asks for
one.
"""

UNCERTAIN = frozenset({1, 2, 131000, 131016, 135000})
"""Internal and unknown errors: the message may have been taken."""

STATES: dict[str, ch.Delivery | ch.Engagement] = {
    "sent": ch.Delivery.SENT,
    "delivered": ch.Delivery.DELIVERED,
    "read": ch.Engagement.READ,
    "played": ch.Engagement.READ,
    "failed": ch.Delivery.FAILED,
}

TEXTS: dict[str, tuple[tuple[str, ...], ...]] = {
    "text": (("text", "body"),),
    "button": (("button", "text"),),
    "interactive": (
        ("interactive", "button_reply", "title"),
        ("interactive", "list_reply", "title"),
        ("interactive", "nfm_reply", "body"),
    ),
    "image": (("image", "caption"),),
    "video": (("video", "caption"),),
    "document": (("document", "caption"),),
    "audio": (),
    "sticker": (),
    "location": (),
    "contacts": (),
    "order": (),
}
"""
Types of inbound messages and where their text stands. Reactions, system notices and unknown types
are no answer.
"""

BUTTON_TYPES = ("button", "interactive")
KEYWORDS = {"STOP": "stop", "START": "start"}
PREFERENCES: dict[str, Literal["in", "out"]] = {"stop": "out", "resume": "in"}
NAMES_TO = re.compile(r"""["'`]to["'`]|\b(?:param|parameter|field)\s+to\b""", re.IGNORECASE)


class WhatsAppCloud(WhatsAppAccount):
    """
    WhatsApp by Meta. ``whatsapp.yaml`` is a template message (its keys:
    ``adapters/whatsapp/template.py``); ``whatsapp.text`` is sent instead while the recipient's 24
    hours run. There is no time to live per send.
    """

    name = "whatsapp_cloud"
    settings_type = WhatsAppSettings
    supports = ch.Capabilities(
        channel="whatsapp",
        address=("phone", "whatsapp_id"),
        receipts=frozenset({"sent", "delivered", "read", "clicked", "replied"}),
        parts=(("yaml", "text"),),
        echo=True,
        failure_receipts=True,
        longest={"text": 4096},
        choices=10,
        choice_chars=20,
        template_choices=10,
    )

    def request(self, message: ch.Outgoing) -> ch.HttpCall:
        """
        A session text or a template, to a phone (``to``) or to Meta's user id (``recipient``); see
        ``content_of``.
        """
        own, address = self.settings, message.address
        receiver = (
            {"to": address.value.lstrip("+")}
            if address.kind == "phone"
            else {"recipient": address.value}
        )
        body = {
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            **receiver,
            "biz_opaque_callback_data": message.client_reference,
            **content_of(message),
        }
        url = f"{own.base_url}/{own.api_version}/{own.phone_number_id}/messages"
        authorization = f"Bearer {own.access_token.get_secret_value()}"
        return ch.json_call(url, body, Authorization=authorization)

    media_hosts = ("fbsbx.com", "facebook.com", "whatsapp.net")

    def medium(self, reference: str, found: ch.HttpReply | None) -> ch.HttpCall | None:
        """Meta says where the medium is; the second request needs the token, too."""
        own = self.settings
        authorization = f"Bearer {own.access_token.get_secret_value()}"
        if found is None:
            url = f"{own.base_url}/{own.api_version}/{quote(reference, safe='')}"
            return ch.get_call(url, Authorization=authorization)
        url = ch.member(found.json(), "url")
        if not isinstance(url, str):
            return None
        return ch.get_call(url, Authorization=authorization)

    def outcome(self, reply: ch.HttpReply) -> ch.Outcome:
        """An error's code decides before the status; a 2xx is accepted by the id of its message."""
        body = reply.json()
        error = ch.member(body, "error")
        code = ch.whole(ch.member(error, "code"))
        if code is not None and not 300 <= reply.status < 400:
            return self._error(reply, code, error)
        match ch.member(body, "messages"):
            case [{"id": message_id}] if (
                200 <= reply.status < 300 and error is None and ch.id_of(message_id)
            ):
                contact = next(ch.objects(ch.member(body, "contacts")), {})
                known = ch.known_as(
                    ("phone", contact.get("wa_id")), ("whatsapp_id", contact.get("user_id"))
                )
                return ch.Accepted(message_id, known_as=known)
            case _:
                return ch.by_http_status(reply, detail=self._said(error))

    def _error(self, reply: ch.HttpReply, code: int, error: Item) -> ch.Outcome:
        detail, name = self._said(error), str(code) if 0 <= code < 10**7 else None
        refused = refusal(code, detail)
        if refused is not None:
            return refused
        if code in NOT_TAKEN:
            reason, pause_ms = NOT_TAKEN[code]
            return ch.NotSent(reason, reply.retry_after_ms or pause_ms, name, detail)
        throttled = reply.status == 429 or (
            reply.status == 503 and reply.retry_after_ms is not None
        )
        if code in UNCERTAIN or (error.get("is_transient") is True and not throttled):
            return ch.Unknown(R.SERVER_ERROR, name, detail)
        return ch.by_http_status(reply, name, detail)

    def _said(self, error: Any) -> str:
        words = ch.text_of(ch.member(error, "error_data", "details")) or ch.member(error, "message")
        return ch.said(words, ch.secret_values(self.settings))

    def verify(self, hook: ch.Webhook) -> None:
        """
        Check our verify token of a GET, or ``X-Hub-Signature-256`` over the raw body of a POST.
        """
        if hook.method == "GET":
            if not self._subscribes(hook):
                raise ch.Forged("hub.mode or hub.verify_token is not what `verify_token` expects")
            return
        secrets = ch.secrets_of(self.settings.app_secret)
        expected = [
            "sha256=" + hmac.new(key.encode(), hook.body, hashlib.sha256).hexdigest()
            for key in secrets
        ]
        if not ch.matches(hook.headers.get("x-hub-signature-256"), *expected):
            raise ch.Forged("X-Hub-Signature-256 does not fit the body")

    def _subscribes(self, hook: ch.Webhook) -> bool:
        token = self.settings.verify_token.get_secret_value()
        return (
            ch.matches(hook.query.get("hub.verify_token"), token)
            and hook.query.get("hub.mode") == "subscribe"
        )

    def answer(self, hook: ch.Webhook) -> ch.Answer:
        """Return Meta's challenge if the request has the verify token."""
        if hook.method != "GET":
            return ch.Answer()
        challenge = ch.id_of(hook.query.get("hub.challenge"))
        return (
            ch.Answer(body=challenge)
            if challenge and self._subscribes(hook)
            else ch.Answer(status=403)
        )

    def receipts(self, hook: ch.Webhook) -> Iterator[ch.Receipt | ch.Inbound | ch.Preference]:
        """Every status, message and preference of every change that concerns our phone number."""
        for entry in ch.objects(ch.member(hook.json(), "entry")):
            for change in ch.objects(entry.get("changes")):
                value = change.get("value")
                number = ch.member(value, "metadata", "phone_number_id")
                if number == self.settings.phone_number_id:
                    for status in ch.objects(ch.member(value, "statuses")):
                        yield from receipt(status)
                    for message in ch.objects(ch.member(value, "messages")):
                        yield from inbound(message)
                if number in (None, self.settings.phone_number_id):
                    for preference in ch.objects(ch.member(value, "user_preferences")):
                        yield from preferences(preference)


def content_of(message: ch.Outgoing) -> dict[str, Any]:
    """
    The fields that depend on the content: free text inside the session, else a template.

    Raises ``Unsendable`` outside the session without a template: Meta would take the text and fail
    it later (131047).
    """
    choices = ch.choices_of(message.content)
    if message.in_session and "text" in message.content and choices:
        return template.question(message.content["text"], choices, message.locale)
    if message.in_session and "text" in message.content:
        return {"type": "text", "text": {"body": message.content["text"], "preview_url": False}}
    part = message.content.get("yaml")
    if not isinstance(part, Mapping) or not part.get("template"):
        detail = "outside the 24 hours only a template may be sent: give whatsapp.yaml a `template`"
        raise ch.Unsendable(ch.Refused(R.REFUSED_CONTENT, "131047", detail))
    return {"type": "template", "template": template.template_of(part, message.locale)}


def reason_of(code: int) -> R | None:
    """The reason of a refusal's code; None for other codes."""
    if code in REFUSALS:
        return REFUSALS[code]
    if 200 <= code <= 299:
        return R.REFUSED_CONFIGURATION
    if 132000 <= code <= 132099 and code not in NOT_TAKEN:
        return R.REFUSED_CONTENT
    return None


def refusal(code: int, detail: str) -> ch.Refused | None:
    """
    The refusal for a code; a bad value (131009) of ``to`` is the recipient's fault, any other the
    content's.
    """
    reason = reason_of(code)
    if reason is None:
        return None
    if code == 131009 and NAMES_TO.search(detail):
        reason = R.REFUSED_RECIPIENT
    classes = ("promotional",) if reason is R.REFUSED_OPTED_OUT else ()
    return ch.Refused(
        reason,
        str(code),
        detail,
        suppress_after=SUPPRESS_AFTER.get(code, 1),
        classes=classes,
        personal=code in PERSONAL,
    )


def receipt(status: Item) -> Iterator[ch.Receipt]:
    """One status of one message; of several errors the first one counts."""
    word = status.get("status")
    message_id = ch.id_of(status.get("id"))
    reference = ch.id_of(status.get("biz_opaque_callback_data"))
    if (
        not isinstance(word, str)
        or word not in STATES
        or (message_id is None and reference is None)
    ):
        return
    failure, detail = None, ""
    if word == "failed":
        error = next(ch.objects(status.get("errors")), {})
        code = ch.whole(error.get("code"))
        words = ch.text_of(ch.member(error, "error_data", "details")) or ch.text_of(
            error.get("title")
        )
        known = code is not None and 0 <= code < 10**7
        detail = ch.said(f"{code} {words}" if known else words)
        failure = refusal(code, detail) if code is not None else None
    yield ch.Receipt(
        state=STATES[word],
        provider_id=message_id,
        client_reference=reference,
        at=ch.unix_seconds(status.get("timestamp")),
        failure=failure,
        detail=detail,
        known_as=ch.known_as(
            ("phone", status.get("recipient_id")),
            ("whatsapp_id", status.get("recipient_user_id")),
        ),
    )


def addresses(phone: Any, user: Any) -> Iterator[tuple[str, str]]:
    """
    The kinds and values that name a user; with usernames on, the phone may be missing or empty.
    """
    number, user_id = ch.e164(phone), ch.id_of(user)
    if number is not None:
        yield "phone", number
    if user_id is not None:
        yield "whatsapp_id", user_id


def inbound(message: Item) -> Iterator[ch.Inbound]:
    """
    A message from the user. A pressed button answers our message; its payload may be STOP under a
    translated title.
    """
    form = message.get("type")
    person = next(addresses(message.get("from"), message.get("from_user_id")), None)
    if not isinstance(form, str) or form not in TEXTS or person is None:
        return
    answers = ch.ids_of(ch.member(message, "context", "id"))
    payload = (
        ch.member(message, "button", "payload")
        or ch.member(message, "interactive", "button_reply", "id")
        or ch.member(message, "interactive", "list_reply", "id")
    )
    yield ch.Inbound(
        kind=person[0],
        value=person[1],
        text=next(
            filter(None, (ch.text_of(ch.member(message, *path)) for path in TEXTS[form])), ""
        ),
        id=ch.id_of(message.get("id")) or "",
        answers=answers,
        clicked=bool(answers) and form in BUTTON_TYPES,
        keyword=KEYWORDS.get(payload.strip().upper()) if isinstance(payload, str) else None,
        at=ch.unix_seconds(message.get("timestamp")),
        choice=ch.id_of(payload),
        media=tuple(media_of(message)),
    )


def preferences(item: Item) -> Iterator[ch.Preference]:
    """A marketing stop or resume, for each address of the user."""
    value = item.get("value")
    if (
        item.get("category") == "marketing_messages"
        and isinstance(value, str)
        and value in PREFERENCES
    ):
        for kind, address in addresses(item.get("wa_id"), item.get("user_id")):
            yield ch.Preference(
                kind=kind,
                value=address,
                state=PREFERENCES[value],
                classes=("promotional",),
                at=ch.unix_seconds(item.get("timestamp")),
            )
