"""
Amazon SES (API v2): a signed JSON call with the raw mail; events come through SNS, signed by an
Amazon certificate.

Reference: Amazon SES API v2, "SendEmail"; SES, "Contents of event data"; SNS, "Verifying the
signatures of messages". Quirks: SES gives the mail a Message-ID of its own, which is its id. A
topic must be confirmed before it delivers, which is done for the configured one.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator
from typing import Any, ClassVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.x509 import load_pem_x509_certificate
from pydantic import Field

from adapters.email.gateway import MailGateway, MailSettings, reports_of
from adapters.email.mime import build
from adapters.email.sigv4 import signed_headers
from orchestrator import channels as ch

CERTIFICATE = re.compile(r"SimpleNotificationService-[0-9a-f]+\.pem")
CONFIRMATION_PATH = re.compile(r"[\x21-\x7e]+")
NOTICE = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
CONFIRMATION = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
CODES = ch.CodeTable(
    content="MessageRejected BadRequestException",
    configuration="MailFromDomainNotVerifiedException MailFromDomainNotVerified AccountSuspended"
    " AccountSuspendedException SendingPausedException SendingPaused NotFoundException",
    throttled="LimitExceededException TooManyRequestsException Throttling ThrottlingException",
)
EVENTS = {
    "Send": ("sent", "send"),
    "Reject": ("blocked", "reject"),
    "Delivery": ("delivered", "delivery"),
    "Complaint": ("complained", "complaint"),
    "Open": ("opened", "open"),
    "Click": ("clicked", "click"),
    "Rendering Failure": ("unmade", "failure"),
}


class SesSettings(MailSettings):
    """
    ``topic``: the ARN of the SNS topic that events come through; others are refused.
    ``configuration_set`` names the set that publishes to it. ``base_url`` and ``sns_url``: where
    another server stands in for Amazon.
    """

    region: str = Field(pattern=r"^[a-z0-9-]+$")
    access_key_id: str = Field(min_length=1)
    secret_access_key: ch.Secret
    session_token: ch.Secret | None = None
    configuration_set: str | None = Field(default=None, min_length=1)
    topic: str | None = Field(default=None, pattern=r"^arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]+:.+$")
    base_url: ch.BaseUrl | None = None
    sns_url: ch.BaseUrl | None = None
    proofs = ("topic",)


class Ses(MailGateway[SesSettings]):
    """Mail by Amazon SES."""

    name: ClassVar[str] = "ses"
    settings_type = SesSettings
    supports: ClassVar[ch.Capabilities] = ch.Capabilities(
        channel="email",
        address=("email",),
        receipts=frozenset({"sent", "delivered", "read", "clicked"}),
        parts=("subject", ("text", "html")),
        echo=True,
        failure_receipts=True,
    )

    def request(self, message: ch.Outgoing) -> ch.HttpCall:
        """One raw mail to one address; our reference is a tag of it."""
        own, mail = self.settings, build(message, self.sender, self.reply_to, None)
        body: dict[str, Any] = {
            "FromEmailAddress": self.sender.header("From"),
            "Destination": {"ToAddresses": [mail.recipient]},
            "Content": {"Raw": {"Data": base64.b64encode(mail.raw).decode()}},
            "EmailTags": [{"Name": "ref", "Value": message.client_reference}],
        }
        if own.configuration_set is not None:
            body["ConfigurationSetName"] = own.configuration_set
        return self.signed("POST", "outbound-emails", ch.json_bytes(body), message.now)

    def probe(self, now: float) -> ch.HttpCall:
        """The account."""
        return self.signed("GET", "account", b"", now)

    def signed(self, method: str, path: str, body: bytes, now: float) -> ch.HttpCall:
        """A call of the API with its signature."""
        own = self.settings
        origin = own.base_url or f"https://email.{own.region}.amazonaws.com"
        url = f"{origin}/v2/email/{path}"
        headers = signed_headers(
            url,
            body,
            method=method,
            now=now,
            region=own.region,
            service="ses",
            key_id=own.access_key_id,
            secret=own.secret_access_key.get_secret_value(),
            session_token=own.session_token.get_secret_value() if own.session_token else None,
        )
        return ch.HttpCall(method=method, url=url, headers=headers, body=body)

    def outcome(self, reply: ch.HttpReply) -> ch.Outcome:
        """Taken is a 200 with ``MessageId``; else the error's type decides."""
        body = reply.json()
        id = ch.id_of(ch.member(body, "MessageId"))
        if 200 <= reply.status < 300:
            return ch.Accepted(id) if id is not None else ch.by_http_status(reply)
        kind = reply.headers.get("x-amzn-errortype") or ch.text_of(ch.member(body, "__type"))
        code = kind.split(":")[0].rpartition("#")[2]
        words = self.said(ch.member(body, "message") or ch.member(body, "Message"))
        if reply.status in (403, 404) and (code or words):
            return ch.Refused(ch.Reason.REFUSED_CONFIGURATION, ch.code_of(code), words)
        found = CODES.outcome(code, reply, words) if 400 <= reply.status < 500 else None
        return found or ch.by_http_status(reply, detail=words)

    def evidence(self, hook: ch.Webhook) -> str | None:
        """The URL of the certificate that signed, if it is Amazon's."""
        return self.own_url(hook.json(), "SigningCertURL", CERTIFICATE)

    def own_url(self, body: Any, name: str, path: re.Pattern[str]) -> str | None:
        """
        A URL in a notification of our topic, if it is of the topic's own region. Other hosts that
        look like Amazon SNS are not: ``sns.s3.amazonaws.com`` is somebody's bucket.
        """
        url, topic = ch.text_of(ch.member(body, name)), self.settings.topic
        if topic is None or ch.member(body, "TopicArn") != topic:
            return None
        _, partition, _, region, *_ = topic.split(":")
        top = "com.cn" if partition == "aws-cn" else "com"
        origin = f"{self.settings.sns_url or f'https://sns.{region}.amazonaws.{top}'}/"
        ours = url.startswith(origin) and path.fullmatch(url, len(origin))
        return url if ours else None

    def verify(self, hook: ch.Webhook) -> None:
        """Check the topic, and the RSA signature with Amazon's certificate."""
        body: Any = hook.json()
        topic = ch.id_of(ch.member(body, "TopicArn"))
        if not isinstance(body, dict) or topic is None or topic != self.settings.topic:
            raise ch.Forged("TopicArn is not `topic`; give the provider the ARN of its topic")
        names = NOTICE if body.get("Type") == "Notification" else CONFIRMATION
        lines = [
            f"{name}\n{ch.text_of(body[name], len(hook.body))}\n"
            for name in names
            if body.get(name)
        ]
        signed = "".join(lines).encode("utf-8", "replace")
        digest = SHA256() if body.get("SignatureVersion") == "2" else SHA1()
        try:
            key = load_pem_x509_certificate(hook.evidence).public_key()
            signature = base64.b64decode(ch.text_of(body.get("Signature")), validate=True)
            if not isinstance(key, rsa.RSAPublicKey):
                raise ValueError("not an RSA key")
            key.verify(signature, signed, padding.PKCS1v15(), digest)
        except (InvalidSignature, ValueError, binascii.Error):
            raise ch.Forged("Signature does not fit the message and its certificate") from None

    def follow_up(self, hook: ch.Webhook) -> str | None:
        """The URL that confirms the subscription of our topic."""
        body = hook.json()
        asked = ch.member(body, "Type") == "SubscriptionConfirmation"
        return self.own_url(body, "SubscribeURL", CONFIRMATION_PATH) if asked else None

    def receipts(self, hook: ch.Webhook) -> Iterator[ch.Receipt | ch.Preference]:
        """One event a notification, about the one recipient of one mail."""
        body = hook.json()
        try:
            event: Any = json.loads(ch.text_of(ch.member(body, "Message"), len(hook.body)))
        except (ValueError, RecursionError):
            return
        kind = ch.text_of(ch.member(event, "eventType") or ch.member(event, "notificationType"))
        meant, part = EVENTS.get(kind, (None, "bounce"))
        about = ch.member(event, part)
        who: Any = {}
        if kind == "Bounce":
            permanent = ch.member(about, "bounceType") == "Permanent"
            listed = ch.member(about, "bounceSubType") == "OnAccountSuppressionList"
            meant = "invalid" if permanent and listed else "hard" if permanent else "soft"
            who = next(ch.objects(ch.member(about, "bouncedRecipients")), {})
        elif kind == "Complaint":
            who = next(ch.objects(ch.member(about, "complainedRecipients")), {})
        tag = ch.member(event, "mail", "tags", "ref")
        yield from reports_of(
            meant,
            reference=tag[0] if isinstance(tag, list) and tag else None,
            provider_id=ch.member(event, "mail", "messageId"),
            at=ch.iso_seconds(ch.member(about, "timestamp")),
            address=who.get("emailAddress"),
            status=who.get("status"),
            words=who.get("diagnosticCode") or ch.member(about, "reason"),
            agent=ch.member(about, "userAgent") if kind in ("Open", "Click") else "",
        )
