"""
The few pages that recipients see. Plain HTML in their language, readable on a phone, without
scripts or anything fetched.

Everything that comes from elsewhere is escaped; the style stands in the page and is allowed by its
hash.
"""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Mapping

from aiohttp import web

UK, EN = "uk", "en"
WORDS: Mapping[str, Mapping[str, str]] = {
    UK: {
        "title": "Відписатися",
        "ask": "Від чого вас відписати?",
        "topic": "Лише від теми «{topic}»",
        "topic_note": "Інші повідомлення надходитимуть і далі.",
        "all": "Від усього й усюди",
        "all_note": (
            "Жодних повідомлень на жодному каналі, навіть про замовлення. Лише одноразові коди,"
            " якщо попросите."
        ),
        "done": "Готово",
        "done_topic": "Ми більше не писатимемо вам сюди на тему «{topic}».",
        "done_all": "Ми більше нічого вам не надсилатимемо.",
        "gone": "Посилання не працює",
        "gone_note": (
            "Воно неповне або застаріло. Відкрийте його ще раз із самого повідомлення, найкраще з"
            " найновішого."
        ),
    },
    EN: {
        "title": "Unsubscribe",
        "ask": "What should we stop sending you?",
        "topic": "Only “{topic}”",
        "topic_note": "Other messages will keep coming.",
        "all": "Everything, everywhere",
        "all_note": (
            "No messages on any channel, not even about orders. Only one-time codes, when you ask"
            " for them."
        ),
        "done": "Done",
        "done_topic": "We will not write to you here about “{topic}” again.",
        "done_all": "We will send you nothing more.",
        "gone": "This link does not work",
        "gone_note": (
            "It is incomplete, or too old. Open it again from the message itself, best from the"
            " newest one."
        ),
    },
}
STYLE = """
:root { color-scheme: light dark; --line: #8886; --act: #1d5bd8; }
body { font: 1.125rem/1.5 system-ui, sans-serif; margin: 0; padding: 2rem 1.25rem; }
main { max-width: 30rem; margin: 8vh auto 0; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 1.25rem; }
button { display: block; width: 100%; min-height: 3rem; margin: 1.25rem 0 .35rem; padding: .8rem 1rem; font: inherit;
  font-weight: 600; border-radius: .6rem; border: 1px solid var(--act); background: var(--act); color: #fff;
  cursor: pointer; overflow-wrap: anywhere; }
button.quiet { background: transparent; color: inherit; border-color: var(--line); }
button:focus-visible { outline: 3px solid #7aa5ff; outline-offset: 2px; }
p.note { font-size: .95rem; margin: 0; opacity: .8; }
"""
STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; form-action 'self'; frame-ancestors"
        " 'none'; base-uri 'none'"
    ),
    "X-Robots-Tag": "noindex, nofollow",
    "Referrer-Policy": "no-referrer",
}


def page(language: str, title: str, body: str, status: int = 200) -> web.Response:
    """A page; ``title`` is text, ``body`` is HTML."""
    text = (
        f'<!doctype html>\n<html lang="{language}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="robots"'
        ' content="noindex">'
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head>"
        f"<body><main><h1>{html.escape(title)}</h1>{body}</main></body></html>\n"
    )
    headers = {**HEADERS, "Content-Language": language}
    return web.Response(
        status=status, text=text, content_type="text/html", charset="utf-8", headers=headers
    )


def choices(language: str, topic: str) -> web.Response:
    """What can be stopped. Nothing has been, yet."""
    words = WORDS[language]
    body = (
        '<form method="post">'
        f'<button name="scope" value="topic">{say(words["topic"], topic)}</button>'
        f'<p class="note">{say(words["topic_note"])}</p>'
        f'<button class="quiet" name="scope" value="all">{say(words["all"])}</button>'
        f'<p class="note">{say(words["all_note"])}</p></form>'
    )
    return page(language, words["ask"], body)


def done(language: str, topic: str, everything: bool) -> web.Response:
    """What was stopped."""
    words = WORDS[language]
    return page(
        language,
        words["done"],
        f"<p>{say(words['done_all' if everything else 'done_topic'], topic)}</p>",
    )


def gone(request: web.Request) -> web.Response:
    """A token that is not ours, or too old."""
    language = preferred(request.headers.get("Accept-Language", ""))
    return page(
        language, WORDS[language]["gone"], f"<p>{say(WORDS[language]['gone_note'])}</p>", 404
    )


def say(words: str, topic: str = "") -> str:
    """Words as HTML, with the topic's name as people would write it."""
    return html.escape(
        words.format(topic=" ".join(topic.replace("_", " ").replace("-", " ").split()))
    )


def of_locale(locale: str) -> str:
    """
    The page's language for a recipient's locale: whoever reads Russian or Belarusian is more at
    home in Ukrainian.
    """
    return UK if locale.lower()[:2] in ("uk", "ru", "be") else EN


def preferred(accept: str) -> str:
    """
    The page's language for an ``Accept-Language`` header (RFC 9110 12.5.4): the heaviest, the first
    of equals.
    """
    best, best_weight = EN, 0.0
    for part in accept.split(",")[:20]:
        tag, _, parameter = part.partition(";")
        try:
            weight = float(parameter.partition("q=")[2] or "1") if parameter else 1.0
        except ValueError:
            weight = 0.0
        known = tag.strip().lower()[:2] in ("uk", "ru", "be", "en")
        if known and weight > best_weight:
            best, best_weight = of_locale(tag.strip()), weight
    return best
