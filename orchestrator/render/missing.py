"""Names the missing variable as its author wrote it (``event.customer.name``), never with data."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import UndefinedError, nodes

from orchestrator.render.problems import NullValue, UnknownValue

Path = tuple[str | int, ...]
HINT = re.compile(r"has no (?:attribute|element) (?P<key>.+)$|^'(?P<name>\w+)' is undefined$")
ABSENT = object()


def paths(tree: nodes.Template) -> tuple[Path, ...]:
    """Every variable of a template that is written out whole, in the order in which they stand."""
    found: dict[Path, None] = {}
    for node in tree.find_all((nodes.Name, nodes.Getattr, nodes.Getitem)):
        path = path_of(node)
        if path is not None:
            found[path] = None
    return tuple(sorted(found, key=len, reverse=True))


def path_of(node: nodes.Node) -> Path | None:
    """``event.items[0].name`` as its keys, None for what is computed."""
    keys: list[str | int] = []
    while not isinstance(node, nodes.Name):
        if isinstance(node, nodes.Getattr):
            keys.append(node.attr)
        elif (
            isinstance(node, nodes.Getitem)
            and isinstance(node.arg, nodes.Const)
            and is_key(node.arg.value)
        ):
            keys.append(node.arg.value)
        else:
            return None
        node = node.node
    return (node.name, *reversed(keys)) if node.ctx == "load" else None


def is_key(value: Any) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)


def missing(error: UndefinedError, variables: Sequence[Path], names: Mapping[str, Any]) -> str:
    """The missing variable, in the words of a template's author."""
    if isinstance(error, UnknownValue):
        return str(error)
    if isinstance(error, NullValue):
        null = [path for path in variables if value_at(path, names) is None]
        return f"{' or '.join(map(written, null[:3]))} is null" if null else "a value is null"
    hint = HINT.search(str(error))
    key = (hint["key"] or repr(hint["name"])) if hint else ""
    ending = [path for path in variables if repr(path[-1]) == key]
    absent = [path for path in ending if value_at(path, names) is ABSENT]
    if absent or ending:
        return f"{written((absent or ending)[0])} is absent"
    return "a variable is absent"


def value_at(path: Path, names: Mapping[str, Any]) -> Any:
    """The value at that path of the data, or ``ABSENT``."""
    value: Any = names
    for key in path:
        try:
            value = value[key]
        except (LookupError, TypeError):
            return ABSENT
    return value


def written(path: Path) -> str:
    """``event.items[0]``."""
    return str(path[0]) + "".join(
        f"[{key}]" if isinstance(key, int) else f".{key}" for key in path[1:]
    )
