"""The kinds of values that keys can hold: how each is read, shown and described."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from orchestrator.configuration.keys import Kind, Schema, T, array, same
from orchestrator.configuration.reading import Section
from orchestrator.configuration.references import read_secret
from orchestrator.configuration.scalars import (
    Invalid,
    amount_of,
    boolean_of,
    clip,
    currency_of,
    duration_of,
    duration_text,
    name_of,
    rate_of,
    ratio_of,
    text_of,
    whole_of,
    word_of,
)
from orchestrator.configuration.urls import read_url, split_url
from orchestrator.configuration.yaml_file import Node
from orchestrator.render.file_names import locale_problem

MASK = "***"
TEXT_SCHEMA: Schema = {"type": "string", "minLength": 1}
NAME_SCHEMA: Schema = {"type": "string", "pattern": "^[a-z][a-z0-9_-]{0,63}$"}
AMOUNT_SCHEMA: Schema = {
    "type": ["string", "number"],
    "pattern": "^[0-9]+(\\.[0-9]+)?$",
    "minimum": 0,
}


def scalar(
    name: str,
    parse: Callable[[Node, str], T],
    schema: Schema,
    show: Callable[[Any], Any] = same,
) -> Kind[T]:
    """A kind whose value is made of one node."""
    return Kind(
        name, lambda section, key, default: section.value(key, default, parse), schema, show
    )


TEXT = scalar("text", text_of, TEXT_SCHEMA)
NAME = scalar("name", name_of, NAME_SCHEMA)
BOOLEAN = scalar("`true` or `false`", boolean_of, {"type": "boolean"})
DURATION = scalar(
    "duration",
    duration_of,
    {"type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$", "description": "250ms 30s 10m 24h 7d"},
    duration_text,
)
RATE = scalar(
    "rate",
    rate_of,
    {"type": "string", "pattern": "^[0-9]+/[0-9]*(ms|s|m|h|d)$", "description": "80/s or 5/1h"},
    lambda rate: f"{rate[0]}/{duration_text(rate[1])}",
)
RATIO = scalar("share", ratio_of, {"type": "number", "exclusiveMinimum": 0, "maximum": 1})
AMOUNT: Kind[Decimal] = scalar("amount", amount_of, AMOUNT_SCHEMA, str)
CURRENCY = scalar("currency", currency_of, {"type": "string", "pattern": "^[A-Z]{3}$"})
SECRET: Kind[SecretStr] = Kind(
    "secret",
    lambda section, key, default: read_secret(section, key) or default,
    TEXT_SCHEMA,
    lambda value: MASK,
)


def read_names(section: Section, key: str, default: Any) -> dict[str, str]:
    """Names of the author's own, each with a name."""
    inner = section.section(key) if section.get(key) is not None else None
    if inner is None or inner.broken:
        return dict(default or {})
    found: dict[str, str] = {}
    for name in list(inner.nodes):
        inner.known.add(name)
        if NAME_PATTERN.fullmatch(name) is None:
            what = f"{clip(name)!r} in `{key}` is not a name"
            section.report.error(
                inner.keys[name], what, "write small letters, digits and _: gift_code"
            )
        elif value := inner.value(name, "", name_of):
            found[name] = value
    return found


NAME_PATTERN = re.compile(r"[a-z][a-z0-9_]{0,63}")
NAMES: Kind[dict[str, str]] = Kind(
    "names by name",
    read_names,
    {
        "type": "object",
        "propertyNames": {"pattern": "^[a-z][a-z0-9_]{0,63}$"},
        "additionalProperties": NAME_SCHEMA,
        "minProperties": 1,
    },
    lambda value: dict(value) or None,
)
URL: Kind[str] = Kind(
    "URL", lambda section, key, default: read_url(section, key) or default, TEXT_SCHEMA
)


def expression_of(node: Node, called: str) -> str:
    """The text of an expression; a bare true or number must stand in quotes."""
    return text_of(node, called, 'write an expression in quotes, such as "event.total >= 300"')


def locale_of(node: Node, called: str) -> str:
    """A BCP 47 tag of a language that there is."""
    tag = text_of(node, called)
    wrong = locale_problem(tag)
    if wrong is not None:
        raise Invalid(f"{called}: {wrong[0]}", wrong[1])
    return tag


LOCALE = scalar("locale", locale_of, TEXT_SCHEMA)
EXPRESSION = scalar(
    "expression", expression_of, TEXT_SCHEMA | {"description": "A sandboxed Jinja expression"}
)


def whole(least: int = 1, most: int = 10**9) -> Kind[int]:
    """A whole number within limits."""
    parse = partial(whole_of, least=least, most=most)
    return scalar("whole number", parse, {"type": "integer", "minimum": least})


def word(*choices: str) -> Kind[Any]:
    """One of a closed list of words."""
    name = ", ".join(f"`{one}`" for one in choices)
    return scalar(name, partial(word_of, choices=choices), {"enum": list(choices)})


def words(
    what: str,
    choices: Collection[str] | None = None,
    schema: Schema = NAME_SCHEMA,
    least: int = 0,
    empty: str | None = "name at least one, or remove the key",
) -> Kind[tuple[str, ...]]:
    """
    A list of texts, each once; ``choices`` closes it. ``empty`` fixes one without any; None allows
    it.
    """

    def read(section: Section, key: str, default: Any) -> tuple[str, ...]:
        written = section.get(key) is not None or section.has(key)
        return section.words(key, what, choices, empty) if written else default or ()

    inner = {"enum": list(choices)} if choices is not None else schema
    return Kind(f"list of {what}", read, array(inner, least), list)


@dataclass(frozen=True)
class ListenAddress:
    """A host and port to listen on."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def read_address(section: Section, key: str, default: ListenAddress) -> ListenAddress:
    """``host:port``; an IPv6 host stands in brackets."""
    node = section.get(key)
    if node is not None and node.kind == "int":
        section.wrong(node, key, f'host:port in quotes: "{default.host}:{node.text}"')
        return default
    text = section.text(key, None)
    if text is None:
        return default
    host, colon, port = text.rpartition(":")
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        what = f"`{key}` {section.shown(key)!r} is not host:port"
        section.error(key, what, f'write host:port with a port up to 65535, such as "{default}"')
        return default
    return ListenAddress(host, int(port))


ADDRESS: Kind[ListenAddress] = Kind("host:port", read_address, TEXT_SCHEMA, str)


def shortened(path: Path) -> Path:
    """The path without ``..`` if that is the same place (a link on the way may lead elsewhere)."""
    short = Path(os.path.normpath(path))
    try:
        return short if short.samefile(path) else path
    except OSError:
        return path


def read_path(section: Section, key: str, default: Path | None) -> Path | None:
    """A path relative to the file."""
    text = section.text(key, None)
    if text is None and default is None:
        return None
    return shortened(section.base / (text or str(default)))


PATH: Kind[Any] = Kind("path", read_path, TEXT_SCHEMA, str)


def read_origins(
    section: Section, key: str, default: Any, any_word: str | None = None
) -> tuple[str, ...]:
    """URLs without a path; ``any_word`` may stand in place of one."""
    found = section.words(key, "origins", empty=None)
    for node in section.items(key, "origins") if found else ():
        if any_word is not None and node.kind == "str" and node.word == any_word:
            continue
        parts = split_url(node.word) if node.kind == "str" else None
        if parts is None or parts.path or parts.query or parts.fragment or parts.username:
            what = f"{clip(node.text)!r} is not an origin"
            section.report.error(node.position, what, "write https://host:port without a path")
    return found


ORIGINS: Kind[tuple[str, ...]] = Kind("list of origins", read_origins, array(TEXT_SCHEMA), list)
ANY_ORIGIN = "*"
BROWSER_ORIGINS: Kind[tuple[str, ...]] = Kind(
    "list of origins, or `*`",
    partial(read_origins, any_word=ANY_ORIGIN),
    array(TEXT_SCHEMA),
    list,
)
