"""
Mailgun: one form a mail; events come as signed JSON.

Reference: Mailgun API v3, "Messages", "Webhooks", "Securing webhooks".
Quirks: the signature covers a time and a token, not what the webhook says, so one older than its
last repeat is refused. A wrong URL is answered 200 "Mailgun Magnificent API".
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator
from typing import Any, ClassVar

from pydantic import Field

from adapters.email.gateway import MailGateway, MailSettings, reports_of
from orchestrator import channels as ch

R = ch.Reason
AGE_SECONDS_MAX = 8 * 3600 + 600
"""
Mailgun repeats a webhook for eight hours, with the signature of the first time as far as is known:
a shorter limit would lose the complaints that came while we were away.
"""
EVENTS = {
    "delivered": "delivered",
    "opened": "opened",
    "clicked": "clicked",
    "complained": "complained",
    "unsubscribed": "unsubscribed",
    "rejected": "blocked",
}
SUPPRESSED = {"suppress-bounce": "invalid", "suppress-unsubscribe": "suppressed"}
RECIPIENT = re.compile(r"'?to'? parameter is not a valid|not a valid (email )?address", re.I)


class MailgunSettings(MailSettings):
    """
    ``domain``: the sending domain. ``webhook_signing_key``: "HTTP webhook signing key" of the
    account. ``base_url``: ``https://api.eu.mailgun.net`` for domains of the EU.
    """

    api_key: ch.Secret
    domain: str = Field(pattern=r"^[A-Za-z0-9.-]+$")
    webhook_signing_key: ch.Secrets | None = None
    base_url: ch.BaseUrl = "https://api.mailgun.net"
    proofs = ("webhook_signing_key",)


class Mailgun(MailGateway[MailgunSettings]):
    """Mail by Mailgun."""

    name: ClassVar[str] = "mailgun"
    settings_type = MailgunSettings

    def request(self, message: ch.Outgoing) -> ch.HttpCall:
        """One mail to one address; our reference is a variable of it and its Message-ID."""
        own, mail = self.settings, self.letter(message)
        form = {
            "from": mail.sender.written,
            "to": mail.recipient.address,
            "subject": mail.subject,
            "text": mail.text,
            "html": mail.html,
            "h:Reply-To": mail.reply_to.written if mail.reply_to else "",
            "v:ref": message.client_reference,
            **{f"h:{name}": value for name, value in mail.headers.items()},
        }
        login = ch.login("api", own.api_key.get_secret_value())
        url = f"{own.base_url}/v3/{own.domain}/messages"
        given = {name: value for name, value in form.items() if value}
        return ch.form_call(url, given, Authorization=f"Basic {login}")

    def probe(self, now: float) -> ch.HttpCall:
        """The domain."""
        own = self.settings
        login = ch.login("api", own.api_key.get_secret_value())
        return ch.get_call(
            f"{own.base_url}/v3/domains/{own.domain}", Authorization=f"Basic {login}"
        )

    def outcome(self, reply: ch.HttpReply) -> ch.Outcome:
        """Taken is a 200 with an id; an address that is none is told by the words."""
        body = reply.json()
        id, words = ch.id_of(ch.member(body, "id")), self.said(ch.member(body, "message"))
        if 200 <= reply.status < 300:
            if id is not None:
                return ch.Accepted(id.strip("<>"))
            if "Magnificent" in reply.body[:200].decode("utf-8", "replace"):
                return ch.Refused(R.REFUSED_CONFIGURATION, "wrong_url", "check base_url and domain")
        elif reply.status == 400 and RECIPIENT.search(words):
            return ch.Refused(R.REFUSED_ADDRESS, "400", words)
        elif reply.status in (402, 404) and words:
            return ch.Refused(R.REFUSED_CONFIGURATION, str(reply.status), words)
        return ch.by_http_status(reply, detail=words)

    def verify(self, hook: ch.Webhook) -> None:
        """Check the signature over time and token, and its age."""
        proof, secrets = ch.member(hook.json(), "signature"), self.settings.webhook_signing_key
        at, token = ch.id_of(ch.member(proof, "timestamp")), ch.id_of(ch.member(proof, "token"))
        given = ch.id_of(ch.member(proof, "signature"))
        seconds = ch.unix_seconds(at)
        if seconds is None or abs(hook.now - seconds) > AGE_SECONDS_MAX:
            raise ch.Forged("the signature's timestamp is missing, or more than 8 hours off")
        expected = [
            hmac.new(secret.encode(), f"{at}{token}".encode(), "sha256").hexdigest()
            for secret in (ch.secrets_of(secrets) if secrets is not None else ())
        ]
        if token is None or not ch.matches(given, *expected):
            raise ch.Forged("the signature does not fit `webhook_signing_key`")

    def receipts(self, hook: ch.Webhook) -> Iterator[ch.Receipt | ch.Preference]:
        """One event a webhook; a failure that is temporary is still being tried."""
        data: Any = ch.member(hook.json(), "event-data")
        word, status = ch.text_of(ch.member(data, "event")), ch.member(data, "delivery-status")
        event = EVENTS.get(word)
        if word == "failed" and ch.member(data, "severity") == "permanent":
            event = SUPPRESSED.get(ch.text_of(ch.member(data, "reason")), "hard")
        if ch.member(data, "reason") == "suppress-complaint":
            event = "suppressed"
        if ch.text_of(ch.member(data, "client-info", "bot")):
            return
        words = ch.member(status, "message") or ch.member(status, "description")
        yield from reports_of(
            event,
            reference=ch.member(data, "user-variables", "ref"),
            provider_id=ch.member(data, "message", "headers", "message-id"),
            at=ch.unix_seconds(ch.member(data, "timestamp")),
            address=ch.member(data, "recipient"),
            words=words or ch.member(data, "reject", "reason"),
            agent=ch.member(data, "client-info", "user-agent"),
        )
