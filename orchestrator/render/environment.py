"""
The sandbox that templates and conditions run in.

Only what is listed may be used: filters, tests and globals. Data is plain JSON types, and a mapping's attributes are its
keys, never its methods. Whatever could make a small template take much time or memory has a limit: powers, products,
joined text, ranges, rounds of loops, and the output itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any, TypeVar

from jinja2 import StrictUndefined, TemplateRuntimeError, Undefined, nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup, escape

NUMBER_MAX = 10**15
POWER_MAX = 64
LENGTH_MAX = 10_000
JOINED_MAX = 300_000
RANGE_MAX = 1_000
ROUNDS_MAX = 20_000
NESTING_MAX = 24
STR_METHODS = frozenset({"upper", "lower", "strip", "lstrip", "rstrip", "startswith", "endswith", "title", "capitalize"})
RUNTIME = ("LoopContext", "Namespace", "TemplateReference", "BlockReference")
FILTERS = frozenset(
    {"abs", "batch", "capitalize", "count", "d", "default", "dictsort", "e", "escape", "first", "float", "groupby", "int"}
    | {"items", "join", "last", "length", "list", "lower", "map", "max", "min", "reject", "rejectattr", "reverse", "round"}
    | {"select", "selectattr", "slice", "sort", "string", "striptags", "sum", "title", "trim", "truncate", "unique"}
    | {"upper", "urlencode", "wordcount"}
)
TESTS = frozenset(
    {"boolean", "defined", "divisibleby", "eq", "equalto", "even", "false", "float", "ge", "greaterthan", "gt", "in"}
    | {"integer", "iterable", "le", "lessthan", "lower", "lt", "mapping", "ne", "none", "number", "odd", "sameas"}
    | {"sequence", "string", "true", "undefined", "upper", "==", "!=", ">", ">=", "<", "<="}
)
FORBIDDEN: tuple[type[nodes.Node], ...] = (
    nodes.Macro,
    nodes.CallBlock,
    nodes.FilterBlock,
    nodes.AssignBlock,
    nodes.Include,
    nodes.Import,
    nodes.FromImport,
    nodes.Extends,
    nodes.Block,
)
F = TypeVar("F", bound=Callable[..., Any])
rounds: ContextVar[list[int]] = ContextVar("rounds")


class Bounded(CodeGenerator):
    """Compiles ``a ~ b`` to a join that knows how long its result may be."""

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:
        self.write("environment.joined((")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write("))")


class Sandbox(ImmutableSandboxedEnvironment):
    """Jinja with nothing in it that was not asked for."""

    code_generator_class = Bounded
    intercepted_binops = frozenset({"*", "**", "%", "+", "//", "/"})

    def __init__(self, *, undefined: type[Undefined] = StrictUndefined, autoescape: bool = False) -> None:
        super().__init__(undefined=undefined, autoescape=autoescape, keep_trailing_newline=False, cache_size=0)
        self.filters = {name: self.filters[name] for name in FILTERS if name in self.filters}
        self.tests = {name: self.tests[name] for name in TESTS if name in self.tests}
        self.globals = {"range": bounded_range, "_rounds": counted}
        self.filters["replace"] = bounded_replace
        for name in ("join", "list", "batch", "slice", "truncate", "string"):
            self.filters[name] = bounded(self.filters[name])

    def joined(self, parts: Iterable[Any]) -> str:
        """Text out of several values, escaped where one of them is safe HTML."""
        values = list(parts)
        markup = any(hasattr(value, "__html__") for value in values)
        text = [escape(value) if markup else str(value) for value in values]
        if sum(map(len, text)) > JOINED_MAX:
            raise SecurityError("a text that long is not allowed")
        return Markup("").join(text) if markup else "".join(text)

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
        if isinstance(result, str | list | tuple) and len(result) > JOINED_MAX:
            raise SecurityError("a result that long is not allowed")
        return result

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """A few methods of text; everything else is data."""
        if attr.startswith("_"):
            return False
        if isinstance(obj, str):
            return attr in STR_METHODS
        return obj.__class__.__name__ in RUNTIME

    def getattr(self, obj: Any, attribute: str) -> Any:
        """A mapping has its keys and nothing else, text its few methods."""
        if isinstance(obj, Mapping):
            return obj[attribute] if attribute in obj else self.undefined(obj=obj, name=attribute)
        if isinstance(obj, str) and attribute not in STR_METHODS:
            return self.undefined(obj=obj, name=attribute)
        return super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, Mapping):
            return obj[argument] if argument in obj else self.undefined(obj=obj, name=argument)
        if isinstance(obj, str) and isinstance(argument, str):
            return self.undefined(obj=obj, name=argument)
        return super().getitem(obj, argument)


def small(value: Any) -> bool:
    return isinstance(value, int | float) and abs(value) <= LENGTH_MAX


def bounded_range(*arguments: int) -> range:
    """``range`` of at most a thousand numbers."""
    found = range(*arguments)
    if len(found) > RANGE_MAX:
        raise SecurityError(f"a range of more than {RANGE_MAX} numbers is not allowed")
    return found


def counted(values: Iterable[Any]) -> Iterator[Any]:
    """The values of a loop, as long as all loops of this render together have not gone round too often."""
    budget = rounds.get(None)
    for value in values:
        if budget is not None:
            budget[0] -= 1
            if budget[0] < 0:
                raise SecurityError(f"more than {ROUNDS_MAX} rounds of loops are not allowed")
        yield value


def count_rounds(tree: nodes.Template) -> None:
    """Have every loop of a template count its rounds."""
    for loop in tree.find_all(nodes.For):
        loop.iter = nodes.Call(nodes.Name("_rounds", "load"), [loop.iter], [], None, None, lineno=loop.lineno)


def refused(tree: nodes.Template) -> str | None:
    """What a template may not do, None where there is nothing."""
    found = next(iter(tree.find_all(FORBIDDEN)), None)
    if found is not None:
        return f"{type(found).__name__.lower()} is not available in templates (line {found.lineno})"
    if any(loop.recursive for loop in tree.find_all(nodes.For)):
        return "recursive loops are not available in templates"
    name = next((one.name for one in tree.find_all(nodes.Name) if one.name.startswith("_")), None)
    return f"there is no {name!r} in templates" if name is not None else None


def bounded_replace(text: Any, old: str, new: str, count: int | None = None) -> str:
    """``replace`` whose result may not be longer than the text itself by much."""
    found = str(text)
    if len(found) + len(str(new)) * (found.count(str(old)) if count is None else count) > JOINED_MAX:
        raise SecurityError("a replacement that long is not allowed")
    return found.replace(str(old), str(new), -1 if count is None else count)


def bounded(filter: F) -> F:
    """A built-in filter whose result has a limit."""

    def limited(*arguments: Any, **options: Any) -> Any:
        if any(isinstance(one, int) and abs(one) > LENGTH_MAX for one in (*arguments[1:], *options.values())):
            raise SecurityError("a size that large is not allowed")
        result = filter(*arguments, **options)
        if isinstance(result, str | list) and len(result) > JOINED_MAX:
            raise SecurityError("a result that long is not allowed")
        return result

    for name in ("jinja_pass_arg", "jinja_async_variant"):
        if hasattr(filter, name):
            setattr(limited, name, getattr(filter, name))
    return limited  # type: ignore[return-value]


def printable(value: Any) -> Any:
    """What may stand in a text: a null is as absent as a name that nobody has, and a list is no text."""
    if isinstance(value, Mapping | list | tuple) or (callable(value) and not isinstance(value, Undefined)):
        raise TemplateRuntimeError("a list or mapping cannot be printed; name what is to be shown of it")
    return value


def plain(value: Any, level: int = 0) -> Any:
    """Only JSON's own types get into a template; everything else becomes its text."""
    if level > NESTING_MAX * 4:
        raise SecurityError("the event's data nests too deeply for a template")
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(item, level + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, level + 1) for item in value]
    return str(value)


def depth(node: nodes.Node) -> int:
    """How deeply a template nests."""
    deepest, stack = 0, [(node, 1)]
    while stack:
        current, level = stack.pop()
        deepest = max(deepest, level)
        stack.extend((child, level + 1) for child in current.iter_child_nodes())
    return deepest
