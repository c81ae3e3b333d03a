"""The stand-in for a mail relay, spoken to by a mail client and by hand."""

from __future__ import annotations

import asyncio
import ssl
from email.message import EmailMessage
from typing import Any

import aiosmtplib
import pytest

from tests.sandbox.sandbox_kit import ACCOUNTS, WAIT_SECONDS, Bench, benched, until

OLENA, TARAS = "olena@example.com", "taras@example.com"


def mail(
    bench: Bench, to: str = OLENA, link: str = "/c/click-1", pixel: str = "/o/open-1"
) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = (
        "Shop <shop@example.com>",
        to,
        "Кошик чекає",
    )
    message["Message-ID"] = "<reference-1@shop.example>"
    message["List-Unsubscribe"] = f"<{bench.receiver.url}/u/token-1>, <mailto:out@shop.example>"
    message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    message.set_content("Олено, ще 3 товари.")
    url = bench.receiver.url
    page = (
        f'<p>Олено! <a href="{url}{link}?a=1&amp;b=2">До кошика</a><img src="{url}{pixel}"'
        ' alt=""></p>'
    )
    message.add_alternative(page, subtype="html")
    return message


async def send(
    bench: Bench, message: EmailMessage | None = None, **how: Any
) -> tuple[dict[str, Any], str]:
    message = message or mail(bench)
    return await aiosmtplib.send(
        message,
        hostname="127.0.0.1",
        port=bench.sandbox.smtp_port,
        timeout=WAIT_SECONDS,
        **{"start_tls": False, **how},
    )


async def test_a_mail_is_queued_and_kept_as_its_reader_sees_it() -> None:
    async with benched() as bench:
        refused, reply = await send(bench)
        (entry,) = await bench.accepted("smtp")
        assert refused == {} and reply == f"2.0.0 Ok: queued as {entry['provider_id']}"
        assert (entry["address"], entry["reference"]) == (OLENA, "reference-1@shop.example")
        content = entry["content"]
        assert (content["title"], content["text"].strip()) == ("Кошик чекає", "Олено, ще 3 товари.")
        assert (
            "До кошика" in content["html"]
            and content["headers"]["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        )
        assert "Message-ID: <reference-1@shop.example>" in entry["raw"]


async def test_a_login_is_checked() -> None:
    async with benched() as bench:
        await send(bench, username=ACCOUNTS.smtp_username, password=ACCOUNTS.smtp_password)
        with pytest.raises(aiosmtplib.SMTPAuthenticationError) as error:
            await send(bench, username=ACCOUNTS.smtp_username, password="wrong")
        assert error.value.code == 535
        assert len(await bench.accepted()) == 1


async def test_starttls_is_offered_with_a_certificate_that_can_be_trusted() -> None:
    async with benched(smtp_tls=True) as bench:
        trusting = ssl.create_default_context(cadata=bench.sandbox.smtp_certificate)
        login: dict[str, Any] = {
            "username": ACCOUNTS.smtp_username,
            "password": ACCOUNTS.smtp_password,
        }
        await send(bench, start_tls=True, tls_context=trusting, **login)
        assert len(await bench.accepted()) == 1
        with pytest.raises(ssl.SSLCertVerificationError):
            await send(bench, start_tls=True, tls_context=ssl.create_default_context())


async def test_without_smtp_tls_starttls_is_not_offered() -> None:
    async with benched() as bench:
        with pytest.raises(aiosmtplib.SMTPException, match="STARTTLS"):
            await send(bench, start_tls=True)


@pytest.mark.parametrize(
    ("answer", "error", "code", "words"),
    [
        ("refuse", aiosmtplib.SMTPRecipientRefused, 550, "5.1.1 User unknown"),
        ({"refuse": 552}, aiosmtplib.SMTPRecipientRefused, 552, "5.2.2 Mailbox full"),
        ({"refuse": "550 5.7.1 Go away"}, aiosmtplib.SMTPRecipientRefused, 550, "5.7.1 Go away"),
        ({"refuse": 554}, aiosmtplib.SMTPDataError, 554, "5.7.1"),
        ({"refuse": 550, "stage": "data"}, aiosmtplib.SMTPDataError, 550, "5.1.1"),
        ({"refuse": 553, "stage": "mail"}, aiosmtplib.SMTPSenderRefused, 553, "5.1.3"),
        (
            {"throttle": 300},
            aiosmtplib.SMTPRecipientRefused,
            450,
            "4.7.1 Greylisted, try again in 300 seconds",
        ),
        ({"status": 500}, aiosmtplib.SMTPDataError, 451, "4.3.0"),
    ],
)
async def test_a_refusal_comes_at_its_stage(answer: Any, error: Any, code: int, words: str) -> None:
    async with benched(script={"providers": {"smtp": {"answer": answer}}}) as bench:
        with pytest.raises(aiosmtplib.SMTPException) as raised:
            await send(bench)
        seen: Any = raised.value
        seen = seen.recipients[0] if isinstance(seen, aiosmtplib.SMTPRecipientsRefused) else seen
        assert isinstance(seen, error) and seen.code == code and words in seen.message
        assert await bench.accepted() == []


async def test_one_refused_recipient_does_not_refuse_the_others() -> None:
    async with benched(script={"addresses": {OLENA: {"answer": "refuse"}}}) as bench:
        refused, _ = await send(bench, mail(bench, f"{OLENA}, {TARAS}"))
        assert list(refused) == [OLENA]
        assert [entry["address"] for entry in await bench.accepted()] == [TARAS]


@pytest.mark.parametrize(("answer", "taken"), [("cut_after_read", 0), ("cut_after_accept", 1)])
async def test_the_connection_can_be_cut_after_the_final_dot(answer: str, taken: int) -> None:
    async with benched(script={"providers": {"smtp": {"answer": answer}}}) as bench:
        with pytest.raises(aiosmtplib.SMTPServerDisconnected):
            await send(bench)
        assert len(await bench.accepted()) == taken


async def test_an_error_after_the_dot_may_hide_that_the_mail_was_taken() -> None:
    async with benched(script={"default": {"answer": {"status": 500, "accepted": True}}}) as bench:
        with pytest.raises(aiosmtplib.SMTPDataError):
            await send(bench)
        assert len(await bench.accepted()) == 1


async def test_hang_takes_nothing_and_ends_when_the_sandbox_stops() -> None:
    async with benched(script={"default": {"answer": "hang"}}) as bench:
        sending = asyncio.ensure_future(send(bench))

        async def hangs() -> bool:
            found = (await bench.control("GET", "requests"))["by_provider"]
            return bool(found == {"smtp": {"hang": 1}})

        await until(hangs)
        assert not sending.done() and await bench.accepted() == []
        await bench.sandbox.stop()
        with pytest.raises(aiosmtplib.SMTPServerDisconnected):
            await sending


async def test_a_client_that_hangs_up_while_a_late_answer_is_due_does_not_undo_the_acceptance() -> (
    None
):
    behaviour = {"answer": {"late": 3_600}, "receipts": [["read", 0]]}
    async with benched(script={"default": behaviour}, time_scale=1.0) as bench:
        sending = asyncio.ensure_future(send(bench))
        assert (await bench.receiver.next()).url.endswith("/o/open-1")
        sending.cancel()
        assert len(await bench.accepted()) == 1


async def test_the_reader_opens_clicks_and_unsubscribes() -> None:
    receipts = [["read", 0], ["clicked", 1], ["unsubscribed", 2]]
    async with benched(script={"default": {"receipts": receipts}}) as bench:
        await send(bench)
        opened, clicked, left = [await bench.receiver.next() for _ in range(3)]
        assert (opened.method, opened.url) == ("GET", f"{bench.receiver.url}/o/open-1")
        assert (clicked.method, clicked.url) == ("GET", f"{bench.receiver.url}/c/click-1?a=1&b=2")
        assert (left.method, left.url, left.body) == (
            "POST",
            f"{bench.receiver.url}/u/token-1",
            b"List-Unsubscribe=One-Click",
        )


async def test_a_mail_without_a_pixel_reports_no_reading() -> None:
    async with benched() as bench:
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = "shop@example.com", OLENA, "x"
        message.set_content("x")
        await send(bench, message)
        answer = await bench.control("POST", "act", {"seq": 1, "state": "read"})
        assert answer == {"answered": "not reported"}


async def test_several_mails_may_share_a_connection() -> None:
    async with benched(script={"addresses": {TARAS: {"answer": "refuse"}}}) as bench:
        async with aiosmtplib.SMTP(
            hostname="127.0.0.1", port=bench.sandbox.smtp_port, start_tls=False
        ) as client:
            await client.send_message(mail(bench))
            with pytest.raises(aiosmtplib.SMTPRecipientsRefused):
                await client.send_message(mail(bench, TARAS))
            await client.send_message(mail(bench))
        assert [entry["address"] for entry in await bench.accepted()] == [OLENA, OLENA]


async def test_an_address_is_the_same_in_any_case() -> None:
    async with benched(script={"addresses": {OLENA: {"answer": "refuse"}}}) as bench:
        with pytest.raises(aiosmtplib.SMTPRecipientsRefused):
            await send(bench, mail(bench, "Olena@Example.com"))
