"""
Opt-out and opt-in words of replies: the whole message, never a part of one.

«СТОП» stops, «не стоп» does not. Letters that look alike in Latin and Cyrillic count as the same, because phones mix them.
Words that are also plain answers (ТАК, ДА, YES) never opt anybody in.
"""

from __future__ import annotations

import re

STOP_WORDS = (
    "stop", "stopall", "stop all", "unsubscribe", "cancel", "end", "quit", "optout", "opt out", "opt-out", "revoke",
    "стоп", "відмова", "відписатись", "відписатися", "відписка", "не надсилати", "отписаться", "отписка", "отмена", "отказ",
    "не присылать",
    "arret", "arrêt", "baja", "abmelden", "rezygnuję", "rezygnuje", "wypisz",
)  # fmt: skip
START_WORDS = ("start", "unstop", "subscribe", "старт", "підписатись", "підписатися", "подписаться", "wznów")
LATIN_TO_CYRILLIC = dict(zip("tcopaexykmhbi", "тсораехукмнві", strict=True))
EDGES = re.compile(r"^[\W_]+|[\W_]+$")
SPACES = re.compile(r"\s+")
LENGTH_MAX = 40


def opt_out_word(text: str) -> str | None:
    """``stop``, ``start`` or None. The message is trimmed of punctuation, quotes and emoji; case does not matter."""
    word = SPACES.sub(" ", EDGES.sub("", text[: LENGTH_MAX * 4])).casefold()
    if not word or len(word) > LENGTH_MAX:
        return None
    forms = {word, folded(word)}
    if forms & STOP:
        return "stop"
    return "start" if forms & START else None


def folded(word: str) -> str:
    """A word that mixes both scripts, in the Cyrillic one."""
    mixed = any("а" <= letter <= "ї" for letter in word) and any("a" <= letter <= "z" for letter in word)
    return "".join(LATIN_TO_CYRILLIC.get(letter, letter) for letter in word) if mixed else word


STOP = frozenset(word.casefold() for word in STOP_WORDS)
START = frozenset(word.casefold() for word in START_WORDS)
