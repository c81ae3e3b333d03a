"""
Vonage SMS API (formerly Nexmo): one JSON call a message, one verdict for each part of it.

Reference: Vonage SMS API, "Send an SMS", "Delivery receipt", "Inbound SMS", "Signing messages".
Quirks: the HTTP status is always 200. A long text has a verdict and receipts for each part: it
counts as taken, and as delivered, with its first. Webhooks come by GET or POST, in a query, a form
or JSON. A callback of more than 100 characters is not sent; then the account's own URL is used.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterator
from typing import Any, ClassVar, Literal

from pydantic import Field

from orchestrator import channels as ch

R = ch.Reason
TTL_MS = (20_000, 604_800_000)
CALLBACK_CHARS_MAX = 100
AGE_SECONDS_MAX = 86_400
"""
A callback is repeated for a day, and whether with a new timestamp is not documented. The signature
covers all of it, so that one which comes again says nothing new.
"""
WAIT = re.compile(r"\[ *(\d{1,7}) *\]")

ANSWERS = ch.CodeTable(
    accepted="0",
    address="7 33",
    recipient="6",
    content="2 3 12 22 23",
    configuration="4 8 9 11 14 15 29 32",
    throttled="1 10",
    uncertain="5",
)
FAILURES = ch.CodeTable(
    address="3 12 14",
    recipient="2 5 7 11 13 15",
    opted_out="4 9 53",
    content="6 10",
    configuration="50 51 52 54",
    uncertain="1 8 16 99",
)
"""``err-code`` of a receipt."""
STATES = {
    **dict.fromkeys(("accepted", "buffered"), ch.Delivery.SENT),
    "delivered": ch.Delivery.DELIVERED,
    "expired": ch.Delivery.EXPIRED,
    "failed": ch.Delivery.FAILED,
    "rejected": ch.Delivery.REJECTED,
}


class VonageSettings(ch.LoginSettings):
    """
    ``signature_secret`` with ``signature_method`` as the account's settings have them: then
    webhooks must be signed. Without it they log in as ``LoginSettings`` say.
    """

    api_key: str = Field(min_length=1)
    api_secret: ch.Secret
    sender: str = Field(alias="from", min_length=1)
    signature_secret: ch.Secrets | None = None
    signature_method: Literal["md5hash", "md5", "sha1", "sha256", "sha512"] = "sha256"
    base_url: ch.BaseUrl = "https://rest.nexmo.com"
    proofs = ("signature_secret", *ch.LoginSettings.proofs)


class VonageSms(ch.HttpAdapter[VonageSettings]):
    """SMS by Vonage."""

    name: ClassVar[str] = "vonage_sms"
    settings_type = VonageSettings
    supports: ClassVar[ch.Capabilities] = ch.Capabilities(
        channel="sms",
        address=("phone",),
        receipts=frozenset({"sent", "delivered", "replied"}),
        echo=True,
        failure_receipts=True,
    )

    def request(self, message: ch.Outgoing) -> ch.HttpCall:
        """One text; beyond ASCII it is sent as Unicode."""
        own, text = self.settings, message.content.get("text", "")
        # a signature covers the query too, as Vonage knows it, so nothing is added to it
        login = own.webhook_token if own.signature_secret is None else None
        token = ch.secrets_of(login)[0] if login is not None else None
        callback = ch.with_query(message.receipt_url, token=token) if token else message.receipt_url
        body: dict[str, Any] = {
            "api_key": own.api_key,
            "api_secret": own.api_secret.get_secret_value(),
            "from": own.sender,
            "to": message.address.value.lstrip("+"),
            "text": text,
            "type": "text" if text.isascii() else "unicode",
            "ttl": min(max(message.ttl_seconds * 1000, TTL_MS[0]), TTL_MS[1]),
            "status-report-req": 1,
            "client-ref": message.client_reference,
        }
        if len(callback) <= CALLBACK_CHARS_MAX:
            body["callback"] = callback
        return ch.json_call(f"{own.base_url}/sms/json", body)

    def probe(self, now: float) -> ch.HttpCall:
        """The account's balance."""
        login = ch.login(self.settings.api_key, self.settings.api_secret.get_secret_value())
        url = f"{self.settings.base_url}/account/get-balance"
        return ch.get_call(url, Authorization=f"Basic {login}")

    def outcome(self, reply: ch.HttpReply) -> ch.Outcome:
        """Taken if any part was; else the first part's verdict."""
        body = reply.json() if 200 <= reply.status < 300 else None
        parts, found = list(ch.objects(ch.member(body, "messages"))), list[ch.Outcome]()
        complete = ch.member(body, "message-count") == str(len(parts))
        for part in parts:
            words = ch.said(part.get("error-text"), ch.secret_values(self.settings))
            known = (("phone", part.get("to")),)
            code, id = part.get("status"), ch.id_of(part.get("message-id"))
            meant = ANSWERS.outcome(code, reply, words, id) if isinstance(code, str) else None
            wait = WAIT.search(words)
            if isinstance(meant, ch.Accepted):
                return ch.Accepted(id, known_as=ch.known_as(*known))
            if isinstance(meant, ch.NotSent) and wait is not None:
                meant = ch.NotSent(meant.reason, int(wait[1]), meant.code, words)
            found.append(meant or ch.by_http_status(reply, detail=words))
        uncertain = (one for one in found if isinstance(one, ch.Unknown))
        if not complete or not found:
            return ch.by_http_status(reply)
        return next(uncertain, found[0])

    def verify(self, hook: ch.Webhook) -> None:
        """Check ``sig`` where the account signs, else the login."""
        secrets = self.settings.signature_secret
        if secrets is None:
            self.settings.check_login(hook)
            return
        fields = ch.fields_of(hook)
        given = ch.text_of(fields.pop("sig", None)).lower()
        method = self.settings.signature_method
        expected = [signature(method, secret, fields) for secret in ch.secrets_of(secrets)]
        if not ch.matches(given, *expected):
            raise ch.Forged("sig does not fit `signature_secret` and `signature_method`")
        at = ch.unix_seconds(fields.get("timestamp"))
        if at is not None and abs(hook.now - at) > AGE_SECONDS_MAX:
            raise ch.Forged("the signed timestamp is more than a day off")

    def receipts(self, hook: ch.Webhook) -> Iterator[ch.Receipt | ch.Inbound]:
        """A delivery receipt, or a text of the recipient's."""
        fields = ch.fields_of(hook)
        at = ch.iso_seconds(fields.get("message-timestamp"))
        status, phone = ch.text_of(fields.get("status")), ch.e164(fields.get("msisdn"))
        if status:
            code = ch.text_of(fields.get("err-code"))
            failed = STATES.get(status, ch.Delivery.SENT) in FAILED
            yield from ch.receipts_for(
                STATES.get(status),
                provider_id=fields.get("messageId"),
                reference=fields.get("client-ref"),
                at=at,
                failure=FAILURES.refusal(code, f"err-code {code}") if failed else None,
                detail=f"err-code {code}" if failed else "",
                phone=fields.get("msisdn"),
            )
        elif phone is not None and "text" in fields:
            id = ch.id_of(fields.get("messageId")) or ""
            text = ch.text_of(fields["text"])
            yield ch.Inbound(kind="phone", value=phone, text=text, id=id, at=at)


FAILED = (ch.Delivery.FAILED, ch.Delivery.REJECTED, ch.Delivery.EXPIRED)


def signature(method: str, secret: str, fields: dict[str, Any]) -> str:
    """``sig``: a hash over ``&name=value`` of the sorted fields, and the secret."""
    clean = str.maketrans("&=", "__")
    text = "".join(f"&{name}={str(fields[name]).translate(clean)}" for name in sorted(fields))
    signed, key = text.encode("utf-8", "replace"), secret.encode()
    if method == "md5hash":
        return hashlib.md5(signed + key).hexdigest()
    return hmac.new(key, signed, method).hexdigest()
