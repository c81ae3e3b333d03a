"""
The names of template files: what is wrong with one, and what it was probably meant to be.

    <channel>[.<locale>].<part>.j2
"""

from __future__ import annotations

import difflib
from collections.abc import Collection
from functools import cache

from babel import Locale
from babel.core import get_global

from orchestrator.channels.registry import channels

FORM = "<channel>[.<locale>].<part>.j2"
EXAMPLE = f"name it {FORM}, for instance sms.uk.text.j2"
PART_WORDS = {"txt": "text", "body": "text", "message": "text", "htm": "html", "yml": "yaml"}
LANGUAGE_WORDS = {"ua": "uk", "cz": "cs", "jp": "ja", "kz": "kk", "gb": "en", "us": "en"}
"""Countries that are often written in place of a language."""


@cache
def languages() -> frozenset[str]:
    """The codes of all languages that have a name in English."""
    return frozenset(Locale("en").languages)


def language_meant(tag: str) -> str | None:
    """The tag with a language in place of a country or a code of three letters, None if unclear."""
    language, dash, region = tag.replace("_", "-").lower().partition("-")
    aliases = get_global("language_aliases")
    known = LANGUAGE_WORDS.get(language) or aliases.get(language) or language
    if known not in languages():
        names = {name.casefold(): code for code, name in Locale("en").languages.items()}
        known = names.get(language, "")
    return f"{known}{dash}{region.upper() if len(region) == 2 else region}" if known else None


def locale_problem(tag: str) -> tuple[str, str] | None:
    """What is wrong with a locale, and how to fix it; None if it is a language."""
    near = language_meant(tag)
    if "_" not in tag and tag.partition("-")[0].lower() in languages():
        return None
    fix = f"write {near}" if near else "write a language such as uk, pl or en"
    return f"{tag!r} is not a language", fix


def near_word(word: str, known: Collection[str]) -> str | None:
    found = difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=0.6)
    return found[0] if found else None


def name_meant(name: str) -> str | None:
    """The name that a file was probably meant to have, None if nobody can tell."""
    words = [one for one in name.replace("-", ".", 0).split(".") if one]
    words = [one for one in words if one.lower() not in ("j2", "jinja", "jinja2", "txt.j2")]
    channel = near_word(words[0], channels()) if words else None
    if channel is None:
        return None
    parts, tags = list(channels()[channel].parts), []
    part = None
    for word in words[1:]:
        meant = PART_WORDS.get(word.lower(), word.lower())
        if meant in parts and (part is None or part == meant or meant != "text"):
            part = meant
        elif (tag := language_meant(word)) is not None:
            tags.append(tag)
    if part is None:
        near = (near_word(word, parts) for word in words[1:])
        part = next((one for one in near if one), "text" if "text" in parts else parts[0])
    return ".".join([channel, *tags[:1], part, "j2"])


def rename_fix(name: str) -> str:
    """How to fix a name: the one that was probably meant, or an example."""
    meant = name_meant(name)
    return f"rename it to {meant}" if meant and meant != name else EXAMPLE


def name_problem(name: str, locale: str | None, channel: str, part: str) -> tuple[str, str] | None:
    """What is wrong with a file's name, and the right one; None if it is in order."""
    if channel in channels() and part in channels()[channel].parts:
        wrong = locale_problem(locale) if locale else None
        return None if wrong is None else (wrong[0], rename_fix(name))
    fix = rename_fix(name)
    first, *middle = name.removesuffix(".j2").split(".")
    if len(middle) == 2 and first in channels() and middle[1] in channels()[first].parts:
        return (locale_problem(middle[0]) or (f"{middle[0]!r} is not a language", ""))[0], fix
    if first not in channels():
        return f"the file's name begins with no channel: {first!r}", fix
    parts = " or ".join(channels()[first].parts)
    return f"the file's name has no part of {first}, which are {parts}", fix
