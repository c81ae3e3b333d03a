"""
Mail by SMTP (RFC 5321): pooled connections, one recipient a mail, exact about when a server has taken it.

Reference: RFC 5321, and RFC 3463 for the codes in replies.
Quirk: until the final dot is written nothing is taken; from then on, silence means that nobody knows.
"""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import ssl
import time
from collections import deque
from collections.abc import Iterator
from typing import ClassVar, Literal

import aiosmtplib
from pydantic import Field, model_validator

from adapters.email.bounces import read_mail
from adapters.email.mime import build
from adapters.email.replies import outcome_of, queue_id
from orchestrator import channels as ch

PORTS = {"none": 25, "starttls": 587, "implicit": 465}
IDLE_SECONDS = 30.0
CONNECT_SECONDS = 8.0
RESPONSE_SECONDS = 60.0


class SmtpSettings(ch.Settings):
    """``tls``: none, starttls or implicit; ``pool``: connections; ``ca``: a file of certificates to trust besides."""

    host: str
    port: int | None = None
    tls: Literal["none", "starttls", "implicit"] = "starttls"
    username: str | None = None
    password: ch.SecretStr | None = None
    sender: str = Field(alias="from")
    reply_to: str | None = None
    pool: int = Field(default=4, ge=1, le=100)
    messages_per_connection: int = Field(default=50, ge=1)
    open_pixel: bool = False
    verify_certificates: bool = True
    ca: str | None = None
    bounce_secret: ch.SecretStr | None = None

    @model_validator(mode="after")
    def sender_has_an_address(self) -> SmtpSettings:
        if "@" not in email.utils.parseaddr(self.sender)[1]:
            raise ValueError("from must have an address: Shop <hello@example.com>")
        return self


class Connection:
    """One open connection: when it was last used, and for how many mails."""

    def __init__(self, client: aiosmtplib.SMTP) -> None:
        self.client = client
        self.used_at = time.monotonic()
        self.mails = 0


class Smtp(ch.Adapter[SmtpSettings]):
    name: ClassVar[str] = "smtp"
    supports: ClassVar[ch.Capabilities] = ch.Capabilities(
        channel="email",
        address=("email",),
        receipts=frozenset({"read", "clicked", "replied"}),
        parts=("subject", ("text", "html")),
        echo=True,
        failure_receipts=True,
    )
    settings_type: ClassVar[type[ch.Settings]] = SmtpSettings

    def __init__(self, settings: SmtpSettings, provider: str) -> None:
        super().__init__(settings, provider)
        self._idle: deque[Connection] = deque()
        self._slots = asyncio.Semaphore(settings.pool)
        self._context = self._tls_context()

    def reports(self) -> frozenset[str]:
        """Clicks are seen by the tracked links, opens only by the pixel, replies only where they are piped in."""
        opened = {"read"} if self.settings.open_pixel else set()
        replied = {"replied"} if self.settings.bounce_secret is not None else set()
        return frozenset({"clicked", *opened, *replied})

    def _tls_context(self) -> ssl.SSLContext | None:
        if self.settings.tls == "none":
            return None
        context = ssl.create_default_context(cafile=self.settings.ca)
        if not self.settings.verify_certificates:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    async def close(self) -> None:
        while self._idle:
            await quit_quietly(self._idle.popleft())

    async def send(self, message: ch.Outgoing) -> ch.Outcome:
        """One mail. A cancelled send closes its connection; whoever cancelled takes it as unknown."""
        async with self._slots:
            try:
                connection = await self._connect()
            except aiosmtplib.SMTPResponseException as error:
                return outcome_of("auth" if authentication(error) else "connect", error.code, error.message)
            except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
                return ch.NotSent(ch.Reason.CONNECT_FAILED, detail=type(error).__name__)
            try:
                outcome = await self._transact(connection, message)
            except BaseException:
                connection.client.close()
                raise
            await self._put_back(connection)
            return outcome

    async def _connect(self) -> Connection:
        """An idle connection that still answers, else a new one."""
        while self._idle:
            connection = self._idle.popleft()
            if time.monotonic() - connection.used_at > IDLE_SECONDS:
                await quit_quietly(connection)
                continue
            try:
                await connection.client.rset(timeout=CONNECT_SECONDS)
            except (aiosmtplib.SMTPException, OSError):
                connection.client.close()
                continue
            return connection
        settings = self.settings
        client = aiosmtplib.SMTP(
            hostname=settings.host,
            port=settings.port or PORTS[settings.tls],
            use_tls=settings.tls == "implicit",
            start_tls=settings.tls == "starttls",
            tls_context=self._context,
            username=settings.username,
            password=settings.password.get_secret_value() if settings.password is not None else None,
            timeout=CONNECT_SECONDS,
        )
        await client.connect()
        return Connection(client)

    async def _put_back(self, connection: Connection) -> None:
        """Keep a connection that may serve again."""
        connection.used_at = time.monotonic()
        if not connection.client.is_connected or connection.mails >= self.settings.messages_per_connection:
            await quit_quietly(connection)
        else:
            self._idle.append(connection)

    async def _transact(self, connection: Connection, message: ch.Outgoing) -> ch.Outcome:
        """MAIL, RCPT, DATA: the stage decides whose fault an error is, and whether anything can have been taken."""
        client = connection.client
        sender = email.utils.parseaddr(self.settings.sender)[1]
        recipient = message.address.value
        utf8 = not recipient.isascii()
        if utf8 and not client.supports_extension("smtputf8"):
            return ch.Refused(ch.Reason.REFUSED_RECIPIENT, "smtputf8", "the server cannot write to such an address")
        mail = build(message, self.settings.sender, self.settings.reply_to, utf8=utf8)
        options = ["SMTPUTF8"] if utf8 else []
        stage = "mail"
        try:
            await client.mail(sender, options=options, encoding="utf-8" if utf8 else "ascii")
            stage = "rcpt"
            await client.rcpt(recipient, encoding="utf-8" if utf8 else "ascii")
        except aiosmtplib.SMTPResponseException as error:
            return outcome_of(stage, error.code, error.message)
        except (aiosmtplib.SMTPException, OSError) as error:
            client.close()
            return ch.NotSent(ch.Reason.CONNECT_FAILED, detail=f"{type(error).__name__} before the mail was sent")
        try:
            reply = await client.data(mail, timeout=RESPONSE_SECONDS)
        except aiosmtplib.SMTPResponseException as error:
            return outcome_of("data", error.code, error.message)
        except (aiosmtplib.SMTPException, OSError) as error:
            client.close()
            return ch.Unknown(ch.Reason.CONNECTION_LOST, detail=type(error).__name__)
        connection.mails += 1
        return ch.Accepted(queue_id(reply.message) or f"{message.client_reference}")

    def verify(self, hook: ch.Webhook) -> None:
        """Bounces and replies are piped in by a mail server that knows the secret."""
        secret = self.settings.bounce_secret
        given = hook.headers.get("authorization", "")
        if secret is None or not ch.same(given, f"Bearer {secret.get_secret_value()}"):
            raise ch.Forged("mail came in without the bounce secret")

    def receipts(self, hook: ch.Webhook) -> Iterator[ch.Receipt | ch.Inbound | ch.Preference]:
        return read_mail(hook.body)


def authentication(error: aiosmtplib.SMTPResponseException) -> bool:
    return isinstance(error, aiosmtplib.SMTPAuthenticationError)


async def quit_quietly(connection: Connection) -> None:
    """Say goodbye where somebody still listens."""
    with contextlib.suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
        await connection.client.quit(timeout=2)
    connection.client.close()


__all__ = ["Smtp", "SmtpSettings"]
