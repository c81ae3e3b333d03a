"""The parts of a raw mail that the intake keeps, for mails of any shape in pieces of any size."""

from __future__ import annotations

import email
from base64 import b64encode

import pytest

from adapters.email.bounces import read_mail
from adapters.email.intake import PARTS_MAX, MailIntake, shortened

LOGO = b64encode(b"\x89PNG" * 300_000)


def fed(raw: bytes, size: int) -> bytes:
    intake = MailIntake()
    for start in range(0, len(raw), size):
        intake.feed(raw[start : start + size])
    return intake.result()


REPLY = b"""From: Olena <olena@example.com>
Content-Type: multipart/mixed; boundary="a b"

This is a multipart message.
--a b
Content-Type: multipart/alternative;
 boundary=inner

--inner
Content-Type: text/plain

STOP
--inner
Content-Type: text/html

<p>STOP</p>
--inner--
--a b
Content-Type: image/png
Content-Transfer-Encoding: base64

%b
--a b
Content-Type: message/rfc822

Message-ID: <original@shop.example>
Content-Type: application/pdf

%b
--a b--
""" % (LOGO, LOGO)


def test_text_and_headers_are_kept_and_attachments_are_left_out() -> None:
    kept = shortened(REPLY)
    assert len(kept) < 1_000 < len(REPLY)
    mail = email.message_from_bytes(kept)
    assert [part.get_content_type() for part in mail.walk()] == [
        part.get_content_type() for part in email.message_from_bytes(REPLY).walk()
    ]
    assert [part["Message-ID"] for part in mail.walk() if part["Message-ID"]] == [
        "<original@shop.example>"
    ]
    (said,) = read_mail(REPLY)
    assert getattr(said, "text", None) == "STOP"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1_000, 65_536])
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_it_does_not_matter_how_a_mail_is_cut_into_pieces(size: int, line_end: bytes) -> None:
    short = REPLY.replace(LOGO, LOGO[:2_000]).replace(b"\n", line_end)
    assert fed(short, size) == shortened(short)
    assert [getattr(said, "text", None) for said in read_mail(short)] == ["STOP"]


def test_the_last_delimiter_may_end_the_mail() -> None:
    raw = b"From: a@b.example\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nSTOP\n--b--"
    assert [getattr(said, "text", None) for said in read_mail(raw)] == ["STOP"]


def test_a_mark_inside_a_line_is_no_delimiter() -> None:
    raw = REPLY.replace(b"STOP\n", b"x --inner\n--innermost\n --inner\nSTOP\n")
    assert b"x --inner\n--innermost\n --inner\nSTOP" in shortened(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\n",
        b"no header",
        b"A: " + b"x" * 300_000,
        b"A: x\n" * 100_000,
        b"\n" * 200_000,
        b"Content-Type: multipart/mixed\n\nx",
        b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\nx\n" * 10_000,
        b"Content-Type: multipart/mixed; boundary=b\n\n"
        + b"--b\nContent-Type: multipart/mixed; boundary=b\n\n" * 5_000,
        b"Content-Type: message/rfc822\n\n" * 50_000,
        b"Content-Type: text/plain" + b";" * 250_000 + b"\n\nx",
        b"Subject: " + b"=?a" * 21_800 + b"\n\nx",
        b"From: " + b"<" * 100_000 + b"\n\nx",
        b"References: " + b"<a@b> " * 100_000 + b"\n\nx",
        b"\x00\xff" * 100_000,
    ],
    ids=lambda raw: f"{raw[:20]!r} {len(raw)}",
)
def test_a_hostile_mail_keeps_little_and_raises_nothing(raw: bytes) -> None:
    kept = shortened(raw)
    assert len(kept) <= 1.6 * 2**20
    assert sum(1 for _ in email.message_from_bytes(kept).walk()) <= PARTS_MAX + 10
    list(read_mail(raw))
    for start in (b"From: postmaster@x\n", b"Return-Path: <>\nContent-Type: text/html\n"):
        list(read_mail(start + raw))
