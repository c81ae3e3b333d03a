"""
The sandbox that templates and conditions run in.

Only what is listed may be used: filters, tests and globals. Data is plain JSON types, and a
mapping's attributes are its keys, never its methods. Whatever could make a small template take much
time or memory has a limit: powers, products, joined text, ranges, rounds of loops, and the output
itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from itertools import islice
from typing import Any, TypeVar

from jinja2 import StrictUndefined, TemplateRuntimeError, Undefined, nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.exceptions import SecurityError
from jinja2.runtime import LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup, escape

from orchestrator.render.budget import built, counted, paid
from orchestrator.render.problems import NullValue
from orchestrator.render.syntax import NESTING_MAX

NUMBER_MAX = 10**15
POWER_MAX = 64
LENGTH_MAX = 10_000
JOINED_MAX = 300_000
RANGE_MAX = 1_000
RUNTIME = ("LoopContext", "Namespace", "TemplateReference", "BlockReference")
FILTERS = frozenset({
    "abs", "batch", "capitalize", "count", "d", "default", "dictsort", "e", "escape", "first",
    "float", "groupby", "int", "items", "join", "last", "length", "list", "lower", "map", "max",
    "min", "reject", "rejectattr", "reverse", "round", "select", "selectattr", "slice", "sort",
    "string", "striptags", "sum", "title", "trim", "truncate", "unique", "upper", "urlencode",
    "wordcount"
})  # fmt: skip
SIZED = frozenset({"batch", "join", "list", "replace", "round", "slice", "truncate"})
BUILDING = frozenset({"batch", "slice", "map", "groupby"})
WORDY = frozenset({
    "capitalize", "e", "escape", "lower", "replace", "string", "striptags", "title", "trim",
    "truncate", "upper", "wordcount"
})  # fmt: skip
TESTS = frozenset({
    "boolean", "defined", "divisibleby", "eq", "equalto", "even", "false", "float", "ge",
    "greaterthan", "gt", "in", "integer", "iterable", "le", "lessthan", "lower", "lt", "mapping",
    "ne", "none", "number", "odd", "sameas", "sequence", "string", "true", "undefined", "upper",
    "==", "!=", ">", ">=", "<", "<="
})  # fmt: skip
PRINTABLE = (str, int, float, Undefined)
SCALARS = frozenset({str, int, float, bool, type(None)})
F = TypeVar("F", bound=Callable[..., Any])


class Bounded(CodeGenerator):
    """Compiles ``a ~ b`` to a join that knows how long its result may be."""

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:
        self.write("environment.joined((")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write("))")


class SafeEnvironment(ImmutableSandboxedEnvironment):
    """Jinja with nothing in it that was not asked for."""

    code_generator_class = Bounded
    intercepted_binops = frozenset({"*", "**", "%", "+", "//", "/"})

    def __init__(
        self, *, undefined: type[Undefined] = StrictUndefined, autoescape: bool = False
    ) -> None:
        super().__init__(
            undefined=undefined, autoescape=autoescape, keep_trailing_newline=False, cache_size=0
        )
        self.filters = {name: self.filters[name] for name in FILTERS if name in self.filters}
        self.tests = {name: self.tests[name] for name in TESTS if name in self.tests}
        self.globals = {
            "range": bounded_range,
            "_rounds": counted,
            "_built": built,
            "_paid": paid,
            "_method": method,
        }
        self.filters["replace"] = bounded_replace
        for name, filter in self.filters.items():
            self.filters[name] = bounded(name, filter)

    def make_globals(self, d: MutableMapping[str, Any] | None) -> MutableMapping[str, Any]:
        """
        One plain dict for all templates, never changed; Jinja's own chain of maps is slow to read.
        """
        return self.globals if d is None else {**self.globals, **d}

    def joined(self, parts: Iterable[Any]) -> str:
        """Text out of several values, escaped where one of them is safe HTML."""
        values = list(parts)
        if any(value is None for value in values):
            raise NullValue("a value is null")
        markup = any(hasattr(value, "__html__") for value in values)
        text = [escape(printable(value)) if markup else str(printable(value)) for value in values]
        if sum(map(len, text)) > JOINED_MAX:
            raise SecurityError("a text that long is not allowed")
        return str(paid("".join(text))) if not markup else Markup("").join(text)

    def call(self, context: Any, function: Any, /, *arguments: Any, **options: Any) -> Any:
        """A method's result is paid for like a filter's."""
        return paid(super().call(context, function, *arguments, **options))

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Arithmetic, within limits."""
        if operator == "**" and not (
            small(left) and isinstance(right, int | float) and abs(right) <= POWER_MAX
        ):
            raise SecurityError("a power that large is not allowed")
        if operator == "*":
            sizes = [len(side) for side in (left, right) if isinstance(side, str | list | tuple)]
            counts = [side for side in (left, right) if isinstance(side, int)]
            if sizes and counts and sizes[0] * max(0, counts[0]) > LENGTH_MAX:
                raise SecurityError("a repetition that long is not allowed")
        if operator == "%" and isinstance(left, str):
            raise SecurityError("% on text is not allowed: write the values into the text")
        result = super().call_binop(context, operator, left, right)
        if (
            isinstance(result, int | float)
            and not isinstance(result, bool)
            and abs(result) > NUMBER_MAX
        ):
            raise SecurityError("a number that large is not allowed")
        if isinstance(result, str | list | tuple) and len(result) > JOINED_MAX:
            raise SecurityError("a result that long is not allowed")
        return built(result) if isinstance(result, list | tuple) else paid(result)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Whether it is an attribute of a loop; everything else is data."""
        if attr.startswith("_"):
            return False
        return obj.__class__.__name__ in RUNTIME

    def getattr(self, obj: Any, attribute: str) -> Any:
        """A mapping has its keys and nothing else, text nothing (``method`` calls its methods)."""
        if type(obj) is LoopContext:
            return super().getattr(obj, attribute)
        if type(obj) is dict or isinstance(obj, Mapping):
            return obj[attribute] if attribute in obj else self.undefined(obj=obj, name=attribute)
        if isinstance(obj, str):
            return self.undefined(obj=obj, name=attribute)
        return super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if type(obj) is dict or isinstance(obj, Mapping):
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


def method(value: Any, name: str, /, *arguments: Any, **options: Any) -> Any:
    """``value.name(…)``: only text has methods."""
    if isinstance(value, Undefined):
        return getattr(value, name)
    if not isinstance(value, str):
        raise TemplateRuntimeError(f"only text has .{name}()")
    return getattr(value, name)(*arguments, **options)


def bounded_replace(text: Any, old: str, new: str, count: int | None = None) -> str:
    """``replace`` whose result may not be longer than the text itself by much."""
    found = str(text)
    if (
        len(found) + len(str(new)) * (found.count(str(old)) if count is None else count)
        > JOINED_MAX
    ):
        raise SecurityError("a replacement that long is not allowed")
    return found.replace(str(old), str(new), -1 if count is None else count)


def bounded(name: str, filter: F) -> F:
    """A filter whose result has a limit and is paid for."""

    def limited(*arguments: Any, **options: Any) -> Any:
        numbers = (*arguments[1:], *options.values()) if name in SIZED else ()
        if any(isinstance(one, int) and abs(one) > LENGTH_MAX for one in numbers):
            raise SecurityError("a size that large is not allowed")
        if name in WORDY and any(isinstance(one, list | tuple | dict) for one in arguments):
            raise TemplateRuntimeError(f"the filter {name} takes text, not a list or mapping")
        if name == "join":
            check_join(*arguments[1:], **options)
        try:
            result = filter(*arguments, **options)
        except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
            raise TemplateRuntimeError(f"the filter {name} cannot take this value") from error
        if type(result) is not str and isinstance(result, Iterator):
            result = list(islice(result, JOINED_MAX + 1))
        if isinstance(result, str | list) and len(result) > JOINED_MAX:
            raise SecurityError("a result that long is not allowed")
        return built(result) if name in BUILDING else paid(result)

    for mark in ("jinja_pass_arg", "jinja_async_variant"):
        if hasattr(filter, mark):
            setattr(limited, mark, getattr(filter, mark))
    return limited  # type: ignore[return-value]


def check_join(values: Any, d: Any = "", attribute: Any = None) -> None:
    """
    ``join`` before it joins: how long its separators are, and that there is text between them.
    """
    if isinstance(values, list | tuple | str):
        if len(values) * len(str(printable(d))) > JOINED_MAX:
            raise SecurityError("a text that long is not allowed")
        if attribute is None and any(isinstance(one, list | tuple | Mapping) for one in values):
            raise TemplateRuntimeError("the filter join takes a list of texts")


def printable(value: Any) -> Any:
    """The value if it may be printed: null counts as missing, and a list is no text."""
    if type(value) is str:
        return value
    if value is not None and not isinstance(value, PRINTABLE):
        raise TemplateRuntimeError(
            "a list or mapping cannot be printed; name what is to be shown of it"
        )
    if isinstance(value, float) and not math.isfinite(value):
        raise TemplateRuntimeError("a number that is not finite cannot be printed")
    return value


def plain(value: Any, level: int = 0) -> Any:
    """Only JSON's own types get into a template; everything else becomes its text."""
    if type(value) in SCALARS:
        return value
    if level > NESTING_MAX * 4:
        raise SecurityError("the event's data nests too deeply for a template")
    if isinstance(value, dict | Mapping):
        return {
            key if type(key) is str else str(key): (
                item if type(item) in SCALARS else plain(item, level + 1)
            )
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [item if type(item) in SCALARS else plain(item, level + 1) for item in value]
    return value if isinstance(value, str | int | float) else str(value)
