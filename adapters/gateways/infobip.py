"""
Infobip: SMS and Viber Business Messages; JSON in, one verdict per message inside a 200.

Reference: Infobip SMS API v3 (``/sms/3/messages``), Viber API v2 (``/viber/2/messages``), "Response
status and error codes", "Delivery reports". Quirk: a 200 may say REJECTED, and a repeated
``messageId`` is rejected *because* the first one was taken: such a rejection, at once or in a
report, must never count as a failure.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from pydantic import Field

from orchestrator import channels as ch

R = ch.Reason
Report = dict[str, Any]
HOUR_MS = 3_600_000
VALIDITY_SECONDS_MIN, VALIDITY_SECONDS_MAX = 30, 48 * 3600

PENDING, UNDELIVERABLE, DELIVERED, EXPIRED, REJECTED = 1, 2, 3, 4, 5
DELIVERED_TO_OPERATOR = 2

STATES = {
    PENDING: ch.Delivery.SENT,
    UNDELIVERABLE: ch.Delivery.FAILED,
    DELIVERED: ch.Delivery.DELIVERED,
    EXPIRED: ch.Delivery.EXPIRED,
    REJECTED: ch.Delivery.REJECTED,
}
"""
A report's ``status.groupId`` in our words; status 2 of group DELIVERED has only reached the
operator.
"""

STATUSES = ch.CodeTable(
    address="6 8 52",
    opted_out="10 14",
    content="24 25 51 100",
    configuration="11 12 13 17 19",
    taken="23",
    throttled="20",
    uncertain="21",
    pauses={"20": HOUR_MS},
    personal="19",  # no route: our account, but only for numbers of some networks
)
"""``status.id``: what Infobip said."""

VIBER_ERRORS = ch.CodeTable(
    address="7002",
    recipient="7010 7020 7025 7026 7032 7201",
    opted_out="7003 7030 7033",
    content="7006-7009 7015 7022 7027",
    configuration="7001 7004 7005 7011 7012 7019 7081 7083 7084",
    taken="7280",
    throttled="7017",
    uncertain="7013 7014 7050 7051 7082",
    classes={"7033": ("promotional",)},
)
SMS_ERRORS = ch.CodeTable(
    address="1 9 11 12 345 351 352 3041",
    recipient="6 13 27 31 32 256 581",
    opted_out="566 573 603 2050 2052",
    content="355 561 607 2051",
    configuration="368 375 433 562-564 572 4099 4102",
    taken="4103 4104 5492",
    throttled="541",
    uncertain="34 255 500-509 1024-2048",
)
EXPIRED_ERRORS = ch.codes("811 4098 4100 4101")
"""``error.id``: what the network or Viber said; the last are the end of the validity period."""


MEDIA: dict[str, ch.MediaKind] = {
    "IMAGE": "image",
    "PICTURE": "image",
    "VIDEO": "video",
    "FILE": "file",
    "DOCUMENT": "file",
}


class InfobipSettings(ch.LoginSettings):
    """
    ``base_url`` is the account's own (``https://xxxxx.api.infobip.com``). Infobip signs nothing,
    but its subscriptions can be told to log in (basic or bearer).

    ``track_clicks`` lets Infobip shorten the links of promotional messages and report clicks.
    """

    api_key: ch.Secret
    sender: str = Field(min_length=1)
    base_url: ch.BaseUrl
    track_clicks: bool = False


class InfobipViber(ch.HttpAdapter[InfobipSettings]):
    """
    Viber Business Messages by Infobip.

    Infobip refuses a second message with the same ``messageId``, and that refusal is read as "taken
    before"; but it documents no time for which it does so, therefore no idempotency is claimed and
    an unknown outcome is not repeated.
    """

    name: ClassVar[str] = "infobip_viber"
    settings_type = InfobipSettings
    supports: ClassVar[ch.Capabilities] = ch.Capabilities(
        channel="viber",
        address=("phone",),
        longest={"text": 1000},
        receipts=frozenset({"sent", "delivered", "read", "clicked", "replied"}),
        echo=True,
        failure_receipts=True,
    )
    path: ClassVar[str] = "/viber/2/messages"
    errors: ClassVar[ch.CodeTable] = VIBER_ERRORS
    reports_seen: ClassVar[bool] = True

    def reports(self) -> frozenset[str]:
        """Clicks are reported only if ``track_clicks`` is set."""
        untracked = frozenset() if self.settings.track_clicks else frozenset({"clicked"})
        return super().reports() - untracked

    def content(self, parts: ch.Content) -> dict[str, Any]:
        """Text, or an image with text; either with one button that opens a URL."""
        extra = parts.get("yaml")
        image, button = ch.member(extra, "image"), ch.member(extra, "button")
        found: dict[str, Any] = {"type": "IMAGE", "mediaUrl": image} if image else {"type": "TEXT"}
        found["text"] = parts.get("text", "")
        if button:
            found["button"] = {
                "title": ch.member(button, "title"),
                "action": ch.member(button, "url"),
            }
        return found

    def options(self, message: ch.Outgoing) -> dict[str, Any]:
        """What only this channel can be told."""
        promotional = message.message_class == "promotional"
        label = "PROMOTIONAL" if promotional else "TRANSACTIONAL"
        return {"label": label, "trackingData": message.client_reference}

    def request(self, message: ch.Outgoing) -> ch.HttpCall:
        """
        One message to one destination; our client reference is its ``messageId`` and its
        ``callbackData``.
        """
        own, reference, url = self.settings, message.client_reference, message.receipt_url
        seen = {"seen": {"url": url}} if self.reports_seen else {}
        webhooks = {
            "delivery": {"url": url, "intermediateReport": True, "notify": True},
            **seen,
            "contentType": "application/json",
            "callbackData": reference,
        }
        entry = {
            "sender": own.sender,
            "destinations": [{"to": message.address.value.lstrip("+"), "messageId": reference}],
            "content": self.content(message.content),
            "options": {
                "validityPeriod": validity(message.ttl_seconds),
                **self.options(message),
            },
            "webhooks": webhooks,
        }
        body: dict[str, Any] = {"messages": [entry]}
        if message.message_class == "promotional" and own.track_clicks:
            body["options"] = {
                "tracking": {"shortenUrl": True, "trackClicks": True, "trackingUrl": url}
            }
        authorization = f"App {own.api_key.get_secret_value()}"
        return ch.json_call(own.base_url + self.path, body, Authorization=authorization)

    def probe(self, now: float) -> ch.HttpCall:
        """The account's balance."""
        key = self.settings.api_key.get_secret_value()
        return ch.get_call(
            f"{self.settings.base_url}/account/1/balance", Authorization=f"App {key}"
        )

    def outcome(self, reply: ch.HttpReply) -> ch.Outcome:
        """A 2xx is judged by its only message, anything else by its status."""
        body = reply.json()
        secrets = ch.secret_values(self.settings)
        if not 200 <= reply.status < 300:
            fault = ch.member(body, "requestError", "serviceException")
            name = ch.code_of(ch.member(body, "errorCode"))
            words = ch.member(body, "description") or ch.member(fault, "text")
            code = name or ch.code_of(ch.member(fault, "messageId"))
            return ch.by_http_status(reply, code, ch.said(words, secrets))
        match ch.member(body, "messages"):
            case [{"status": dict(status)} as item]:
                detail = ch.said(status.get("description"), secrets)
                return self._verdict(reply, item, status, detail)
            case _:
                return ch.by_http_status(reply)

    def _verdict(
        self, reply: ch.HttpReply, item: Report, status: Report, detail: str
    ) -> ch.Outcome:
        group, number = ch.whole(status.get("groupId")), ch.whole(status.get("id"))
        error, id = ch.whole(ch.member(item, "error", "id")), ch.id_of(item.get("messageId"))
        if id is not None and group in (PENDING, DELIVERED):
            return ch.Accepted(id, known_as=ch.known_as(("phone", item.get("to"))))
        code = code_of(number, error)
        if group not in (UNDELIVERABLE, EXPIRED, REJECTED) or code is None:
            return ch.by_http_status(reply)
        if self._repeated(number, error):
            known = ch.known_as(("phone", item.get("to")))
            accepted = group == REJECTED and id is not None
            return ch.Accepted(id, True, known) if accepted else ch.by_http_status(reply)
        for table, found in ((self.errors, error), (STATUSES, number)):
            outcome = table.outcome(found, reply, detail)
            if outcome is not None:
                return outcome
        return ch.Refused(R.REFUSED_RECIPIENT, code, detail)

    def _repeated(self, status: int | None, error: int | None) -> bool:
        """Whether a rejection says that the first message with this id was taken."""
        return "taken" in (STATUSES.meaning(status), self.errors.meaning(error))

    def verify(self, hook: ch.Webhook) -> None:
        """Check the subscription's login: basic or bearer, as configured."""
        self.settings.check_login(hook)

    def receipts(self, hook: ch.Webhook) -> Iterator[ch.Receipt | ch.Inbound | ch.Preference]:
        """Delivery and seen reports, replies and clicks, distinguished by their keys."""
        body = hook.json()
        if ch.member(body, "notificationType") is not None:
            yield from click(body)
        for item in ch.objects(ch.member(body, "results")):
            if item.get("notificationType") is not None:
                yield from click(item)
            elif isinstance(item.get("status"), dict):
                yield from self._delivery(item, item["status"], item.get("error"))
            elif "seenAt" in item:
                yield from receipt(item, ch.Engagement.READ, item["seenAt"])
            elif isinstance(item.get("message"), dict) or "receivedAt" in item:
                yield from inbound(item)

    def _delivery(self, item: Report, status: Report, error: Any) -> Iterator[ch.Receipt]:
        """A delivery report; the rejection of a repeat is no receipt for the original."""
        group, number = ch.whole(status.get("groupId")), ch.whole(status.get("id"))
        fault = ch.whole(ch.member(error, "id"))
        if group is None or group not in STATES or self._repeated(number, fault):
            return
        state, at = STATES[group], item.get("doneAt")
        if group == DELIVERED and number == DELIVERED_TO_OPERATOR:
            state = ch.Delivery.SENT
        if group in (PENDING, DELIVERED):
            yield from receipt(item, state, at or item.get("sentAt"))
            return
        if str(fault)[:9] in EXPIRED_ERRORS:
            state = ch.Delivery.EXPIRED
        code = code_of(number, fault)
        words = ch.member(error, "description") if fault else status.get("description")
        detail = ch.said(f"{code or ''} {ch.text_of(words)}")
        failure = self.errors.refusal(fault, detail) or STATUSES.refusal(number, detail)
        passing = self.errors.meaning(fault) in ("throttled", "uncertain")
        if failure is None and not passing and ch.member(error, "permanent") is True:
            failure = ch.Refused(R.REFUSED_RECIPIENT, code, detail)
        yield from receipt(item, state, at, failure, detail)


class InfobipSms(InfobipViber):
    """SMS by Infobip; the text goes as it is, never transliterated."""

    name = "infobip_sms"
    supports = ch.Capabilities(
        channel="sms",
        address=("phone",),
        receipts=frozenset({"sent", "delivered", "clicked", "replied"}),
        echo=True,
        failure_receipts=True,
    )
    path, errors, reports_seen = "/sms/3/messages", SMS_ERRORS, False

    def content(self, parts: ch.Content) -> dict[str, Any]:
        """The text."""
        return {"text": parts.get("text", "")}

    def options(self, message: ch.Outgoing) -> dict[str, Any]:
        """Nothing more."""
        return {}


def validity(ttl_seconds: int) -> dict[str, Any]:
    """``validityPeriod`` (30 s to 48 h): in minutes if they are whole, else in seconds."""
    seconds = min(max(ttl_seconds, VALIDITY_SECONDS_MIN), VALIDITY_SECONDS_MAX)
    if seconds % 60 == 0:
        return {"amount": seconds // 60, "timeUnit": "MINUTES"}
    return {"amount": seconds, "timeUnit": "SECONDS"}


def code_of(status_id: int | None, error_id: int | None) -> str | None:
    """Viber's or the network's own code if there is one, else Infobip's."""
    found = error_id or status_id
    return str(found) if found is not None and abs(found) < 10**6 else None


def receipt(
    item: Report,
    state: ch.Delivery | ch.Engagement,
    at: Any,
    failure: ch.Refused | None = None,
    detail: str = "",
) -> Iterator[ch.Receipt]:
    """
    A receipt for an item's message; seen reports and clicks have no ``callbackData``, so
    ``messageId`` names it.
    """
    id = ch.id_of(item.get("messageId"))
    return ch.receipts_for(
        state,
        provider_id=id,
        reference=ch.id_of(item.get("callbackData")) or id,
        at=ch.iso_seconds(at),
        failure=failure,
        detail=detail,
        phone=item.get("to"),
    )


def click(item: Report) -> Iterator[ch.Receipt]:
    """A click on a link that Infobip shortened."""
    if item.get("notificationType") == "CLICKED":
        yield from receipt(item, ch.Engagement.CLICKED, item.get("clickedAt"))


def inbound(item: Report) -> Iterator[ch.Inbound]:
    """A reply; ``trackingData`` or ``callbackData`` has the reference of our last message."""
    phone = ch.e164(item.get("sender") or item.get("from"))
    if phone is not None:
        answered = (ch.member(item, "message", "trackingData"), item.get("callbackData"))
        yield ch.Inbound(
            kind="phone",
            value=phone,
            text=ch.text_of(ch.member(item, "message", "text") or item.get("text")),
            id=ch.id_of(item.get("messageId")) or "",
            answers=ch.ids_of(*answered),
            at=ch.iso_seconds(item.get("receivedAt")),
            media=tuple(media_of(item.get("message"))),
        )


def media_of(message: Any) -> Iterator[ch.InboundMedia]:
    """A picture, a video or a file, by the URL that Infobip serves it at."""
    kind = MEDIA.get(ch.text_of(ch.member(message, "type")).upper())
    url = ch.member(message, "url") or ch.member(message, "mediaUrl")
    if kind is not None and isinstance(url, str) and 0 < len(url) <= ch.REFERENCE_CHARS_MAX:
        yield ch.InboundMedia(kind=kind, reference=url)
