"""
A stand-in for a mail relay, and for the mail program behind it.

It speaks SMTP with AUTH, and STARTTLS where a certificate was asked for; it refuses at the stage a
script names, and answers the final dot with a queue id. The pretend reader fetches the open pixel
(``/o/…``), a tracked link (``/c/…``) or posts the one-click unsubscription (RFC 8058) that it finds
in the message.

Reference: RFC 5321 (SMTP), RFC 3463 (enhanced status codes), RFC 4954 (AUTH).
"""

from __future__ import annotations

import asyncio
import email
import email.policy
import html
import logging
import re
import ssl
import weakref
from email.message import EmailMessage
from typing import Any

import structlog
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from orchestrator.sandbox.accounts import MAIL
from orchestrator.sandbox.courier import Post
from orchestrator.sandbox.inbox import InboxEntry, Item
from orchestrator.sandbox.script import Planned, RequestBehaviour, ScriptedAnswer, canonical
from orchestrator.sandbox.standin import Common, tracked_link

log = structlog.get_logger(__name__)

NAME, CHANNEL = MAIL, "email"
MESSAGE_BYTES_MAX = 10 * 1024 * 1024
PIXEL = re.compile(r"https?://[^\s\"'<>)]+/o/[^\s\"'<>)]+")
ADDRESS = re.compile(r"[^@\s<>]+@[^@\s<>]+\.?[^@\s<>]*")
REPLIES = {
    "421": "421 4.7.0 Too many connections, try again later",
    "450": "450 4.2.0 Mailbox busy, try again later",
    "451": "451 4.3.0 Local error in processing",
    "452": "452 4.2.2 Mailbox full",
    "535": "535 5.7.8 Authentication credentials invalid",
    "550": "550 5.1.1 User unknown",
    "552": "552 5.2.2 Mailbox full",
    "553": "553 5.1.3 Bad recipient address syntax",
    "554": "554 5.7.1 Message rejected as spam",
}
STAGES = {"450": "rcpt", "550": "rcpt", "551": "rcpt", "552": "rcpt", "553": "rcpt"}


Waiting = list[tuple[InboxEntry, RequestBehaviour]]


class MailHandler:
    """The stages of one transaction, as aiosmtpd calls them."""

    def __init__(self, common: Common) -> None:
        self.common = common
        self._turns = weakref.WeakKeyDictionary[Envelope, list[RequestBehaviour]]()

    async def handle_MAIL(
        self,
        server: SMTP,
        session: Session,
        envelope: Envelope,
        address: str,
        mail_options: list[str],
    ) -> str:
        """Refuse the sender if a script for all of SMTP says so."""
        answer = self.common.script.at_large(NAME).answer
        if answer.kind == "refuse" and stage_of(answer) == "mail":
            self.common.inbox.note(NAME, None, "refused", answer.code)
            return reply_of(answer)
        envelope.mail_from = address
        envelope.mail_options.extend(mail_options)
        return "250 2.1.0 Sender ok"

    async def handle_RCPT(
        self,
        server: SMTP,
        session: Session,
        envelope: Envelope,
        address: str,
        rcpt_options: list[str],
    ) -> str:
        """Look up the behaviour; a refusal or "slow down" of this stage is answered here."""
        if not ADDRESS.fullmatch(address):
            self.common.inbox.note(NAME, address, "refused", "553")
            return REPLIES["553"]
        turn = self.common.script.turn(NAME, address)
        if turn.answer.kind == "throttle":
            self.common.inbox.note(NAME, address, "throttle")
            return f"450 4.7.1 Greylisted, try again in {round(turn.answer.seconds)} seconds"
        if turn.answer.kind == "refuse" and stage_of(turn.answer) == "rcpt":
            self.common.inbox.note(NAME, address, "refused", turn.answer.code)
            return reply_of(turn.answer)
        envelope.rcpt_tos.append(address)
        self._turns.setdefault(envelope, []).append(turn)
        return "250 2.1.5 Recipient ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """
        After the final dot: take the message for each recipient, and answer as the script says.
        """
        turns = self._turns.pop(envelope, [])
        chief = next((turn for turn in turns if turn.answer.kind != "accept"), turns[0])
        answer = chief.answer
        if not answer.taken:
            outcome = "refused" if answer.kind == "refuse" else answer.kind
            for address in envelope.rcpt_tos:
                self.common.inbox.note(NAME, address, outcome, answer.code)
            return await self._turn_away(server, answer)
        raw = envelope.content if isinstance(envelope.content, bytes) else b""
        queue_id = self.common.new_id()[:12].upper()
        taking = asyncio.create_task(self._accept(raw, queue_id, envelope.rcpt_tos, turns))
        waiting = asyncio.shield(taking)  # a client that hangs up now does not undo what was taken
        taking.add_done_callback(self._plan)  # after the shield, so the reply is written first
        await waiting
        if answer.kind == "late":
            await self.common.courier.pause(answer.seconds)
        elif answer.kind == "cut_after_accept":
            return cut(server)
        elif answer.kind == "status":
            return REPLIES["451"]
        return f"250 2.0.0 Ok: queued as {queue_id}"

    async def _accept(
        self, raw: bytes, queue_id: str, addresses: list[str], turns: list[RequestBehaviour]
    ) -> Waiting:
        """Take the message for each recipient; returns those that still wait for their receipts."""
        waiting = []
        for address, turn in zip(list(addresses), turns, strict=True):
            item = read_message(raw, canonical(address), queue_id)
            entry = await self.common.inbox.take(
                NAME, CHANNEL, item, raw.decode("utf-8", "replace")
            )
            self.common.inbox.note(NAME, address, "accepted")
            if turn.before_response:
                await self.common.courier.send_now(entry, turn, self.receipt)
            else:
                waiting.append((entry, turn))
        return waiting

    def _plan(self, taking: asyncio.Task[Waiting]) -> None:
        if taking.cancelled() or taking.exception() is not None:
            log.error(
                "sandbox.mail_failed", exc_info=None if taking.cancelled() else taking.exception()
            )
            return
        for entry, turn in taking.result():
            self.common.courier.plan(entry, turn, self.receipt)

    def receipt(self, entry: InboxEntry, planned: Planned) -> Post | None:
        """
        The request of the reader's mail program; None if mail has none or there is nothing to open.
        """
        if planned.state == "clicked":
            return tracked_link(entry)
        if planned.state == "read":
            found = PIXEL.search(html.unescape(entry.item.content.get("html") or ""))
            return Post(method="GET", url=found.group(), repeat=False) if found else None
        if planned.state == "unsubscribed" and entry.item.hooks["unsubscribe"]:
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            url = entry.item.hooks["unsubscribe"]
            return Post(url=url, body=b"List-Unsubscribe=One-Click", headers=headers, repeat=False)
        return None

    async def _turn_away(self, server: SMTP, answer: ScriptedAnswer) -> str:
        if answer.kind == "refuse":
            return reply_of(answer)
        if answer.kind == "status":
            return REPLIES["451"]
        if answer.kind == "hang":
            await self.common.stopping.wait()
        return cut(server)


class MailRelay:
    """The listening relay. ``port`` is known after ``start``."""

    def __init__(self, common: Common, certificate: ssl.SSLContext | None) -> None:
        self.handler = MailHandler(common)
        self._common = common
        self._certificate = certificate
        self._server: asyncio.Server | None = None
        self._sessions: set[SMTP] = set()
        self.port = 0

    async def start(self, host: str, port: int) -> None:
        """Raises OSError if the port is taken."""
        # aiosmtpd warns of its own deprecations at every login
        logging.getLogger("mail.log").setLevel(logging.ERROR)
        self._server = await asyncio.get_running_loop().create_server(self._session, host, port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and cut open connections."""
        if self._server is None:
            return
        self._server.close()
        for session in list(self._sessions):
            cut(session)
        await asyncio.sleep(0)

    def _session(self) -> SMTP:
        return Connection(
            self._sessions,
            self.handler,
            hostname="sandbox.kaskad.test",
            ident="Kaskad sandbox",
            data_size_limit=MESSAGE_BYTES_MAX,
            enable_SMTPUTF8=True,
            tls_context=self._certificate,
            authenticator=self._authenticate,
            auth_require_tls=False,
            loop=asyncio.get_running_loop(),
        )

    def _authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        accounts = self._common.accounts
        known = (
            isinstance(data, LoginPassword)
            and data.login == accounts.smtp_username.encode()
            and data.password == accounts.smtp_password.encode()
        )
        if not known:
            self._common.inbox.note(NAME, None, "refused", "535")
        return AuthResult(success=known, handled=False)


class Connection(SMTP):
    """One client's connection, in a set while it is open."""

    def __init__(self, sessions: set[SMTP], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._open = sessions

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._open.add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._open.discard(self)
        super().connection_lost(error)


def cut(server: SMTP) -> str:
    """Reset the connection; the returned reply goes nowhere."""
    if isinstance(server.transport, asyncio.Transport):
        server.transport.abort()
    return "421 4.3.0 Closing"


def stage_of(answer: ScriptedAnswer) -> str:
    """
    The stage of a refusal: the script's, else RCPT for a mailbox and the final dot for the rest.
    """
    code = (answer.code or "550")[:3]
    return answer.stage or STAGES.get(code, "data")


def reply_of(answer: ScriptedAnswer) -> str:
    """A refusal's whole line; a script may give the line or only its code."""
    code = answer.code or "550"
    if re.fullmatch(r"[45]\d\d( .+)?", code) is None:
        return REPLIES["554"]
    return REPLIES.get(code, code if " " in code else f"{code} {code[0]}.0.0 Refused")


def read_message(raw: bytes, address: str, queue_id: str) -> Item:
    """The message as the reader sees it."""
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    unsubscribe = re.search(r"<(https?://[^>]+)>", str(message.get("List-Unsubscribe", "")))
    content: dict[str, Any] = {
        "title": str(message.get("Subject", "")),
        "text": body_of(message, "plain"),
        "from": str(message.get("From", "")),
        "html": body_of(message, "html"),
        "headers": {name: str(value) for name, value in message.items()},
    }
    one_click = message.get("List-Unsubscribe-Post") == "List-Unsubscribe=One-Click"
    return Item(
        address=address,
        provider_id=queue_id,
        reference=str(message.get("Message-ID", "")).strip("<> ") or None,
        content=content,
        hooks={"unsubscribe": unsubscribe.group(1) if unsubscribe and one_click else None},
    )


def body_of(message: EmailMessage, kind: str) -> str:
    """The text of one alternative; "" if there is none or it is unreadable."""
    part = message.get_body((kind,))
    try:
        return str(part.get_content()) if part is not None else ""
    except (LookupError, ValueError):
        return ""
