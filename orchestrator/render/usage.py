"""
What a template or condition asks for: which names, and of what kind each must be for the filters
and comparisons that it stands in. ``invented`` makes data of it, so that everything can be tried
before there is an event.

    {{ event.items[0].price | money('UAH') }}  ──►  {"event": {"items": [{"price": 5}, …]}}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from jinja2 import nodes

from orchestrator.render.missing import Path, path_of

EACH = "[]"
"""In a path, any element of a list."""
NUMERIC = frozenset({"money", "number", "plural", "round", "abs", "int", "float"})
LISTING = frozenset({"length", "count", "join", "first", "last", "sort", "sum", "map", "select",
    "reject", "selectattr", "rejectattr", "unique", "batch", "slice", "groupby", "list",
    "min", "max", "reverse"})  # fmt: skip
KINDS = {"date": "date", "link": "url", "gender": "person"}
PASSING = frozenset({"default", "d", "abs", "round", "trim", "string"})
SAMPLES: Mapping[str, Any] = {
    "text": "text",
    "number": 5,
    "date": "2026-11-21T10:00:00+02:00",
    "url": "https://shop.example/page",
    "person": {"gender": "female"},
    "true": True,
}
Use = tuple[Path, str, int]
"""A path, the kind it must be of (``any`` if everything goes) and the line it stands on."""


class _Uses:
    """Walks a tree; loop variables and ``{% set %}`` stand for what they are taken from."""

    def __init__(self) -> None:
        self.found: list[Use] = []
        self.names: dict[str, Path | None] = {}
        self.guarded: set[Path] = set()

    def path(self, node: nodes.Node) -> Path | None:
        """The path of a node with loop variables resolved, None for what is computed."""
        while isinstance(node, nodes.Filter) and node.name in PASSING and node.node is not None:
            node = node.node
        path = path_of(node)
        if path is None:
            return None
        if path[0] in self.names:
            root = self.names[str(path[0])]
            return None if root is None else (*root, *self.plain(path[1:]))
        return self.plain(path)

    def plain(self, path: Path) -> Path:
        return tuple(EACH if isinstance(one, int) else one for one in path)

    def note(self, node: nodes.Node | None, kind: Any) -> None:
        path = self.path(node) if node is not None else None
        if path is not None and node is not None:
            self.found.append((path, kind, node.lineno))

    def walk(self, node: nodes.Node) -> None:
        if isinstance(node, nodes.For):
            self.loop(node)
            return
        if isinstance(node, nodes.Assign) and isinstance(node.target, nodes.Name):
            self.walk(node.node)
            self.names[node.target.name] = self.path(node.node)
            return
        if isinstance(node, nodes.Filter):
            self.filtered(node)
        elif isinstance(node, nodes.Test) and node.name in ("defined", "undefined", "none"):
            self.guarded.update(filter(None, [self.path(node.node)]))
        elif isinstance(node, nodes.Compare):
            self.compared(node)
        elif isinstance(node, nodes.Sub | nodes.Mul | nodes.Div | nodes.Mod | nodes.FloorDiv):
            self.note(node.left, "number")
            self.note(node.right, "number")
        elif isinstance(node, nodes.Add):
            for one, other in ((node.left, node.right), (node.right, node.left)):
                text = isinstance(other, nodes.Const) and isinstance(other.value, str)
                self.note(one, "text" if text else "number")
        path = self.path(node) if isinstance(node, nodes.Name | nodes.Getattr) else None
        path = self.path(node) if isinstance(node, nodes.Getitem) else path
        if path is not None:
            self.found.append((path, "any", node.lineno))
            if isinstance(node, nodes.Getattr | nodes.Getitem):
                self.walk_below(node)
            return
        for child in node.iter_child_nodes():
            self.walk(child)

    def walk_below(self, node: nodes.Getattr | nodes.Getitem) -> None:
        """Only what is computed inside a path: its parts are no uses of their own."""
        inner = node.node
        while isinstance(inner, nodes.Getattr | nodes.Getitem):
            inner = inner.node
        if not isinstance(inner, nodes.Name):
            self.walk(inner)

    def loop(self, node: nodes.For) -> None:
        self.note(node.iter, "list")
        self.walk(node.iter)
        path = self.path(node.iter)
        before = dict(self.names)
        targets = node.target.find_all(nodes.Name)
        for name in (node.target, *targets):
            if isinstance(name, nodes.Name):
                self.names[name.name] = None
        if isinstance(node.target, nodes.Name) and path is not None:
            self.names[node.target.name] = (*path, EACH)
        self.names["loop"] = None
        for child in (*([node.test] if node.test else []), *node.body, *node.else_):
            self.walk(child)
        self.names = before

    def filtered(self, node: nodes.Filter) -> None:
        if node.name in ("default", "d") and node.node is not None:
            self.guarded.update(filter(None, [self.path(node.node)]))
        if node.name in NUMERIC:
            self.note(node.node, "number")
        elif node.name in LISTING:
            self.note(node.node, "list")
        elif node.name in KINDS:
            self.note(node.node, KINDS[node.name])
        elif node.name not in PASSING:
            self.note(node.node, "text")

    def compared(self, node: nodes.Compare) -> None:
        sides = [node.expr, *(one.expr for one in node.ops)]
        for one in sides:
            for other in sides:
                if isinstance(other, nodes.Const) and other is not one:
                    self.note(one, like(other.value))
        for operand in node.ops:
            if operand.op in ("in", "notin"):
                self.note(operand.expr, "list")


def like(value: Any) -> Any:
    """The kind of a constant; a text stands for itself."""
    if isinstance(value, bool):
        return "true"
    if isinstance(value, int | float):
        return "number"
    return ("=", value) if isinstance(value, str) else "any"


def uses(tree: nodes.Node) -> tuple[list[Use], set[Path]]:
    """Every use of a name in a tree, and the paths that may be absent without harm."""
    walker = _Uses()
    walker.walk(tree)
    return walker.found, walker.guarded


def invented(found: list[Use]) -> dict[str, Any]:
    """Data for all that is used, each value of the first kind that was asked of it."""
    root: dict[Any, Any] = {}
    ordered = sorted(found, key=lambda use: use[1] == "any")
    for path, kind, _ in ordered:
        below = root
        for key in path:
            below = below.setdefault(key, {})
        if kind != "any":
            below.setdefault(None, kind)
    made = made_of(root)
    return made if isinstance(made, dict) else {}


def made_of(tree: Mapping[Any, Any]) -> Any:
    """The value of a branch: what is below it decides, then the kind that was asked for."""
    kind = tree.get(None, "any")
    keys = [key for key in tree if key is not None]
    if EACH in keys or kind == "list":
        one = made_of(tree[EACH]) if EACH in keys else "text"
        return [one, one]
    if keys:
        return {key: made_of(tree[key]) for key in keys}
    return kind[1] if isinstance(kind, tuple) else SAMPLES.get(kind, "text")


def laid_over(below: Any, above: Any) -> Any:
    """Real data over invented: what the real data lacks stays."""
    if isinstance(below, dict) and isinstance(above, dict):
        return {**below, **{key: laid_over(below.get(key), above[key]) for key in above}}
    return below if above is None else above


def filters(tree: nodes.Node) -> Iterator[nodes.Filter]:
    """Every filter of a tree that has something to work on."""
    return (one for one in tree.find_all(nodes.Filter) if one.node is not None)
