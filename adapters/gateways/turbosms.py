"""
TurboSMS: one JSON call for SMS and Viber; every item of the answer has a code of its own.

Reference: TurboSMS HTTP API, "message/send", "Response codes", "Callback".
Quirks: the HTTP status is always 200. A callback is signed with SHA-1 over the secret key and the
event's id, and the documentation leaves their order open, so both are taken. The names of its
fields are not documented, so several are looked for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any, ClassVar

from pydantic import Field

from orchestrator import channels as ch

R = ch.Reason
VIBER_TTL_SECONDS = (60, 86_400)

CODES = ch.CodeTable(
    accepted="0 800-803",
    address="305 SRVC_NOT_VIBER_USER SRVC_INVALID_PHONE_NUMBER",
    recipient="107 406 422 SRVC_NO_SUITABLE_DEVICE",
    opted_out="404 SRVC_USER_BLOCKED",
    configuration="103 105 106 301 200 302 400 401 415 421 203 425 426",
    content="104 201 202 204-206 300 303 304 306-313 402 403 405 408-414 416-420 423 424",
    taken="407 427 507",
    uncertain="500-506 999",
    personal="406",
)
STATES: dict[str, ch.Delivery | ch.Engagement] = {
    **dict.fromkeys(("in queue", "in process", "sent"), ch.Delivery.SENT),
    **dict.fromkeys(("delivered", "delivrd"), ch.Delivery.DELIVERED),
    "read": ch.Engagement.READ,
    **dict.fromkeys(("undelivered", "undeliv", "failed"), ch.Delivery.FAILED),
    **dict.fromkeys(("rejected", "rejectd"), ch.Delivery.REJECTED),
    "cancelled": ch.Delivery.CANCELLED,
    "expired": ch.Delivery.EXPIRED,
}
ID_NAMES, STATUS_NAMES = ("message_id", "messageId", "id"), ("status", "state", "message_status")
EVENT_NAMES, REASON_NAMES = ("event_id", "eventId", "id"), ("reject_reason", "reason", "error")
SIGNATURE_NAMES = ("signature", "sign", "hash")


class TurboSmsSettings(ch.AdapterSettings):
    """
    ``sender``: a name that is registered for this channel (SMS and Viber separately).
    ``webhook_secret``: the secret key of the account's callbacks; without it they are refused.
    """

    token: ch.Secret
    sender: str = Field(min_length=1)
    webhook_secret: ch.Secrets | None = None
    base_url: ch.BaseUrl = "https://api.turbosms.ua"
    proofs = ("webhook_secret",)

    @property
    def callback_account(self) -> str:
        """An account has one token, and one callback for SMS and Viber."""
        return self.token.get_secret_value()


class TurboSms(ch.HttpAdapter[TurboSmsSettings]):
    """SMS by TurboSMS."""

    name: ClassVar[str] = "turbosms_sms"
    settings_type = TurboSmsSettings
    supports: ClassVar[ch.Capabilities] = ch.Capabilities(
        channel="sms",
        address=("phone",),
        receipts=frozenset({"sent", "delivered"}),
        failure_receipts=True,
        idempotent_seconds=600,
    )

    def content(self, message: ch.Outgoing) -> dict[str, Any]:
        """The channel's block of the request, without its sender."""
        return {"text": message.content.get("text", "")}

    def request(self, message: ch.Outgoing) -> ch.HttpCall:
        """One message to one number; ``sequence_id`` makes a repeat recognisable."""
        own = self.settings
        body = {
            "recipients": [message.address.value.lstrip("+")],
            self.supports.channel: {"sender": own.sender, **self.content(message)},
            "sequence_id": message.idempotency_key,
        }
        authorization = f"Bearer {own.token.get_secret_value()}"
        return ch.json_call(f"{own.base_url}/message/send.json", body, Authorization=authorization)

    def outcome(self, reply: ch.HttpReply) -> ch.Outcome:
        """
        The item's code decides, and without an item the code of the whole answer. A repeat (507)
        brings the item of the first time.
        """
        body = reply.json() if 200 <= reply.status < 300 else None
        items = list(ch.objects(ch.member(body, "response_result")))
        item: Any = items[0] if len(items) == 1 else {} if items else body
        words = ch.said(ch.member(item, "response_status"), ch.secret_values(self.settings))
        id = ch.id_of(ch.member(item, "message_id"))
        found = CODES.outcome(ch.member(item, "response_code"), reply, words, id)
        repeated = CODES.meaning(ch.member(body, "response_code")) == "taken"
        if isinstance(found, ch.Accepted) and repeated:
            return ch.Accepted(id, duplicate=True)
        return found or ch.by_http_status(reply, detail=words)

    def probe(self, now: float) -> ch.HttpCall:
        """The account's balance."""
        authorization = f"Bearer {self.settings.token.get_secret_value()}"
        url = f"{self.settings.base_url}/user/balance.json"
        return ch.json_call(url, {}, Authorization=authorization)

    def probed(self, reply: ch.HttpReply) -> str | None:
        """The code of the answer."""
        body = reply.json()
        code = ch.member(body, "response_code")
        if CODES.meaning(code) == "accepted":
            return None
        words = ch.member(body, "response_status")
        return f"answered {code} {ch.said(words, ch.secret_values(self.settings))}"

    def verify(self, hook: ch.Webhook) -> None:
        """Check the signature over the secret key and the event's id."""
        said, secrets = ch.fields_of(hook), self.settings.webhook_secret
        id, given = ch.id_text(first(said, EVENT_NAMES)), ch.id_of(first(said, SIGNATURE_NAMES))
        expected = [
            hashlib.sha1(text.encode("utf-8", "replace")).hexdigest()
            for secret in (ch.secrets_of(secrets) if secrets is not None else ())
            for text in (f"{secret}{id}", f"{id}{secret}")
        ]
        if id is None or given is None or not ch.matches(given.lower(), *expected):
            raise ch.Forged("the signature does not fit `webhook_secret` and the event's id")

    def receipts(self, hook: ch.Webhook) -> Iterator[ch.Receipt]:
        """The state of one message, or of several in a list."""
        body = hook.json()
        for said in ch.objects(body) if isinstance(body, list) else (ch.fields_of(hook),):
            state = STATES.get(ch.text_of(first(said, STATUS_NAMES)).lower())
            reason = first(said, REASON_NAMES)
            failed = state is not None and not isinstance(state, ch.Engagement)
            failure = CODES.refusal(reason, ch.said(reason)) if failed else None
            id = ch.id_of(first(said, ID_NAMES))
            yield from ch.receipts_for(state, provider_id=id, failure=failure, detail=reason)


class TurboSmsViber(TurboSms):
    """Viber Business Messages by TurboSMS; its own fallback to SMS is never used."""

    name = "turbosms_viber"
    supports = ch.Capabilities(
        channel="viber",
        address=("phone",),
        receipts=frozenset({"sent", "delivered", "read"}),
        failure_receipts=True,
        idempotent_seconds=600,
    )

    def content(self, message: ch.Outgoing) -> dict[str, Any]:
        """Text, image and one button; transactional unless the message is promotional."""
        extra, (least, most) = message.content.get("yaml"), VIBER_TTL_SECONDS
        block: dict[str, Any] = {"ttl": min(max(message.ttl_seconds, least), most)}
        parts = {
            "text": message.content.get("text"),
            "image_url": ch.member(extra, "image"),
            "caption": ch.member(extra, "button", "title"),
            "action": ch.member(extra, "button", "url"),
        }
        promotional = message.message_class == "promotional"
        return {
            **{key: value for key, value in parts.items() if value},
            **block,
            **({} if promotional else {"is_transactional": 1}),
        }


def first(said: dict[str, Any], names: tuple[str, ...]) -> Any:
    """The value of the first of several names that is there."""
    return next((said[name] for name in names if said.get(name) not in (None, "")), None)
