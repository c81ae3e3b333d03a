"""
The few pages that recipients see: plain HTML in their language, readable on a phone, without
scripts and without anything to load.

Everything in a page is escaped. Its style is inline, and allowed by its hash.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path

import yaml
from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from orchestrator.channels.registry import channels

UK, EN = "uk", "en"
FILES = Path(__file__).parent
WORDS: Mapping[str, Mapping[str, str]] = yaml.safe_load(
    (FILES / "page_words.yaml").read_text("utf-8")
)
STYLE = (FILES / "page.css").read_text("utf-8")
STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; form-action 'self'; frame-ancestors"
        " 'none'; base-uri 'none'"
    ),
    "X-Robots-Tag": "noindex, nofollow",
    "Referrer-Policy": "no-referrer",
}
PAGE = Environment(
    loader=FileSystemLoader(FILES),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
).get_template("page.html.j2")


def page(language: str, title: str, status: int = 200, **content: str) -> web.Response:
    """A page with a heading; ``content`` is its ``text``, or ``topic`` and ``way``, or the
    ``answer``, of its form.
    """
    text = PAGE.render(
        language=language, title=title, style=Markup(STYLE), words=WORDS[language], **content
    )
    headers = {**HEADERS, "Content-Language": language}
    return web.Response(
        status=status, text=text, content_type="text/html", charset="utf-8", headers=headers
    )


def choices(language: str, channel: str, topic: str) -> web.Response:
    """The form that offers what can be stopped."""
    title = WORDS[language]["ask"]
    return page(language, title, topic=readable(topic), way=way_of(channel, language))


def done(language: str, channel: str, topic: str, scope: str) -> web.Response:
    """The page that confirms an opt-out; ``scope`` is topic, channel or all."""
    words = WORDS[language]
    text = words[f"done_{scope}"].format(topic=readable(topic), way=way_of(channel, language))
    return page(language, words["done"], text=text)


def answering(language: str, answer: str) -> web.Response:
    """The form that sends the answer of a link."""
    return page(language, WORDS[language]["answer"], answer=answer)


def answered(language: str, answer: str) -> web.Response:
    words = WORDS[language]
    return page(language, words["answered"], text=words["answered_note"].format(answer=answer))


def way_of(channel: str, language: str) -> str:
    """How the messages of a channel come; a channel that has no words for it is named."""
    known = channels().get(channel)
    said = known.way.get(language) if known is not None else None
    return said or WORDS[language]["way"].format(channel=readable(channel))


def gone(request: web.Request) -> web.Response:
    """404 for a token that is not ours, or too old."""
    language = preferred(request.headers.get("Accept-Language", ""))
    words = WORDS[language]
    return page(language, words["gone"], 404, text=words["gone_note"])


def readable(topic: str) -> str:
    """``cart_reminders`` as people would write it."""
    return " ".join(topic.replace("_", " ").replace("-", " ").split())


def of_locale(locale: str) -> str:
    """The page's language for a locale. Readers of Russian and Belarusian get Ukrainian."""
    return UK if locale.lower()[:2] in ("uk", "ru", "be") else EN


def preferred(accept: str) -> str:
    """
    The page's language for an ``Accept-Language`` header (RFC 9110 12.5.4): the one with the
    highest weight, the first of equals.
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
