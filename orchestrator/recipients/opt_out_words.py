"""
Opt-out and opt-in words of replies: the whole message, never a part of a sentence.

«СТОП!» stops, «не стоп» does not. Case, accents, punctuation, quotes and emoji do not matter, nor
does saying the word twice, spelling it out or saying please. Letters that look alike in Latin and
Cyrillic count as the same, because keyboards mix them. A word that can mean nothing else also stops
where it is the whole first paragraph: what stands below it is a signature or a company's notice.
Words that are also plain answers (ТАК, ДА, YES) never opt anybody in.
"""

from __future__ import annotations

import re
import unicodedata

STOP_WORDS = (
    # English: the set that carriers and SMS providers share
    "stop", "stopall", "stop all", "unsubscribe", "cancel", "end", "quit", "opt out", "optout",
    "revoke", "unsub", "unsubscribe me", "stop sms", "stop promotions",
    # Ukrainian
    "стоп", "відмова", "відписатись", "відписатися", "відписка", "відписати",
    "не надсилати", "не надсилайте", "відпишіть", "відпишіть мене", "не пишіть", "не пишіть мені",
    "стоп смс",
    # Russian
    "отписаться", "отписка", "отписать", "отмена", "отказ", "не присылать", "не присылайте",
    "отпишите", "отпишите меня", "не пишите", "не пишите мне",
    # Polish, German, French, Spanish
    "rezygnuję", "wypisz", "stopp", "abmelden", "arrêt", "désabonner", "baja",
)  # fmt: skip
AMBIGUOUS_WORDS = (
    "cancel", "end", "quit", "revoke", "відмова", "отмена", "отказ", "rezygnuję", "arrêt", "baja",
)  # fmt: skip
"""They stop as the whole message only: a first paragraph may begin something about an order."""
COURTESIES = (
    "please",
    "pls",
    "будь ласка",
    "пожалуйста",
    "thanks",
    "thank you",
    "дякую",
    "спасибо",
)
START_WORDS = (
    "start", "unstop", "subscribe", "resubscribe",
    "старт", "підписатись", "підписатися", "подписаться",
    "wznów", "anmelden",
)  # fmt: skip
NEVER_WORDS = ("так", "да", "yes")
"""Answers to questions; some providers take them for a START, and we do not."""

LOOK_ALIKES = str.maketrans("авеікмнорстухѕ", "abeikmhopctyxs")
CHARACTERS_MAX = 64
PARAGRAPHS = re.compile(r"\r?\n[ \t]*\r?\n")


def opt_out_word(text: str) -> str | None:
    """``stop``, ``start``, or None where the message is anything but one of the words."""
    said = said_once(text)
    if said in STOP:
        return "stop"
    if said in START:
        return "start"
    first = PARAGRAPHS.split(text.strip()[: CHARACTERS_MAX + 4], maxsplit=1)[0]
    return "stop" if said_once(first) in STOP - AMBIGUOUS else None


def said_once(text: str) -> str:
    """The skeleton of a short text without courtesies, repeats and spaced-out letters."""
    if len(text) > CHARACTERS_MAX:
        return ""
    said = skeleton(text)
    for courtesy in POLITE:
        said = said.removeprefix(f"{courtesy} ").removesuffix(f" {courtesy}")
    words = said.split()
    if len(words) > 2 and all(len(word) == 1 for word in words):
        return "".join(words)
    return words[0] if len(set(words)) == 1 else said


def skeleton(text: str) -> str:
    """
    A text reduced to the shapes of its letters: one space between words, one script, no accents.
    """
    plain = unicodedata.normalize("NFKD", text).casefold().translate(LOOK_ALIKES)
    kept = [
        letter if letter.isalnum() else " "
        for letter in plain
        if unicodedata.category(letter) not in ("Mn", "Cf")  # accents, and characters of no width
    ]
    return " ".join("".join(kept).split())


STOP = frozenset(skeleton(word) for word in STOP_WORDS)
START = frozenset(skeleton(word) for word in START_WORDS)
AMBIGUOUS = frozenset(skeleton(word) for word in AMBIGUOUS_WORDS)
POLITE = tuple(skeleton(courtesy) for courtesy in COURTESIES)
