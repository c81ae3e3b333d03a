"""
What a configuration comes to, as plain JSON types: to be hashed, shown and compared.

Settings have their defaults filled in and their secrets masked; policies and governance are as they
were written; of each template part there is a hash. So two machines with the same files and other
secrets have the same document.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, TypedDict

from orchestrator.configuration.loading import Configuration
from orchestrator.configuration.settings_file import view
from orchestrator.configuration.yaml_file import loads

HASH_DIGITS = 12
ABSENT = None


class EffectiveConfiguration(TypedDict):
    """``hash`` is of everything else; ``templates`` are hashes by template and file."""

    hash: str
    settings: dict[str, Any]
    governance: dict[str, Any]
    policies: dict[str, Any]
    templates: dict[str, dict[str, str]]


class ConfigDifference(NamedTuple):
    """``path`` is dotted; None stands for what is not there."""

    path: str
    before: Any
    after: Any


def effective(configuration: Configuration) -> EffectiveConfiguration:
    """The whole configuration with its hash."""
    sets = configuration.templates
    parts: dict[str, Any] = {
        "settings": view(configuration.settings),
        "governance": dict(configuration.governance),
        "policies": {
            name: loads(file.raw).plain() for name, file in sorted(configuration.files.items())
        },
        "templates": {
            name: {file: digest(text) for file, text in sorted(sets.sources(name).items())}
            for name in sorted(sets.names)
        },
    }
    canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=str)
    return {
        "hash": digest(canonical),
        "settings": parts["settings"],
        "governance": parts["governance"],
        "policies": parts["policies"],
        "templates": parts["templates"],
    }


def digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:HASH_DIGITS]


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[ConfigDifference]:
    """Every place at which two effective configurations differ, in order."""
    old, new = dict(leaves(without_hash(before))), dict(leaves(without_hash(after)))
    return [
        ConfigDifference(path, old.get(path, ABSENT), new.get(path, ABSENT))
        for path in sorted({*old, *new})
        if old.get(path, ABSENT) != new.get(path, ABSENT)
    ]


def without_hash(document: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key != "hash"}


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The scalars of a document by dotted path; a provider in a list stands under its name."""
    children: dict[str, Any] = {}
    if isinstance(value, Mapping):
        children = {str(key): inner for key, inner in value.items()}
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            name = inner.get("provider") if isinstance(inner, Mapping) else None
            children[str(name or number)] = inner
    if not children:
        yield path, [] if isinstance(value, list | tuple) else value
    for key, inner in children.items():
        yield from leaves(inner, f"{path}.{key}" if path else key)
