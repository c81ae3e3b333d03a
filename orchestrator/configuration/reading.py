"""
Reads a YAML tree and collects every problem instead of stopping at the first.

A ``Section`` reads one mapping. Asking for a key makes it known; ``done()`` then reports all keys
that nobody asked for, with the nearest known one. Whatever is wrong becomes a ``Problem`` and the
default stands in, so one reading finds everything.

    section = Section(node, report, "the test")
    name = section.text("name", "unnamed")
    section.done()
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

from orchestrator.configuration.scalars import (
    DURATION_MS_MAX,
    Invalid,
    boolean_of,
    clip,
    listed,
    meant,
    suggestion,
    text_of,
    word_of,
    wrong_kind,
)
from orchestrator.configuration.yaml_file import ConfigError, Node, Position, Problem, Severity

__all__ = [
    "DURATION_MS_MAX",
    "Report",
    "Section",
    "clip",
    "find",
    "listed",
    "place",
    "suggestion",
]

D = TypeVar("D")
V = TypeVar("V")


def find(root: Node | None, *path: str | int) -> Node | None:
    """The node at a path of keys and list positions, None if there is none."""
    node = root
    for part in path:
        if node is None:
            return None
        if node.kind == "map" and isinstance(part, str):
            node = node.value.get(part)
        elif node.kind == "list" and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
        else:
            return None
    return node


def place(root: Node, *path: str | int) -> Position:
    """The position of the deepest node that exists on a path."""
    below = (find(root, *path[:length]) for length in range(len(path), 0, -1))
    return next((node.position for node in below if node is not None), root.position)


class Report:
    """All problems of a reading, in the order in which they were found."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def error(self, position: Position, what: str, fix: str) -> None:
        """Something that stops the configuration from being used."""
        self.problems.append(position.problem(what, fix))

    def warn(self, position: Position, what: str, fix: str) -> None:
        """Something that works, but probably not as meant."""
        self.add(position, what, fix, "warning")

    def add(self, position: Position, what: str, fix: str, severity: Severity) -> None:
        """One problem of the given severity."""
        self.problems.append(position.problem(what, fix, severity))

    @property
    def failed(self) -> bool:
        """Whether any of them is an error."""
        return any(problem.severity == "error" for problem in self.problems)

    def refuse(self) -> None:
        """Raise ``ConfigError`` with the errors if there are any."""
        if self.failed:
            raise ConfigError([problem for problem in self.problems if problem.severity == "error"])


class Section:
    """
    One mapping being read; ``name`` is what messages call it. A missing mapping reads as an empty
    one.
    """

    def __init__(
        self,
        node: Node | None,
        report: Report,
        name: str,
        position: Position | None = None,
        fix: str = "write a mapping: key: value",
    ) -> None:
        self.node = node
        self.report = report
        self.name = name
        self.lacks = f"{name} has no key"
        self.needed: set[str] = set()
        self.renamed: set[str] = set()
        self.position = node.position if node is not None else position or Position("<none>", 1, 1)
        self.known: set[str] = set()
        self.nodes: Mapping[str, Node] = {}
        self.keys: Mapping[str, Position] = {}
        self.broken = node is not None and node.kind not in ("map", "null")
        if node is not None and node.kind == "map":
            self.nodes, self.keys = node.value, node.keys
        elif node is not None and self.broken:
            report.error(node.position, f"{name} is {node.kind_name}", fix)

    @property
    def base(self) -> Path:
        """The directory of the file, which its paths are relative to."""
        return Path(self.position.path).parent

    def get(self, key: str) -> Node | None:
        """The node of a key (None if absent or empty), which is known from now on."""
        self.known.add(key)
        node = self.nodes.get(key)
        return None if node is None or node.kind == "null" else node

    def has(self, key: str) -> bool:
        """Whether the key is written."""
        return key in self.nodes

    def at(self, key: str) -> Position:
        """The position of the key's value, or of the mapping if the key is absent."""
        node = self.nodes.get(key)
        return node.position if node is not None else self.position

    def place(self, *path: str | int) -> Position:
        """The position of the deepest node that exists on a path below the mapping."""
        return self.position if self.node is None else place(self.node, *path)

    def inside(self, *path: str | int) -> Section:
        """The mapping at a path below, which has been read already."""
        return Section(find(self.node, *path), self.report, f"`{path[-1]}`", self.place(*path))

    def error(self, key: str, what: str, fix: str) -> None:
        """Report an error at a key's value."""
        self.report.error(self.at(key), what, fix)

    def shown(self, key: str) -> str:
        """A key's value as written, short enough for a message: never what a reference means."""
        return clip(self.nodes[key].text) if key in self.nodes else ""

    def wrong(self, node: Node, key: str, expected: str) -> None:
        """Report a value of the wrong kind."""
        error = wrong_kind(node, f"`{key}`", f"write {expected}")
        self.report.error(node.position, error.what, error.fix)

    def adopt(
        self,
        names: Collection[str],
        needed: Collection[str] = (),
        refused: Collection[str] = (),
    ) -> None:
        """
        Report every key that is none of ``names``. One that is a misspelt name, or that stands
        where a single ``needed`` one lacks, is read as that, so that one slip is one problem and
        what stands below it is read all the same. The keys ``refused`` are reported elsewhere.
        """
        unknown = [key for key in self.keys if key not in (*names, *refused)]
        lacking = [key for key in needed if key not in self.nodes]
        for key in unknown:
            free = [name for name in names if name not in self.nodes]
            near = meant(key, free) or meant(key, names)
            fix = f"known are: {', '.join(sorted(names))}"
            if near is not None:
                fix = f"did you mean {near!r}?"
            elif len(unknown) == len(lacking) == 1:
                near = lacking[0]
                fix = f"did you mean {near!r}? {fix}"
            self.report.error(self.keys[key], f"{self.lacks} {clip(key)!r}", fix)
            self.known.add(key)
            if near in free:
                self.rename(key, near)

    def rename(self, key: str, name: str) -> None:
        """Read a key under another name from now on, here and in the tree."""
        for found in (self.nodes, self.keys):
            cast(dict[str, Any], found)[name] = cast(dict[str, Any], found).pop(key)
        self.known.discard(key)
        self.renamed.add(name)

    def need(self, key: str, fix: str) -> Node | None:
        """Like ``get``, but an absent key is an error."""
        node = self.get(key)
        if node is None and not self.broken:
            self.error(key, f"{self.name} has no `{key}`", fix)
        return node

    def parse(self, node: Node, called: str, read: Callable[[Node, str], V], default: D) -> V | D:
        """
        The result of ``read`` for a node; the default if it is invalid (which is reported) or has a
        reference that could not be looked up.
        """
        if node.unresolved:
            return default
        try:
            return read(node, called)
        except Invalid as error:
            self.report.error(node.position, error.what, error.fix)
        return default

    def value(self, key: str, default: D, read: Callable[[Node, str], V]) -> V | D:
        """The result of ``read`` for a key's value; the default if it is absent or invalid."""
        node = self.get(key)
        empty = key in self.nodes and self.nodes[key].text == "" and key not in self.needed
        if node is None and empty:
            fix = "write a value, or remove the key"
            self.report.error(self.keys[key], f"`{key}` is empty", fix)
        if key in self.renamed and node is not None:
            # its value may be written in the way of the other key, which has been reported
            return Section(None, Report(), self.name).parse(node, f"`{key}`", read, default)
        return default if node is None else self.parse(node, f"`{key}`", read, default)

    def text(self, key: str, default: D) -> str | D:
        """A text that is not empty."""
        return self.value(key, default, text_of)

    def word(self, key: str, choices: Collection[str], default: D) -> str | D:
        """One of a closed list."""
        return self.value(key, default, lambda node, called: word_of(node, called, choices))

    def choice(self, node: Node, called: str, choices: Collection[str]) -> str | None:
        """The word of a node if it is among the choices, else a problem and None."""
        return self.parse(node, called, lambda one, name: word_of(one, name, choices), None)

    def boolean(self, key: str, default: bool) -> bool:
        """``true`` or ``false``."""
        return self.value(key, default, boolean_of)

    def section(self, key: str, name: str | None = None, first: str = "") -> Section:
        """The mapping under a key; ``first`` is a key of it, for the fix if it is none."""
        node = self.get(key)
        if key in self.renamed and node is not None and node.kind != "map":
            node = None
        value = clip(node.text) if node is not None and node.text else "…"
        fix = f"write {key}: {{{first}: {value}}}" if first else "write a mapping: key: value"
        return Section(node, self.report, name or f"`{key}`", self.at(key), fix)

    def item(self, node: Node, called: str, first: str) -> Section:
        """The mapping that is an entry of a list; ``first`` is a key of it."""
        fix = f"write {{{first}: {clip(node.text) or '…'}}}"
        return Section(node, self.report, called, fix=fix)

    def items(self, key: str, what: str) -> tuple[Node, ...]:
        """The nodes of a list; anything else is an error."""
        node = self.get(key)
        if node is None:
            return ()
        if node.kind == "list":
            return tuple(node.value)
        fix = f"write a list of {what}: {key}: [{clip(node.text)}]"
        if node.kind == "map":
            first = next(iter(node.value), "…")
            fix = f"write a list of {what}, each with a dash: - {first}: …"
        self.error(key, f"`{key}` is {node.kind_name}", fix)
        return ()

    def words(
        self,
        key: str,
        what: str,
        choices: Collection[str] | None = None,
        empty: str | None = "name at least one, or remove the key",
    ) -> tuple[str, ...]:
        """A list of texts, each once; ``choices`` closes it. ``empty`` fixes one without any."""
        found: list[str] = []
        node = self.nodes.get(key)
        blank = node is not None and (node.value == () or (node.kind, node.text) == ("null", ""))
        if blank and empty:
            self.error(key, f"`{key}` is empty", empty)
        for node in self.items(key, what):
            position, fix = node.position, f"write {what} as plain words"
            if node.kind in ("map", "list", "null"):
                self.report.error(position, f"`{key}` holds {node.kind_name}", fix)
            elif choices is not None and not self.choice(node, f"an entry of `{key}`", choices):
                continue
            elif node.word in found:
                self.report.error(
                    position, f"`{key}` names {clip(node.text)!r} twice", "remove one"
                )
            else:
                found.append(node.word)
        return tuple(found)

    def each(self, key: str, make: Callable[[str, Section], D | None]) -> tuple[D, ...]:
        """The result of ``make(name, section)`` for every named mapping under a key."""
        parent = self.section(key)
        made = []
        for name in parent.nodes:
            inner = Section(parent.get(name), self.report, f"`{key}.{name}`", parent.keys[name])
            made.append(make(name, inner))
        return tuple(one for one in made if one is not None)

    def done(self) -> None:
        """Report every unknown key."""
        self.adopt(sorted(self.known))
