"""
Replies as people's mail programs write them: what of them is a STOP, whom they answer, and what is
no reply at all.
"""

from __future__ import annotations

import email.message
import quopri
from base64 import b64encode

import pytest

from adapters.email.bounces import read_mail
from adapters.email.reading import wide_charset
from orchestrator.channels import Inbound
from orchestrator.recipients.opt_out_words import opt_out_word

OURS = "AQGgKx3mFQAAAAAAAAAAAAAAAAA0b3d9dGVzdGluZ3Jl"
HEAD = (
    "From: Olena <olena@example.com>\nMessage-ID: <r1@example.com>\nSubject: Re: Sale\n"
    f"In-Reply-To: <{OURS}@shop.example>\nMIME-Version: 1.0\n"
)

STOPS = [
    "STOP\n\nOn Fri, Nov 20, 2026 at 10:00 AM The Shop of Everything <\nhello@shop.ex"
    "ample> wrote:\n\n> Sale",
    "СТОП\n\nпт, 20 лист. 2026 р. о 10:00 Крамниця <hello@shop.example>\nпише:\n\n> Sale",
    "Stop\n\nSent from my iPhone\n\n> On 20 Nov 2026, at 10:00, Shop wrote:",
    "STOP\n\n________________________________\nFrom: Shop\nSent: Friday, November 20, 2026",
    "STOP\n-- \nOlena Kovalenko\n+380 50 123 45 67",
    "STOP\r\n\r\n--\r\nOlena",
    "Стоп\n\nпт, 20 нояб. 2026 г. в 10:00, Shop <hello@shop.example>:\n\n> Sale",
    "СТОП\n\nпт, 20 лист. 2026 р. о 10:00 Крамниця <hello@shop.example> пише:\n> Sale\n> more",
    "стоп\n\nпʼятниця, 20 листопада 2026 р. Крамниця <\nhello@shop.example> написав(-"
    "ла):\n\n> Sale",
    'СТОП\n\n20 листопада 2026, 10:00:00, від "Крамниця" <hello@shop.example>:\n\n> Sale',
    "СТОП\n\nПятница, 20 ноября 2026, 10:00 +03:00 от Shop <hello@shop.example>:\n\n> Sale",
    'СТОП\n\n20.11.2026, 10:00, "Shop" <hello@shop.example>:\n> Sale',
    "СТОП\n\n20.11.2026 10:00, Shop пишет:\n> Sale",
    "STOP\n\nW dniu pt., 20 lis 2026 o 10:00 Shop <hello@shop.example> napisał(a):\n\n> Sale",
    "Stopp\n\nAm Fr., 20. Nov. 2026 um 10:00 Uhr schrieb Shop <hello@shop.example>:\n\n> Sale",
    "Arrêt\n\nLe ven. 20 nov. 2026 à 10:00, Shop <hello@shop.example> a écrit :\n\n> Sale",
    "STOP\n\n-----Original Message-----\nFrom: Shop <hello@shop.example>\nSent: Friday\nTo: Olena",
    "STOP\n\n-------- Original message --------\nFrom: Shop\nDate: 20/11/2026 10:00 (GMT+02:00)",
    "СТОП\n\n-------- Оригінальне повідомлення --------\nВід: Крамниця\nДата: 20.11.26",
    'СТОП\n\n--- Оригінальне повідомлення ---\nВід кого: "Крамниця"\nДата: 20 листопада',
    "СТОП\n\n--- Исходное сообщение ---\nОт кого: Shop <hello@shop.example>",
    "STOP\n\nFrom: Shop <hello@shop.example>\nSent: Friday, November 20, 2026\nTo: Ol"
    "ena\nSubject: Sale\n\nSale",
    "STOP\n\nFrom: Shop <hello@shop.example>\n\nSent: Friday, November 20, 2026\n\nTo: Olena",
    "СТОП\n\nВід: Крамниця <hello@shop.example>\nНадіслано: п'ятниця, 20 листопада 20"
    "26 р.\nКому: Olena\nТема: Sale",
    "СТОП\n\nОт: Shop <hello@shop.example>\nОтправлено: 20 ноября 2026 г.\nКому: Olena\nТема: Sale",
    "STOP\n\n*From:* Shop <hello@shop.example>\n*Sent:* Friday\n*To:* Olena",
    "STOP\n\nOd: Shop <hello@shop.example>\nWysłano: piątek\nDo: Olena\nTemat: Sale",
    "Стоп\n\nНадіслано з iPhone",
    "Стоп\n\nНадіслано з мого iPhone\n\n> 20 лист. 2026 р. о 10:00 Крамниця <hello@sh"
    "op.example> пише:\n>",
    "Стоп\n\nОтправлено с iPhone\n\n> 20 нояб. 2026 г., в 10:00, Shop написал(а):",
    "Стоп\n\nНадіслано з мого смартфона Samsung Galaxy.",
    "Stop\n\nSent from my Samsung Galaxy smartphone.\n",
    "Stop\n\nSent from Outlook for Android<https://aka.ms/AAb9ysg>\n_________________"
    "_______________\nFrom: x",
    "Stop\n\nGet Outlook for iOS<https://aka.ms/o0ukef>",
    "СТОП\n\nОтримайте Outlook для iOS",
    "СТОП\n\n--\nОтправлено из мобильной Почты Mail.ru",
    "СТОП\n\nОтправлено из Яндекс.Почты для мобильных",
    "СТОП\n\nЗ повагою,\nОлена Коваленко",
    "СТОП!\n\nС уважением, Елена",
    "Stop.\n\nBest regards,\nOlena",
    "Stop\n\nSent with Proton Mail secure email.\n\nOn Friday, 20 November 2026 at 10"
    ":00, Shop <hello@shop.example> wrote:\n\n> x",
    "> Sale\n> \n> The whole shop\n\nSTOP",
    "On Fri, Nov 20, 2026 at 10:00 AM Shop <hello@shop.example> wrote:\n> Sale\n>\n\nSTOP\n",
    "\u200bSTOP\u200b\n\xa0\n> Sale",
    "STOP\n\n\n\n\n\n",
    "   STOP   \n>Sale",
    "Відписатися\n\nпт, 20 лист. 2026 р., 10:00 користувач Крамниця <hello@shop.examp"
    "le> пише:\n> x",
    "unsubscribe\n\n---- On Fri, 20 Nov 2026 10:00:00 +0200 Shop <hello@shop.example>"
    " wrote ----\nSale",
    "STOP\n" + "=" * 20 + "\nVirus-free. www.avast.com",
    "STOP\n\nVirus-free.www.avast.com <https://www.avast.com/sig-email>",
]

OTHERS = [
    "Please stop the delivery to the old address.",
    "Stop sending it to my office, send it home.\n\n> Sale",
    "Stop\n- the delivery to my old address",
    "Коли ви відкриті? Не стоп, а навпаки.",
    "Дякую!\n\n> STOP",
    "Thanks\n\nOn Fri, Nov 20, 2026 at 10:00 AM Shop <a@shop.example> wrote:\n> Reply STOP to end",
    "Не могу отказаться от посылки, скажите, где она\n\n-----\nСТОП",
    "",
    "> Reply STOP to end",
]

HTML = [
    "<div>STOP</div><blockquote>Sale</blockquote>",
    "<html><head><style>p {color: red}</style><title>x</title></head><body><p>STOP</p"
    "></body></html>",
    '<div dir="ltr">STOP</div><br><div class="gmail_quote"><div dir="ltr" class="gmail_attr">On Fri'
    ' wrote:<br></div><blockquote class="gmail_quote">Sale</blockquote></div>',
    '<p class="MsoNormal">СТОП<o:p></o:p></p><div style="border:none;border-top:solid'
    " #E1E1E1 1.0pt;"
    "padding:3.0pt 0cm 0cm 0cm\"><p><b>Від:</b> Крамниця<br><b>Надіслано:</b> п'ятниц"
    "я</p></div><p>Sale</p>",
    '<div>STOP</div><div id="appendonsend"></div><hr><div id="divRplyFwdMsg"><b>From:'
    "</b> Shop</div>Sale",
    "<div>STOP</div><div><br></div><div>Надіслано з iPhone</div><div><br><blockquote>"
    "Sale</blockquote></div>",
    '<div>СТОП</div><div class="moz-cite-prefix">20.11.26 10:00, Shop пише:</div><blo'
    "ckquote>Sale</blockquote>",
    '<div>Stop<br></div><div id="composer_signature">Sent from my Galaxy</div><div>--'
    "------ Original"
    " message --------</div><div>From: Shop </div><div>Sale</div>",
    "<div>STOP</div><hr>From: Shop<br>Sale",
    "STOP<br><br>--<br>Olena",
    "<table><tr><td>STOP</td></tr></table><blockquote type=cite>x</blockquote>",
    "STOP",
]


def mail(body: str, kind: str = "text/plain; charset=utf-8", more: str = "") -> bytes:
    return f"{HEAD}{more}Content-Type: {kind}\n\n{body}\n".encode()


def said(raw: bytes) -> Inbound:
    (found,) = read_mail(raw)
    assert isinstance(found, Inbound)
    return found


@pytest.mark.parametrize("body", STOPS)
def test_a_stop_above_below_or_before_what_mail_programs_add_is_a_stop(body: str) -> None:
    assert opt_out_word(said(mail(body)).text) == "stop"


@pytest.mark.parametrize("body", OTHERS)
def test_other_words_and_quoted_ones_are_no_stop(body: str) -> None:
    assert opt_out_word(said(mail(body)).text) is None


@pytest.mark.parametrize("body", HTML)
def test_a_stop_in_html_alone_is_a_stop(body: str) -> None:
    assert opt_out_word(said(mail(body, "text/html; charset=utf-8")).text) == "stop"


def test_html_that_asks_for_something_else_is_no_stop() -> None:
    raw = mail("<p>Please <b>stop</b> the delivery</p><blockquote>STOP</blockquote>", "text/html")
    assert said(raw).text == "Please stop the delivery"


@pytest.mark.parametrize(
    "charset", ["windows-1251", "koi8-u", "koi8-r", "iso-8859-5", "utf-16", "utf-8", "cp866"]
)
@pytest.mark.parametrize("encoding", ["base64", "quoted-printable", "8bit"])
@pytest.mark.parametrize("kind", ["text/plain", "text/html"])
def test_a_stop_is_read_in_every_character_set_and_encoding(
    charset: str, encoding: str, kind: str
) -> None:
    text = "Відписатися" if charset not in ("koi8-r", "cp866") else "Отписаться"
    body = f"{text}\n\n> Sale\n" if kind == "text/plain" else f"<p>{text}</p>"
    raw = body.encode(charset)
    if charset == "utf-16" and encoding == "8bit":
        raw, encoding = b64encode(raw), "base64"  # such a text has no lines of bytes
    elif encoding == "base64":
        raw = b64encode(raw)
    elif encoding == "quoted-printable":
        raw = quopri.encodestring(raw)
    head = (
        f"{HEAD}Content-Type: {kind}; charset={charset}\nContent-Transfer-Encoding: {encoding}\n\n"
    )
    assert opt_out_word(said(head.encode() + raw).text) == "stop"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "utf-32"])
@pytest.mark.parametrize("charset", ["utf-16", "utf-8", "us-ascii", "ucs-2", "unicode", None])
@pytest.mark.parametrize("transfer", ["base64", "quoted-printable", "binary"])
@pytest.mark.parametrize("text", ["STOP", "СТОП\r\n\r\n> Sale\r\n", "Відписатися\n\n-- \nОлена"])
def test_a_stop_in_wide_characters_is_read_whatever_the_mail_calls_them(
    encoding: str, charset: str | None, transfer: str, text: str
) -> None:
    raw = text.encode(encoding)
    if transfer == "base64":
        raw = b64encode(raw)
    elif transfer == "quoted-printable":
        raw = quopri.encodestring(raw)
    named = f"; charset={charset}" if charset else ""
    head = f"{HEAD}Content-Type: text/plain{named}\nContent-Transfer-Encoding: {transfer}\n\n"
    assert opt_out_word(said(head.encode() + raw).text) == "stop"


def test_single_bytes_are_never_taken_for_wide_characters() -> None:
    for text in ("S T O P", "a\x00bcdef", "", "1 2 3 4 5 6", "Дякую\n"):
        assert wide_charset(text.encode(), "utf_8") is None


def test_flowed_text_and_unknown_charsets_are_read() -> None:
    assert said(mail("STOP \n\n > Sale \n", "text/plain; format=flowed; delsp=yes")).text == "STOP"
    assert said(mail("STOP", "text/plain; charset=x-made-up")).text == "STOP"
    assert said(mail("STOP", "text/plain; charset=punycode")).text == "STOP"


def test_the_text_counts_before_its_html_twin_and_attachments_do_not_count() -> None:
    message = email.message.EmailMessage()
    message["From"], message["Subject"] = "olena@example.com", "Re: Sale"
    message.set_content("STOP\n\n> Sale\n")
    message.add_alternative("<p>something else</p>", subtype="html")
    message.add_attachment(b"x" * 300_000, maintype="image", subtype="png", filename="logo.png")
    message.add_attachment("другий текст", filename="note.txt")
    assert said(message.as_bytes()).text == "STOP"
    message = email.message.EmailMessage()
    message["From"], message["Subject"] = "olena@example.com", "Re: Sale"
    message.set_content("\n")
    message.add_alternative("<p>СТОП</p>", subtype="html")
    assert said(message.as_bytes()).text == "СТОП"


def test_a_subject_counts_where_the_mail_is_empty_and_answers_nothing() -> None:
    raw = b"From: olena@example.com\nSubject: =?utf-8?b?0KHQotCe0J8=?=\nMessage-ID: <a@b>\n\n\n"
    assert said(raw).text == "СТОП"
    assert said(raw.replace(b"Message-ID", b"In-Reply-To: <x@y>\nMessage-ID")).text == ""


def test_a_reply_names_the_answered_mail_first_and_then_the_ones_before_it() -> None:
    ses = "0102019a8b7c6d5e-11112222-3333-4444-5555-666677778888-000000"
    older = "older-reference-older-reference-0123456789"
    more = f"References: <{older}@shop.example>\n <{ses}@eu-west-1.amazonses.com>\n"
    assert said(mail("Дякую", more=more)).answers == (OURS, ses, older)
    assert said(b"From: a@example.com\n\nhi\n").answers == ()


ABSENCES = [
    "Subject: =?utf-8?b?0JDQstGC0L7QstGW0LTQv9C+0LLRltC00Yw6IFNhbGU=?=",
    "Subject: =?utf-8?q?=D0=90=D0=B2=D1=82=D0=BE=D0=BE=D1=82=D0=B2=D0=B5=D1=82=3A_Sale?=",
    "Subject: =?windows-1251?b?wOLy7uzg8u335fHq6Okg7vLi5fI6IFNhbGU=?=",
    "Subject: =?koi8-r?b?4dfUz8/U18XUOiBTYWxl?=",
    "Subject: Автовідповідь: Sale",
    "Subject: Автоматична відповідь: Sale",
    "Subject: Автоматический ответ: Sale",
    "Subject: Re: Автоответ",
    "Subject: Я у відпустці до 1 грудня",
    "Subject: В отпуске",
    "Subject: Automatic reply: Sale",
    "Subject: Auto: Sale",
    "Subject: Out of Office: Sale",
    "Subject: Out of the office until Monday",
    "Subject: Re: Out of office",
    "Subject: Automatyczna odpowiedź: Sale",
    "Subject: Autoodpowiedź",
    "Subject: Automatische Antwort: Sale",
    "Subject: Abwesenheitsnotiz: Sale",
    "Subject: Réponse automatique : Sale",
    "Auto-Submitted: auto-replied",
    "Auto-Submitted: auto-generated; owner-email=x",
    "Auto-Submitted: auto-replied (vacation)",
    "X-Autoreply: yes",
    "X-Autorespond: Sale",
    "X-Auto-Reply-From: a@b",
    "Precedence: auto_reply",
    "Precedence: bulk",
    "Precedence: JUNK",
    "X-POST-MessageClass: 9; Autoresponder",
]


@pytest.mark.parametrize("line", ABSENCES)
def test_an_absence_note_is_no_reply(line: str) -> None:
    raw = f"From: olena@example.com\nMessage-ID: <r@x>\n{line}\n\nСТОП\n".encode()
    assert list(read_mail(raw)) == []


@pytest.mark.parametrize(
    "line",
    [
        "Auto-Submitted: no",
        "Subject: Re: Автомобіль для дитини",
        "Subject: Re: Autumn sale",
        "Subject: Re: Office chairs",
        "Subject: =?utf-8?b?broken",
        "Subject: " + "=?a" * 300,
    ],
)
def test_a_person_s_mail_is_a_reply_whatever_its_subject_resembles(line: str) -> None:
    raw = f"From: olena@example.com\nMessage-ID: <r@x>\n{line}\n\nДякую\n".encode()
    assert said(raw).text == "Дякую"


def test_a_read_receipt_is_no_reply() -> None:
    parts = (
        "--b\nContent-Type: text/plain\n\nYour message was displayed.\n"
        "--b\nContent-Type: message/disposition-notification\n\nDisposition: manual-action/MDN-sent"
        "-manually; displayed\n--b--\n"
    )
    kind = 'multipart/report; report-type=disposition-notification; boundary="b"'
    assert list(read_mail(mail(parts, kind))) == []
