"""
Viber Business Messages by Infobip: JSON in, one verdict per message inside a 200.

Reference: Infobip Viber API v2 (``/viber/2/messages``), "Response status and error codes",
"Delivery reports". Quirk: a 200 may say REJECTED, and a repeated ``messageId`` is rejected
*because* the first one was taken: such a rejection, at once or in a report, must never count as a
failure.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any, Self

from pydantic import Field, model_validator

from orchestrator import channels as ch

R = ch.Reason
Report = dict[str, Any]
HOUR_MS = 3_600_000
VALIDITY_SECONDS_MIN, VALIDITY_SECONDS_MAX = 30, 48 * 3600

PENDING, UNDELIVERABLE, DELIVERED, EXPIRED, REJECTED = 1, 2, 3, 4, 5
DELIVERED_TO_OPERATOR = 2
DUPLICATE_STATUS, DUPLICATE_ERROR = 23, 7280
FLOODING_STATUS, SYSTEM_ERROR_STATUS, TOO_MANY_ERROR = 20, 21, 7017

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

BY_ERROR: dict[int, R] = {
    7002: R.REFUSED_ADDRESS,
    **dict.fromkeys((7003, 7030, 7033), R.REFUSED_OPTED_OUT),
    **dict.fromkeys((7010, 7020, 7025, 7026, 7032, 7201), R.REFUSED_RECIPIENT),
    **dict.fromkeys((7006, 7007, 7008, 7009, 7015, 7022, 7027), R.REFUSED_CONTENT),
    **dict.fromkeys(
        (7001, 7004, 7005, 7011, 7012, 7019, 7081, 7083, 7084), R.REFUSED_CONFIGURATION
    ),
}
"""``error.id``: what Viber said."""

BY_STATUS: dict[int, R] = {
    **dict.fromkeys((6, 8, 52), R.REFUSED_ADDRESS),
    **dict.fromkeys((10, 14), R.REFUSED_OPTED_OUT),
    **dict.fromkeys((24, 25, 51, 100), R.REFUSED_CONTENT),
    **dict.fromkeys((11, 12, 13, 17, 19), R.REFUSED_CONFIGURATION),
}
"""``status.id``: what Infobip said."""

NO_ROUTE = 19
"""A status that names our account, but only for numbers of some networks."""
UNCERTAIN_ERRORS = frozenset({7013, 7014, 7050, 7051, 7082})
MARKETING_OPT_OUT = 7033


class InfobipSettings(ch.AdapterSettings):
    """
    ``base_url`` is the account's own (``https://xxxxx.api.infobip.com``).

    Infobip signs nothing, but its subscriptions can be told to log in: with ``webhook_username``
    and ``webhook_password`` (basic) or with ``webhook_token`` (bearer). Without either, webhooks
    are refused unless ``allow_unsigned``. ``track_clicks`` lets Infobip shorten the links of
    promotional messages and report clicks.
    """

    api_key: ch.Secret
    sender: str = Field(min_length=1)
    base_url: ch.BaseUrl
    webhook_username: str | None = Field(default=None, min_length=1)
    webhook_password: ch.Secrets | None = None
    webhook_token: ch.Secrets | None = None
    track_clicks: bool = False

    @model_validator(mode="after")
    def _whole_login(self) -> Self:
        if (self.webhook_username is None) != (self.webhook_password is None):
            raise ValueError(
                "`webhook_username` and `webhook_password` go together: give both or neither"
            )
        return self


class InfobipViber(ch.HttpAdapter[InfobipSettings]):
    """
    Viber Business Messages by Infobip.

    Infobip refuses a second message with the same ``messageId``, and that refusal is read as "taken
    before"; but it documents no time for which it does so, therefore no idempotency is claimed and
    an unknown outcome is not repeated.
    """

    name = "infobip_viber"
    settings_type = InfobipSettings
    supports = ch.Capabilities(
        channel="viber",
        address=("phone",),
        receipts=frozenset({"sent", "delivered", "read", "clicked", "replied"}),
        parts=("text",),
        echo=True,
        failure_receipts=True,
        signed=False,
    )

    def reports(self) -> frozenset[str]:
        """Clicks are reported only if ``track_clicks`` is set."""
        return (
            self.supports.receipts
            if self.settings.track_clicks
            else self.supports.receipts - {"clicked"}
        )

    def request(self, message: ch.Outgoing) -> ch.HttpCall:
        """
        One message to one destination; our client reference is its ``messageId`` and its
        ``callbackData``.
        """
        promotional = message.message_class == "promotional"
        entry = {
            "sender": self.settings.sender,
            "destinations": [
                {"to": message.address.value.lstrip("+"), "messageId": message.client_reference}
            ],
            "content": content_of(message.content),
            "options": {
                "label": "PROMOTIONAL" if promotional else "TRANSACTIONAL",
                "validityPeriod": validity(message.ttl_seconds),
                "trackingData": message.client_reference,
            },
            "webhooks": {
                "delivery": {
                    "url": message.receipt_url,
                    "intermediateReport": True,
                    "notify": True,
                },
                "seen": {"url": message.receipt_url},
                "contentType": "application/json",
                "callbackData": message.client_reference,
            },
        }
        body: dict[str, Any] = {"messages": [entry]}
        if promotional and self.settings.track_clicks:
            tracking = {"shortenUrl": True, "trackClicks": True, "trackingUrl": message.receipt_url}
            body["options"] = {"tracking": tracking}
        return ch.HttpCall(
            method="POST",
            url=f"{self.settings.base_url}/viber/2/messages",
            headers={
                "Authorization": f"App {self.settings.api_key.get_secret_value()}",
                "Content-Type": "application/json",
                "Accept": "application/json",
            },
            body=ch.json_bytes(body),
        )

    def outcome(self, reply: ch.HttpReply) -> ch.Outcome:
        """A 2xx is judged by its only message, anything else by its status."""
        body = reply.json()
        if not 200 <= reply.status < 300:
            fault = ch.member(body, "requestError", "serviceException")
            code = ch.code_of(ch.member(body, "errorCode")) or ch.code_of(
                ch.member(fault, "messageId")
            )
            return ch.by_http_status(
                reply, code, self._said(ch.member(body, "description") or ch.member(fault, "text"))
            )
        match ch.member(body, "messages"):
            case [{"status": dict(status)} as item]:
                return self._verdict(reply, item, status)
            case _:
                return ch.by_http_status(reply)

    def _verdict(self, reply: ch.HttpReply, item: Report, status: Report) -> ch.Outcome:
        group, status_id = ch.whole(status.get("groupId")), ch.whole(status.get("id"))
        error_id = ch.whole(ch.member(item, "error", "id"))
        message_id = ch.id_of(item.get("messageId"))
        repeated = group == REJECTED and (
            status_id == DUPLICATE_STATUS or error_id == DUPLICATE_ERROR
        )
        if message_id is not None and (repeated or group in (PENDING, DELIVERED)):
            known = ch.known_as(("phone", item.get("to")))
            return ch.Accepted(message_id, duplicate=repeated, known_as=known)
        if repeated:
            return ch.by_http_status(reply)
        code, detail = code_of(status_id, error_id), self._said(status.get("description"))
        if group not in (UNDELIVERABLE, EXPIRED, REJECTED) or code is None:
            return ch.by_http_status(reply)
        if status_id == FLOODING_STATUS:
            return ch.NotSent(R.THROTTLED, reply.retry_after_ms or HOUR_MS, code, detail)
        if error_id == TOO_MANY_ERROR:
            return ch.NotSent(R.THROTTLED, reply.retry_after_ms, code, detail)
        if status_id == SYSTEM_ERROR_STATUS or error_id in UNCERTAIN_ERRORS:
            return ch.Unknown(R.SERVER_ERROR, code, detail)
        return refusal(status_id, error_id, detail) or ch.Refused(R.REFUSED_RECIPIENT, code, detail)

    def _said(self, words: Any) -> str:
        return ch.said(words, ch.secret_values(self.settings))

    def verify(self, hook: ch.Webhook) -> None:
        """Check the subscription's login: basic or bearer, as configured."""
        own = self.settings
        scheme, _, given = hook.headers.get("authorization", "").partition(" ")
        expected: list[str] = []
        if scheme.lower() == "bearer" and own.webhook_token is not None:
            expected = list(ch.secrets_of(own.webhook_token))
        elif (
            scheme.lower() == "basic"
            and own.webhook_username is not None
            and own.webhook_password is not None
        ):
            logins = (
                f"{own.webhook_username}:{secret}" for secret in ch.secrets_of(own.webhook_password)
            )
            expected = [
                base64.b64encode(login.encode("utf-8", "replace")).decode("ascii")
                for login in logins
            ]
        if not ch.matches(given.strip(), *expected):
            raise ch.Forged(
                "the login is missing or wrong; give the provider `webhook_token`, or"
                " `webhook_username` and `webhook_password`, and Infobip's subscription the same"
            )

    def receipts(self, hook: ch.Webhook) -> Iterator[ch.Receipt | ch.Inbound | ch.Preference]:
        """Delivery and seen reports, replies and clicks, distinguished by their keys."""
        body = hook.json()
        if ch.member(body, "notificationType") is not None:
            yield from click(body)
        for item in ch.objects(ch.member(body, "results")):
            if item.get("notificationType") is not None:
                yield from click(item)
            elif isinstance(item.get("message"), dict):
                yield from inbound(item)
            elif isinstance(item.get("status"), dict):
                yield from delivery(item)
            elif "seenAt" in item:
                yield from receipt(item, ch.Engagement.READ, item["seenAt"])


def content_of(parts: ch.Content) -> dict[str, Any]:
    """
    The ``content`` object: text, or an image with text; either with one button that opens a URL.
    """
    extra = parts.get("yaml")
    image, button = ch.member(extra, "image"), ch.member(extra, "button")
    content: dict[str, Any] = {"type": "IMAGE", "mediaUrl": image} if image else {"type": "TEXT"}
    content["text"] = parts.get("text", "")
    if button:
        content["button"] = {
            "title": ch.member(button, "title"),
            "action": ch.member(button, "url"),
        }
    return content


def validity(ttl_seconds: int) -> dict[str, Any]:
    """``validityPeriod`` (30 s to 48 h): in minutes if they are whole, else in seconds."""
    seconds = min(max(ttl_seconds, VALIDITY_SECONDS_MIN), VALIDITY_SECONDS_MAX)
    if seconds % 60 == 0:
        return {"amount": seconds // 60, "timeUnit": "MINUTES"}
    return {"amount": seconds, "timeUnit": "SECONDS"}


def code_of(status_id: int | None, error_id: int | None) -> str | None:
    """Viber's own code if there is one, else Infobip's."""
    found = error_id or status_id
    return str(found) if found is not None and abs(found) < 10**6 else None


def refusal(status_id: int | None, error_id: int | None, detail: str) -> ch.Refused | None:
    """The refusal for the two codes, Viber's first; None if neither is known."""
    for code, table in ((error_id, BY_ERROR), (status_id, BY_STATUS)):
        if code in table:
            classes = ("promotional",) if code == MARKETING_OPT_OUT else ()
            personal = table is BY_STATUS and code == NO_ROUTE
            return ch.Refused(table[code], str(code), detail, classes=classes, personal=personal)
    return None


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
    message_id = ch.id_of(item.get("messageId"))
    reference = ch.id_of(item.get("callbackData")) or message_id
    if reference is not None:
        yield ch.Receipt(
            state=state,
            provider_id=message_id,
            client_reference=reference,
            at=ch.iso_seconds(at),
            failure=failure,
            detail=detail,
            known_as=ch.known_as(("phone", item.get("to"))),
        )


def delivery(item: Report) -> Iterator[ch.Receipt]:
    """A delivery report; the rejection of a repeat is no receipt for the original."""
    status, error = item["status"], item.get("error")
    group, status_id = ch.whole(status.get("groupId")), ch.whole(status.get("id"))
    error_id = ch.whole(ch.member(error, "id"))
    if (
        group is None
        or group not in STATES
        or status_id == DUPLICATE_STATUS
        or error_id == DUPLICATE_ERROR
    ):
        return
    state = STATES[group]
    if group == DELIVERED and status_id == DELIVERED_TO_OPERATOR:
        state = ch.Delivery.SENT
    if group in (PENDING, DELIVERED):
        yield from receipt(item, state, item.get("doneAt") or item.get("sentAt"))
        return
    words = ch.member(error, "description") if error_id else status.get("description")
    detail = ch.said(f"{code_of(status_id, error_id) or ''} {ch.text_of(words)}")
    failure = refusal(status_id, error_id, detail)
    if failure is None and ch.member(error, "permanent") is True:
        failure = ch.Refused(R.REFUSED_RECIPIENT, code_of(status_id, error_id), detail)
    yield from receipt(item, state, item.get("doneAt"), failure, detail)


def click(item: Report) -> Iterator[ch.Receipt]:
    """A click on a link that Infobip shortened."""
    if item.get("notificationType") == "CLICKED":
        yield from receipt(item, ch.Engagement.CLICKED, item.get("clickedAt"))


def inbound(item: Report) -> Iterator[ch.Inbound]:
    """A reply; ``trackingData`` has the reference of our last message."""
    phone = ch.e164(item.get("sender") or item.get("from"))
    if phone is not None:
        yield ch.Inbound(
            kind="phone",
            value=phone,
            text=ch.text_of(ch.member(item, "message", "text")),
            id=ch.id_of(item.get("messageId")) or "",
            answers=ch.ids_of(ch.member(item, "message", "trackingData")),
            at=ch.iso_seconds(item.get("receivedAt")),
        )
