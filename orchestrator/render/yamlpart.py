"""
YAML parts: data can neither leave its value nor become anything but text.

While a part is rendered, each expression leaves a number in its place; what comes of that is the
author's own text and is parsed as YAML; only then the values take the places of their numbers, in a
structure that is already made.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, ClassVar

import yaml
from jinja2.exceptions import SecurityError, TemplateRuntimeError
from yaml import YAMLError

from orchestrator.channels import Channel
from orchestrator.primitives.web_urls import encoded
from orchestrator.render.budget import spend
from orchestrator.render.text import cleaned

JINJA = re.compile(r"\{%.*?%\}|\{#.*?#\}", re.DOTALL)
BEFORE_A_VALUE = ":,-[{"
VALUES_MAX = 2_000
LETTERS_MAX = 65_536
SOURCE_MAX = 16_384
_SECRET = f"value{secrets.randbelow(10**12):012d}n"
PLACE = re.compile(_SECRET + r"(\d+)e")


class Kept:
    """The values of one part, of no more than ``LETTERS_MAX`` letters together."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._letters = 0

    def keep(self, value: str) -> int:
        self._letters += len(value)
        if self._letters > LETTERS_MAX:
            raise SecurityError(f"the values are longer than {LETTERS_MAX} characters together")
        self.texts.append(value)
        return len(self.texts) - 1


values: ContextVar[Kept] = ContextVar("values")


def keep(value: str) -> str:
    """Put a value aside, and leave its number."""
    spend(1)
    return f"{_SECRET}{values.get().keep(value)}e"


def structure(text: str, kept: Sequence[str]) -> Any:
    """
    The structure of a rendered part, its values in place. Raises ``TemplateRuntimeError`` where it
    is none.
    """
    return Filling(kept).fill(parsed(text))


@lru_cache(maxsize=512)
def parsed(text: str) -> Any:
    """
    The author's YAML, numbers in the places of values; parsed once for each way through a template.
    """
    if len(text) > SOURCE_MAX:
        raise SecurityError(
            f"the structure is longer than {SOURCE_MAX} characters without its values"
        )
    try:
        return yaml.load(text, Loader=Core)
    except (YAMLError, ValueError, RecursionError) as error:
        raise TemplateRuntimeError("the result is not YAML") from error


class Core(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # it is a class
    """
    YAML's core schema (1.2.2, 10.3), read by libyaml where it is there: parsing in Python takes a
    hundred times as long. A doubled key is an error.
    """

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        found = super().construct_mapping(node, deep=deep)
        if len(found) < len(node.value):
            raise YAMLError("a key stands twice")
        return dict(found)


for _tag, _form, _first in (
    ("null", "~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", "true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", "[-+]?(?:0|[1-9][0-9]*)", list("-+0123456789")),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", list("-+.0123456789")),
):
    Core.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_form})$"), _first)


def with_urls(found: Any, channel: Channel) -> Any:
    """
    The structure, each of its URLs percent-encoded, also those in lists. Raises
    ``TemplateRuntimeError`` for one that cannot be followed.
    """
    for path in channel.structure.urls if channel.structure is not None else ():
        *outer, last = path.split(".")
        holders = [found]
        for key in outer:
            inner = [one.get(key) for one in holders if isinstance(one, dict)]
            holders = [
                one for each in inner for one in (each if isinstance(each, list) else [each])
            ]
        for holder in holders:
            if isinstance(holder, dict) and isinstance(holder.get(last), str):
                try:
                    holder[last] = encoded(holder[last])
                except ValueError as error:
                    raise TemplateRuntimeError(f"{path}: {error}") from None
    return found


class Filling:
    """Puts values into a copy of a structure, of no more than ``VALUES_MAX`` values."""

    def __init__(self, kept: Sequence[str]) -> None:
        self._kept = kept
        self._left = VALUES_MAX

    def fill(self, value: Any) -> Any:
        self._left -= 1
        if self._left < 0:
            raise TemplateRuntimeError(f"the structure has more than {VALUES_MAX} values")
        if isinstance(value, str):
            return cleaned(PLACE.sub(lambda found: self._kept[int(found[1])], value))
        if isinstance(value, Mapping):
            if any(PLACE.search(str(key)) for key in value):
                raise TemplateRuntimeError(
                    "an expression stands in a key: only values may have them"
                )
            return {str(key): self.fill(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.fill(item) for item in value]
        return value


def misplaced(text: str) -> tuple[int, int] | None:
    """
    Line and column of the first thing that could let a value out of its place.

    That is an expression outside a double-quoted value, but also a quote in the middle of a plain
    word, which would only look like one, a value in single quotes, and a block of text (``|`` or
    ``>``).
    """
    text = JINJA.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)
    quoted = False
    position = 0
    while position < len(text):
        letter = text[position]
        if text.startswith("{{", position):
            if not quoted:
                return place(text, position)
            end = text.find("}}", position)
            position = end + 2 if end >= 0 else len(text)
            continue
        if quoted:
            quoted = letter != '"'
            position += 2 if letter == "\\" else 1
            continue
        if letter == "#" and (position == 0 or text[position - 1] in " \n"):
            end = text.find("\n", position)
            position = end if end >= 0 else len(text)
            continue
        if letter == '"':
            if not begins_a_value(text, position):
                return place(text, position)
            quoted = True
        elif letter == "'" or (letter in "|>" and begins_a_value(text, position)):
            return place(text, position)
        position += 1
    return None


def begins_a_value(text: str, position: int) -> bool:
    """Whether a value may begin here: after a key, a dash, a bracket, or at a line's start."""
    before = text[:position].rstrip(" ")
    return not before or before[-1] in BEFORE_A_VALUE or before[-1] == "\n"


def place(text: str, position: int) -> tuple[int, int]:
    return text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position)
