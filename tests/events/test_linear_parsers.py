"""
What strangers send is read in linear time, whatever its shape: mails, webhooks, events.

Growth is compared over three sizes, in this thread's own time, never a time with a clock.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Callable
from contextlib import suppress
from time import thread_time

import pytest

from adapters.email.bounces import read_mail
from adapters.email.intake import MailIntake
from orchestrator.api.problems import Refusal
from orchestrator.api.receipts import check_json
from orchestrator.channels.outline import outline
from orchestrator.events.cloudevents import parse_batch, parse_structured
from orchestrator.events.malformed import Malformed
from orchestrator.primitives import strict_json
from orchestrator.primitives.masking import masked, without
from orchestrator.render.text import clean, nfc, settled

SIZES = (60_000, 120_000, 240_000)
GROWTH_MAX = 9.0
"""From the smallest to the largest size: linear work grows by 4, quadratic by 16."""
MEASURABLE_SECONDS = 0.002


def growth(work: Callable[[bytes], object], made: Callable[[int], bytes]) -> float:
    """How much longer the largest takes than the smallest; the shorter of both ways to tell."""

    def seconds(size: int) -> float:
        given = made(size)
        gc.disable()  # it walks over all objects of all tests
        began = thread_time()
        with suppress(strict_json.NotJson, Malformed, Refusal):  # a refusal is an answer, too
            work(given)
        taken = thread_time() - began
        gc.enable()
        return taken

    seconds(1_000)
    first, middle, last = (min(seconds(size) for _ in range(2)) for size in SIZES)
    if last < MEASURABLE_SECONDS:
        return 1.0
    return min(last / max(first, 1e-5), (last / max(middle, 1e-5)) ** 2)


def repeated(piece: bytes, before: bytes = b"", after: bytes = b"") -> Callable[[int], bytes]:
    return lambda size: before + piece * ((size - len(before)) // len(piece)) + after


REPORT = (
    b"From: mailer-daemon@x.example\nContent-Type: multipart/report; boundary=b\n\n--b\n"
    b"Content-Type: message/delivery-status\n\n"
)
PLAIN = b"From: a@b.example\nContent-Type: text/plain\n\n"
BOUNCE = b"From: mailer-daemon@x.example\nContent-Type: text/plain\n\n"
HTML = b"From: a@b.example\nContent-Type: text/html\n\n"
MAILS = {
    "one long diagnostic": repeated(b"a", REPORT + b"Diagnostic-Code: smtp; "),
    "fields of a report": repeated(b"A: b\n", REPORT),
    "folded field": repeated(b" a\n", REPORT + b"Action: failed\n"),
    "blocks of a report": repeated(b"Action: failed\nStatus: 5.1.1\n\n", REPORT),
    "semicolons": repeated(b";", b"From: a@b.example\nContent-Type: text/plain"),
    "encoded words": repeated(b"=?a", b"From: a@b.example\nSubject: "),
    "parameters": repeated(b"; a*0=b", b"From: a@b.example\nContent-Type: text/plain"),
    "addresses": repeated(b"a@b.example, ", b"From: "),
    "comments": repeated(b"(", b"From: a@b.example "),
    "quotes": repeated(b'"\\', b"From: "),
    "references": repeated(b"<" + b"a" * 20 + b"@b> ", b"From: a@b.example\nReferences: "),
    "headers": repeated(b"A: b\n"),
    "header without end": repeated(b"A"),
    "carriage returns": repeated(b"\n\r", PLAIN),
    "delimiters": repeated(b"\n--b\n\n", REPORT),
    "nearly delimiters": repeated(b"\n--b --", REPORT),
    "blanks after a delimiter": repeated(b" ", REPORT + b"\n--b"),
    "nested parts": repeated(
        b"Content-Type: multipart/mixed; boundary=b\n\n--b\n", b"From: a@b.example\n"
    ),
    "nested mails": repeated(b"Content-Type: message/rfc822\n\n", b"From: a@b.example\n"),
    "quotes of a reply": repeated(b"> a\n", PLAIN + b"STOP\n"),
    "headers of a quote": repeated(b"On Fri, 20 Nov 2026 at 10:00 x@y.z\n", PLAIN + b"STOP\n"),
    "rules": repeated(b"_", PLAIN),
    "signatures": repeated(b"-- \n", PLAIN),
    "encoded text": repeated(
        b"=D0\n", b"From: a@b.example\nContent-Transfer-Encoding: quoted-printable\n\n"
    ),
    "open tags": repeated(b"<div>", HTML),
    "open brackets": repeated(b"<", HTML),
    "attributes": repeated(b" a=b", HTML + b"<p", b">"),
    "entities": repeated(b"&amp", HTML),
    "letters of a bounce": repeated(b"a", BOUNCE),
    "addresses of a bounce": repeated(b"a@b.example ", BOUNCE),
    "brackets of a bounce": repeated(b"<a@b>\n", BOUNCE),
}


@pytest.mark.parametrize("shape", MAILS)
def test_a_mail_is_read_in_linear_time(shape: str) -> None:
    assert growth(lambda raw: list(read_mail(raw)), MAILS[shape]) < GROWTH_MAX


@pytest.mark.parametrize("size", [16, 1 << 20])
def test_the_pieces_in_which_a_mail_comes_do_not_matter(size: int) -> None:
    def feed(raw: bytes) -> None:
        intake = MailIntake()
        for start in range(0, len(raw), size):
            intake.feed(raw[start : start + size])
        intake.result()

    for shape in ("header without end", "delimiters", "rules"):
        assert growth(feed, MAILS[shape]) < GROWTH_MAX, shape


def event_of(data: Callable[[int], bytes]) -> Callable[[int], bytes]:
    """An event around data."""
    head = (
        b'{"specversion":"1.0","id":"1","source":"s","type":"t","subject":"u",'
        b'"datacontenttype":"application/json","data":'
    )
    return lambda size: head + data(size) + b"}"


def keys(size: int) -> bytes:
    return json.dumps({f"k{number}": number for number in range(size // 20)}).encode()


JSONS: dict[str, Callable[[int], bytes]] = {
    "lists": repeated(b"[],", b'{"x":[', b"0]}"),
    "objects": repeated(b'{"a":1},', b'{"x":[', b"0]}"),
    "numbers": repeated(b"1,", b'{"x":[', b"0]}"),
    "one number": repeated(b"9", b'{"x":', b"}"),
    "digits after a point": repeated(b"9", b'{"x":0.', b"}"),
    "large numbers": repeated(b"99999999999999999999,", b'{"x":[', b"0]}"),
    "whole floats": repeated(b"1.0,", b'{"x":[', b"0]}"),
    "keys": keys,
    "one key again and again": repeated(b'"a":1,', b"{", b'"b":1}'),
    "escapes": repeated(b"\\u003a", b'{"x":"', b'"}'),
    "backslashes": repeated(b"\\\\", b'{"x":"', b'"}'),
    "quotes": repeated(b'\\"', b'{"x":"', b'"}'),
    "an open string": repeated(b"a", b'{"x":"'),
    "open strings": repeated(b'"', b"{"),
    "deep lists": repeated(b"[", b'{"x":'),
    "deep objects": repeated(b'{"a":', b'{"x":'),
    "marks": repeated("\u0301\u0316".encode(), b'{"x":"a', b'"}'),
    "recipients": repeated(
        b'{"id":"u","phone":"+380501234567"},', b'{"recipients":[', b'{"id":"v"}]}'
    ),
    "unreadable recipients": repeated(b"{},", b'{"recipients":[', b"0]}"),
    "a long phone": repeated(b"1", b'{"recipient":{"id":"u","phone":"+', b'"}}'),
    "a long mailbox": repeated(b"a.", b'{"recipient":{"id":"u","email":"', b'@b.example"}}'),
    "a long locale": repeated(b"aa-a-", b'{"recipient":{"id":"u","locale":"', b'a"}}'),
    "attributes": lambda size: b'{"recipient":{"id":"u","attributes":' + keys(size) + b"}}",
}


@pytest.mark.parametrize("shape", JSONS)
def test_an_event_is_read_in_linear_time(shape: str) -> None:
    assert growth(parse_structured, event_of(JSONS[shape])) < GROWTH_MAX


@pytest.mark.parametrize("shape", JSONS)
def test_a_webhook_is_read_in_linear_time(shape: str) -> None:
    # keys are counted only where there may be too many, so all sizes have that many
    def made(size: int) -> bytes:
        return JSONS[shape](size * 4)

    assert growth(check_json, made) < GROWTH_MAX
    assert growth(strict_json.parse, made) < GROWTH_MAX
    assert growth(outline, made) < GROWTH_MAX


def test_a_batch_is_read_in_linear_time() -> None:
    one = event_of(lambda size: b'{"a":1}')(0)
    assert growth(parse_batch, repeated(one + b",", b"[", one + b"]")) < GROWTH_MAX


TEXTS = ["a", "a@", "aA1", "1-", "://a ", "\u0301", "=?a", "\U0001f1fa", "&#", "%4", "\\u00", " "]


@pytest.mark.parametrize("work", [masked, clean, nfc, lambda text: settled(text, whole=True)])
@pytest.mark.parametrize("piece", TEXTS)
def test_a_text_is_masked_and_cleaned_in_linear_time(
    work: Callable[[str], str], piece: str
) -> None:
    made = repeated(piece.encode())
    assert growth(lambda text: work(text.decode("utf-8", "replace")), made) < GROWTH_MAX


@pytest.mark.parametrize("piece", TEXTS)
def test_the_words_of_a_provider_are_masked_in_linear_time(piece: str) -> None:
    known = {"name": piece * 5_000, "more": [piece] * 5_000}
    made = repeated(piece.encode())
    assert growth(lambda text: without(text.decode("utf-8", "replace"), [known]), made) < GROWTH_MAX


def test_json_of_too_many_values_is_refused_before_it_is_parsed() -> None:
    body = b'{"a": "\\":%s", %s}'
    few = body % (b'\\":' * 10_000, b'"k": [%s]' % b",".join([b'{"b": 1}'] * 20_000))
    check_json(few)
    strict_json.parse(few)
    keys = body % (b"", b",".join(b'"k%d": 1' % n for n in range(10_000)))
    with pytest.raises(Refusal, match="more than 10000 different keys"):
        check_json(keys)
    with pytest.raises(strict_json.NotJson, match="more than 10000 different keys"):
        strict_json.parse(keys)
    with pytest.raises(Refusal, match="more than 100000 values"):
        check_json(b"[" + b"1," * 100_000 + b"1]")
    with pytest.raises(Malformed, match="more than 200000 values"):
        parse_batch(b"[" + b"{}," * 110_000 + b"{}]")
    check_json(b"[" + b"1," * 99_000 + b"1]")
    many = [{"id": "u"}] * 2_001
    with pytest.raises(Malformed, match="more than 1000 recipients"):
        parse_structured(event_of(lambda size: json.dumps({"recipients": many}).encode())(0))
