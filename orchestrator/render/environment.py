"""
The sandbox that templates and conditions run in.

Only what is listed may be used: filters, tests and globals. Data is plain JSON types, and a
mapping's attributes are its keys, never its methods. Whatever could make a small template take much
time or memory has a limit (powers, products, joined text, ranges, the output itself) or is paid for
out of one allowance (``budget``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any

from jinja2 import StrictUndefined, TemplateRuntimeError, Undefined, nodes
from jinja2.compiler import CodeGenerator, Frame, operators
from jinja2.exceptions import SecurityError
from jinja2.runtime import LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup, escape

from orchestrator.render.allowed import allow
from orchestrator.render.budget import built, counted, found_in, paid, read
from orchestrator.render.data import printable
from orchestrator.render.graphemes import whole_length
from orchestrator.render.problems import NullValue

NUMBER_MAX = 10**15
POWER_MAX = 64
LENGTH_MAX = 10_000
JOINED_MAX = 300_000
RANGE_MAX = 1_000
STRIPPED_MAX = 32
STRIPPING = frozenset({"strip", "lstrip", "rstrip"})
RUNTIME = ("LoopContext", "Namespace", "TemplateReference", "BlockReference")


class Bounded(CodeGenerator):
    """Compiles ``a ~ b`` to a join that knows how long its result may be."""

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:
        self.write("environment.joined((")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write("))")

    def visit_Compare(self, node: nodes.Compare, frame: Frame) -> None:
        """What a comparison reads is paid for, unless a constant bounds it."""
        sides = [node.expr, *(one.expr for one in node.ops)]
        only = node.ops[0].op if len(node.ops) == 1 else ""
        if only in ("in", "notin"):
            self.write("(not " if only == "notin" else "(")
            self._call("environment.found_in", sides, frame)
            self.write(")")
        elif any(isinstance(side, nodes.Const) for side in sides) and len(node.ops) == 1:
            super().visit_Compare(node, frame)
        else:
            self.write("(")
            self._call("environment.read", sides[:1], frame)
            for one in node.ops:
                self.write(f" {operators[one.op]} ")
                self._call("environment.read", [one.expr], frame)
            self.write(")")

    def _call(self, name: str, arguments: Iterable[nodes.Expr], frame: Frame) -> None:
        self.write(f"{name}(")
        for argument in arguments:
            self.visit(argument, frame)
            self.write(", ")
        self.write(")")


class SafeEnvironment(ImmutableSandboxedEnvironment):
    """Jinja with nothing in it that was not asked for."""

    code_generator_class = Bounded
    read = staticmethod(read)
    found_in = staticmethod(found_in)
    intercepted_binops = frozenset({"*", "**", "%", "+", "-", "//", "/"})

    def __init__(
        self, *, undefined: type[Undefined] = StrictUndefined, autoescape: bool = False
    ) -> None:
        super().__init__(
            undefined=undefined, autoescape=autoescape, keep_trailing_newline=False, cache_size=0
        )
        allow(self)
        self.globals = {
            "range": bounded_range,
            "_rounds": counted,
            "_built": built,
            "_sliced": sliced,
            "_method": method,
        }

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
        text = [escape(value) if markup else str(value) for value in map(printable, values)]
        if sum(map(len, text)) > JOINED_MAX:
            raise SecurityError("a text that long is not allowed")
        return str(paid("".join(text))) if not markup else Markup("").join(text)

    def call(self, context: Any, function: Any, /, *arguments: Any, **options: Any) -> Any:
        """A method's result is paid for like a filter's, and so is what a loop compares."""
        if isinstance(getattr(function, "__self__", None), LoopContext):
            for argument in arguments:
                read(argument)
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


def sliced(value: Any, start: Any, stop: Any, step: Any) -> Any:
    """``value[start:stop:step]``; a text is cut between its grapheme clusters."""
    if step is None and isinstance(value, str) and not value.isascii():
        first, last, _ = slice(start, stop).indices(len(value))
        return paid(value[whole_length(value, first) : whole_length(value, last)])
    return paid(value[start:stop:step])


def method(value: Any, name: str, /, *arguments: Any, **options: Any) -> Any:
    """``value.name(…)``: only text has methods."""
    if isinstance(value, Undefined):
        return getattr(value, name)
    if not isinstance(value, str):
        raise TemplateRuntimeError(f"only text has .{name}()")
    for one in (value, *arguments):
        read(one)
    if name in STRIPPING and any(len(one) > STRIPPED_MAX for one in arguments if one):
        raise SecurityError(f".{name}() takes at most {STRIPPED_MAX} characters")
    return getattr(value, name)(*arguments, **options)
