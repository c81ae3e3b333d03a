"""
A template's syntax tree before it is compiled: what is refused, and what is rewritten so that it is
paid for.
"""

from __future__ import annotations

import math
from typing import Any, cast

from jinja2 import nodes
from jinja2.visitor import NodeTransformer

NODES_A_ROUND = 12
NESTING_MAX = 24
STR_METHODS = frozenset(
    {"upper", "lower", "strip", "lstrip", "rstrip", "startswith", "endswith", "title", "capitalize"}
)
FORBIDDEN: dict[type[nodes.Node], str] = {
    nodes.Macro: "{% macro %}",
    nodes.CallBlock: "{% call %}",
    nodes.FilterBlock: "{% filter %}",
    nodes.AssignBlock: "{% set … %} … {% endset %}",
    nodes.Include: "{% include %}",
    nodes.Import: "{% import %}",
    nodes.FromImport: "{% from %}",
    nodes.Extends: "{% extends %}",
    nodes.Block: "{% block %}",
}


def internal(
    name: str, node: nodes.Node, *given: nodes.Expr, call: nodes.Call | None = None
) -> nodes.Call:
    """A call of one of ours, with the further arguments of a call that it stands for."""
    arguments = [*given, *(call.args if call else ())]
    options = list(call.kwargs) if call else []
    spread = (call.dyn_args, call.dyn_kwargs) if call else (None, None)
    return nodes.Call(nodes.Name(name, "load"), arguments, options, *spread, lineno=node.lineno)


class Measured(NodeTransformer):
    """
    Has lists, mappings and slices measured when they are made, and calls methods of text without
    ever showing them.
    """

    def generic_visit(self, node: nodes.Node, *arguments: Any, **options: Any) -> nodes.Node:
        node = super().generic_visit(node, *arguments, **options)
        if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Slice):
            parts = (node.arg.start, node.arg.stop, node.arg.step)
            bounds = [part or nodes.Const(None) for part in parts]
            return internal("_sliced", node, node.node, *bounds)
        if (
            isinstance(node, nodes.Call)
            and isinstance(node.node, nodes.Getattr)
            and node.node.attr in STR_METHODS
        ):
            return internal("_method", node, node.node.node, nodes.Const(node.node.attr), call=node)
        made = isinstance(node, nodes.List | nodes.Dict) or (
            isinstance(node, nodes.Tuple) and node.ctx == "load"
        )
        if not made or not any(node.find_all((nodes.Name, nodes.Call))):
            return node
        return internal("_built", node, cast(nodes.Expr, node))


def count_rounds(tree: nodes.Template) -> None:
    """Have every loop of a template count its rounds, and every list be measured."""
    Measured().visit(tree)
    for loop in tree.find_all(nodes.For):
        weight = 1 + sum(1 for node in loop.find_all(nodes.Node)) // NODES_A_ROUND
        given = [cast(nodes.Expr, loop.iter), nodes.Const(weight)]
        loop.iter = nodes.Call(
            nodes.Name("_rounds", "load"), given, [], None, None, lineno=loop.lineno
        )


def refused(tree: nodes.Template) -> tuple[str, int] | None:
    """The first forbidden construct of a template and its line, or None."""
    found = next(iter(tree.find_all(tuple(FORBIDDEN))), None)
    if found is not None:
        return f"{FORBIDDEN[type(found)]} is not available in templates", found.lineno
    for loop in tree.find_all(nodes.For):
        if loop.recursive:
            return "recursive loops are not available in templates", loop.lineno
    for one in tree.find_all(nodes.Name):
        if one.name.startswith("_") or one.name == "self":
            return f"there is no {one.name!r} in templates", one.lineno
    return unavailable(tree)


def unavailable(tree: nodes.Template) -> tuple[str, int] | None:
    """What cannot be called, or a number without end, and its line; None where all is well."""
    for constant in tree.find_all(nodes.Const):
        if isinstance(constant.value, float) and not math.isfinite(constant.value):
            return "a number that large is not available", constant.lineno
    for call in tree.find_all(nodes.Call):
        called = call.node
        if isinstance(called, nodes.Getattr):
            of_loop = isinstance(called.node, nodes.Name) and called.node.name == "loop"
            if called.attr in STR_METHODS or (of_loop and called.attr in ("cycle", "changed")):
                continue
            what = f".{called.attr}() is not available: use a filter, or ['key'] for a key"
            return what, call.lineno
        if not isinstance(called, nodes.Name) or called.name != "range":
            name = f"{called.name}() is not available: " if isinstance(called, nodes.Name) else ""
            return f"{name}only range() and methods of text can be called", call.lineno
    return None


def depth(node: nodes.Node) -> int:
    """The nesting depth of a template."""
    deepest, stack = 0, [(node, 1)]
    while stack:
        current, level = stack.pop()
        deepest = max(deepest, level)
        stack.extend((child, level + 1) for child in current.iter_child_nodes())
    return deepest
