"""Bounces in every dress: which failed for good, why, and which mail of ours they name."""

from __future__ import annotations

from base64 import b64encode

import pytest

from adapters.email.bounces import read_mail
from adapters.email.replies import queue_id
from orchestrator.channels import Delivery, Engagement, Reason, Receipt, Refused

OURS = "AQGgKx3mFQAAAAAAAAAAAAAAAAA0b3d9dGVzdGluZ3Jl"
SES = "0102019a8b7c6d5e-11112222-3333-4444-5555-666677778888-000000"
FIELDS = "Reporting-MTA: dns; mx.example.com\n\n"
FAILED = (
    "Final-Recipient: rfc822; olena@example.com\nAction: failed\nStatus: 5.1.1\n"
    "Diagnostic-Code: smtp; 550 5.1.1 no such user\n"
)
ORIGINAL = f"Message-ID: <{OURS}@shop.example>\nSubject: Sale\n"


def part(kind: str, text: str, more: str = "") -> str:
    return f"--b\nContent-Type: {kind}\n{more}\n{text}\n"


def whole(
    kind: str, *parts: str, sender: str = "MAILER-DAEMON@mx.example.com", more: str = ""
) -> bytes:
    head = f"From: {sender}\n{more}MIME-Version: 1.0\nContent-Type: {kind}; boundary=b\n\n"
    return f"{head}{''.join(parts)}--b--\n".encode()


def prose(
    text: str, sender: str = "MAILER-DAEMON@mx.example.com", subject: str = "failure"
) -> bytes:
    head = f"From: {sender}\nSubject: {subject}\nContent-Type: text/plain; charset=utf-8\n"
    return f"{head}\n{text}\n".encode()


REPORT = part("message/delivery-status", FIELDS + FAILED)
HEADERS = part("text/rfc822-headers", ORIGINAL)
RETURNED = part("message/rfc822", ORIGINAL + "\nSale\n")
GLOBAL = FAILED.replace("rfc822;", "utf-8;")
NESTED = (
    "--b\nContent-Type: multipart/report; boundary=c\n\n--c\nContent-Type: text/plain\n\nSorry.\n"
    f"--c\nContent-Type: message/delivery-status\n\n{FIELDS}{FAILED}\n--c\nContent-Typ"
    f"e: text/rfc822"
    f"-headers\n\n{ORIGINAL}\n--c--\n"
)
QMAIL = (
    "Hi. This is the qmail-send program at mx.example.com.\nI'm afraid I wasn't able "
    "to deliver your"
    " message to the following addresses.\n\n<olena@example.com>:\nSorry, no mailbox "
    "here by that name."
    f" (#5.1.1)\n\n--- Below this line is a copy of the message.\n\n{ORIGINAL}\nSale"
)
EXIM = (
    "This message was created automatically by mail delivery software.\n\nA message t"
    "hat you sent could"
    " not be delivered to one or more of its\nrecipients. This is a permanent error."
    "\n\n  olena@ukr.net\n"
    f"    SMTP error from remote mail server after RCPT TO: 550 5.1.1 no such user\n\n{ORIGINAL}"
)
EXCHANGE = (
    "Your message did not reach some or all of the intended recipients.\n\n      Subj"
    "ect:\tSale\n\nThe"
    " following recipient(s) could not be reached:\n\n      olena@example.com on 20.11.2026 10:00\n"
    f"            The e-mail account does not exist at the organization. <mx.example.c"
    f"om #5.1.1>\n\n{ORIGINAL}"
)
UKR_NET = (
    f"Вибачте, лист не доставлено.\n\n<olena@ukr.net>: користувача не знайдено, такий ящик"
    f" не існує\n\n{ORIGINAL}"
)
DRESSES = {
    "as RFC 3464 has it": whole("multipart/report; report-type=delivery-status", REPORT, HEADERS),
    "no report-type": whole("multipart/report", part("text/plain", "Sorry."), REPORT, RETURNED),
    "report-type in quotes and capitals": whole(
        'multipart/report; report-type="Delivery-Status"', REPORT, HEADERS
    ),
    "wrapped into multipart/mixed": whole(
        "multipart/mixed", NESTED, part("text/plain", "-- \nlist")
    ),
    "multipart/mixed itself": whole(
        "multipart/mixed", part("text/plain", "Sorry."), REPORT, HEADERS
    ),
    "from a person's name": whole(
        "multipart/report", REPORT, HEADERS, sender="Mail Team <help@mx.example.com>"
    ),
    "marked as an automatic answer": whole(
        "multipart/report", REPORT, HEADERS, more="Auto-Submitted: auto-replied\n"
    ),
    "RFC 6533": whole(
        "multipart/report; report-type=delivery-status",
        part("message/global-delivery-status", FIELDS + GLOBAL),
        part("message/global-headers", ORIGINAL),
    ),
    "RFC 6533 in base64": whole(
        "multipart/report",
        part(
            "message/global-delivery-status",
            b64encode((FIELDS + GLOBAL).encode()).decode(),
            "Content-Transfer-Encoding: base64\n",
        ),
        part("message/global", ORIGINAL + "\nSale"),
    ),
    "named by the report's References": whole(
        "multipart/report", REPORT, more=f"References: <{OURS}@shop.example>\n"
    ),
    "named by Gmail's field": whole(
        "multipart/report",
        part(
            "message/delivery-status",
            f"X-Original-Message-ID: <{OURS}@shop.example>\n{FIELDS}{FAILED}",
        ),
    ),
    "an action with a comment": whole(
        "multipart/report", REPORT.replace("failed", "failed (permanent)"), HEADERS
    ),
    "qmail": prose(QMAIL),
    "Exim": prose(EXIM, "Mail Delivery System <Mailer-Daemon@mx.example.com>"),
    "Exim with its header": prose(EXIM, "x@mx.example.com\nX-Failed-Recipients: olena@ukr.net"),
    "Exchange": prose(
        EXCHANGE, "System Administrator <postmaster@example.com>", "Undeliverable: Sale"
    ),
    "ukr.net": prose(UKR_NET, "MAILER-DAEMON@ukr.net", "Недоставлений лист"),
    "null return path": prose(
        f"550 5.1.1 unknown user\n{ORIGINAL}", "x@y.example\nReturn-Path: <>"
    ),
    "10 MiB come back whole": whole(
        "multipart/report",
        REPORT,
        part("message/rfc822", ORIGINAL + "\n" + "Sale sale sale\n" * 700_000),
    ),
}


@pytest.mark.parametrize("dress", DRESSES)
def test_a_bounce_in_any_dress_fails_the_mail_that_it_names(dress: str) -> None:
    (found,) = read_mail(DRESSES[dress], lambda reference: reference == OURS)
    assert isinstance(found, Receipt) and isinstance(found.failure, Refused)
    assert (found.state, found.client_reference) == (Delivery.FAILED, OURS)
    assert found.failure.reason is Reason.REFUSED_ADDRESS


LATE = part(
    "message/delivery-status",
    FIELDS + FAILED.replace("failed", "delayed").replace("5.1.1", "4.4.1"),
)
NO_FAILURES = {
    "a delay as RFC 3464 has it": whole("multipart/report", LATE, HEADERS),
    "a delivery": whole(
        "multipart/report", REPORT.replace("failed", "delivered").replace("5.1.1", "2.0.0"), HEADERS
    ),
    "a delay in prose": prose(
        "This message was created automatically by mail delivery software.\nA message"
        " that you sent has"
        f" not yet been delivered to one or more of its\nrecipients after more than 24"
        f" hours\n\n{ORIGINAL}"
        "\nNo action is required on your part. Delivery attempts will continue for\nsome time",
        subject="Warning: message delayed 24 hours",
    ),
    "a full mailbox for now": prose(
        f"452 4.2.2 mailbox full, will retry\n{ORIGINAL}", subject="Delayed mail"
    ),
    "nothing of ours in it": prose("550 5.1.1 no such user"),
    "an absence note": prose(
        f"I am away.\n{ORIGINAL}",
        "olena@example.com\nReturn-Path: <>\nAuto-Submitted: auto-replied",
    ),
}


@pytest.mark.parametrize("what", NO_FAILURES)
def test_a_delay_and_other_notices_are_no_failure(what: str) -> None:
    assert list(read_mail(NO_FAILURES[what])) == []


def test_a_bounce_that_names_a_stranger_s_mail_is_not_taken_for_ours() -> None:
    raw = DRESSES["as RFC 3464 has it"]
    (found,) = read_mail(raw, lambda reference: False)
    assert isinstance(found, Receipt) and found.client_reference is None
    assert found.provider_id == OURS, "it may be the relay's own id"


def test_a_relay_that_renames_mails_is_understood_by_its_own_id() -> None:
    assert queue_id(f"Ok {SES}") == SES
    original = f"Message-ID: <{SES}@eu-west-1.amazonses.com>\nSubject: Sale\n"
    raw = whole("multipart/report", REPORT, part("text/rfc822-headers", original))
    (found,) = read_mail(raw, lambda reference: False)
    assert isinstance(found, Receipt) and found.provider_id == SES
    spam = part("message/feedback-report", "Feedback-Type: abuse\nUser-Agent: SomeGenerator/1.0\n")
    raw = whole("multipart/report", spam, part("message/rfc822", original + "\nSale"))
    (found,) = read_mail(raw, lambda reference: False)
    assert isinstance(found, Receipt)
    assert (found.state, found.provider_id) == (Engagement.COMPLAINED, SES)


@pytest.mark.parametrize(
    ("answer", "id"),
    [
        (f"Ok {SES}", SES),
        ("2.0.0 Ok: queued as 4F2A1B", "4F2A1B"),
        ("2.0.0 Ok: queued as 4XyZ3k0b2Cz9vQ", "4XyZ3k0b2Cz9vQ"),
        ("OK id=1rABcd-0001Ab-2C", "1rABcd-0001Ab-2C"),
        ("2.0.0 OK  1795000000 ffacd0b85a97d-3c.45 - gsmtp", "ffacd0b85a97d-3c.45"),
        (
            "OK queued as 11112222-3333-4444-5555-666677778888",
            "11112222-3333-4444-5555-666677778888",
        ),
        (
            "2.0.0 OK: queued as <202611201000.12345678901@smtp-relay.mailin.fr>",
            "202611201000.12345678901",
        ),
        (
            "2.6.0 <DB7PR04MB1234ABCD@DB7PR04MB1234.eurprd04.prod.outlook.com> [InternalId=1,"
            " Hostname=x] 12 bytes Queued mail for delivery",
            "DB7PR04MB1234ABCD",
        ),
        (
            "2.0.0 OK <DB7PR04MB1234ABCD@DB7PR04MB1234.eurprd04.prod.outlook.com> [Hostname=x]",
            "DB7PR04MB1234ABCD",
        ),
        ("2.0.0 46KC3sbi012345 Message accepted for delivery", "46KC3sbi012345"),
        (
            "Ok: queued as b7bc2f4a-e38e-4336-af7d-e6c392c2f817.",
            "b7bc2f4a-e38e-4336-af7d-e6c392c2f817",
        ),
        ("2.0.0 Ok: queued on mail-nwsmtp-1.yandex.net 1795000000-AbCdEf12", "1795000000-AbCdEf12"),
        ("Great success", None),
        ("OK", None),
        ("2.0.0 Ok: message received, thank you", None),
        ("queued as " + "a" * 100_000, None),
        ("ok " * 50_000, None),
    ],
    ids=lambda value: str(value)[:40],
)
def test_the_answer_to_the_final_dot_names_the_mail(answer: str, id: str | None) -> None:
    assert queue_id(answer) == id
