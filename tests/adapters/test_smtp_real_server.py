"""
Mail against real servers: aiosmtpd for the protocol, TLS and login, and a relay of our own that
breaks at a scripted place.

What a relay took is the truth; an outcome may be less sure of it, and never wrong about it.
"""

from __future__ import annotations

import asyncio
import email
import email.policy
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import EmailMessage
from pathlib import Path
from typing import Any, cast

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from adapters.email import pool as pools
from adapters.email import smtp as smtps
from adapters.email.smtp import Smtp, SmtpSettings
from kaskad_testing import REFERENCE
from orchestrator import channels as ch
from orchestrator.sandbox.tls import own_certificate
from tests.adapters.relay import CONTENT, CUT, SILENT, Relay, adapter, message, settings

R = ch.Reason
PASSWORD = "smtp-password-canary"


class Mailboxes:
    """The mails aiosmtpd took; ``refusals`` are answers to RCPT, used up one by one."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []
        self.over_tls: list[bool] = []
        self.refusals: list[str] = []

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.refusals:
            return self.refusals.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.envelopes.append(envelope)
        assert server.transport is not None
        self.over_tls.append(server.transport.get_extra_info("sslcontext") is not None)
        return "250 2.0.0 Ok: queued as 4F2A1B"

    def mail(self, place: int = 0) -> EmailMessage:
        content = self.envelopes[place].content
        assert isinstance(content, bytes)
        found = email.message_from_bytes(content, policy=email.policy.default)
        assert isinstance(found, EmailMessage)
        return found


def check_login(
    server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
) -> AuthResult:
    right = isinstance(data, LoginPassword) and (data.login, data.password) == (
        b"shop",
        PASSWORD.encode(),
    )
    return AuthResult(success=right, handled=False)


@asynccontextmanager
async def mail_server(
    boxes: Mailboxes, *, implicit: ssl.SSLContext | None = None, **options: Any
) -> AsyncIterator[int]:
    """aiosmtpd in this loop; its port."""
    loop = asyncio.get_running_loop()
    sessions: list[SMTP] = []

    def session() -> SMTP:
        sessions.append(SMTP(boxes, hostname="relay.example", loop=loop, **options))
        return sessions[-1]

    server = await loop.create_server(session, "127.0.0.1", 0, ssl=implicit)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for one in sessions:
            if one.transport is not None:
                cast(asyncio.WriteTransport, one.transport).abort()
        await server.wait_closed()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    context, pem = own_certificate("127.0.0.1")
    path = tmp_path_factory.mktemp("tls") / "ca.pem"
    path.write_text(pem)
    return context, path


# what arrives


async def test_a_mail_arrives_as_it_was_meant() -> None:
    boxes = Mailboxes()
    async with mail_server(boxes) as port, adapter(port, reply_to="help@shop.example.com") as own:
        sent = message(
            unsubscribe_url="https://k.example.com/u/tok",
            one_click=True,
            message_class="promotional",
        )
        assert await own.send(sent) == ch.Accepted("4F2A1B")
    mail = boxes.mail()
    assert (boxes.envelopes[0].mail_from, boxes.envelopes[0].rcpt_tos) == (
        "hello@shop.example.com",
        ["olena@example.com"],
    )
    assert mail["Subject"] == CONTENT["subject"]
    assert (mail["From"], mail["To"], mail["Reply-To"]) == (
        "Shop <hello@shop.example.com>",
        "olena@example.com",
        "help@shop.example.com",
    )
    assert mail["Message-ID"] == f"<{REFERENCE}@shop.example.com>"
    assert (mail["List-Unsubscribe"], mail["List-Unsubscribe-Post"]) == (
        "<https://k.example.com/u/tok>",
        "List-Unsubscribe=One-Click",
    )
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]
    text, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert text is not None and html is not None
    assert text.get_content().splitlines() == CONTENT["text"].splitlines()
    assert html.get_content().splitlines() == CONTENT["html"].splitlines()


async def test_several_mails_share_a_connection_and_several_connections_carry_them_at_once() -> (
    None
):
    async with Relay() as relay, adapter(relay.port, pool=2) as own:
        for _ in range(3):
            assert await own.send(message()) == ch.Accepted("4F2A1B")
        assert relay.connections == 1
        outcomes = await asyncio.gather(*(own.send(message()) for _ in range(6)))
        assert outcomes == [ch.Accepted("4F2A1B")] * 6
    assert (relay.connections, len(relay.taken)) == (2, 9)


async def test_a_connection_says_goodbye_after_its_share_of_mails() -> None:
    async with Relay() as relay, adapter(relay.port, messages_per_connection=2) as own:
        for _ in range(4):
            await own.send(message())
        await relay.until("QUIT", 2)
    assert (relay.connections, len(relay.taken)) == (2, 4)


async def test_a_connection_says_goodbye_when_it_is_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "IDLE_SECONDS", 0.05)
    async with Relay() as relay, adapter(relay.port) as own:
        await own.send(message())
        await relay.until("QUIT")
        assert await own.send(message()) == ch.Accepted("4F2A1B")
        assert relay.connections == 2


async def test_closing_says_goodbye_on_every_connection() -> None:
    async with Relay() as relay:
        async with adapter(relay.port, pool=3) as own:
            await asyncio.gather(*(own.send(message()) for _ in range(3)))
        assert relay.counted("QUIT") == relay.connections


# TLS and login


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_a_mail_goes_encrypted_and_logged_in(
    tls: str, certificate: tuple[ssl.SSLContext, Path]
) -> None:
    boxes, (context, ca) = Mailboxes(), certificate
    starttls: dict[str, Any] = {
        "tls_context": context,
        "require_starttls": True,
        "auth_required": True,
    }
    implicit: dict[str, Any] = {
        "implicit": context,
        "auth_require_tls": False,
        "auth_required": True,
    }
    async with (
        mail_server(
            boxes, authenticator=check_login, **(implicit if tls == "implicit" else starttls)
        ) as port,
        adapter(port, tls=tls, ca=ca, username="shop", password=PASSWORD) as own,
    ):
        assert await own.send(message()) == ch.Accepted("4F2A1B")
        assert await own.send(message()) == ch.Accepted("4F2A1B")
    assert boxes.over_tls == [True, True]


async def test_a_relay_whose_certificate_nobody_vouches_for_gets_nothing(
    certificate: tuple[ssl.SSLContext, Path],
) -> None:
    boxes = Mailboxes()
    async with mail_server(boxes, tls_context=certificate[0], require_starttls=True) as port:
        async with adapter(port, tls="starttls") as own:
            outcome = await own.send(message())
        async with adapter(port, tls="starttls", verify_certificates=False) as careless:
            assert await careless.send(message()) == ch.Accepted("4F2A1B")
    assert (
        isinstance(outcome, ch.NotSent)
        and outcome.reason is R.CONNECT_FAILED
        and "certificate" in outcome.detail.lower()
    )
    assert len(boxes.envelopes) == 1


async def test_a_relay_that_drops_starttls_gets_nothing() -> None:
    async with Relay() as relay, adapter(relay.port, tls="starttls") as own:
        outcome = await own.send(message())
    assert isinstance(outcome, ch.NotSent) and outcome.reason is R.CONNECT_FAILED
    assert relay.counted("MAIL") == 0


async def test_a_wrong_password_is_our_configuration_and_stays_out_of_the_outcome() -> None:
    async with (
        mail_server(Mailboxes(), authenticator=check_login, auth_require_tls=False) as port,
        adapter(port, username="shop", password="wrong-canary") as own,
    ):
        outcome = await own.send(message())
    assert isinstance(outcome, ch.Refused) and outcome.reason is R.REFUSED_CONFIGURATION
    assert (outcome.code, "canary" in repr(outcome)) == ("535 5.7.8", False)


async def test_a_relay_that_offers_no_login_is_our_configuration() -> None:
    async with Relay() as relay, adapter(relay.port, username="shop", password=PASSWORD) as own:
        outcome = await own.send(message())
    assert isinstance(outcome, ch.Refused) and outcome.reason is R.REFUSED_CONFIGURATION
    assert relay.counted("MAIL") == 0


async def test_a_login_that_is_refused_for_now_is_tried_again() -> None:
    says: dict[str, Any] = {
        "EHLO": "250-relay.example\r\n250 AUTH PLAIN",
        "AUTH": "454 4.7.0 Temporary failure",
    }
    async with Relay(says) as relay, adapter(relay.port, username="shop", password=PASSWORD) as own:
        outcome = await own.send(message())
    assert isinstance(outcome, ch.NotSent) and outcome.code == "454 4.7.0"


def test_a_missing_ca_file_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="`ca` must be a readable file"):
        Smtp(SmtpSettings(**settings(25, tls="starttls", ca=tmp_path / "none.pem")), "relay")  # type: ignore[arg-type]


# replies


@pytest.mark.parametrize(
    ("word", "reply", "outcome"),
    [
        ("GREETING", "554 5.7.1 No service", ch.Refused(R.REFUSED_CONFIGURATION, "554 5.7.1")),
        ("GREETING", "421 4.3.2 Too busy", ch.NotSent(R.THROTTLED, None, "421 4.3.2")),
        (
            "MAIL",
            "550 5.7.1 Sender not authorized to relay",
            ch.Refused(R.REFUSED_CONFIGURATION, "550 5.7.1"),
        ),
        ("MAIL", "552 5.3.4 Too big", ch.Refused(R.REFUSED_CONTENT, "552 5.3.4")),
        ("MAIL", "451 4.3.0 Local error", ch.NotSent(R.NOT_TAKEN, None, "451 4.3.0")),
        (
            "RCPT",
            "550 5.1.1 No such user <olena@example.com>",
            ch.Refused(R.REFUSED_ADDRESS, "550 5.1.1"),
        ),
        ("RCPT", "450 4.7.1 Greylisted", ch.NotSent(R.THROTTLED, 300_000, "450 4.7.1")),
        ("DATA", "550 5.7.1 Not today", ch.Refused(R.REFUSED_CONTENT, "550 5.7.1")),
        ("DOT", "554 5.7.1 Looks like spam", ch.Refused(R.REFUSED_CONTENT, "554 5.7.1")),
        ("DOT", "451 4.3.0 Queue file write error", ch.NotSent(R.NOT_TAKEN, None, "451 4.3.0")),
        (
            "DOT",
            "550 5.7.26 Unauthenticated (DMARC)",
            ch.Refused(R.REFUSED_CONFIGURATION, "550 5.7.26"),
        ),
    ],
)
async def test_a_reply_means_what_its_stage_and_code_say(
    word: str, reply: str, outcome: ch.Outcome
) -> None:
    async with Relay({word: [reply]}) as relay, adapter(relay.port) as own:
        answered = await own.send(message())
        again = await own.send(message())
    assert type(answered) is type(outcome)
    assert (answered.reason, answered.code) == (outcome.reason, outcome.code)  # type: ignore[union-attr]
    assert getattr(answered, "retry_after_ms", None) == getattr(outcome, "retry_after_ms", None)
    assert "olena" not in repr(answered)
    assert (again, len(relay.taken)) == (ch.Accepted("4F2A1B"), 1)


async def test_a_refused_recipient_leaves_nothing_behind_for_the_next_one() -> None:
    """After a refusal the connection is used again, and RSET has come before the next MAIL."""
    async with Relay({"RCPT": ["550 5.1.1 No such user"]}) as relay, adapter(relay.port) as own:
        assert isinstance(await own.send(message()), ch.Refused)
        assert await own.send(message("ivan@example.com")) == ch.Accepted("4F2A1B")
    words = [line.split(" ")[0] for line in relay.commands]
    assert words == ["EHLO", "MAIL", "RCPT", "RSET", "MAIL", "RCPT", "DATA", "DOT", "QUIT"]
    assert b"To: ivan@example.com" in relay.taken[0]


async def test_greylisting_delays_and_is_taken_the_second_time() -> None:
    boxes = Mailboxes()
    boxes.refusals = ["451 4.7.1 Greylisted, please try again in 120 seconds"]
    async with mail_server(boxes) as port, adapter(port) as own:
        first = await own.send(message())
        second = await own.send(message())
    assert isinstance(first, ch.NotSent) and (first.reason, first.retry_after_ms) == (
        R.THROTTLED,
        120_000,
    )
    assert (second, len(boxes.envelopes)) == (ch.Accepted("4F2A1B"), 1)


# what breaks, and where


@pytest.mark.parametrize("word", ["GREETING", "EHLO", "MAIL", "RCPT", "DATA", "BODY"])
@pytest.mark.parametrize("how", [CUT, SILENT])
async def test_whatever_breaks_before_the_dot_was_not_sent(
    word: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smtps, "BEFORE_DOT_SECONDS", 0.4)
    content = {**CONTENT, "text": "x" * 79 + "\n"}
    if word == "BODY":
        content["text"] = (
            "x" * 79 + "\n"
        ) * 400_000  # more than the buffers between us hold: the dot can't be out
    async with Relay({word: how}) as relay, adapter(relay.port) as own:
        outcome = await own.send(message(content=content))
    assert isinstance(outcome, ch.NotSent) and outcome.reason is R.CONNECT_FAILED
    assert relay.taken == []


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        (CUT, R.CONNECTION_LOST),
        (SILENT, R.TIMED_OUT),
        ("gibberish", R.RESPONSE_UNREADABLE),
        ("199 Hm", R.RESPONSE_UNREADABLE),
    ],
)
async def test_whatever_breaks_after_the_dot_is_unknown(
    how: str, reason: R, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smtps, "AFTER_DOT_SECONDS", 0.4)
    async with Relay({"DOT": how}) as relay, adapter(relay.port) as own:
        outcome = await own.send(message())
        assert len(relay.taken) == 1
        assert isinstance(outcome, ch.Unknown) and outcome.reason is reason
        relay.says.clear()
        assert await own.send(message()) == ch.Accepted("4F2A1B")
    assert relay.connections == 2


async def test_a_relay_that_nobody_listens_for_was_not_sent_to() -> None:
    async with Relay() as relay:
        port = relay.port
    async with adapter(port) as own:
        outcome = await own.send(message())
    assert isinstance(outcome, ch.NotSent) and outcome.reason is R.CONNECT_FAILED


# addresses


async def test_an_address_beyond_ascii_goes_as_smtputf8_where_the_relay_can() -> None:
    boxes = Mailboxes()
    async with mail_server(boxes, enable_SMTPUTF8=True) as port, adapter(port) as own:
        assert await own.send(message("олена@приклад.укр")) == ch.Accepted("4F2A1B")
    assert boxes.envelopes[0].rcpt_tos == ["олена@xn--80aikifvh.xn--j1amh"]
    assert boxes.envelopes[0].smtp_utf8


async def test_an_address_beyond_ascii_is_refused_where_the_relay_can_not() -> None:
    async with Relay() as relay, adapter(relay.port) as own:
        with pytest.raises(ch.Unsendable) as refused:
            await own.send(message("олена@example.com"))
        assert refused.value.outcome.reason is R.REFUSED_RECIPIENT
        assert await own.send(message()) == ch.Accepted("4F2A1B")
    assert relay.connections == 1


async def test_the_relay_gets_our_reference_for_its_bounces() -> None:
    async with (
        Relay() as relay,
        adapter(relay.port, bounce_address="bounces@shop.example.com") as own,
    ):
        await own.send(message())
    mail = next(line for line in relay.commands if line.startswith("MAIL"))
    assert mail.startswith("MAIL FROM:<bounces@shop.example.com> SIZE=")
    assert mail.endswith(f"RET=HDRS ENVID={REFERENCE}")


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"from": "Shop"}, "address"),
        ({"from": "Shop <hello@shop.example.com>\r\nBcc: x@y.example"}, "address"),
        ({"reply_to": "=?utf-8?q?x?= <a@b.example>"}, "address"),
        ({"bounce_address": "a@-"}, "domain"),
        ({"username": "shop"}, "go together"),
        ({"host": ""}, "host"),
        ({"pool": 0}, "pool"),
        ({"helo": "a b\r\nX"}, "helo"),
    ],
)
def test_a_wrong_setting_says_what_is_wrong(changed: dict[str, Any], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        SmtpSettings(**{**settings(25), **changed})


def test_what_a_wait_can_rest_on_follows_from_the_settings() -> None:
    def reports(**more: Any) -> frozenset[str]:
        return Smtp(SmtpSettings(**settings(25, **more)), "relay").reports()  # type: ignore[arg-type]

    assert reports() == {"clicked"}
    assert reports(open_pixel=True) == {"clicked", "read"}
    assert reports(bounce_secret="s") == {"clicked", "replied"}
