"""Amazon SES on the wire: SendEmail, events in signed SNS notifications."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from kaskad_testing import (
    REFERENCE,
    Examples,
    HookExample,
    ReplyExample,
    RequestExample,
    changed,
    hook,
    reply,
)
from orchestrator import channels as ch
from tests.adapters import mails

R, D, E = ch.Reason, ch.Delivery, ch.Engagement
SECRET, SIGNER = "ses-secret-access-key-canary", "Amazon SNS"
TOPIC = "arn:aws:sns:eu-central-1:123456789012:kaskad-ses"
HOST = "https://sns.eu-central-1.amazonaws.com"
CERTIFICATE = f"{HOST}/SimpleNotificationService-0a1b2c.pem"
ID = "010701948c2f3b1a-0a1b2c3d"
URL = "https://email.eu-central-1.amazonaws.com/v2/email/outbound-emails"
AT, AT_SECONDS = "2026-11-25T10:00:01.000Z", 1_795_600_801.0
NOTICE = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
CONFIRMATION = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
says = partial(mails.says, id=ID, at=AT_SECONDS)


@cache
def private(name: str) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@cache
def certificate(name: str) -> bytes:
    """A certificate of a signer's key, as it stands at its URL."""
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now, key = datetime(2026, 1, 1, tzinfo=UTC), private(name)
    made = x509.CertificateBuilder().subject_name(who).issuer_name(who).serial_number(1)
    made = made.public_key(key.public_key()).not_valid_before(now)
    signed = made.not_valid_after(now + timedelta(days=3650)).sign(key, SHA256())
    return signed.public_bytes(Encoding.PEM)


def sign(unsigned: ch.Webhook, secret: str, version: str = "1") -> ch.Webhook:
    """As Amazon documents it, over the named fields; the certificate is the right signer's."""
    body = {**unsigned.json(), "SignatureVersion": version, "SigningCertURL": CERTIFICATE}
    names = NOTICE if body["Type"] == "Notification" else CONFIRMATION
    text = "".join(f"{name}\n{body[name]}\n" for name in names if name in body)
    digest = SHA256() if version == "2" else SHA1()
    proof = private(secret).sign(text.encode(), padding.PKCS1v15(), digest)
    raw = json.dumps({**body, "Signature": base64.b64encode(proof).decode()}).encode()
    return replace(changed(unsigned, raw), evidence=certificate(SIGNER))


def notice(message: Any, **more: Any) -> ch.Webhook:
    text = message if isinstance(message, str) else json.dumps(message)
    body = {
        "Type": "Notification",
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": TOPIC,
        "Message": text,
        "Timestamp": AT,
        **more,
    }
    return changed(hook(json_body=body), content_type="text/plain; charset=UTF-8")


def event(kind: str, part: str, **fields: Any) -> ch.Webhook:
    about = {"timestamp": AT, **fields}
    mail = {"messageId": ID, "destination": [mails.TO], "tags": {"ref": [REFERENCE]}}
    return notice({"eventType": kind, "mail": mail, part: about}, Subject="Amazon SES")


def bounce(kind: str, subtype: str, status: str, words: str = "") -> ch.Webhook:
    who = {"emailAddress": mails.TO, "action": "failed", "status": status}
    people = [{**who, "diagnosticCode": words}]
    return event(
        "Bounce", "bounce", bounceType=kind, bounceSubType=subtype, bouncedRecipients=people
    )


def receipt_of(call: ch.HttpCall) -> ch.Webhook:
    tags = {tag["Name"]: [tag["Value"]] for tag in json.loads(call.body)["EmailTags"]}
    mail = {"messageId": ID, "tags": tags}
    return notice({"eventType": "Delivery", "mail": mail, "delivery": {"timestamp": AT}})


def fault(status: int, kind: str, words: str = "No.", **headers: str) -> ch.HttpReply:
    return reply(status, {"message": words}, x_amzn_errortype=f"{kind}:http://x/", **headers)


CONFIRM = changed(
    hook(
        json_body={
            "Type": "SubscriptionConfirmation",
            "MessageId": "165545c9-2a5c-472c-8df2-7ff2be2b3b1b",
            "Token": "2336412f37",
            "TopicArn": TOPIC,
            "Message": "You have chosen to subscribe to the topic.",
            "SubscribeURL": f"{HOST}/?Action=ConfirmSubscription&Token=2336412f37",
            "Timestamp": AT,
        }
    ),
    content_type="text/plain; charset=UTF-8",
)
VALIDATED = "Successfully validated SNS topic for Amazon SES event publishing."

EXAMPLES = Examples(
    adapter="ses",
    settings={
        "region": "eu-central-1",
        "access_key_id": "AKIDEXAMPLE",
        "secret_access_key": SECRET,
        "from": mails.SENDER,
        "configuration_set": "kaskad",
        "topic": TOPIC,
    },
    secrets=(SECRET,),
    secret=SIGNER,
    sign=sign,
    signs_body=False,
    receipt_of=receipt_of,
    requests=(
        RequestExample(
            promise="a raw mail, signed",
            message=mails.mail(),
            url=URL,
            headers={"Content-Type": "application/json", "X-Amz-Date": "20261125T094640Z"},
        ),
        RequestExample(promise="a promotion", message=mails.promotion(), url=URL),
    ),
    replies=(
        ReplyExample(promise="taken", reply=reply(200, {"MessageId": ID}), outcome=ch.Accepted(ID)),
        *(
            ReplyExample(
                promise=kind,
                reply=fault(status, kind),
                outcome=ch.Refused(reason, kind),
            )
            for status, kind, reason in (
                (400, "MessageRejected", R.REFUSED_CONTENT),
                (400, "BadRequestException", R.REFUSED_CONTENT),
                (400, "MailFromDomainNotVerifiedException", R.REFUSED_CONFIGURATION),
                (400, "AccountSuspendedException", R.REFUSED_CONFIGURATION),
                (400, "SendingPausedException", R.REFUSED_CONFIGURATION),
            )
        ),
        ReplyExample(
            promise="a set that is not there",
            reply=fault(404, "NotFoundException"),
            outcome=ch.Refused(R.REFUSED_CONFIGURATION, None),
        ),
        ReplyExample(
            promise="a wrong key",
            reply=fault(403, "SignatureDoesNotMatch"),
            outcome=ch.Refused(R.REFUSED_CONFIGURATION, None),
        ),
        ReplyExample(
            promise="too much today",
            reply=fault(400, "LimitExceededException"),
            outcome=ch.NotSent(R.THROTTLED, None, "LimitExceededException"),
        ),
        ReplyExample(
            promise="too fast",
            reply=fault(429, "TooManyRequestsException", retry_after="9"),
            outcome=ch.NotSent(R.THROTTLED, 9000, "TooManyRequestsException"),
        ),
        ReplyExample(
            promise="a server error says nothing",
            reply=fault(500, "InternalFailure"),
            outcome=ch.Unknown(R.SERVER_ERROR, "500"),
        ),
    ),
    hooks=(
        says("sent", event("Send", "send"), D.SENT),
        says("delivered", event("Delivery", "delivery", smtpResponse="250 ok"), D.DELIVERED),
        says("delayed is still being tried", event("DeliveryDelay", "deliveryDelay"), None),
        says(
            "rejected",
            event("Reject", "reject", reason="Bad content"),
            D.REJECTED,
            ch.Refused(R.REFUSED_RECIPIENT),
        ),
        says(
            "a hard bounce",
            bounce("Permanent", "NoEmail", "5.1.1", "smtp; 550 5.1.1 no such user"),
            D.FAILED,
            ch.Refused(R.REFUSED_ADDRESS, "5.1.1"),
        ),
        *(
            says(
                f"a hard bounce by {code} marks nobody",
                bounce("Permanent", "General", code, words),
                D.FAILED,
                ch.Refused(R.REFUSED_RECIPIENT, code),
            )
            for code, words in mails.BLAMELESS
        ),
        says(
            "a soft bounce",
            bounce("Transient", "MailboxFull", "4.2.2"),
            D.FAILED,
            ch.Refused(R.REFUSED_RECIPIENT, "4.2.2"),
        ),
        says(
            "an undetermined bounce",
            bounce("Undetermined", "Undetermined", "5.1.1"),
            D.FAILED,
            ch.Refused(R.REFUSED_RECIPIENT, "5.1.1"),
        ),
        says(
            "on the account's list",
            bounce("Permanent", "OnAccountSuppressionList", "5.1.1"),
            D.REJECTED,
            ch.Refused(R.REFUSED_ADDRESS, "5.1.1"),
        ),
        says(
            "a complaint",
            event("Complaint", "complaint", complainedRecipients=[{"emailAddress": mails.TO}]),
            E.COMPLAINED,
        ),
        says("read", event("Open", "open", userAgent=mails.PERSON), E.READ),
        says("opened by a proxy", event("Open", "open", userAgent=mails.MACHINE), None),
        says("clicked", event("Click", "click", userAgent=mails.PERSON), E.CLICKED),
        says(
            "a template that cannot be rendered",
            event("Rendering Failure", "failure", errorMessage="x"),
            D.REJECTED,
            ch.Refused(R.REFUSED_CONTENT),
        ),
        HookExample(promise="a validation in prose", hook=notice(VALIDATED), says=()),
        HookExample(promise="a subscription", hook=CONFIRM, says=()),
    ),
    forged=(sign(notice({}, TopicArn="arn:aws:sns:eu-central-1:1:other"), SIGNER),),
)
