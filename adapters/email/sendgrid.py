"""
SendGrid: one JSON call a mail; events come in signed batches.

Reference: Twilio SendGrid v3 API, "Mail Send", "Event Webhook", "Event Webhook security features".
Quirk: a mail that was taken is answered 202 with an empty body; its id stands in a header. People
on a suppression list are taken, too, and "dropped" later.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from typing import Any, ClassVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key
from pydantic import field_validator

from adapters.email.gateway import MailGateway, MailSettings, reports_of
from orchestrator import channels as ch

AGE_SECONDS_MAX = 86_400
"""
SendGrid repeats a batch for a day, and whether with a new timestamp is not documented. The
signature covers all of it, so that one which comes again says nothing new.
"""
SIGNATURE = "x-twilio-email-event-webhook-signature"
TIMESTAMP = "x-twilio-email-event-webhook-timestamp"
EVENTS = {
    "delivered": "delivered",
    "open": "opened",
    "click": "clicked",
    "spamreport": "complained",
    **dict.fromkeys(("unsubscribe", "group_unsubscribe"), "unsubscribed"),
}
DROPS = {
    "bounced address": "invalid",
    "invalid": "invalid",
    "unsubscribed address": "suppressed",
    "spam reporting address": "suppressed",
}
"""``reason`` of a drop; another one is SendGrid's policy."""


class SendGridSettings(MailSettings):
    """
    ``webhook_public_key``: the verification key of the signed event webhook (base64 of a DER key);
    a list while it is changed. ``base_url``: ``https://api.eu.sendgrid.com`` for EU subusers.
    """

    api_key: ch.Secret
    webhook_public_key: str | tuple[str, ...] = ()
    base_url: ch.BaseUrl = "https://api.sendgrid.com"
    proofs = ("webhook_public_key",)

    @field_validator("webhook_public_key")
    @classmethod
    def _is_key(cls, value: str | tuple[str, ...]) -> tuple[str, ...]:
        keys = (value,) if isinstance(value, str) else value
        for key in keys:
            key_of(key)
        return keys


class SendGrid(MailGateway[SendGridSettings]):
    """Mail by SendGrid."""

    name: ClassVar[str] = "sendgrid"
    settings_type = SendGridSettings

    def request(self, message: ch.Outgoing) -> ch.HttpCall:
        """One mail to one address; our reference is a custom argument and its Message-ID."""
        own, mail = self.settings, self.letter(message)
        kinds = (("text/plain", mail.text), ("text/html", mail.html))
        body: dict[str, Any] = {
            "personalizations": [
                {
                    "to": [{"email": mail.recipient.address}],
                    "custom_args": {"ref": message.client_reference},
                }
            ],
            "from": person(mail.sender),
            "subject": mail.subject,
            "content": [{"type": kind, "value": value} for kind, value in kinds if value],
            "headers": mail.headers,
        }
        if mail.reply_to is not None:
            body["reply_to"] = person(mail.reply_to)
        authorization = f"Bearer {own.api_key.get_secret_value()}"
        return ch.json_call(f"{own.base_url}/v3/mail/send", body, Authorization=authorization)

    def probe(self, now: float) -> ch.HttpCall:
        """What the key may do."""
        key = self.settings.api_key.get_secret_value()
        return ch.get_call(f"{self.settings.base_url}/v3/scopes", Authorization=f"Bearer {key}")

    def outcome(self, reply: ch.HttpReply) -> ch.Outcome:
        """Taken is a 202 with ``X-Message-Id``; else the first error's field tells whose fault."""
        error: Any = next(ch.objects(ch.member(reply.json(), "errors")), {})
        words, field = self.said(error.get("message")), ch.text_of(error.get("field"))
        id = ch.id_of(reply.headers.get("x-message-id"))
        if reply.status == 202 and not reply.body.strip() and id is not None:
            return ch.Accepted(id)
        if reply.status == 400 and field.startswith("personalizations.0.to"):
            return ch.Refused(ch.Reason.REFUSED_ADDRESS, "400", words)
        if (reply.status in (403, 404) and words) or (reply.status == 400 and field[:5] == "from."):
            return ch.Refused(ch.Reason.REFUSED_CONFIGURATION, str(reply.status), words)
        return ch.by_http_status(reply, detail=words)

    def verify(self, hook: ch.Webhook) -> None:
        """Check the ECDSA signature over time and body, and that it is at most a day old."""
        at = hook.headers.get(TIMESTAMP, "")
        seconds = ch.unix_seconds(at)
        if seconds is None or abs(hook.now - seconds) > AGE_SECONDS_MAX:
            raise ch.Forged(f"{TIMESTAMP} is missing, or more than a day off")
        try:
            signature = base64.b64decode(hook.headers.get(SIGNATURE, ""), validate=True)
        except (binascii.Error, ValueError):
            signature = b""
        for key in self.settings.webhook_public_key:
            try:
                key_of(key).verify(signature, at.encode() + hook.body, ec.ECDSA(SHA256()))
                return
            except InvalidSignature:
                continue
        raise ch.Forged(f"{SIGNATURE} does not fit `webhook_public_key`, the time and the body")

    def receipts(self, hook: ch.Webhook) -> Iterator[ch.Receipt | ch.Preference]:
        """The events of a batch, each by itself; custom arguments stand at their top level."""
        for event in ch.objects(hook.json()):
            word, reason = ch.text_of(event.get("event")), ch.text_of(event.get("reason"))
            meant = EVENTS.get(word)
            if word == "bounce":
                meant = "soft" if event.get("type") == "blocked" else "hard"
            elif word == "dropped":
                meant = DROPS.get(reason.lower(), "blocked")
            if event.get("sg_machine_open") is True:
                continue
            yield from reports_of(
                meant,
                reference=event.get("ref"),
                provider_id=ch.text_of(event.get("sg_message_id")).split(".")[0],
                at=ch.unix_seconds(event.get("timestamp")),
                address=event.get("email"),
                status=event.get("status"),
                words=reason,
                agent=event.get("useragent"),
            )


def person(box: Any) -> dict[str, str]:
    """A mailbox as SendGrid writes it."""
    return {"email": box.address, **({"name": box.name} if box.name else {})}


def key_of(text: str) -> ec.EllipticCurvePublicKey:
    """The public key in base64 of DER. Raises ``ValueError``."""
    try:
        key = load_der_public_key(base64.b64decode(text, validate=True))
    except (ValueError, TypeError) as error:
        raise ValueError("must be the base64 key that SendGrid shows (MFkw…)") from error
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise ValueError("must be an elliptic-curve key, as SendGrid shows it")
    return key
