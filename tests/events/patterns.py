"""
Finds every pattern of the source, how it is called, and texts that are the worst for it.
"""

from __future__ import annotations

import ast
import importlib
import re
import re._constants as op  # type: ignore[import-not-found] # the parser of re has no stubs
import re._parser as parser  # type: ignore[import-not-found] # the same
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SOURCES = [
    path
    for folder in ("orchestrator", "adapters")
    for path in sorted((ROOT / folder).rglob("*.py"))
]
MODULES = ("re", "regex")
ANCHORED = frozenset({"match", "fullmatch"})
METHODS = ANCHORED | {"search", "sub", "subn", "split", "findall", "finditer"}
CALLS = re.compile(rf"\b(?:{'|'.join(MODULES)})\s*\.|\.\s*(?:{'|'.join(sorted(METHODS))})\b")
"""In the text of every file that has a pattern or uses one."""


@dataclass
class Found:
    """A pattern: ``name`` is its constant, or its function and line; None: known at run time."""

    path: str
    name: str
    pattern: re.Pattern[Any] | None
    methods: set[str] = field(default_factory=set)

    @property
    def where(self) -> str:
        return f"{self.path}:{self.name}"


def patterns() -> list[Found]:
    """Every pattern, with the methods that anything calls on it by its name."""
    found: list[Found] = []
    called: dict[str, set[str]] = {}
    for path in SOURCES:
        text = path.read_text()
        if not CALLS.search(text):
            continue
        nodes = list(ast.walk(ast.parse(text)))
        found += patterns_of(path, nodes)
        for node in nodes:
            if isinstance(node, ast.Attribute) and node.attr in METHODS:
                owner = node.value
                name = owner.id if isinstance(owner, ast.Name) else getattr(owner, "attr", "")
                called.setdefault(name, set()).add(node.attr)
    for one in found:
        one.methods = one.methods or called.get(one.name, set())
    return found


def patterns_of(path: Path, nodes: list[ast.AST]) -> Iterator[Found]:
    """The patterns of one file."""
    place = str(path.relative_to(ROOT))
    named = {
        id(node.value): target.id
        for node in nodes
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in nodes:
        called = node.func if isinstance(node, ast.Call) else None
        owner = called.value if isinstance(called, ast.Attribute) else None
        if not isinstance(owner, ast.Name) or owner.id not in MODULES:
            continue
        assert isinstance(node, ast.Call) and isinstance(called, ast.Attribute)
        if called.attr not in METHODS | {"compile"}:
            continue
        one = Found(place, named.get(id(node), f"line {node.lineno}"), made_by(path, node))
        if called.attr in METHODS:
            one.methods = {called.attr}
        yield one


def made_by(path: Path, node: ast.Call) -> re.Pattern[Any] | None:
    """The pattern that a call makes of constants, None if it needs what only a run knows."""
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    scope = vars(importlib.import_module(name))
    try:
        call = ast.Call(node.func, node.args, node.keywords)
        if isinstance(node.func, ast.Attribute) and node.func.attr != "compile":
            flags = [word for word in node.keywords if word.arg == "flags"]
            function = ast.Attribute(node.func.value, "compile", ast.Load())
            call = ast.Call(function, node.args[:1], flags)
        code = compile(ast.fix_missing_locations(ast.Expression(call)), name, "eval")
        made = eval(code, dict(scope))
    except NameError:
        return None
    return made if isinstance(made, re.Pattern) else None


FRAGMENTS = (
    "a", "1", " ", "-", ".", "@", "<", "=?a", "\n", "\t", "(", "aA1", "a ", "a.", "1-", "a@", "<a",
    "\\", '"', "{{", "{", ";", "а", "&", "%", "::", "\r", "+1", "a@a", "a\n", "\u0301",
)  # fmt: skip
"""Repeated, they are what strangers try first."""


def worst_texts(pattern: re.Pattern[Any]) -> set[str]:
    """
    Pieces that bring a pattern to begin again and again, when repeated: common ones, and everything
    that the pattern itself may begin with.
    """
    found = set(FRAGMENTS)
    is_text = isinstance(pattern.pattern, str)
    source = pattern.pattern if is_text else pattern.pattern.decode("latin-1")
    tree = parser.parse(source, pattern.flags & ~re.UNICODE if not is_text else pattern.flags)
    for beginning in beginnings(tree):
        found.update({beginning, beginning + " ", beginning + "\n"})
    return {piece for piece in found if piece}


def beginnings(tree: Iterable[Any], before: tuple[str, ...] = ("",)) -> Iterator[str]:
    """Texts that match the first elements of a pattern: one element, two, three, and so on."""
    for kind, value in tree:
        parts = list(samples(kind, value))[:12]
        before = tuple(dict.fromkeys(text + part for text in before for part in parts))[:12]
        yield from before


def samples(kind: Any, value: Any) -> Iterator[str]:
    """A few texts that one element matches."""
    if kind is op.LITERAL:
        yield chr(value)
    elif kind is op.NOT_LITERAL:
        yield "a" if value != ord("a") else "b"
    elif kind is op.ANY:
        yield "a"
    elif kind is op.IN:
        yield of_class(value)
    elif kind is op.BRANCH:
        for one in value[1]:
            yield from last_of(one)
    elif kind is op.SUBPATTERN:
        yield from last_of(value[3])
    elif kind in (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT):
        least, _, inner = value
        for one in last_of(inner):
            yield one * max(least, 1)
    elif kind is op.ATOMIC_GROUP:
        yield from last_of(value)
    else:
        yield ""


def last_of(tree: Iterable[Any]) -> list[str]:
    """Texts that match a whole sub-pattern."""
    whole: list[str] = [""]
    for kind, value in tree:
        parts = list(samples(kind, value))[:8]
        whole = list(dict.fromkeys(text + part for text in whole for part in parts))[:8]
    return whole


def of_class(members: list[tuple[Any, Any]]) -> str:
    """One character of a class."""
    source = {
        op.CATEGORY_DIGIT: "1", op.CATEGORY_WORD: "a", op.CATEGORY_SPACE: " ",
        op.CATEGORY_NOT_SPACE: "a", op.CATEGORY_NOT_DIGIT: "a", op.CATEGORY_NOT_WORD: "-",
    }  # fmt: skip
    negated = members[0][0] is op.NEGATE
    if negated:
        rest = members[1:]
        for letter in ("a", "1", " ", "-", "\n", "Z"):
            if not any(holds(one, letter) for one in rest):
                return letter
        return "\x01"
    kind, value = members[0]
    if kind is op.LITERAL:
        return chr(value)
    return chr(value[0]) if kind is op.RANGE else source.get(value, "a")


def holds(member: tuple[Any, Any], letter: str) -> bool:
    """Whether a member of a class has a character."""
    kind, value = member
    if kind is op.LITERAL:
        return bool(chr(value) == letter)
    if kind is op.RANGE:
        return bool(value[0] <= ord(letter) <= value[1])
    tests = {
        op.CATEGORY_DIGIT: str.isdigit, op.CATEGORY_WORD: str.isalnum,
        op.CATEGORY_SPACE: str.isspace,
    }  # fmt: skip
    return value in tests and tests[value](letter)
