"""
The meaning of SMTP replies: by enhanced code (RFC 3463) if there is one, else by basic code, and by
stage.

An error at connect or MAIL concerns us, at RCPT the recipient, at DATA the content. A 4xx took
nothing and may be repeated. A policy code (x.7.x) may be anybody's fault; its words decide. What is
our fault by its code or words, but said of one recipient or mail, may be that domain's own rule.

Reference: RFC 5321 4.2, RFC 3463, RFC 5248 and the registry of enhanced codes; the numbers from 500
on are Microsoft's.
"""

from __future__ import annotations

import re
from typing import Literal

from orchestrator import channels as ch

R = ch.Reason
Stage = Literal["connect", "auth", "mail", "rcpt", "data"]

ENHANCED = re.compile(r"\b([245])\.(\d{1,3})\.(\d{1,3})\b")
MAIL_ADDRESS = re.compile(r"[^\s<>@,;:\"]{1,64}@[^\s<>@,;:\"]{1,255}")
WORDS_CHARS_MAX = 2_000
GREYLIST_MS = 5 * 60_000
PAUSE_SECONDS_MAX = 3600
PAUSE = re.compile(r"\b(?:in|after|wait)\s+(?:for\s+)?(\d{1,5})\s*(s\b|sec|m\b|min)", re.IGNORECASE)

DEAD = {"1.1": 1, "1.2": 1, "1.3": 1, "1.6": 1, "1.10": 1, "2.1": 2, "2.2": 3}
"""
Subject and detail that say the address is dead, with how many such answers on different days it
takes.
"""

FAULTS: dict[str, R] = {
    **dict.fromkeys(DEAD, R.REFUSED_ADDRESS),
    **dict.fromkeys(("1.0", "1.4", "2.0", "2.4", "4.4"), R.REFUSED_RECIPIENT),
    **dict.fromkeys(
        ("2.3", "3.4", "6.0", "6.1", "6.2", "6.3", "6.4", "6.5", "6.6"), R.REFUSED_CONTENT
    ),
    **dict.fromkeys(
        ("6.7", "6.8", "6.9"), R.REFUSED_RECIPIENT
    ),  # SMTPUTF8 on the way to this address
    **dict.fromkeys(
        ("1.7", "1.8", "3.3", "3.5", "4.6", "7.3", "7.4", "7.8", "7.9", "7.11"),
        R.REFUSED_CONFIGURATION,
    ),
    **dict.fromkeys(("5.0", "5.1", "5.2", "5.4", "5.5"), R.REFUSED_CONFIGURATION),
    **{
        f"7.{number}": R.REFUSED_CONFIGURATION
        for number in (*range(20, 30), 509, 515, *range(606, 650))
    },
}
"""Whose fault a permanent enhanced code is, whatever the stage."""

NO_SUCH_USER = re.compile(
    r"(no such|unknown|invalid|non-?exist\w{0,10}|does ?n.t exist|not"
    r" found)\b.{0,30}\b(user|mailbox|recipient|address|account)"
    r"|(user|mailbox|recipient|address|account)\b.{0,40}\b(unknown|not found|no such|does ?n.t"
    r" exist|unavailable|disabled)"
    r"|(користувач|скриньк|адрес|пользовател|ящик|получател|одержувач)\w{0,8}\b.{0,40}\bне (існує"
    r"|знайден|существует|найден|зареєстрован|зарегистрирован)|(немає|нет) так(ого|ої|ой) "
    r"(користувача|адреси|скриньки|пользователя|ящика|адреса)",
    re.IGNORECASE,
)
MAILBOX_FULL = re.compile(
    r"quota|mailbox (is )?full|over ?quota|insufficient (disk )?space", re.IGNORECASE
)
OURS = re.compile(
    r"\b(spf|dkim|dmarc|rdns|ptr)\b|block ?list|black ?list|reputation|relay(ing)?\b|not"
    r" (authori[sz]ed|permitted) to"
    r"|authenticat|rcpthosts|banned",
    re.IGNORECASE,
)
THROTTLED = re.compile(r"grey-?list|too many|rate|try again|throttl|slow down", re.IGNORECASE)


def outcome_of(stage: Stage, code: int, text: str, secrets: tuple[str, ...] = ()) -> ch.Outcome:
    """
    The outcome of a reply that refuses a mail at ``stage``; ``text``, the server's words, is kept
    without addresses, long numbers and ``secrets``.
    """
    text = text[:WORDS_CHARS_MAX]
    found = ENHANCED.search(text)
    shown = f"{code} {found[0]}" if found else str(code)
    detail = kept_text(text, secrets)
    if not 400 <= code < 600:
        return ch.NotSent(R.NOT_TAKEN, None, shown, detail)
    kind = found[1] if found and found[1] != "2" else str(code)[0]
    subject = f"{found[2]}.{found[3]}" if found else ""
    if kind == "4":
        return not_now(stage, code, subject, text, shown, detail)
    if stage == "auth" or code in (530, 534, 535, 538):
        return ch.Refused(R.REFUSED_CONFIGURATION, shown, detail)
    reason = FAULTS.get(subject) or by_words(stage, code, subject, text)
    suppress_after = (
        DEAD.get(subject, 3 if MAILBOX_FULL.search(text) else 1)
        if reason is R.REFUSED_ADDRESS
        else 1
    )
    # one domain may block us that all others take mail from
    personal = reason is R.REFUSED_CONFIGURATION and stage in ("rcpt", "data")
    return ch.Refused(reason, shown, detail, suppress_after, personal=personal)


def not_now(
    stage: Stage, code: int, subject: str, text: str, shown: str, detail: str
) -> ch.NotSent:
    """
    A temporary refusal: THROTTLED if the server asks us to slow down, NOT_TAKEN if only this
    mailbox is busy.
    """
    policy = subject.startswith("7.") or code == 421 or subject in ("3.2", "4.5", "5.3")
    greylisted = (
        stage in ("rcpt", "data")
        and code in (450, 451)
        and (subject in ("7.1", "2.0") or "list" in text.lower())
    )
    wait_ms = pause_ms(text) or (GREYLIST_MS if greylisted else None)
    asked = policy or greylisted or THROTTLED.search(text) is not None
    return ch.NotSent(R.THROTTLED if asked else R.NOT_TAKEN, wait_ms, shown, detail)


def by_words(stage: Stage, code: int, subject: str, text: str) -> R:
    """The reason of a permanent refusal with an unlisted code, from its words, then its stage."""
    if stage in ("connect", "auth"):
        return R.REFUSED_CONFIGURATION
    if OURS.search(text):
        return R.REFUSED_CONFIGURATION
    if code == 552 and not MAILBOX_FULL.search(text):
        return R.REFUSED_CONTENT
    if stage == "mail":
        return R.REFUSED_CONFIGURATION
    if stage == "data":
        return R.REFUSED_RECIPIENT if MAILBOX_FULL.search(text) else R.REFUSED_CONTENT
    if not subject and (
        code in (521, 551, 553, 556) or NO_SUCH_USER.search(text) or MAILBOX_FULL.search(text)
    ):
        return R.REFUSED_ADDRESS
    return R.REFUSED_RECIPIENT


def pause_ms(text: str) -> int | None:
    """The pause that "try again in 300 seconds" asks for, at most an hour."""
    found = PAUSE.search(text)
    if found is None:
        return None
    seconds = int(found[1]) * (60 if found[2].lower().startswith("m") else 1)
    return min(seconds, PAUSE_SECONDS_MAX) * 1000


def kept_text(text: str, secrets: tuple[str, ...] = ()) -> str:
    """A server's words without the addresses that they quote."""
    return ch.said(MAIL_ADDRESS.sub("<address>", text[:WORDS_CHARS_MAX]), secrets)


QUEUE_ID = re.compile(
    r"\b(?:queued (?:mail )?(?:as|with id|on \S{1,100})|message[ -]?id\b:?|id=)\s*:?\s*"
    r"([<\w]\S{3,200})"
    r"|\b2\.6\.0 (<\S{10,200})"
    r"|\bok:? +(?:\d{10} )?(?!id=|queued|message)([<\w][\w.+=$/~@<>-]{9,200})(?=$|[ .,;\[])"
    r"|\b([\w-]{10,100}) message accepted",
    re.IGNORECASE,
)


def queue_id(text: str) -> str | None:
    """
    The server's id of a message it took, None if it names none. Of a Message-ID
    (``<id@eu-west-1.example>``) it is what stands before the ``@``: a relay that renames mails
    (Amazon SES, Brevo, Mailjet, Exchange) names them by it in its bounces.
    """
    for found in QUEUE_ID.finditer(text[:WORDS_CHARS_MAX]):
        word = next(group for group in found.groups() if group).strip("<>.,;:)]\"'")
        id = ch.id_of(word.rpartition("@")[0] or word)
        if id and (any(letter.isdigit() for letter in id) or "-" in id):
            return id
    return None
