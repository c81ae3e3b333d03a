"""
AlphaSMS: one JSON call for SMS and Viber; errors are texts without codes.

Reference: AlphaSMS JSON API (``/api/json.php``), "Sending messages", "Statuses".
Quirks: the HTTP status says nothing, and the texts of errors are not a closed list: one that is not
known blames the message. What a status webhook looks like is not documented, so several forms of it
are read; our reference and a token travel in its URL.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from pydantic import Field

from orchestrator import channels as ch

R = ch.Reason
D = ch.Delivery

STATES: dict[str, ch.Delivery | ch.Engagement] = {
    **dict.fromkeys(("QUEUED", "ENROUTE", "SENT", "ACCEPTED"), D.SENT),
    "DELIVERED": D.DELIVERED,
    **dict.fromkeys(("READ", "SEEN"), ch.Engagement.READ),
    **dict.fromkeys(("UNDELIVERABLE", "NO ROUTE", "FILTERED", "FAILED"), D.FAILED),
    "INVALID DESTINATION ADDRESS": D.FAILED,
    "EXPIRED": D.EXPIRED,
    "REJECTED": D.REJECTED,
}
FAULTS = (
    (("internal", "temporar", "unavailable", "timeout", "try again", "later"), None),
    (("access denied", "balance"), R.REFUSED_CONFIGURATION),
    (("signature", "sender"), R.REFUSED_CONFIGURATION),
    (("phone", "destination"), R.REFUSED_RECIPIENT),
)
"""
Words in an error's text, and whose fault they make it; any other is the message's. None: it may
have been taken. One that speaks of the sender may still be about this message alone.
"""
LIFETIME_SECONDS = (60, 86_400)


class AlphaSmsSettings(ch.LoginSettings):
    """
    ``sender``: a name (``sms_signature``, ``viber_signature``) that is registered for this channel.
    ``webhook_token`` goes into the URL of every status webhook and must come back with it.
    """

    api_key: ch.Secret
    sender: str = Field(min_length=1)
    base_url: ch.BaseUrl = "https://alphasms.ua"


class AlphaSms(ch.HttpAdapter[AlphaSmsSettings]):
    """SMS by AlphaSMS."""

    name: ClassVar[str] = "alphasms_sms"
    settings_type = AlphaSmsSettings
    supports: ClassVar[ch.Capabilities] = ch.Capabilities(
        channel="sms",
        address=("phone",),
        receipts=frozenset({"sent", "delivered"}),
        echo=True,
        failure_receipts=True,
    )

    def content(self, message: ch.Outgoing) -> dict[str, Any]:
        """The message's own fields."""
        return {"sms_message": message.content.get("text", "")}

    def request(self, message: ch.Outgoing) -> ch.HttpCall:
        """One message; its ``id`` is our reference."""
        own, channel = self.settings, self.supports.channel
        least, most = LIFETIME_SECONDS
        entry = {
            "type": channel,
            "id": message.client_reference,
            "phone": int(message.address.value.lstrip("+")),
            f"{channel}_signature": own.sender,
            f"{channel}_lifetime": min(max(message.ttl_seconds, least), most),
            "hook": own.callback(message),
            **self.content(message),
        }
        body = {"auth": own.api_key.get_secret_value(), "data": [entry]}
        return ch.json_call(f"{own.base_url}/api/json.php", body)

    def outcome(self, reply: ch.HttpReply) -> ch.Outcome:
        """The only item decides; an error of the whole request is decided by its text, too."""
        body = reply.json() if 200 <= reply.status < 300 else None
        items = list(ch.objects(ch.member(body, "data")))
        item: Any = items[0] if len(items) == 1 else {} if items else body
        id = ch.id_text(ch.member(item, "data", "msg_id"))
        if ch.member(item, "success") is True and id is not None:
            return ch.Accepted(id)
        error = ch.member(item, "error") or ch.member(body, "error")
        detail = ch.said(error, ch.secret_values(self.settings))
        if ch.member(item, "success") is not False or not detail:
            return ch.by_http_status(reply, detail=detail)
        found = (one for one in FAULTS if any(word in detail.lower() for word in one[0]))
        words, reason = next(found, ((), R.REFUSED_CONTENT))
        if reason is None:
            return ch.Unknown(R.SERVER_ERROR, None, detail)
        return ch.Refused(reason, None, detail, personal="sender" in words)

    def probe(self, now: float) -> ch.HttpCall:
        """The account's balance."""
        own = self.settings
        body = {"auth": own.api_key.get_secret_value(), "data": [{"type": "balance"}]}
        return ch.json_call(f"{own.base_url}/api/json.php", body)

    def probed(self, reply: ch.HttpReply) -> str | None:
        """Whether the answer is a success."""
        body = reply.json()
        if ch.member(body, "success") is True:
            return None
        words = ch.said(ch.member(body, "error"), ch.secret_values(self.settings))
        return f"answered {words or reply.status}"

    def verify(self, hook: ch.Webhook) -> None:
        """Check the token that we put into the webhook's URL."""
        self.settings.check_login(hook)

    def receipts(self, hook: ch.Webhook) -> Iterator[ch.Receipt]:
        """
        The state of one message, or of several in a list or ``data``. The reference in the URL is
        that of one alone.
        """
        body = hook.json()
        data = body if isinstance(body, list) else ch.member(body, "data")
        single = {**ch.fields_of(hook), **(data if isinstance(data, dict) else {})}
        items = list(ch.objects(data if isinstance(data, list) else [single]))
        named = hook.query.get("ref") if len(items) == 1 else None
        for said in items:
            status = ch.text_of(said.get("status")).upper()
            dead = status == "INVALID DESTINATION ADDRESS"
            yield from ch.receipts_for(
                STATES.get(status),
                provider_id=said.get("msg_id"),
                reference=named or said.get("id"),
                failure=ch.Refused(R.REFUSED_ADDRESS, None, status) if dead else None,
                detail=status,
            )


class AlphaSmsViber(AlphaSms):
    """Viber Business Messages by AlphaSMS; its own fallback to SMS is never used."""

    name = "alphasms_viber"
    supports = ch.Capabilities(
        channel="viber",
        address=("phone",),
        receipts=frozenset({"sent", "delivered", "read"}),
        echo=True,
        failure_receipts=True,
    )

    def content(self, message: ch.Outgoing) -> dict[str, Any]:
        """Text, image and one button; ``viber_type`` names what there is."""
        extra = message.content.get("yaml")
        fields = {
            "viber_message": message.content.get("text"),
            "viber_image": ch.member(extra, "image"),
            "viber_link": ch.member(extra, "button", "url"),
            "viber_button": ch.member(extra, "button", "title"),
        }
        kinds = zip(("text", "image", "link"), fields.values(), strict=False)
        return {
            "viber_type": "+".join(kind for kind, value in kinds if value),
            **{key: value for key, value in fields.items() if value},
        }
