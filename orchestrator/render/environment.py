"""
The sandbox that templates and conditions run in.

Only what is listed may be used: filters, tests and globals. Data is plain JSON types. Whatever could make a small template
take much time or memory has a limit: powers, products, ranges, padding, formats, and the output itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from jinja2 import StrictUndefined, Undefined, nodes
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

NUMBER_MAX = 10**15
POWER_MAX = 64
LENGTH_MAX = 10_000
RANGE_MAX = 1_000
NESTING_MAX = 24
SAFE_METHODS = {
    str: frozenset(
        {"upper", "lower", "strip", "lstrip", "rstrip", "startswith", "endswith", "title", "capitalize", "split", "replace"}
    ),
    dict: frozenset({"get", "items", "keys", "values"}),
}
FILTERS = frozenset(
    [
        "abs",
        "capitalize",
        "default",
        "d",
        "escape",
        "e",
        "first",
        "float",
        "int",
        "join",
        "last",
        "length",
        "count",
        "list",
        "lower",
        "map",
        "max",
        "min",
        "reject",
        "rejectattr",
        "replace",
        "reverse",
        "round",
        "select",
        "selectattr",
        "sort",
        "striptags",
        "sum",
        "title",
        "trim",
        "truncate",
        "unique",
        "upper",
        "urlencode",
        "batch",
        "dictsort",
        "groupby",
        "slice",
        "string",
        "wordcount",
    ]
)
TESTS = frozenset(
    [
        "boolean",
        "defined",
        "divisibleby",
        "eq",
        "equalto",
        "even",
        "false",
        "float",
        "ge",
        "greaterthan",
        "gt",
        "in",
        "integer",
        "iterable",
        "le",
        "lessthan",
        "lower",
        "lt",
        "mapping",
        "ne",
        "none",
        "number",
        "odd",
        "sameas",
        "sequence",
        "string",
        "true",
        "undefined",
        "upper",
        "==",
        "!=",
        ">",
        ">=",
        "<",
        "<=",
    ]
)
F = TypeVar("F", bound=Callable[..., Any])


class Sandbox(ImmutableSandboxedEnvironment):
    """Jinja with nothing in it that was not asked for."""

    intercepted_binops = frozenset({"*", "**", "%", "+", "//", "/"})

    def __init__(self, *, undefined: type[Undefined] = StrictUndefined, autoescape: bool = False) -> None:
        super().__init__(undefined=undefined, autoescape=autoescape, keep_trailing_newline=False, cache_size=0)
        self.filters = {name: self.filters[name] for name in FILTERS if name in self.filters}
        self.tests = {name: self.tests[name] for name in TESTS if name in self.tests}
        self.globals = {"range": bounded_range}
        for name in ("replace", "join", "list", "batch", "slice", "truncate"):
            self.filters[name] = bounded(self.filters[name])

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Arithmetic, within limits."""
        if operator == "**" and not (small(left) and isinstance(right, int | float) and abs(right) <= POWER_MAX):
            raise SecurityError("a power that large is not allowed")
        if operator == "*":
            sizes = [len(side) for side in (left, right) if isinstance(side, str | list | tuple)]
            counts = [side for side in (left, right) if isinstance(side, int)]
            if sizes and counts and sizes[0] * max(0, counts[0]) > LENGTH_MAX:
                raise SecurityError("a repetition that long is not allowed")
        if operator == "%" and isinstance(left, str):
            raise SecurityError("% on text is not allowed: write the values into the text")
        result = super().call_binop(context, operator, left, right)
        if isinstance(result, int | float) and not isinstance(result, bool) and abs(result) > NUMBER_MAX:
            raise SecurityError("a number that large is not allowed")
        if isinstance(result, str | list | tuple) and len(result) > LENGTH_MAX:
            raise SecurityError("a result that long is not allowed")
        return result

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Methods of text and mappings by name; everything else is data."""
        if attr.startswith("_"):
            return False
        for kind, names in SAFE_METHODS.items():
            if isinstance(obj, kind):
                return attr in names
        return obj.__class__.__name__ in ("LoopContext", "Namespace", "TemplateReference", "BlockReference", "Markup")

    def getattr(self, obj: Any, attribute: str) -> Any:
        """A key of a mapping comes before its methods: ``cart.items`` is the cart's items."""
        if isinstance(obj, Mapping) and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)


def small(value: Any) -> bool:
    return isinstance(value, int | float) and abs(value) <= LENGTH_MAX


def bounded_range(*arguments: int) -> range:
    """``range`` of at most a thousand numbers."""
    found = range(*arguments)
    if len(found) > RANGE_MAX:
        raise SecurityError(f"a range of more than {RANGE_MAX} numbers is not allowed")
    return found


def bounded(filter: F) -> F:
    """A built-in filter whose result may not be longer than ``LENGTH_MAX`` times itself."""

    def limited(*arguments: Any, **options: Any) -> Any:
        if any(isinstance(one, int) and abs(one) > LENGTH_MAX for one in (*arguments[1:], *options.values())):
            raise SecurityError("a size that large is not allowed")
        result = filter(*arguments, **options)
        if isinstance(result, str | list) and len(result) > 20 * LENGTH_MAX:
            raise SecurityError("a result that long is not allowed")
        return result

    for name in ("jinja_pass_arg", "jinja_async_variant"):
        if hasattr(filter, name):
            setattr(limited, name, getattr(filter, name))
    return limited  # type: ignore[return-value]


def plain(value: Any) -> Any:
    """Only JSON's own types get into a template; everything else becomes its text."""
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return str(value)


def depth(node: nodes.Node) -> int:
    """How deeply a template nests."""
    deepest, stack = 0, [(node, 1)]
    while stack:
        current, level = stack.pop()
        deepest = max(deepest, level)
        stack.extend((child, level + 1) for child in current.iter_child_nodes())
    return deepest
