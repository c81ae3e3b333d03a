"""
Opt-out and opt-in words of replies: the whole message, never a part of one.

«СТОП!» stops, «не стоп» does not. Case, accents, punctuation, quotes and emoji do not matter, nor
does saying the word twice. Letters that look alike in Latin and Cyrillic count as the same, because
keyboards mix them. Words that are also plain answers (ТАК, ДА, YES) never opt anybody in.
"""

from __future__ import annotations

import unicodedata

STOP_WORDS = (
    # English: the set that carriers and SMS providers share
    "stop", "stopall", "stop all", "unsubscribe", "cancel", "end", "quit", "opt out", "optout",
    "revoke",
    # Ukrainian
    "стоп", "відмова", "відписатись", "відписатися", "відписка", "відписати",
    "не надсилати", "не надсилайте",
    # Russian
    "отписаться", "отписка", "отписать", "отмена", "отказ", "не присылать", "не присылайте",
    # Polish, German, French, Spanish
    "rezygnuję", "wypisz", "stopp", "abmelden", "arrêt", "désabonner", "baja",
)  # fmt: skip
START_WORDS = (
    "start", "unstop", "subscribe", "resubscribe",
    "старт", "підписатись", "підписатися", "подписаться",
    "wznów", "anmelden",
)  # fmt: skip
NEVER_WORDS = ("так", "да", "yes")
"""Answers to questions; some providers take them for a START, and we do not."""

LOOK_ALIKES = str.maketrans("авеікмнорстух", "abeikmhopctyx")
CHARACTERS_MAX = 64


def opt_out_word(text: str) -> str | None:
    """``stop``, ``start``, or None where the message is anything but one of the words."""
    if len(text) > CHARACTERS_MAX:
        return None
    said = skeleton(text)
    if said in STOP:
        return "stop"
    if said in START:
        return "start"
    words = said.split()
    once = words[0] if len(words) > 1 and len(set(words)) == 1 else ""
    return "stop" if once in STOP else "start" if once in START else None


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
