"""
Small wrongs, one at a time: every place of a module at which one can be put, and the module with
it.

What is not touched: annotations, decorators, docstrings, imports, and words that are only read by
people (what a decision says, the sentences of reasons, the texts of exceptions).
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.sql import changes

COMPARE: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}
SWAPPED_CALLS = {"min": "max", "max": "min", "any": "all", "all": "any"}
SPOKEN = ("say", "debug", "info", "warning", "error", "exception")
SENTENCE_TABLES = ("SENTENCES", "__all__")
BODIES = ("body", "orelse", "finalbody")


@dataclass(frozen=True, slots=True)
class Site:
    """One place: ``apply`` puts the wrong into the tree that the site was found in."""

    line: int
    function: str
    what: str
    apply: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Mutant:
    """The ``index``-th wrong of a file, as it is named in reports."""

    path: Path
    index: int
    line: int
    function: str
    what: str

    def source(self) -> ast.Module:
        """The file's tree with this wrong in it."""
        tree = ast.parse(self.path.read_text("utf-8"))
        list(sites(tree))[self.index].apply()
        return ast.fix_missing_locations(tree)

    def text(self) -> str:
        """The text of an SQL file with this wrong in it."""
        return changes(self.path.read_text("utf-8"))[self.index].text


def mutants(path: Path) -> list[Mutant]:
    """Every mutant of a Python or SQL file, in the order of its text."""
    if path.suffix == ".sql":
        return [
            Mutant(path, index, change.line, change.statement, change.what)
            for index, change in enumerate(changes(path.read_text("utf-8")))
        ]
    tree = ast.parse(path.read_text("utf-8"))
    return [
        Mutant(path, index, site.line, site.function, site.what)
        for index, site in enumerate(sites(tree))
    ]


def sites(tree: ast.Module) -> Iterator[Site]:
    yield from inside(tree, "")


def inside(node: ast.AST, function: str) -> Iterator[Site]:
    """
    The sites of a node and of everything below it; ``function`` is the innermost function's dotted
    name.
    """
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        function = f"{function}.{node.name}".lstrip(".")
    yield from own(node, function)
    for name, value in ast.iter_fields(node):
        if skipped(node, name):
            continue
        if isinstance(value, list):
            for position, child in enumerate(value):
                if isinstance(child, ast.stmt) and name in BODIES:
                    yield from statement(value, position, child, function)
                if isinstance(child, ast.AST) and not is_docstring(node, name, position, child):
                    yield from inside(child, function)
        elif isinstance(value, ast.AST):
            yield from inside(value, function)


def skipped(node: ast.AST, name: str) -> bool:
    """Fields that no wrong is put into."""
    if name in (
        "annotation",
        "returns",
        "decorator_list",
        "type_params",
        "bases",
        "keywords" if is_class(node) else "",
    ):
        return True
    if isinstance(node, ast.Import | ast.ImportFrom | ast.Raise):
        return True
    if isinstance(node, ast.Assign | ast.AnnAssign) and name == "value":
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return any(
            isinstance(t, ast.Name) and (t.id in SENTENCE_TABLES or is_type_variable(node.value))
            for t in targets
        )
    return isinstance(node, ast.Call) and name == "args" and called(node) in SPOKEN


def is_class(node: ast.AST) -> bool:
    return isinstance(node, ast.ClassDef)


def is_type_variable(value: ast.expr | None) -> bool:
    return isinstance(value, ast.Call) and called(value) == "TypeVar"


def called(call: ast.Call) -> str:
    return (
        call.func.attr
        if isinstance(call.func, ast.Attribute)
        else call.func.id
        if isinstance(call.func, ast.Name)
        else ""
    )


def is_docstring(node: ast.AST, name: str, position: int, child: ast.AST) -> bool:
    """
    A string that stands as a statement: a module's, class's, function's or constant's
    documentation.
    """
    return (
        isinstance(child, ast.Expr)
        and isinstance(child.value, ast.Constant)
        and isinstance(child.value.value, str)
    )


def statement(
    body: list[ast.stmt], position: int, child: ast.stmt, function: str
) -> Iterator[Site]:
    """Leave a statement out, where something would still be there."""
    line = child.lineno

    def leave_out() -> None:
        body[position] = ast.copy_location(ast.Pass(), child)

    done = (
        isinstance(child, ast.Expr)
        and isinstance(child.value, ast.Call)
        and called(child.value) not in SPOKEN
    )
    kept = isinstance(child, ast.Assign) and isinstance(
        child.targets[0], ast.Attribute | ast.Subscript
    )
    if done or kept or isinstance(child, ast.AugAssign):
        yield Site(line, function, f"without `{short(child)}`", leave_out)


def short(node: ast.AST) -> str:
    text = ast.unparse(node)
    return text if len(text) <= 60 else f"{text[:57]}…"


def own(node: ast.AST, function: str) -> Iterator[Site]:
    """The wrongs that can be put into one node itself."""
    match node:
        case ast.Compare():
            yield from compare(node, function)
        case ast.BoolOp():
            yield site(node, function, "op", ast.And() if isinstance(node.op, ast.Or) else ast.Or())
        case ast.BinOp() | ast.AugAssign() if type(node.op) in ARITHMETIC:
            yield site(node, function, "op", ARITHMETIC[type(node.op)]())
        case ast.UnaryOp(op=ast.Not()):
            yield site(node, function, "op", ast.UAdd(), "bool() of it instead of not")
        case ast.If() | ast.While() | ast.IfExp():
            yield site(
                node,
                function,
                "test",
                ast.UnaryOp(ast.Not(), node.test),
                f"unless `{short(node.test)}`",
            )
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
            yield site(
                node, function, "value", ast.Constant(None), f"returns None, not `{short(value)}`"
            )
        case ast.Call(func=ast.Name(id=name)) if name in SWAPPED_CALLS:
            yield site(
                node,
                function,
                "func",
                ast.Name(SWAPPED_CALLS[name], ast.Load()),
                f"{SWAPPED_CALLS[name]}, not {name}",
            )
        case ast.Constant(value=bool() | int() | str()):
            yield constant(node, function)


def compare(node: ast.Compare, function: str) -> Iterator[Site]:
    for position, operator in enumerate(node.ops):
        instead = COMPARE[type(operator)]

        def change(position: int = position, instead: type[ast.cmpop] = instead) -> None:
            node.ops[position] = instead()

        yield Site(node.lineno, function, f"{instead.__name__} in `{short(node)}`", change)


def site(node: ast.AST, function: str, name: str, instead: ast.AST, what: str = "") -> Site:
    words = what or f"{type(instead).__name__} in `{short(node)}`"
    return Site(getattr(node, "lineno", 0), function, words, lambda: setattr(node, name, instead))


def constant(node: ast.Constant, function: str) -> Site:
    value = node.value
    instead: object = (
        not value
        if isinstance(value, bool)
        else value + 1
        if isinstance(value, int)
        else f"XX{value!s}"
    )
    return Site(
        node.lineno,
        function,
        f"{instead!r}, not {value!r}",
        lambda: setattr(node, "value", instead),
    )
