"""
Postmark: one JSON call a mail; events come by webhooks that log in.

Reference: Postmark API, "Send a single email", "API error codes", "Webhooks", "Bounce types".
Quirks: Postmark signs no webhook, so give its URL a login (``https://name:password@…``). A 200 may
say that the recipient is inactive. It replaces the Message-ID unless told to keep it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from pydantic import Field

from adapters.email.gateway import MailGateway, MailSettings, reports_of
from orchestrator import channels as ch

CODES = ch.CodeTable(
    opted_out="406",
    content="300 409-411 1101-1109 1120-1131 1150-1166",
    configuration="10 400-402 405 412 413",
    throttled="429",
)
BOUNCES = {
    "HardBounce": "hard",
    "SoftBounce": "soft",
    "BadEmailAddress": "invalid",
    **dict.fromkeys(("ManuallyDeactivated", "Blocked", "DMARCPolicy", "Unconfirmed"), "blocked"),
    **dict.fromkeys(("SpamNotification", "SpamComplaint"), "complained"),
    **dict.fromkeys(("Unsubscribe", "ManualSuppression"), "unsubscribed"),
    **dict.fromkeys(("SMTPApiError", "TemplateRenderingFailed"), "unmade"),
}
"""``Type`` of a bounce; Transient, Subscribe, DnsError and the like decide nothing."""
RECORDS = {
    "Delivery": ("delivered", "DeliveredAt"),
    "SpamComplaint": ("complained", "BouncedAt"),
    "Open": ("opened", "ReceivedAt"),
    "Click": ("clicked", "ReceivedAt"),
}


class PostmarkSettings(MailSettings, ch.LoginSettings):
    """``message_stream``: the stream that mails go through (``outbound``, ``broadcast``)."""

    server_token: ch.Secret
    message_stream: str | None = Field(default=None, min_length=1)
    base_url: ch.BaseUrl = "https://api.postmarkapp.com"


class Postmark(MailGateway[PostmarkSettings]):
    """Mail by Postmark."""

    name: ClassVar[str] = "postmark"
    settings_type = PostmarkSettings

    def request(self, message: ch.Outgoing) -> ch.HttpCall:
        """One mail to one address; our reference is its metadata and its Message-ID."""
        own, mail = self.settings, self.letter(message)
        headers = {**mail.headers, "X-PM-KeepID": "true"}
        body = {
            "From": mail.sender.written,
            "To": mail.recipient.address,
            "ReplyTo": mail.reply_to.written if mail.reply_to else None,
            "Subject": mail.subject,
            "TextBody": mail.text,
            "HtmlBody": mail.html,
            "MessageStream": own.message_stream,
            "Metadata": {"ref": message.client_reference},
            "Headers": [{"Name": name, "Value": value} for name, value in headers.items()],
        }
        given = {key: value for key, value in body.items() if value}
        token = own.server_token.get_secret_value()
        return ch.json_call(f"{own.base_url}/email", given, X_Postmark_Server_Token=token)

    def probe(self, now: float) -> ch.HttpCall:
        """The server."""
        token = self.settings.server_token.get_secret_value()
        return ch.get_call(f"{self.settings.base_url}/server", X_Postmark_Server_Token=token)

    def outcome(self, reply: ch.HttpReply) -> ch.Outcome:
        """``ErrorCode`` decides where there is one, else the status."""
        body = reply.json()
        code, words = ch.member(body, "ErrorCode"), self.said(ch.member(body, "Message"))
        id = ch.id_of(ch.member(body, "MessageID"))
        if 200 <= reply.status < 300:
            taken = ch.whole(code) == 0 and id is not None
            return ch.Accepted(id) if taken else ch.by_http_status(reply, detail=words)
        if code == 300 and "'To'" in words and 400 <= reply.status < 500:
            return ch.Refused(ch.Reason.REFUSED_ADDRESS, "300", words)
        found = CODES.outcome(code, reply, words) if 400 <= reply.status < 500 else None
        return found or ch.by_http_status(reply, detail=words)

    def verify(self, hook: ch.Webhook) -> None:
        """Check the login in the webhook's URL, or its ``Authorization`` header."""
        self.settings.check_login(hook)

    def receipts(self, hook: ch.Webhook) -> Iterator[ch.Receipt | ch.Preference]:
        """One event a webhook."""
        body: Any = hook.json()
        record = ch.text_of(ch.member(body, "RecordType"))
        event, moment = RECORDS.get(record, (None, "BouncedAt"))
        if record == "Bounce":
            event = BOUNCES.get(ch.text_of(ch.member(body, "Type")))
        elif record == "SubscriptionChange":
            moment, no = "ChangedAt", ch.member(body, "SuppressSending")
            reason = ch.text_of(ch.member(body, "SuppressionReason"))
            ways = {"HardBounce": "hard", "SpamComplaint": "complained"}
            event = ways.get(reason, "unsubscribed") if no is True else None
        yield from reports_of(
            event,
            reference=ch.member(body, "Metadata", "ref"),
            provider_id=ch.member(body, "MessageID"),
            at=ch.iso_seconds(ch.member(body, moment)),
            address=ch.member(body, "Recipient") or ch.member(body, "Email"),
            words=ch.member(body, "Details") or ch.member(body, "Description"),
            agent=ch.member(body, "UserAgent"),
        )
