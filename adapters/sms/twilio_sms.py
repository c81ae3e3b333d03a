"""
Twilio SMS: one form POST per message; receipts and replies come back as signed forms.

Reference: Twilio Messaging API 2010-04-01, "Messages resource", "Status callbacks", "Webhooks
security" and the error dictionary. Quirk: Twilio has no field for a reference of ours, so it
travels in the query of the status callback's URL, which the signature covers. The error's code
decides before the HTTP status: a daily limit is also a 429.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Any, Self

from pydantic import Field, model_validator

from orchestrator import channels as ch

R = ch.Reason
DAY_SECONDS = 86_400
VALIDITY_SECONDS_MAX = 36_000
FIELDS_MAX = 1_000
MEDIA_MAX = 10
MEDIA: dict[str, ch.MediaKind] = {"image": "image", "video": "video", "audio": "audio"}

CODES = ch.CodeTable(
    opted_out="21610 63014 63033",
    address="21211 21217 21614 30003 30005 30006",
    recipient="21612 30004 30011 63003 63024 63032 63036",
    configuration="20003 20404 21212 21408 21603 21606-21609 21659 30002 30018 30024 30032 30034"
    " 63001 63002 63007 63008 63020 90010",
    content="21602 21617 21618 21620 21623 21654-21656 30007 30012-30016 30019 63005 63013 63016"
    " 63019 63021 63027 63028 63030 63041",
    throttled="14107 20429 21611 30022 63017 63018",
    uncertain="30001 30008-30010 30017 30020 30021 30410 63009 63010 63012",
    personal="21408 21606 21608 30018 30024 30032 30034",
    suppress_after={"30003": 3},
)
"""
Personal are codes that name our account, but only for numbers of some countries or networks. An
unreachable handset may only be switched off: it takes three such days to call the number dead.
"""
DAILY_LIMITS = ch.codes("30023 30027 63038")
"""Codes that say: nothing more is taken today."""

STATES: dict[str, ch.Delivery | ch.Engagement] = {
    "sent": ch.Delivery.SENT,
    "delivered": ch.Delivery.DELIVERED,
    "partially_delivered": ch.Delivery.DELIVERED,
    "read": ch.Engagement.READ,
    "undelivered": ch.Delivery.FAILED,
    "failed": ch.Delivery.FAILED,
    "canceled": ch.Delivery.CANCELLED,
}
"""``MessageStatus`` in our words; accepted, scheduled, queued and sending are ignored."""

KEYWORDS = {"STOP": "stop", "START": "start"}
DEFAULT_PORTS = {"https": 443, "http": 80}


class TwilioSettings(ch.AdapterSettings):
    """
    ``auth_token`` may be a list while it is rotated: the first signs in, each of them verifies.

    Exactly one of ``from`` (a number in E.164, a short code or an alphanumeric sender) and
    ``messaging_service_sid``.
    """

    account_sid: str = Field(pattern=r"^AC[0-9A-Za-z_]+$")
    auth_token: ch.Secrets
    sender: str | None = Field(default=None, alias="from", min_length=1)
    messaging_service_sid: str | None = Field(default=None, pattern=r"^MG[0-9A-Za-z_]+$")
    base_url: ch.BaseUrl = "https://api.twilio.com"

    @model_validator(mode="after")
    def _one_sender(self) -> Self:
        if (self.sender is None) == (self.messaging_service_sid is None):
            raise ValueError(
                "give exactly one of `from` (a sender) and `messaging_service_sid` (a pool of"
                " senders)"
            )
        return self


class TwilioSms(ch.HttpAdapter[TwilioSettings]):
    """SMS by Twilio's Messages resource."""

    name = "twilio_sms"
    settings_type = TwilioSettings
    supports = ch.Capabilities(
        channel="sms",
        address=("phone",),
        receipts=frozenset({"sent", "delivered", "read", "replied"}),
        parts=("text",),
        echo=True,
        failure_receipts=True,
        longest={"text": 1600},
    )

    def request(self, message: ch.Outgoing) -> ch.HttpCall:
        """
        A form for ``Messages.json``; the message expires at Twilio after ``ttl_seconds`` (1 s to 10
        h).
        """
        own = self.settings
        fields = {"To": message.address.value, "Body": message.content.get("text", "")}
        if own.messaging_service_sid is not None:
            fields["MessagingServiceSid"] = own.messaging_service_sid
        else:
            fields["From"] = own.sender or ""
        fields["StatusCallback"] = ch.with_query(message.receipt_url, ref=message.client_reference)
        fields["ValidityPeriod"] = str(min(max(message.ttl_seconds, 1), VALIDITY_SECONDS_MAX))
        url = f"{own.base_url}/2010-04-01/Accounts/{own.account_sid}/Messages.json"
        return ch.form_call(url, fields, Authorization=f"Basic {self._login()}")

    def probe(self, now: float) -> ch.HttpCall:
        """The account itself."""
        own = self.settings
        url = f"{own.base_url}/2010-04-01/Accounts/{own.account_sid}.json"
        return ch.get_call(url, Authorization=f"Basic {self._login()}")

    def _login(self) -> str:
        return ch.login(self.settings.account_sid, ch.secrets_of(self.settings.auth_token)[0])

    def _said(self, words: Any) -> str:
        return ch.said(words, (self._login(), *ch.secret_values(self.settings)))

    def outcome(self, reply: ch.HttpReply) -> ch.Outcome:
        """
        A created message is accepted by its ``sid``; anything else is decided by the error's code,
        then the status.
        """
        body = reply.json()
        if 200 <= reply.status < 300:
            return self._created(reply, body)
        code = ch.whole(ch.member(body, "code"))
        detail = self._said(ch.member(body, "message"))
        if code is None or not 400 <= reply.status < 600:
            return ch.by_http_status(reply, detail=detail)
        if str(code) in DAILY_LIMITS:
            pause_ms = reply.retry_after_ms or ms_to_midnight(reply.now)
            return ch.NotSent(R.THROTTLED, pause_ms, str(code), detail)
        known = str(code) if 0 < code < 10**6 else None
        return CODES.outcome(code, reply, detail) or ch.by_http_status(reply, known, detail)

    def _created(self, reply: ch.HttpReply, body: Any) -> ch.Outcome:
        sid, status = ch.id_of(ch.member(body, "sid")), ch.member(body, "status")
        if sid is None or not sid.startswith(("SM", "MM")) or not isinstance(status, str):
            return ch.by_http_status(reply)
        if STATES.get(status) not in (ch.Delivery.FAILED, ch.Delivery.CANCELLED):
            return ch.Accepted(sid, known_as=ch.known_as(("phone", ch.member(body, "to"))))
        code = ch.whole(ch.member(body, "error_code"))
        detail = self._said(ch.member(body, "error_message"))
        return CODES.refusal(code, detail) or ch.Unknown(R.SERVER_ERROR, status, detail)

    def verify(self, hook: ch.Webhook) -> None:
        """
        Check ``X-Twilio-Signature`` over the public URL and the form, or over the URL and
        ``bodySHA256``, and the account. Proxies add and drop the default port, so the URL is tried
        with and without it.
        """
        if is_form(hook):
            fields = form_pairs(hook.body)
        else:
            fields = []
            digest = hashlib.sha256(hook.body).hexdigest()
            if not ch.matches(hook.query.get("bodySHA256", "").lower(), digest):
                raise ch.Forged("neither a form nor a body that bodySHA256 vouches for")
        tokens = ch.secrets_of(self.settings.auth_token)
        expected = [
            signature(token, url, fields) for token in tokens for url in port_variants(hook.url)
        ]
        if not ch.matches(hook.headers.get("x-twilio-signature"), *expected):
            raise ch.Forged("X-Twilio-Signature does not fit the URL and the body")
        self._check_account(hook)

    def _check_account(self, hook: ch.Webhook) -> Mapping[str, str]:
        fields = fields_of(hook)
        if not ch.matches(fields.get("AccountSid"), self.settings.account_sid):
            raise ch.Forged("AccountSid is not our account")
        return fields

    def receipts(self, hook: ch.Webhook) -> Iterator[ch.Receipt | ch.Inbound | ch.Preference]:
        """
        One receipt or one inbound message a call. A form of another account raises ``Forged``.
        """
        fields = self._check_account(hook)
        status = fields.get("MessageStatus") or fields.get("SmsStatus") or ""
        sid = ch.id_of(fields.get("MessageSid") or fields.get("SmsSid"))
        if status in STATES:
            yield from self._receipt(hook, fields, STATES[status], sid)
        elif status in ("received", "receiving") or (not status and "Body" in fields):
            yield from self._inbound(fields, sid)

    def _receipt(
        self,
        hook: ch.Webhook,
        fields: Mapping[str, str],
        state: ch.Delivery | ch.Engagement,
        sid: str | None,
    ) -> Iterator[ch.Receipt]:
        reference = ch.id_of(hook.query.get("ref"))
        if sid is None and reference is None:
            return
        code = fields.get("ErrorCode", "")
        failed = state in (ch.Delivery.FAILED, ch.Delivery.CANCELLED)
        detail = ch.said(f"{code} {fields.get('ErrorMessage', '')}") if failed else ""
        failure = CODES.refusal(code, detail) if failed else None
        if failed and code in DAILY_LIMITS:
            failure = ch.Refused(R.REFUSED_CONFIGURATION, code, detail)
        yield ch.Receipt(
            state=state, provider_id=sid, client_reference=reference, failure=failure, detail=detail
        )

    def _inbound(self, fields: Mapping[str, str], sid: str | None) -> Iterator[ch.Inbound]:
        sender = fields.get("From", "")
        phone = ch.e164(sender) if sender.startswith("+") else None
        if phone is not None:
            yield ch.Inbound(
                kind="phone",
                value=phone,
                text=ch.text_of(fields.get("Body")),
                id=sid or "",
                answers=ch.ids_of(fields.get("OriginalRepliedMessageSid")),
                keyword=KEYWORDS.get(fields.get("OptOutType", "")),
                media=tuple(media_of(fields)),
            )

    media_hosts = ("twiliocdn.com",)

    def medium(self, reference: str, found: ch.HttpReply | None) -> ch.HttpCall | None:
        """The URL of the MMS, with our login; Twilio redirects to where the medium is."""
        if found is not None or not reference.startswith(f"{self.settings.base_url}/"):
            return None
        return ch.get_call(reference, Authorization=f"Basic {self._login()}")

    def answer(self, hook: ch.Webhook) -> ch.Answer:
        """Empty TwiML: no reply is sent."""
        return ch.Answer(body="<Response/>", content_type="text/xml")


def media_of(fields: Mapping[str, str]) -> Iterator[ch.InboundMedia]:
    """The media of an MMS, by the URLs that Twilio serves them at."""
    for place in range(MEDIA_MAX):
        url = fields.get(f"MediaUrl{place}", "")
        if not 0 < len(url) <= ch.REFERENCE_CHARS_MAX:
            return
        form = fields.get(f"MediaContentType{place}", "").partition("/")[0]
        yield ch.InboundMedia(kind=MEDIA.get(form, "file"), reference=url)


def ms_to_midnight(now: float) -> int:
    """Milliseconds from ``now`` (UTC seconds) to the next UTC midnight."""
    return int((DAY_SECONDS - now % DAY_SECONDS) * 1000)


def is_form(hook: ch.Webhook) -> bool:
    """Whether the webhook's content type is a form."""
    return hook.headers.get("content-type", "").split(";")[0].strip().lower() == ch.FORM


def form_pairs(body: bytes) -> list[tuple[str, str]]:
    """The fields of a form in order, with repeated ones; none if the body is not UTF-8."""
    try:
        return urllib.parse.parse_qsl(body.decode("utf-8"), True, max_num_fields=FIELDS_MAX)
    except ValueError:
        return []


def fields_of(hook: ch.Webhook) -> Mapping[str, str]:
    """The webhook's fields, whether it is a form or a JSON object."""
    if is_form(hook):
        return dict(form_pairs(hook.body))
    body = hook.json()
    return (
        {key: value for key, value in body.items() if isinstance(value, str)}
        if isinstance(body, dict)
        else {}
    )


def port_variants(url: str) -> tuple[str, ...]:
    """``url`` unchanged, and with its port dropped or the default port added."""
    try:
        parts = urllib.parse.urlsplit(url)
        port, host = parts.port, parts.hostname
    except ValueError:
        return (url,)
    if not host or parts.scheme not in DEFAULT_PORTS:
        return (url,)
    name = f"[{host}]" if ":" in host else host
    other = name if port is not None else f"{name}:{DEFAULT_PORTS[parts.scheme]}"
    return (url, url.replace(parts.netloc, other, 1))


def signature(token: str, url: str, fields: list[tuple[str, str]]) -> str:
    """
    The expected ``X-Twilio-Signature``: base64 of HMAC-SHA1 over the URL followed by each field's
    name and value, sorted by both, a repeated pair once.
    """
    signed = url + "".join(key + value for key, value in sorted(set(fields)))
    digest = hmac.new(token.encode(), signed.encode("utf-8", "replace"), hashlib.sha1).digest()
    return base64.b64encode(digest).decode("ascii")
