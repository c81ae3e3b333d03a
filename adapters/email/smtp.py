"""
Mail by SMTP (RFC 5321): pooled connections, one recipient a mail, exact about when a server has
taken it.

Reference: RFC 5321; RFC 3463 for the codes in replies; RFC 3461 (ENVID), 1870 (SIZE), 6531
(SMTPUTF8) if offered. Quirk: until the final dot is written, any failure means that nothing was
taken; after it, silence means an unknown outcome.

SMTP itself never reports a delivery. Reads and clicks come from our own pixel and links; bounces,
complaints and replies are mails that a mail server pipes to this provider's receipt URL
(``message/rfc822``, with ``bounce_secret``).
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, Self, cast

import aiosmtplib
from pydantic import Field, field_validator, model_validator

from adapters.email.bounces import read_mail
from adapters.email.intake import MailIntake
from adapters.email.mime import Mail, Mailbox, build
from adapters.email.pool import Pool, PooledConnection
from adapters.email.replies import Stage, outcome_of, queue_id
from orchestrator import channels as ch

R = ch.Reason
PORTS = {"none": 25, "starttls": 587, "implicit": 465}
SLOT_SECONDS = 1.0
BEFORE_DOT_SECONDS = 8.0
STALE_SECONDS = 3.0
AFTER_DOT_SECONDS = 600.0
FLUSH_LOOK_SECONDS = 0.005
GO_AHEAD, TAKEN, SHUTDOWN = 354, 250, 421
LEADING_DOT = re.compile(rb"(?m)^\.")


class SmtpSettings(ch.AdapterSettings):
    """
    ``tls``: ``starttls`` (default), ``implicit`` or ``none``; ``port`` follows from it (587, 465,
    25). ``pool``: how many connections at most; ``messages_per_connection``: after how many mails
    one is closed. ``ca``: a PEM file of certificates to trust besides the system's. ``helo``: the
    name to greet with (default: this machine's).

    ``bounce_address``: where bounces go (MAIL FROM; default: the address of ``from``).
    ``bounce_secret``: what a mail server that pipes bounces and replies to the receipt URL logs in
    with (``Authorization: Bearer …``); may be a list while it is changed. ``open_pixel``: have an
    invisible image report that a mail was read.
    """

    host: str = Field(min_length=1)
    port: int | None = Field(default=None, ge=1, le=65_535)
    tls: Literal["none", "starttls", "implicit"] = "starttls"
    username: str | None = Field(default=None, min_length=1)
    password: ch.Secret | None = None
    sender: str = Field(alias="from")
    reply_to: str | None = None
    bounce_address: str | None = None
    bounce_secret: ch.Secrets | None = None
    pool: int = Field(default=4, ge=1, le=100)
    messages_per_connection: int = Field(default=50, ge=1)
    open_pixel: bool = False
    verify_certificates: bool = True
    ca: Path | None = None
    helo: str | None = Field(default=None, pattern=r"^[A-Za-z0-9.:\[\]-]+$")
    proofs = ("bounce_secret",)

    @field_validator("sender", "reply_to", "bounce_address")
    @classmethod
    def _is_mailbox(cls, value: str | None) -> str | None:
        if value is not None:
            Mailbox.of(value)
        return value

    @model_validator(mode="after")
    def _whole_login(self) -> Self:
        if (self.username is None) != (self.password is None):
            raise ValueError("`username` and `password` go together: give both or neither")
        return self


@dataclass(slots=True)
class SendProgress:
    """The progress of one mail: its stage, its connection, and whether the dot was sent."""

    stage: Stage = "connect"
    connection: PooledConnection | None = None
    dotted: bool = False
    usable: bool = False
    taken: bool = False


class Smtp(ch.Adapter[SmtpSettings]):
    """
    A mail relay.

    Until the final dot is sent, ``send`` gives up after 8 s with NOT_SENT. A cancelled ``send``
    counts as UNKNOWN; it closes its connection, so the relay never takes a mail without its dot.
    """

    name: ClassVar[str] = "smtp"
    supports: ClassVar[ch.Capabilities] = ch.Capabilities(
        channel="email",
        address=("email",),
        receipts=frozenset({"read", "clicked", "replied"}),
        parts=("subject", ("text", "html")),
        echo=True,
        failure_receipts=True,
    )
    settings_type: ClassVar[type[ch.AdapterSettings]] = SmtpSettings

    def __init__(self, settings: SmtpSettings, provider: str) -> None:
        super().__init__(settings, provider)
        self._sender = Mailbox.of(settings.sender)
        self._reply_to = Mailbox.of(settings.reply_to) if settings.reply_to else None
        self._return_path = Mailbox.of(settings.bounce_address) if settings.bounce_address else None
        self._secrets = ch.secret_values(settings)
        self._context = tls_context(settings) if settings.ca is not None else None
        self._helo = settings.helo
        self._slots = asyncio.Semaphore(settings.pool)
        self._pool = Pool(settings.messages_per_connection)

    def reports(self) -> frozenset[str]:
        """
        Clicks are reported by tracked links, reads only by the pixel, replies only if mail is piped
        in.
        """
        read = {"read"} if self.settings.open_pixel else set()
        return frozenset({"clicked", *read}) | (super().reports() - {"read"})

    async def close(self) -> None:
        """Close every idle connection with QUIT, and wait for that."""
        await self._pool.close()

    async def send(self, message: ch.Outgoing) -> ch.Outcome:
        """Send one mail. Raises ``Unsendable`` if it cannot be written, or not to this address."""
        mail = build(message, self._sender, self._reply_to, self._return_path)
        try:
            async with asyncio.timeout(SLOT_SECONDS):
                await self._slots.acquire()
        except TimeoutError:
            return ch.NotSent(
                R.START_TOO_LATE, detail="all connections are busy; allow more with `pool`"
            )
        try:
            return await self._deliver(mail)
        finally:
            self._slots.release()

    async def _deliver(self, mail: Mail) -> ch.Outcome:
        """Run the transaction, and close the connection unless it is known to be reusable."""
        run = SendProgress()
        try:
            async with asyncio.timeout(BEFORE_DOT_SECONDS) as limit:
                return await self._transact(mail, run, limit)
        except aiosmtplib.SMTPResponseException as error:
            run.usable = (
                run.stage not in ("connect", "auth")
                and 400 <= error.code < 600
                and error.code != SHUTDOWN
            )
            if run.dotted and not 400 <= error.code < 600:
                return ch.Unknown(
                    R.RESPONSE_UNREADABLE, detail="the answer to the final dot is not a reply"
                )
            return outcome_of(run.stage, error.code, error.message, self._secrets)
        except (aiosmtplib.SMTPException, OSError) as error:
            return lost(run, error, self._secrets)
        finally:
            self._give_back(run)

    def _give_back(self, run: SendProgress) -> None:
        if run.connection is None:
            return
        if run.usable:
            self._pool.give(run.connection, dirty=not run.taken)
        else:
            run.connection.client.close()

    async def _transact(self, mail: Mail, run: SendProgress, limit: asyncio.Timeout) -> ch.Outcome:
        """MAIL, RCPT, DATA, the mail, and only then the dot."""
        connection = await self._begin(mail, run)
        client, protocol = connection.client, connection.client.protocol
        run.stage = "rcpt"
        await client.rcpt(mail.recipient, encoding=encoding_of(mail))
        run.stage = "data"
        reply = await client.execute_command(b"DATA")
        if reply.code != GO_AHEAD or protocol is None:
            raise aiosmtplib.SMTPDataError(reply.code, reply.message)
        protocol.write(LEADING_DOT.sub(b"..", mail.raw))
        await flushed(client)
        protocol.write(b".\r\n")
        run.dotted = True
        limit.reschedule(asyncio.get_running_loop().time() + AFTER_DOT_SECONDS)
        reply = await protocol.read_response()
        if reply.code != TAKEN:
            raise aiosmtplib.SMTPDataError(reply.code, reply.message)
        run.usable = run.taken = True
        connection.mails += 1
        return ch.Accepted(queue_id(reply.message))

    async def _begin(self, mail: Mail, run: SendProgress) -> PooledConnection:
        """A connection on which MAIL was accepted: an idle one that still works, else a new one."""
        while (idle := self._pool.take()) is not None:
            run.connection, run.stage = idle, "mail"
            if await self._reuse(idle, mail, run):
                return idle
            idle.client.close()
        run.stage = "connect"
        run.connection = connection = PooledConnection(self._client())
        await self._dial(connection.client)
        if self.settings.username is not None:
            run.stage = "auth"
            await self._log_in(connection.client)
        run.stage = "mail"
        await self._mail(connection.client, mail, run, BEFORE_DOT_SECONDS)
        return connection

    async def _reuse(self, idle: PooledConnection, mail: Mail, run: SendProgress) -> bool:
        """
        Whether an idle connection accepted MAIL. If not, for whatever reason, nothing is lost: the
        caller tries again on a new connection.
        """
        try:
            if idle.dirty:
                await idle.client.rset(timeout=STALE_SECONDS)
            await self._mail(idle.client, mail, run, STALE_SECONDS)
        except (aiosmtplib.SMTPException, OSError):
            return False
        return True

    async def _mail(
        self, client: aiosmtplib.SMTP, mail: Mail, run: SendProgress, timeout_seconds: float
    ) -> None:
        """
        Send MAIL with the offered extensions: our reference for bounces, the size, SMTPUTF8 if
        needed.
        """
        options = []
        if mail.utf8:
            if not client.supports_extension("smtputf8"):
                run.usable = client.is_connected
                refused = ch.Refused(
                    R.REFUSED_RECIPIENT, "smtputf8", "the relay cannot write to such an address"
                )
                raise ch.Unsendable(refused)
            options.append("SMTPUTF8")
        if client.supports_extension("size"):
            options.append(f"SIZE={len(mail.raw)}")
        if client.supports_extension("dsn"):
            options += ["RET=HDRS", f"ENVID={mail.reference}"]
        await client.mail(
            mail.sender, options=options, encoding=encoding_of(mail), timeout=timeout_seconds
        )

    def _client(self) -> aiosmtplib.SMTP:
        own = self.settings
        if (
            self._context is None
        ):  # reading the system's certificates takes a while, so not before it must be
            self._context = tls_context(own)
        return aiosmtplib.SMTP(
            hostname=own.host,
            port=own.port or PORTS[own.tls],
            local_hostname=self._helo,
            use_tls=own.tls == "implicit",
            start_tls=own.tls == "starttls",
            tls_context=self._context,
            timeout=BEFORE_DOT_SECONDS,
        )

    async def _dial(self, client: aiosmtplib.SMTP) -> None:
        """Connect, encrypt as the settings say, and greet."""
        await client.connect()
        self._helo = client.local_hostname  # the resolver is asked for our own name only once
        if client.is_ehlo_or_helo_needed:
            try:
                await client.ehlo()
            except aiosmtplib.SMTPHeloError:
                await client.helo()

    async def _log_in(self, client: aiosmtplib.SMTP) -> None:
        """AUTH. A server that does not offer it is not the configured one."""
        own = self.settings
        assert own.username is not None and own.password is not None
        if not client.supported_auth_methods:
            raise aiosmtplib.SMTPAuthenticationError(
                538, "the server offers no way to log in that is known here"
            )
        await client.login(own.username, own.password.get_secret_value())

    def verify(self, hook: ch.Webhook) -> None:
        """Require the bounce secret of the mail server that pipes bounces and replies in."""
        secrets = (
            ch.secrets_of(self.settings.bounce_secret)
            if self.settings.bounce_secret is not None
            else ()
        )
        scheme, _, given = hook.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not ch.matches(given.strip(), *secrets):
            raise ch.Forged(
                "mail came in without the secret; give the provider `bounce_secret`, and the mail"
                " server the same"
            )

    def receipts(self, hook: ch.Webhook) -> Iterator[ch.Receipt | ch.Inbound | ch.Preference]:
        """Items of one raw mail: a bounce, a complaint or a reply."""
        return read_mail(hook.body, hook.is_ours)

    def intake(self) -> MailIntake:
        """A mail may have 26 MiB; what is read of it is kept as it comes in."""
        return MailIntake()


def tls_context(settings: SmtpSettings) -> ssl.SSLContext | None:
    """The TLS context to verify the relay with. Raises ``ValueError`` if ``ca`` cannot be read."""
    if settings.tls == "none":
        return None
    context = ssl.create_default_context()
    if settings.ca is not None:
        try:
            context.load_verify_locations(cafile=settings.ca)
        except OSError as error:  # ssl.SSLError is one
            raise ValueError(
                f"`ca` must be a readable file of PEM certificates ({type(error).__name__})"
            ) from None
    if not settings.verify_certificates:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def lost(run: SendProgress, error: Exception, secrets: tuple[str, ...]) -> ch.Outcome:
    """
    The outcome of a broken connection or a timeout: not sent before the dot, unknown after it.
    """
    silent = isinstance(error, TimeoutError)
    personal = run.stage in ("rcpt", "data")  # the relay may be asking the recipient's server
    if run.dotted:
        reason = R.TIMED_OUT if silent else R.CONNECTION_LOST
        return ch.Unknown(
            reason, detail=f"{type(error).__name__} after the final dot", personal=personal
        )
    words = ch.said(str(error), secrets)
    detail = ch.said(f"{run.stage}: {type(error).__name__} {words}")
    return ch.NotSent(R.CONNECT_FAILED, detail=detail, personal=personal)


def encoding_of(mail: Mail) -> str:
    """The character set of addresses in commands."""
    return "utf-8" if mail.utf8 else "ascii"


async def flushed(client: aiosmtplib.SMTP) -> None:
    """
    Wait until the written data has left, so that the dot is only written to a working connection.
    """
    while client.transport is not None and not client.transport.is_closing():
        if cast(asyncio.WriteTransport, client.transport).get_write_buffer_size() == 0:
            return
        await asyncio.sleep(FLUSH_LOOK_SECONDS)
    raise aiosmtplib.SMTPServerDisconnected("Connection lost")
