"""
What a person has answered, and which of the choices that they were offered it means.

``chosen`` is the only place where a text becomes a choice, so a pressed button, a digit, the words
of a button and a link lead to the same id on every channel. It is pure: the choices of an attempt
stand in its message.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence

from orchestrator.core.values import Value

TEXT_CHARS_MAX = 4_096
"""Of what somebody has written, so much is kept and passed on."""
MEDIA_MAX = 10
CHOICES_MAX = 20
REPLIES_KEPT_MAX = 50
"""So many replies to one attempt stand in its history; later ones are passed on alone."""
WORD_BYTES = 6
ALIKE = str.maketrans("ʼ’‘`´№", "'''''#")


class Media(Value, omit_defaults=True):
    """
    A picture, a file or a voice message in a reply. ``kind`` is ``image``, ``video``, ``audio``,
    ``file``; ``url`` fetches it through this installation; ``bytes`` is its size, None if unknown.
    """

    kind: str
    url: str
    bytes: int | None = None


class Reply(Value, omit_defaults=True):
    """What a person has written, and the id of the choice that it means."""

    text: str = ""
    choice: str | None = None
    media: tuple[Media, ...] = ()


class Choice(Value):
    """An answer that a template offers: its id for programs, its title for people."""

    id: str
    title: str


class Offered(Value):
    """
    A choice of an attempt, as its message keeps it: the title is only there as a digest, because a
    message's state outlives the erasure of its recipient.
    """

    id: str
    label: str
    word: str


def labels(choices: Sequence[Choice]) -> list[str]:
    """
    What stands before each choice in a numbered list: its id if all ids are whole numbers, else its
    place from 1.
    """
    if all(choice.id.isascii() and choice.id.isdecimal() for choice in choices):
        return [choice.id for choice in choices]
    return [str(place) for place in range(1, len(choices) + 1)]


def numbered(choices: Sequence[Choice]) -> str:
    """
    The choices as lines of text, ``5 – Great``. None are needed if every title is its own number:
    then the text asks for a number itself.
    """
    rows = list(zip(labels(choices), choices, strict=True))
    if all(label == choice.title for label, choice in rows):
        return ""
    return "\n".join(f"{label} – {choice.title}" for label, choice in rows)


def offer(message: str, choices: Sequence[Choice]) -> tuple[Offered, ...]:
    """The choices as an attempt of a message keeps them."""
    return tuple(
        Offered(choice.id, label, word_of(message, choice.title))
        for choice, label in zip(choices, labels(choices), strict=True)
    )


def chosen(message: str, offered: Sequence[Offered], text: str, pressed: str | None) -> str | None:
    """
    The id of the choice that an answer to a message means, None if it means none. ``pressed`` is
    what the provider says of the button; it decides if it is one of ours.
    """
    if not offered:
        return None
    if pressed is not None:
        for one in offered:
            if one.id == pressed:
                return one.id
    said = fold(text)
    first, _, rest = said.partition(" ")
    for one in offered:
        if said == fold(one.label):
            return one.id
    for one in offered:
        if said == fold(one.id) or word_of(message, said) == one.word:
            return one.id
        if rest and first == fold(one.label) and word_of(message, strip(rest)) == one.word:
            return one.id
    return None


def word_of(message: str, title: str) -> str:
    """A digest of a title, whatever its case and punctuation."""
    text = f"{message}\0{fold(title)}".encode("utf-8", "replace")
    return hashlib.blake2b(text, digest_size=WORD_BYTES).hexdigest()


def fold(text: str) -> str:
    """The text without case, punctuation round it, and differences that nobody sees."""
    plain = unicodedata.normalize("NFKC", text[:TEXT_CHARS_MAX].translate(ALIKE))
    return strip(" ".join(plain.casefold().split())) or plain.strip()


def strip(text: str) -> str:
    """The text from its first letter or digit to its last one."""
    start, end = 0, len(text)
    while start < end and not text[start].isalnum():
        start += 1
    while end > start and not text[end - 1].isalnum():
        end -= 1
    return text[start:end]
