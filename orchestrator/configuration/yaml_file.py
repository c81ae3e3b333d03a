"""
YAML 1.2, read safely, with the position of everything in it.

    text ──► ruamel's events ──► Node tree (frozen, every value and key knows its line and column)

The meaning of plain words is the YAML 1.2 core schema: ``true``/``false``, ``null``/``~``, numbers;
so ``NO``, ``on`` and ``off`` are words. Nothing is ever constructed from a tag. A file is refused,
with the place and the fix, if it has a key twice, a tag, a second document, more than
``DEPTH_MAX`` levels, more than ``BYTES_MAX`` bytes, or aliases that expand to more than
``NODES_MAX`` nodes.

One liberty: ``${env:NAME}`` and ``${file:path}`` may stand unquoted inside ``{…}`` and ``[…]``,
where YAML alone would take their braces for a mapping.

Reference: YAML 1.2.2, sections 10.3 (core schema) and 7.3.3 (plain scalars).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.reader import ReaderError

from orchestrator.configuration import yaml_faults
from orchestrator.configuration.core_schema import KIND_NAMES, Kind, resolve

BYTES_MAX = 1024 * 1024
DEPTH_MAX = 32
ALIASES_MAX = 100
UNALIKE = re.compile("[\t&\x85\u2028\u2029\ufeff]|[>|][^ \n]*#|^%", re.MULTILINE)
"""
What YAML 1.1 and 1.2 may read differently: tabs, anchors, old line breaks, a comment stuck to a
header, directives.
"""
NODES_MAX = 100_000

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, where (line and column count from 1), and how to fix it."""

    path: str
    line: int
    column: int
    what: str
    fix: str
    severity: Severity = "error"

    def __str__(self) -> str:
        prefix = "warning: " if self.severity == "warning" else ""
        return f"{self.path}:{self.line}:{self.column}: {prefix}{self.what}; {self.fix}"


class ConfigError(Exception):
    """Configuration that cannot be used; ``problems`` are all that were found."""

    def __init__(self, problems: list[Problem] | tuple[Problem, ...]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a file; line and column count from 1."""

    path: str
    line: int
    column: int

    def problem(self, what: str, fix: str, severity: Severity = "error") -> Problem:
        """A problem at this place."""
        return Problem(self.path, self.line, self.column, what, fix, severity)


@dataclass(frozen=True, slots=True)
class Node:
    """
    One value. ``value`` is a dict of nodes, a tuple of nodes, or the scalar itself; ``text`` is a
    scalar as written.

    ``keys`` says where each key of a mapping stands. ``quoted`` scalars are always texts.
    ``weight`` counts the nodes below it with aliases expanded, ``depth`` the levels. ``pieces`` of
    a text with references are by turns literal and what a reference stands for.
    """

    kind: Kind
    value: Any
    position: Position
    text: str = ""
    keys: Mapping[str, Position] = field(default_factory=dict)
    quoted: bool = False
    weight: int = 1
    depth: int = 0
    pieces: tuple[str, ...] = field(default=(), repr=False)

    @property
    def kind_name(self) -> str:
        """The kind of a node, for people."""
        return KIND_NAMES[self.kind]

    @property
    def word(self) -> str:
        """A scalar as a text: its value if it is one (references resolved), else as written."""
        return self.value if self.kind == "str" else self.text

    @property
    def unresolved(self) -> bool:
        """Whether a reference somewhere in it could not be looked up (see ``references``)."""
        if self.kind == "map":
            return any(child.unresolved for child in self.value.values())
        if self.kind == "list":
            return any(child.unresolved for child in self.value)
        return self.kind == "str" and self.value == "" and self.text != ""

    def plain(self) -> Any:
        """The same as dicts, lists and scalars, without positions."""
        if self.kind == "map":
            return {key: child.plain() for key, child in self.value.items()}
        if self.kind == "list":
            return [child.plain() for child in self.value]
        return self.value


# Unquoted braces are hidden from the scanner behind two private-use characters of the same width,
# so positions stay.
REFERENCE = re.compile(r"\$\{((?:env|file):[^{}\n]*)\}")
HIDDEN = re.compile("\\$\ue000((?:env|file):[^{}\n]*?)\ue001")


def hide_references(text: str) -> str:
    """The text with the braces of ``${env:…}`` and ``${file:…}`` hidden."""
    return REFERENCE.sub("$\ue000\\1\ue001", text)


def show_references(text: str) -> str:
    """The braces back again."""
    return HIDDEN.sub(r"${\1}", text) if "\ue000" in text else text


@dataclass
class _Open:
    """A mapping or list whose end has not been seen yet."""

    kind: Kind
    position: Position
    anchor: str | None
    map: dict[str, Node] = field(default_factory=dict)
    keys: dict[str, Position] = field(default_factory=dict)
    items: list[Node] = field(default_factory=list)
    key: str | None = None
    weight: int = 1
    depth: int = 1

    def close(self) -> Node:
        value: Any = self.map if self.kind == "map" else tuple(self.items)
        return Node(
            self.kind, value, self.position, keys=self.keys, weight=self.weight, depth=self.depth
        )


class _Builder:
    """Puts a tree together from events, without recursion."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.stack: list[_Open] = []
        self.anchors: dict[str, Node] = {}
        self.aliases = 0
        self.documents = 0
        self.root: Node | None = None

    def position(self, event: Any) -> Position:
        return Position(self.path, event.start_mark.line + 1, event.start_mark.column + 1)

    def fail(self, event: Any, what: str, fix: str) -> ConfigError:
        return ConfigError([self.position(event).problem(what, fix)])

    def take(self, event: Any) -> None:
        """An event of either reader: their classes have the same names and attributes."""
        match type(event).__name__:
            case "DocumentStartEvent":
                self.document(event)
            case "ScalarEvent":
                self.scalar(event)
            case "MappingStartEvent":
                self.start(event, "map")
            case "SequenceStartEvent":
                self.start(event, "list")
            case "MappingEndEvent" | "SequenceEndEvent":
                done = self.stack.pop()
                self.place(done.close(), event, done.anchor)
            case "AliasEvent":
                self.alias(event)

    def document(self, event: Any) -> None:
        self.documents += 1
        if self.documents > 1:
            what, fix = "a second YAML document begins here", "keep one document in a file"
            raise self.fail(event, what, fix)
        if event.version not in (None, (1, 2)):
            fix = "remove the %YAML line; files are YAML 1.2"
            raise self.fail(event, "this file asks for an older YAML", fix)

    def refuse_tag(self, event: Any) -> None:
        if event.tag is not None:
            tag = str(event.tag).replace("tag:yaml.org,2002:", "!!")
            fix = "remove it; quote the value where it is a text"
            raise self.fail(event, f"the tag {tag} is not allowed", fix)

    def scalar(self, event: Any) -> None:
        self.refuse_tag(event)
        text = show_references(event.value)
        quoted = bool(event.style)
        kind: Kind
        kind, value = ("str", text) if quoted else resolve(text)
        node = Node(kind, value, self.position(event), text=text, quoted=quoted)
        self.place(node, event, event.anchor)

    def start(self, event: Any, kind: Kind) -> None:
        self.refuse_tag(event)
        if self.stack and self.stack[-1].kind == "map" and self.stack[-1].key is None:
            raise self.fail(event, "a key must be a word", "write a plain word before the colon")
        self.limit_depth(event, len(self.stack) + 1)
        self.stack.append(_Open(kind, self.position(event), event.anchor))

    def limit_depth(self, event: Any, depth: int) -> None:
        if depth > DEPTH_MAX:
            what = f"this is nested more than {DEPTH_MAX} levels deep"
            raise self.fail(event, what, "flatten it")

    def alias(self, event: Any) -> None:
        self.aliases += 1
        if self.aliases > ALIASES_MAX:
            what = f"there are more than {ALIASES_MAX} aliases"
            raise self.fail(event, what, "write the values out")
        node = self.anchors.get(event.anchor)
        if node is None:
            what = f"the alias *{event.anchor} has no anchor before it"
            raise self.fail(event, what, f"define &{event.anchor} first")
        self.limit_depth(event, len(self.stack) + node.depth)
        self.place(node, event, None)

    def place(self, node: Node, event: Any, anchor: str | None) -> None:
        if anchor:
            self.anchors[anchor] = node
        if not self.stack:
            self.root = node
            return
        parent = self.stack[-1]
        if parent.kind == "map" and parent.key is None:
            parent.key = self.new_key(parent, node, event)
            return
        if parent.kind == "map":
            assert parent.key is not None
            parent.map[parent.key], parent.key = node, None
        else:
            parent.items.append(node)
        parent.weight += node.weight
        parent.depth = max(parent.depth, node.depth + 1)
        if parent.weight > NODES_MAX:
            what = f"this expands to more than {NODES_MAX} values"
            raise self.fail(event, what, "make the file smaller")

    def new_key(self, parent: _Open, node: Node, event: Any) -> str:
        if node.kind in ("map", "list") or node.text == "":
            raise self.fail(event, "a key must be a word", "write a plain word before the colon")
        if node.text == "<<":
            raise self.fail(event, "merge keys (<<) are not part of YAML 1.2", "write the keys out")
        if node.text in parent.map:
            fix = f"remove one; the first is on line {parent.keys[node.text].line}"
            raise self.fail(event, f"the key {node.text!r} is here twice", fix)
        parent.keys[node.text] = self.position(event)
        return node.text


def _too_large(path: str) -> ConfigError:
    what = f"the file is larger than {BYTES_MAX} bytes"
    return ConfigError([Problem(path, 1, 1, what, "split it")])


def _place_of(text: str, position: int) -> tuple[int, int]:
    before = text[:position]
    return before.count("\n") + 1, position - (before.rfind("\n") + 1) + 1


def decode(data: bytes, path: str) -> str:
    """The text of a file; raises ``ConfigError`` if it is too large or not UTF-8."""
    if len(data) > BYTES_MAX:
        raise _too_large(path)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace")
        line, column = _place_of(before, len(before))
        problem = Problem(path, line, column, "the file is not UTF-8", "save it as UTF-8")
        raise ConfigError([problem]) from None


def _quick_tree(text: str, path: str) -> Node | None:
    """
    The tree of an ordinary text, ten times as fast. None leaves the text to the exact reader: this
    one knows YAML 1.1, which may read it differently, and says less well what is wrong.
    """
    if not yaml.__with_libyaml__ or UNALIKE.search(text):
        return None
    builder = _Builder(path)
    try:
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            builder.take(event)
    except (yaml.YAMLError, ConfigError, ValueError):
        return None
    return builder.root


def _exact_tree(text: str, path: str) -> Node | None:
    """The tree of any text, None if empty. Raises ``YAMLError``, ValueError or ``ConfigError``."""
    builder = _Builder(path)
    for event in YAML(typ="safe", pure=True).parse(text):
        builder.take(event)
    return builder.root


def loads(text: str, path: str = "<text>") -> Node:
    """The tree of a YAML text; an empty one is a ``null`` node. Raises ``ConfigError``."""
    if len(text.encode("utf-8", "surrogatepass")) > BYTES_MAX:
        raise _too_large(path)
    hidden = hide_references(text)
    try:
        root = _quick_tree(hidden, path) or _exact_tree(hidden, path)
    except MarkedYAMLError as error:
        line, column, what, fix = yaml_faults.explained(error, text)
        raise ConfigError([Problem(path, line, column, show_references(what), fix)]) from None
    except ReaderError as error:
        line, column = _place_of(text, error.position)
        what = f"the character U+{ord(text[error.position]):04X} is not allowed"
        raise ConfigError([Problem(path, line, column, what, "remove it")]) from None
    except (YAMLError, ValueError) as error:
        what, fix = f"this is not YAML ({type(error).__name__})", yaml_faults.NO_PLACE_FIX
        raise ConfigError([Problem(path, 1, 1, what, fix)]) from None
    return root or Node("null", None, Position(path, 1, 1))


def read_text(path: Path, shown: str | None = None) -> str:
    """A file's text; ``shown`` is its name in messages. Raises ``ConfigError``."""
    name = shown or str(path)
    try:
        with path.open("rb") as file:
            return decode(file.read(BYTES_MAX + 1), name)
    except OSError as error:
        what = f"the file cannot be read: {(error.strerror or 'it cannot be read').lower()}"
        problem = Problem(name, 1, 1, what, "check the path and its permissions")
        raise ConfigError([problem]) from None


def load(path: Path, shown: str | None = None) -> Node:
    """The tree of a YAML file; see ``loads``."""
    return loads(read_text(path, shown), shown or str(path))
