"""The content of a mail and the meaning of a reply, without a server."""

from __future__ import annotations

import email
import email.policy
import re
from email.header import decode_header, make_header
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from adapters.email.bounces import read_mail
from adapters.email.mime import Mail, Mailbox, build
from adapters.email.replies import outcome_of, queue_id
from kaskad_testing import REFERENCE, outgoing
from orchestrator import channels as ch

R = ch.Reason
SENDER = Mailbox.of("Крамниця «Каскад», Львів <hello@shop.example.com>")
UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]|=\?")
WORDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=200)


def made(
    to: str = "olena@example.com", *, content: dict[str, Any] | None = None, **changed: Any
) -> Mail:
    words = {"subject": "x", "text": "y", **(content or {})}
    return build(outgoing("email", to, **{"content": words, **changed}), SENDER, None, None)


def read(mail: Mail) -> EmailMessage:
    found = email.message_from_bytes(mail.raw, policy=email.policy.default)
    assert isinstance(found, EmailMessage)
    return found


def refusal(to: str = "olena@example.com", **content: Any) -> ch.Refused:
    with pytest.raises(ch.Unsendable) as refused:
        made(to, content=content)
    return refused.value.outcome


# headers


@pytest.mark.parametrize(
    "subject",
    [
        "x =?UTF-8?Q?=0A?=Bcc: evil@example.com",
        "=?UTF-8?B?CkJjYzogZXZpbEBleGFtcGxlLmNvbQ==?=",
        "=?utf-8?q?=0D=0ABcc:_evil@example.com",
        "x\r\nBcc: evil@example.com",
        "x\nBcc: evil@example.com",
        "x\rBcc: evil@example.com",
        "x\x00y",
        "x\x0bBcc: evil@example.com",
        "x\x85Bcc: evil@example.com",
        "x\u2028Bcc: evil@example.com",
        "x\ud800y",
        "x" * 901,
    ],
)
def test_a_subject_that_could_become_a_header_is_refused(subject: str) -> None:
    assert (refusal(subject=subject).reason, refusal(subject=subject).code) == (
        R.REFUSED_CONTENT,
        "unsafe_header",
    )


@settings(max_examples=300)
@given(WORDS)
@example("=" * 100)
@example("Ваш  кошик   чекає " * 20)
@example('a "quoted, <b@c>; word" (comment)')
def test_a_subject_arrives_as_it_was_written_or_is_refused(subject: str) -> None:
    subject = subject.strip()
    try:
        mail = made(content={"subject": subject})
    except ch.Unsendable:
        assert not subject or UNSAFE.search(subject)
        return
    assert str(read(mail)["Subject"]) == subject
    assert all(len(line) <= 998 for line in mail.raw.split(b"\r\n"))
    head = mail.raw.partition(b"\r\n\r\n")[0]
    assert head.isascii() and b"\nBcc" not in head


@settings(max_examples=200)
@given(st.text(min_size=1, max_size=400), st.text(min_size=1, max_size=400))
@example("." + "\r\n.\r\n" + "x" * 5000, "From here\nFrom there\n")
@example("a\r\n.\r\nMAIL FROM:<x@y>", "\x00\x01\x7f")
def test_text_and_html_arrive_as_they_were_written(text: str, html: str) -> None:
    if not text.strip() or not html.strip():
        return
    mail = made(content={"text": text, "html": html})
    assert b"\r" not in mail.raw.replace(b"\r\n", b"") and b"\n" not in mail.raw.replace(
        b"\r\n", b""
    )
    assert all(len(line) <= 998 for line in mail.raw.split(b"\r\n"))
    for kind, meant in (("plain", text), ("html", html)):
        part = read(mail).get_body((kind,))
        assert part is not None
        raw = part.get_payload(decode=True)
        assert isinstance(raw, bytes)
        words = meant.encode("utf-8", "replace").decode().replace("\r\n", "\n").replace("\r", "\n")
        assert raw.decode().replace("\r\n", "\n").rstrip("\n") == words.rstrip("\n")


def test_the_same_message_is_the_same_mail_twice() -> None:
    assert made(content={"html": "<p>x</p>"}) == made(content={"html": "<p>x</p>"})


@pytest.mark.parametrize(
    "content", [{"subject": ""}, {"subject": " \n "}, {"text": ""}, {"text": None}]
)
def test_a_mail_without_a_subject_or_a_body_is_refused(content: dict[str, Any]) -> None:
    assert refusal(**content).reason is R.REFUSED_CONTENT


def test_html_alone_and_text_alone_are_mails() -> None:
    assert read(made(content={"text": "", "html": "<p>x</p>"})).get_content_type() == "text/html"
    assert read(made()).get_content_type() == "text/plain"


def test_the_senders_name_is_quoted_or_encoded_as_it_must_be() -> None:
    plain = email.message_from_bytes(made().raw, policy=email.policy.compat32)
    assert (
        str(make_header(decode_header(plain["From"]))) == f"{SENDER.name} <hello@shop.example.com>"
    )
    quoted = build(
        outgoing("email", "a@b.example", content={"subject": "x", "text": "y"}), comma(), None, None
    )
    assert read(quoted)["From"].addresses[0].display_name == "Shop, Inc."


def comma() -> Mailbox:
    return Mailbox.of('"Shop, Inc." <hello@shop.example.com>')


@pytest.mark.parametrize(
    "address",
    [
        *(
            "",
            "olena",
            "@example.com",
            "olena@",
            "olena@-x.example",
            "olena@example..com",
            "a@b@c.example",
        ),
        *(
            "olena@example.com\r\nBcc: x@y.example",
            "olena@example.com>, <x@y.example",
            "olena @example.com",
        ),
        *(
            "=?utf-8?q?x?=@example.com",
            '"a b"@example.com',
            "a..b@example.com",
            ".a@example.com",
            "a@[127.0.0.1]",
        ),
        *(
            "olena@example.com,x@y.example",
            "olena@example.com SIZE=1",
            "x" * 65 + "@example.com",
            "a@" + "b." * 130 + "c",
        ),
    ],
)
def test_an_address_that_is_not_well_formed_is_refused_for_good(address: str) -> None:
    assert refusal(address).reason is R.REFUSED_ADDRESS


@pytest.mark.parametrize(
    "address",
    ["o'brien+tag@example.com", "a_b-c.d@sub.example.co.uk", "x@localhost", "a=b@example.com"],
)
def test_an_unusual_address_is_written_as_it_is(address: str) -> None:
    assert made(address).recipient == address
    assert read(made(address))["To"] == address


@pytest.mark.parametrize(
    ("url", "one_click", "headers"),
    [
        ("https://k.example/u/t", True, ["<https://k.example/u/t>", "List-Unsubscribe=One-Click"]),
        (
            "http://127.0.0.1:8080/u/t",
            True,
            ["<http://127.0.0.1:8080/u/t>", "List-Unsubscribe=One-Click"],
        ),
        ("https://k.example/u/t", False, ["<https://k.example/u/t>", None]),
        ("http://k.example/u/t", False, [None, None]),
        ("https://k.example/u/t>, <mailto:x@y.example", True, [None, None]),
        ("https://k.example/u/t\r\nBcc: x@y.example", True, [None, None]),
        (None, True, [None, None]),
    ],
)
def test_one_click_is_offered_only_where_it_works(
    url: str | None, one_click: bool, headers: list[str | None]
) -> None:
    mail = read(made(unsubscribe_url=url, one_click=one_click))
    assert [mail["List-Unsubscribe"], mail["List-Unsubscribe-Post"]] == headers


@pytest.mark.parametrize(
    ("message_class", "automatic", "bulk"),
    [("otp", "auto-generated", None), ("promotional", None, "bulk")],
)
def test_the_class_decides_what_keeps_automatic_answers_away(
    message_class: str, automatic: str | None, bulk: str | None
) -> None:
    mail = read(made(message_class=message_class, topic="cart: reminders\r\n"))
    assert (mail["Auto-Submitted"], mail["Precedence"]) == (automatic, bulk)
    assert mail["Feedback-ID"] == f"cartreminders:{message_class}:kaskad"


# replies


@pytest.mark.parametrize(
    ("stage", "code", "text", "reason", "suppress_after"),
    [
        (
            "rcpt",
            550,
            "5.1.1 <olena@example.com>: Recipient address rejected",
            R.REFUSED_ADDRESS,
            1,
        ),
        ("rcpt", 550, "5.1.2 Domain not found", R.REFUSED_ADDRESS, 1),
        ("rcpt", 556, "5.1.10 Recipient domain has null MX", R.REFUSED_ADDRESS, 1),
        ("rcpt", 550, "5.2.1 The account is disabled", R.REFUSED_ADDRESS, 2),
        ("rcpt", 552, "5.2.2 Mailbox full", R.REFUSED_ADDRESS, 3),
        ("rcpt", 550, "No such user here", R.REFUSED_ADDRESS, 1),
        ("rcpt", 550, "User unknown", R.REFUSED_ADDRESS, 1),
        ("rcpt", 552, "Quota exceeded", R.REFUSED_ADDRESS, 3),
        ("rcpt", 553, "sorry, that is no mailbox", R.REFUSED_ADDRESS, 1),
        (
            "rcpt",
            553,
            "sorry, that domain isn't in my list of allowed rcpthosts",
            R.REFUSED_CONFIGURATION,
            1,
        ),
        ("rcpt", 554, "5.7.1 Relay access denied", R.REFUSED_CONFIGURATION, 1),
        ("rcpt", 550, "rejected", R.REFUSED_RECIPIENT, 1),
        ("rcpt", 550, "5.7.1 The user does not want your mail", R.REFUSED_RECIPIENT, 1),
        ("rcpt", 550, "5.4.4 Host not found", R.REFUSED_RECIPIENT, 1),
        ("rcpt", 530, "5.7.0 Must issue STARTTLS first", R.REFUSED_CONFIGURATION, 1),
        ("mail", 553, "5.1.8 Sender domain does not exist", R.REFUSED_CONFIGURATION, 1),
        ("mail", 550, "No", R.REFUSED_CONFIGURATION, 1),
        ("mail", 552, "Message size exceeds fixed limit", R.REFUSED_CONTENT, 1),
        ("data", 554, "5.7.1 Spam message rejected", R.REFUSED_CONTENT, 1),
        ("data", 550, "5.7.26 This mail is unauthenticated", R.REFUSED_CONFIGURATION, 1),
        ("data", 550, "5.7.515 Access denied, domain is not compliant", R.REFUSED_CONFIGURATION, 1),
        ("data", 554, "Your IP is on a blacklist", R.REFUSED_CONFIGURATION, 1),
        ("data", 552, "5.3.4 Message too big", R.REFUSED_CONTENT, 1),
        ("data", 503, "5.5.1 Bad sequence of commands", R.REFUSED_CONFIGURATION, 1),
        ("data", 550, "5.6.7 SMTPUTF8 needed", R.REFUSED_RECIPIENT, 1),
        ("connect", 521, "This host takes no mail", R.REFUSED_CONFIGURATION, 1),
        ("auth", 535, "5.7.8 Bad credentials", R.REFUSED_CONFIGURATION, 1),
        ("rcpt", 450, "5.1.1 the enhanced code knows better", R.REFUSED_ADDRESS, 1),
    ],
)
def test_a_permanent_reply_says_whose_fault_it_is(
    stage: Any, code: int, text: str, reason: R, suppress_after: int
) -> None:
    outcome = outcome_of(stage, code, text)
    assert isinstance(outcome, ch.Refused)
    assert (outcome.reason, outcome.suppress_after) == (reason, suppress_after)


@pytest.mark.parametrize(
    ("stage", "code", "text", "reason", "wait_ms"),
    [
        ("connect", 421, "4.3.2 Too busy", R.THROTTLED, None),
        ("mail", 421, "4.7.28 Unusual rate of mail", R.THROTTLED, None),
        ("rcpt", 450, "4.7.1 Greylisted", R.THROTTLED, 300_000),
        ("rcpt", 451, "4.7.1 Greylisted, come back in 7 minutes", R.THROTTLED, 420_000),
        ("rcpt", 450, "4.2.0 Greylisted, try again in 60 seconds", R.THROTTLED, 60_000),
        ("rcpt", 450, "4.7.1 try again in 99999 seconds", R.THROTTLED, 3_600_000),
        ("rcpt", 452, "4.2.2 Mailbox full", R.NOT_TAKEN, None),
        ("rcpt", 451, "4.3.0 Local error", R.NOT_TAKEN, None),
        ("data", 452, "4.3.1 Insufficient system storage", R.NOT_TAKEN, None),
        ("auth", 454, "4.7.0 Temporary authentication failure", R.THROTTLED, None),
        ("rcpt", 550, "4.4.1 the enhanced code knows better", R.NOT_TAKEN, None),
    ],
)
def test_a_temporary_reply_took_nothing(
    stage: Any, code: int, text: str, reason: R, wait_ms: int | None
) -> None:
    outcome = outcome_of(stage, code, text)
    assert isinstance(outcome, ch.NotSent)
    assert (outcome.reason, outcome.retry_after_ms) == (reason, wait_ms)


def test_a_servers_words_are_kept_without_the_address_and_without_our_secrets() -> None:
    text = "5.1.1 <olena.k@example.com>: no user +380 50 123 45 67, token s3cret-canary \udcff"
    outcome = outcome_of("rcpt", 550, text, ("s3cret-canary",))
    assert isinstance(outcome, ch.Refused)
    assert not [
        word
        for word in ("olena", "example.com", "123 45", "canary", "\udcff")
        if word in outcome.detail
    ]


@given(
    st.sampled_from(["connect", "auth", "mail", "rcpt", "data"]),
    st.integers(-1, 999),
    st.text(max_size=300),
)
def test_every_reply_has_a_meaning_and_none_that_took_nothing_is_unknown(
    stage: Any, code: int, text: str
) -> None:
    outcome = outcome_of(stage, code, text)
    assert isinstance(outcome, ch.Refused | ch.NotSent)
    assert len(outcome.detail) <= 500 and outcome.code


@pytest.mark.parametrize(
    ("text", "id"),
    [
        ("2.0.0 Ok: queued as 4F2A1B9C", "4F2A1B9C"),
        ("OK id=1tABCd-0000xy-2Z", "1tABCd-0000xy-2Z"),
        ("Ok 0100018f0a1b2c3d-4e5f6a7b-000000", "0100018f0a1b2c3d-4e5f6a7b-000000"),
        ("2.0.0 OK  1732521600 a1b2c3d4e5f6-1a2b3c4d - gsmtp", "a1b2c3d4e5f6-1a2b3c4d"),
        ("Ok", None),
        ("2.6.0 Message accepted", None),
    ],
)
def test_the_relays_own_name_for_a_mail_is_kept(text: str, id: str | None) -> None:
    assert queue_id(text) == id


# what comes back


def test_a_bounce_of_the_very_mail_that_was_sent_finds_it() -> None:
    returned = made().raw.decode()
    report = (
        "From: MAILER-DAEMON@mx.example.com\nContent-Type: multipart/report;"
        " report-type=delivery-status; boundary=b\n\n--b\nContent-Type:"
        " message/delivery-status\n\nReporting-MTA: dns; mx.example.com\n\nFinal-Recipient:"
        " rfc822; olena@example.com\nAction: failed\nStatus: 5.1.1\n\n--b\nContent-Type:"
        f" message/rfc822\n\n{returned}\n--b--\n"
    )
    (said,) = read_mail(report.encode())
    assert isinstance(said, ch.Receipt)
    assert (said.client_reference, said.state) == (REFERENCE, ch.Delivery.FAILED)


@given(st.binary(max_size=2000))
@example(
    b"Content-Type: multipart/report; report-type=delivery-status\n\n"
    + b"Content-Type: message/rfc822\n\n" * 300
)
@example(b"From: =?utf-8?q?" + b"x" * 5000 + b"?= <a@b>\n\nSTOP")
def test_no_mail_crashes_the_reader(raw: bytes) -> None:
    for said in read_mail(raw):
        assert isinstance(said, ch.Receipt | ch.Inbound | ch.Preference)
